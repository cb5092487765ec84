"""`olmv calibrate --guarantee`: what is promised, over which groups of videos, and for how many labels at once."""

import json
import re
from collections.abc import Callable
from pathlib import Path

from olmv.labels.vocabulary import Vocabulary
from olmv.scoring.thresholds import Thresholds
from tests.cli.calibration import LABELS, folder, grouped, write

__all__ = ["folder"]

Run = Callable[..., tuple[int, str, str]]

PROMISE = ("calibrate", "rows.jsonl", "-t", "truth.csv", "--objective", "recall=0.8", "--guarantee", "0.9")


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
