"""`olmv calibrate`: from rows and truth to a file that `predict --thresholds` uses; one line where it goes wrong."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from scipy.special import expit

from olmv.cli import app as commands
from olmv.cli import calibrate
from olmv.io.prediction_rows import write_rows
from olmv.labels.label import Label
from olmv.labels.vocabulary import Vocabulary
from olmv.scoring.run_settings import RunSettings
from olmv.scoring.thresholds import Thresholds

Run = Callable[..., tuple[int, str, str]]

LABELS = ("dog", "<b>cat</b>", "rain", "never")
OTHER_WORDS = (
    "1 of 1 labels have other attributes or aliases than their thresholds were fitted with, 'dog' for one; "
    "calibrate again"
)
SETTINGS = {"labels": [["dog", ["hound"], []], ["<b>cat</b>", [], []]], "mode": "multi-label", "frames": 8}


@pytest.fixture(autouse=True)
def registered() -> None:
    if not any(command.name == "calibrate" for command in commands.app.registered_commands):
        calibrate.register(commands.app)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write(tmp_path, 120)
    return tmp_path


def write(folder: Path, videos: int) -> list[dict[str, object]]:
    """rows.jsonl and truth.csv: scores far too low for dog, `rain` with few positives, one failed video."""
    random = np.random.default_rng(0)
    truth = random.random((videos, 4)) < (0.4, 0.5, 0.03, 0.0)
    truth[0, 2] = True
    logit = random.normal(np.where(truth, 1.5, -1.5) + np.array([-4, 0, 0, 0]), 1.0)
    rows: list[dict[str, object]] = [
        {
            "video": f"clips/{i}.mp4", "status": "ok", "error": None, "duration_s": 1.0,
            "frames": {"requested": 8, "decoded": 8, "corrupt": 0}, "model": "olmv-mini",
            "labels": [
                {"label": label, "similarity": 0.1, "logit": float(logit[i, c]), "threshold": 0.5,
                 "probability": float(f"{expit(logit[i, c]):.6g}"), "positive": bool(logit[i, c] >= 0)}
                for c, label in enumerate(LABELS)
            ],
        }
        for i in range(videos)
    ]  # fmt: skip
    rows.append(
        {**rows[0], "video": "clips/bad.mp4", "status": "error", "error": {"type": "E", "message": "bad"}, "labels": []}
    )
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "rows.jsonl.run.json").write_text(json.dumps({"format": "olmv-run/1", "settings": SETTINGS}))
    lines = [f"clips/{i}.mp4,{';'.join(n for c, n in enumerate(LABELS) if truth[i, c])}" for i in range(1, videos)]
    (folder / "truth.csv").write_text("video,labels\n" + "\n".join(lines) + "\nclips/more.mp4,dog;snow\n")
    return rows


def test_thresholds_and_page(olmv: Run, folder: Path) -> None:
    code, out, err = olmv("calibrate", "rows.jsonl", "--truth", "truth.csv", "-o", "t.json", "--page", "p.html")
    assert (code, out) == (0, "")
    assert "1 videos of the truth without a prediction: 'clips/more.mp4'" in err
    assert "1 predicted videos that the truth does not list: 'clips/0.mp4'" in err
    assert "1 videos whose prediction failed: 'clips/bad.mp4'" in err
    assert "1 label true of no video: 'never'" in err
    assert "1 label with fewer than 10 positives share the threshold" in err
    assert "labels that are true of no video lie above their scores here; that lets at most 2.5% of videos" in err
    assert "micro F1 0." in err
    assert "(cross-fitted; all labels)" in err
    assert "after (cross-fitted); of labels that are true of no video 6 and 1" in err
    assert "wrote t.json\nwrote p.html\n" in err
    found = Thresholds.load("t.json")
    assert list(found) == list(LABELS)
    assert found["dog"] < 0.2 < found["<b>cat</b>"]
    assert found.entry("never").model_dump()["source"] == "negatives"
    assert found.entry("never").model_dump()["false_alarms"] == pytest.approx(1 - 0.05 ** (1 / 119), abs=1e-6)
    dog = found.entry("dog").model_dump()
    assert dog["objective"] == "f1"
    assert dog["source"] == "label"
    assert dog["cross_fitted"]["f1"] > 0.8
    assert "cross_fitted" not in found.entry("never").model_dump()
    assert found.provenance.videos == 119
    assert found.provenance.settings == {"mode": "multi-label", "frames": 8}
    page = (folder / "p.html").read_text()
    assert "&lt;b&gt;cat&lt;/b&gt;" in page
    assert "<b>cat</b>" not in page
    assert "olmv-mini knows drawings" in page
    same = Vocabulary([Label("dog", aliases=("hound",)), "rain"])
    assert found.notes_for(same, model="olmv-mini", settings=RunSettings(frames=8, mode="multi-label")) == []
    assert found.notes_for(Vocabulary(["dog"]), settings=RunSettings(frames=16)) == [
        OTHER_WORDS,
        "these thresholds were fitted with other settings (frames 8 then, 16 now); calibrate again",
    ]


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_tables_give_the_same(olmv: Run, folder: Path, kind: str) -> None:
    write_rows(folder / f"rows.{kind}", write(folder, 60))
    for name in ("rows.jsonl", f"rows.{kind}"):
        assert olmv("calibrate", name, "-t", "truth.csv", "-o", f"{name}.json", "-q")[0] == 0
    one, other = (Thresholds.load(f"{name}.json") for name in ("rows.jsonl", f"rows.{kind}"))
    assert dict(one) == dict(other)


@pytest.mark.parametrize("kind", ["platt", "isotonic"])
def test_scaling_shows_calibrated_numbers_and_changes_no_verdict(olmv: Run, folder: Path, kind: str) -> None:
    arguments = ("calibrate", "rows.jsonl", "-t", "truth.csv", "-o")
    assert olmv(*arguments, "plain.json", "-q")[0] == 0
    code, _, err = olmv(*arguments, "t.json", "--scaling", kind, "--page", "p.html")
    assert code == 0
    figures = re.findall(r"(Calibration error|Brier skill score).*? (-?[\d.]+) before, (-?[\d.]+) after", err)
    assert [name for name, *_ in figures] == ["Calibration error"] * 3 + ["Brier skill score"]
    assert float(figures[0][2]) < float(figures[0][1])
    assert float(figures[3][2]) > float(figures[3][1]) + 0.4
    page = (folder / "p.html").read_text()
    assert "Brier skill score" in page
    assert "Calibration error (pairs above 0.05)" in page
    plain, scaled = Thresholds.load("plain.json"), Thresholds.load("t.json")
    assert plain.scaler(LABELS) is None
    assert [plain.entry(label).threshold for label in LABELS] == [scaled.entry(label).threshold for label in LABELS]
    scaler = scaled.scaler(LABELS)
    assert scaler is not None
    rows = [json.loads(line)["labels"] for line in (folder / "rows.jsonl").read_text().splitlines()]
    for row in filter(None, rows):
        shown = scaler(np.array([label["probability"] for label in row]))
        assert [float(f"{p:.6g}") >= scaled[n] for p, n in zip(shown, LABELS, strict=True)] == [
            label["probability"] >= plain[label["label"]] for label in row
        ]


def test_a_promise(olmv: Run, folder: Path) -> None:
    arguments = ("calibrate", "rows.jsonl", "-t", "truth.csv", "--objective", "recall=0.8", "--guarantee", "0.95")
    code, _, err = olmv(*arguments, "-o", "t.json", "--page", "p.html")
    assert code == 1  # done, but some labels were refused
    found = Thresholds.load("t.json")
    assert list(found) == ["dog", "<b>cat</b>"]
    assert found.provenance.guarantee is not None
    assert found.provenance.guarantee.model_dump() == {"target": "recall=0.8", "confidence": 0.95, "scope": "per label"}
    assert set(found.provenance.refused or {}) == {"rain", "never"}
    assert "2 labels without a promise" in err
    assert "promised for each of 2 labels by itself: recall=0.8" in err
    assert "promised with confidence 0.95" in (folder / "p.html").read_text()
    assert "2 of 4 labels are not in the thresholds file, 'rain' for one" in found.notes_for(Vocabulary(list(LABELS)))


def test_too_few_videos_for_a_promise(olmv: Run, folder: Path) -> None:
    write(folder, 6)
    code, out, err = olmv(
        "calibrate", "rows.jsonl", "-t", "truth.csv", "--objective", "recall=0.9", "--guarantee", "0.95", "-o", "t.json"
    )
    assert (code, out) == (2, "")
    assert "recall=0.9 cannot be promised with confidence 0.95 for any label: it takes at least 29 videos" in err
    assert err.endswith("label more videos, or ask for less\n")
    assert not (folder / "t.json").exists()
    assert olmv("calibrate", "rows.jsonl", "-t", "truth.csv", "-o", "t.json", "-q")[0] == 0  # without one it goes


def test_precision_that_nobody_has(olmv: Run, folder: Path) -> None:
    lines = (folder / "truth.csv").read_text().splitlines()
    names = [line.split(",")[0] for line in lines[1:]]
    (folder / "truth.csv").write_text(
        "video,labels\n" + "\n".join(f"{n},{'dog' * (i % 2)}" for i, n in enumerate(names))
    )
    code, _, err = olmv(
        "calibrate",
        "rows.jsonl",
        "-t",
        "truth.csv",
        "--objective",
        "precision=0.9",
        "--guarantee",
        "0.9",
        "-o",
        "t.json",
    )
    assert code == 2
    assert "'dog', for one: of the" in err
    assert "do not have it; ask for less, or use a better model" in err


def test_unlabelled(olmv: Run, folder: Path) -> None:
    arguments = ("calibrate", "rows.jsonl", "--unlabelled", "--prevalence")
    code, _, err = olmv(*arguments, "0.25", "-o", "t.json", "--page", "p.html")
    assert code == 0, err
    rows = [json.loads(line)["labels"] for line in (folder / "rows.jsonl").read_text().splitlines()]
    found = Thresholds.load("t.json")
    for column, label in enumerate(LABELS):
        assert sum(row[column]["probability"] >= found[label] for row in rows if row) == 30
    (folder / "p.csv").write_text("label,prevalence\ndog,0.5\nrain,0.001\n")
    code, _, err = olmv(*arguments, "p.csv", "-o", "t.json")
    assert code == 1
    assert list(Thresholds.load("t.json")) == ["dog"]
    assert "2 labels have no prevalence and get no threshold: '<b>cat</b>', 'never'" in err
    assert "1 labels are too rare among 120 videos for one: 'rain'" in err
    code, _, err = olmv(*arguments, "0.001", "-o", "t.json")
    assert (code, "120 videos are too few for this prevalence; predict at least 1000" in err) == (2, True)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["rows.jsonl"], "calibrating takes the truth: add a manifest of it, or calibrate unlabelled"),
        (["rows.jsonl", "-t", "truth.csv", "--objective", "auc"], "unknown objective 'auc'; give f1"),
        (["rows.jsonl", "-t", "truth.csv", "--guarantee", "0.9"], "f1 cannot be promised; choose the objective"),
        (
            ["rows.jsonl", "-t", "truth.csv", "--guarantee", "2", "--objective", "recall=0.9"],
            "the guarantee is 2; give",
        ),
        (
            ["rows.jsonl", "-t", "truth.csv", "--prevalence", "0.1"],
            "the prevalence is for unlabelled videos; leave it out",
        ),
        (["rows.jsonl", "-t", "truth.csv", "--folds", "1"], "Invalid value for '--folds'"),
        (["rows.jsonl", "-t", "truth.csv", "--scaling", "beta"], "Invalid value for '--scaling'"),
        (["rows.jsonl", "-t", "truth.csv", "--page", "x.txt"], "the page is an HTML file; end x.txt in .html"),
        (
            ["rows.jsonl", "-t", "truth.csv", "--guarantee-scope", "all"],
            "the scope is that of a guarantee; add its confidence, such as 0.95",
        ),
        (["rows.jsonl", "--unlabelled"], "unlabelled videos do not say how often a label is true; add a prevalence"),
        (
            ["rows.jsonl", "--unlabelled", "--prevalence", "0.1", "-t", "truth.csv"],
            "the truth goes with labelled videos, not with",
        ),
        (
            ["rows.jsonl", "--unlabelled", "--prevalence", "0.1", "--guarantee-scope", "all"],
            "the guarantee scope goes with labelled videos, not with",
        ),
        (["rows.jsonl", "-t", "nowhere.csv"], "nowhere.csv"),
        (["nowhere.jsonl", "-t", "truth.csv"], "nowhere.jsonl"),
        ([".", "-t", "truth.csv"], ". is a result folder and has its own truth; leave out the other"),
        (["."], "has no result.json"),
    ],
)
def test_wrong_usage_is_one_line(olmv: Run, folder: Path, arguments: list[str], message: str) -> None:
    code, out, err = olmv("calibrate", *arguments, "-o", "t.json")
    assert (code, out) == (2, "")
    assert message in err
    assert err.count("\n") == 1
    assert not (folder / "t.json").exists()


def test_an_output_that_cannot_be_written_is_told_first(olmv: Run, folder: Path) -> None:
    code, _, err = olmv("calibrate", "nowhere.jsonl", "-t", "truth.csv", "-o", "missing/t.json")
    assert (code, "cannot write missing/t.json: its folder does not exist" in err) == (2, True)


def test_calibrated_probabilities_are_refused(olmv: Run, folder: Path) -> None:
    rows = [json.loads(line) for line in (folder / "rows.jsonl").read_text().splitlines()]
    for row in rows:
        for label in row["labels"]:
            label["probability"] = label["probability"] ** 2
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    code, _, err = olmv("calibrate", "rows.jsonl", "-t", "truth.csv", "-o", "t.json")
    assert (code, "they are calibrated already; predict again without thresholds" in err) == (2, True)


def grouped(folder: Path, group: Callable[[int], object], name: str = "group") -> None:
    """Give truth.csv a further column."""
    head, *lines = (folder / "truth.csv").read_text().splitlines()
    numbers = [re.search(r"(\d+)\.mp4", line) for line in lines]
    rows = [f"{line},{group(int(n[1])) if n else 'x'}" for line, n in zip(lines, numbers, strict=True)]
    (folder / "truth.csv").write_text("\n".join([f"{head},{name}", *rows]) + "\n")


PROMISE = ("calibrate", "rows.jsonl", "-t", "truth.csv", "--objective", "recall=0.8", "--guarantee", "0.9")


def test_a_promise_over_groups(olmv: Run, folder: Path) -> None:
    grouped(folder, lambda i: "" if i >= 100 else f"camera {i // 2}")
    code, _, err = olmv(*PROMISE, "-o", "t.json", "--page", "p.html")
    assert code == 1
    assert "99 videos are of 50 groups, which stay whole; 20 videos have none and count as groups of their own" in err
    found = Thresholds.load("t.json")
    assert found.provenance.groups == 70
    assert set(found.provenance.refused or {}) == {"rain", "never"}
    assert "groups have it, at least 11 are needed" in (found.provenance.refused or {})["rain"]
    said = (
        "promised for each of 2 labels by itself: recall=0.8 over a random video of a random group, drawn as these "
        "were, with probability 0.9 over the draw of these 70 groups; it is no promise for all of them at once (up to "
        "0.2 of the 2 are to be expected to fail), nor for videos of another kind"
    )
    assert said in err
    assert said[1:] in (folder / "p.html").read_text()
    # all twelve groups have dogs, which are enough for a promise by itself and not for all labels at once
    write(folder, 120)
    grouped(folder, lambda i: i % 12)
    code, _, err = olmv(*PROMISE, "-o", "t.json")
    assert code == 1
    code, _, err = olmv(*PROMISE, "-o", "all.json", "--guarantee-scope", "all")
    assert code == 2
    assert (
        "recall=0.8 cannot be promised with confidence 0.9 for any label (with 0.975 for each, so that it holds for "
        "all 4 at once): it takes at least 17 groups that have the label, 'dog' has most, 12; label more groups, or "
        "ask for less"
    ) in err
    assert not (folder / "all.json").exists()


def test_a_promise_for_all_labels_at_once(olmv: Run, folder: Path) -> None:
    code, _, err = olmv(*PROMISE, "-o", "all.json", "--guarantee-scope", "all")
    assert code == 1
    assert "2 labels without a promise (it takes 17 videos or more) get no threshold" in err
    assert "promised for all 2 labels at once: recall=0.8 over all videos drawn as these were" in err
    everything = Thresholds.load("all.json")
    assert everything.provenance.guarantee is not None
    assert everything.provenance.guarantee.scope == "all labels"
    assert olmv(*PROMISE, "-o", "each.json")[0] == 1
    each = Thresholds.load("each.json")
    assert sum(everything.values()) < sum(each.values())  # more is asked, so less may be missed
    assert all(everything[label] <= each[label] for label in everything)


def test_groups_that_are_none_or_one(olmv: Run, folder: Path) -> None:
    arguments = ("calibrate", "rows.jsonl", "-t", "truth.csv", "-o", "t.json")
    grouped(folder, lambda _: "cam")
    code, _, err = olmv(*arguments)
    assert code == 2
    assert "all 119 videos are of one group, which tells nothing of others; calibrate with videos of several" in err
    write(folder, 120)
    plain = olmv(*arguments)
    alone = Thresholds.load("t.json")
    grouped(folder, lambda _: "")
    code, _, err = olmv(*arguments)
    assert (code, plain[0]) == (0, 0)
    assert "the 'group' column is empty: each of 119 videos counts as a group of its own" in err
    assert dict(Thresholds.load("t.json")) == dict(alone)
    write(folder, 120)
    grouped(folder, lambda i: i // 2, name="Group")
    code, _, err = olmv(*arguments)
    assert code == 0
    assert "the column 'Group' of truth.csv is not looked at; name it 'group' if its videos belong together" in err
    assert Thresholds.load("t.json").provenance.groups is None


def test_copies_without_groups_are_told(olmv: Run, folder: Path) -> None:
    lines = (folder / "rows.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    rows = [row for row in rows if row["status"] == "ok"][:40]
    copies = [row | {"video": f"clips/{i + 40 * copy}.mp4"} for copy in range(3) for i, row in enumerate(rows)]
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in copies))
    arguments = ("calibrate", "rows.jsonl", "-t", "truth.csv", "-o", "t.json")
    _, _, err = olmv(*arguments)
    assert re.search(r"\d\d% of these 119 videos have scores nearly equal to another's.* in a 'group' column", err)
    grouped(folder, lambda i: i % 40)
    assert "nearly equal" not in olmv(*arguments)[2]
