"""`olmv predict --timeline`: its files, its refusals, and runs that are killed inside a file."""

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from olmv.io.curves import CurveFile
from tests.cli.conftest import run_to_death
from tests.support.samples import write_clip
from tests.support.videos import make_video, restamp

LABELS = ("--labels", "dog, guitar, rain")
TIMED = (*LABELS, "--timeline", "--window", "500ms", "--step", "250ms", "--single-label")
QUICK = (*LABELS, "--timeline", "--every", "0.02s", "--window", "0.4s", "--step", "0.2s", "--single-label")


def rows(path: str | Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in Path(path).read_text(encoding="utf-8").splitlines()]


def same_curves(one: str, two: str) -> bool:
    a, b = CurveFile(f"{one}.curves.parquet"), CurveFile(f"{two}.curves.parquet")
    if [*a] != [*b]:
        return False
    pairs = [(a.get(video), b.get(video)) for video in a]
    return all(
        x is not None
        and y is not None
        and x.labels == y.labels
        and np.array_equal(x.starts_s, y.starts_s)
        and np.array_equal(x.probability, y.probability)
        for x, y in pairs
    )


@pytest.fixture
def predict(olmv: Any, here: Path, model: str) -> Any:
    """`olmv predict` with the tiny model, decoding in this process."""
    return lambda *arguments: olmv("predict", *arguments, "--model", model, "--workers", "0")


@pytest.fixture
def attempts(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """The parts that are decoded in this process, as (file name, part)."""
    from olmv.video.workers.task import attempt

    decoded: list[tuple[str, int]] = []

    def counting(task: Any, index: int, path: str, part: int = 0) -> Any:
        decoded.append((Path(path).name, part))
        return attempt(task, index, path, part)

    monkeypatch.setattr("olmv.video.workers.loader.attempt", counting)
    return decoded


@pytest.fixture
def long_clip(here: Path) -> Path:
    """Fifty seconds: with `QUICK`, 2500 moments, in about 20 parts."""
    return write_clip(here / "long" / "long.mp4", frames=600)


def test_rows_curves_and_what_is_left(predict: Any, here: Path) -> None:
    code, out, err = predict("clips", *TIMED, "--threshold", "0.1", "-o", "x.jsonl")
    assert code == 0
    made = rows("x.jsonl")
    assert len(made) == 5
    file = CurveFile("x.jsonl.curves.parquet")
    assert [*file] == [row["video"] for row in made]
    for row in made:
        assert all(0 < shot < row["duration_s"] for shot in row["shots_s"])
        curve = file.get(row["video"])
        assert curve is not None
        assert curve.labels == ("dog", "guitar", "rain")
        assert {*row["shots_s"]} <= {*curve.starts_s.round(3).tolist()}
        for segment in row["segments"]:
            assert 0 <= segment["start_s"] < segment["end_s"] <= row["duration_s"]
            inside = curve.probability[:, curve.labels.index(segment["label"])]
            assert segment["peak"] == pytest.approx(inside.max(), rel=1e-5)
    assert any(row["segments"] for row in made)
    assert "wrote x.jsonl.curves.parquet" in err
    assert {path.name for path in here.iterdir()} == {
        "clips", "cache", "x.jsonl", "x.jsonl.run.json", "x.jsonl.curves.parquet",
    }  # fmt: skip
    shown = [line for line in out.splitlines() if line.startswith("\t")]
    assert any("0:00-0:02" in line for line in shown)


def test_each_kind_of_output(predict: Any) -> None:
    everything = ("clips/0.mp4", *TIMED, "--threshold", "0.01", "-q")
    for name in (
        "x.jsonl", "x.csv", "x.parquet", "x.srt", "x.vtt", "x.edl", "x.thumbnails.vtt", "x.labelstudio.json",
        "x.fiftyone.json",
    ):  # fmt: skip
        assert predict(*everything, "-o", name) == (0, "", ""), name
        assert Path(name).stat().st_size > 0
        assert Path(f"{name}.curves.parquet").is_file()
        assert not Path(f"{name}.parts.jsonl").exists()
        assert same_curves("x.jsonl", name)
    with Path("x.csv").open(newline="", encoding="utf-8") as file:
        lines = list(csv.DictReader(file))
    (row,) = rows("x.jsonl")
    assert [(line["label"], float(line["start_s"])) for line in lines] == [
        (segment["label"], segment["start_s"]) for segment in row["segments"]
    ]
    assert Path("x.vtt").read_text().startswith("WEBVTT")
    assert Path("x.thumbnails.jpg").read_bytes()[:2] == b"\xff\xd8"
    Path("subs").mkdir()
    assert predict("clips", *TIMED, "--threshold", "0.01", "-q", "-o", "subs/{}.srt")[0] == 0
    assert sorted(path.name for path in Path("subs").glob("*.srt")) == [f"{seed}.srt" for seed in range(5)]


def test_a_page_over_time_and_one_later(predict: Any) -> None:
    assert predict("clips", *TIMED, "-q", "-r", "r.html") == (0, "", "")
    assert predict("clips", *TIMED, "-q", "-o", "x.jsonl") == (0, "", "")
    assert predict("clips", *TIMED, "-q", "-o", "x.jsonl", "-r", "later.html") == (0, "", "")
    one, two = (Path(name).read_text(encoding="utf-8").partition("<main")[2] for name in ("r.html", "later.html"))
    assert one.partition("<footer")[0] == two.partition("<footer")[0]
    assert not list(Path().glob("*.pictures.jsonl"))


def test_rows_on_standard_output(predict: Any, here: Path) -> None:
    code, out, _ = predict("clips/0.mp4", *TIMED, "-o", "-", "-q")
    assert code == 0
    assert "segments" in json.loads(out)
    assert {path.name for path in here.iterdir()} == {"clips", "cache"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--every", "1s", "--fps", "2"), "--every and --fps say the same; leave out one of them"),
        (("--window", "4s"), "--window goes with --timeline; add it"),
        (("--least", "1s"), "--least goes with --timeline; add it"),
        (("--timeline", "--frames", "8"), "a timeline's length says how many frames; leave out frames (--frames)"),
        (("--every", "1s", "--frames", "8"), "every_s already says how many frames; leave out frames (--frames)"),
        (
            ("--timeline", "--window", "1s", "--step", "2s"),
            "windows of 1 s; make it shorter (--step)",
        ),
        (("--timeline", "--window", "0s"), "window is 0 s; give a number of seconds above 0 (--window)"),
        (("--timeline", "--sampling", "dense"), "a timeline is not sampled 'dense'; choose uniform or adaptive"),
        (("--every", "0s"), "every is 0 s; give a time from 0.001 s up (--every)"),
        (("--every", "2 fortnights"), "is no time"),
        (("--timeline", "--wide", "-o", "x.csv"), "a wide table has no times; leave out one of them"),
        (("-o", "x.srt"), "x.srt is for segments; ask for a timeline (--timeline)"),
        (("--timeline", "-o", "x.xlsx"), "x.xlsx"),
        (("--timeline", "-o", "x.srt"), "{}"),  # of one video, and there are five
    ],
)
def test_wrong_usages(predict: Any, here: Path, arguments: tuple[str, ...], message: str) -> None:
    code, out, err = predict("clips", *LABELS, *arguments)
    assert (code, out) == (2, ""), err
    assert message in err
    assert err.count("\n") == 1, err
    assert {path.name for path in here.iterdir()} <= {"clips", "cache"}


def test_how_often_is_looked(predict: Any) -> None:
    def frames(*arguments: str) -> tuple[int, bool]:
        assert predict("clips/0.mp4", *LABELS, "-q", "-o", "x.jsonl", "--no-resume", *arguments)[0] == 0
        (row,) = rows("x.jsonl")
        return row["frames"]["decoded"], row["frames"]["capped"]

    assert frames() == (8, False)
    assert frames("--every", "500ms") == (4, False)
    assert frames("--fps", "4") == (8, False)
    assert frames("--fps", "12") == (24, False)
    assert frames("--fps", "12", "--max-frames", "10") == (10, True)
    assert frames("--every", "60s") == (1, False)
    assert frames("--max-frames", "3") == (3, False)
    assert frames("--frames", "5") == (5, False)


def test_a_window_longer_than_the_film(predict: Any, here: Path) -> None:
    make_video(here / "still.mp4", frames=50, width=64, height=48, draw=lambda _: np.full((48, 64, 3), 90, np.uint8))
    arguments = ("still.mp4", *TIMED, "--window", "1:00:00", "--step", "1s", "--every", "100ms")
    assert predict(*arguments, "--threshold", "0.01", "-q", "-o", "x.jsonl") == (0, "", "")
    (row,) = rows("x.jsonl")
    assert {(item["start_s"], item["end_s"]) for item in row["segments"]} == {(0.0, row["duration_s"])}
    assert {item["peak"] for item in row["segments"]} == {item["mean"] for item in row["segments"]}


def test_files_that_have_no_time(predict: Any) -> None:
    Image.new("RGB", (64, 48), (9, 99, 199)).save("photo.png")
    Path("empty.mp4").write_bytes(b"")
    Path("text.mp4").write_text("not a video")
    code, _, err = predict(
        "photo.png", "empty.mp4", "text.mp4", "clips/0.mp4", *TIMED, "--threshold", "0.01", "-o", "x.jsonl"
    )
    assert code == 1
    photo, empty, text, clip = rows("x.jsonl")
    assert (photo["duration_s"], photo["segments"], photo["shots_s"]) == (0.0, [], [])
    assert (photo["frames"]["requested"], photo["frames"]["widest_gap_s"]) == (1, 0.0)
    assert [row["error"]["type"] for row in (empty, text)] == ["NotAVideoError"] * 2
    assert all("segments" not in row for row in (empty, text))
    assert clip["segments"]
    assert [*CurveFile("x.jsonl.curves.parquet")] == ["photo.png", "clips/0.mp4"]
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("hours", lambda number: 90_000 * 3600 * 5),
        ("jump back", lambda number: -90_000 * 3 if number >= 60 else 0),
        ("jump ahead", lambda number: 90_000 * 7200 if number >= 60 else 0),
        ("wrap", lambda number: 2**33 - 90_000 * 2),
    ],
)
def test_clocks_that_are_odd(predict: Any, here: Path, name: str, change: Callable[[int], int]) -> None:
    sound = make_video(here / "sound.ts", frames=100, width=64, height=48)
    restamp(sound, here / "odd.ts", change)
    assert predict("odd.ts", *TIMED, "--threshold", "0.01", "-q", "-o", "x.jsonl") == (0, "", "")
    (row,) = rows("x.jsonl")
    assert row["duration_s"] == pytest.approx(4.0, abs=0.25)
    assert min(item["start_s"] for item in row["segments"]) >= 0
    assert max(item["end_s"] for item in row["segments"]) == pytest.approx(row["duration_s"], abs=1e-3)
    curve = CurveFile("x.jsonl.curves.parquet").get("odd.ts")
    assert curve is not None
    assert (np.diff(curve.starts_s) > 0).all()
    assert curve.starts_s[-1] < row["duration_s"]


def test_a_run_that_is_killed_inside_a_file_goes_on_there(
    predict: Any, here: Path, model: str, long_clip: Path, attempts: list[tuple[str, int]]
) -> None:
    write_clip(here / "long" / "short.mp4", seed=3)
    assert predict("long", *QUICK, "--threshold", "0.3", "-q", "-o", "whole.jsonl") == (0, "", "")
    every = [part for name, part in attempts if name == "long.mp4"]
    assert every == list(range(len(every)))
    assert len(every) > 12
    attempts.clear()

    parts = here / "x.jsonl.parts.jsonl"
    common = ("predict", "long", *QUICK, "--threshold", "0.3", "-m", model, "-q", "-o", "x.jsonl")
    done = 4
    run_to_death(*common, "--workers", "1", ending=parts.name, rows=done, cwd=here)
    assert parts.read_bytes().count(b"\n") == done
    assert not (here / "x.jsonl").read_bytes()

    assert predict("long", *QUICK, "--threshold", "0.3", "-q", "-o", "x.jsonl") == (0, "", "")
    assert [part for name, part in attempts if name == "long.mp4"] == every[done:]  # none of the first again
    assert rows("x.jsonl") == rows("whole.jsonl")
    assert same_curves("x.jsonl", "whole.jsonl")
    assert not parts.exists()


@pytest.fixture
def stopped(predict: Any, long_clip: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Run until five parts are done, and stop as Ctrl-C does."""

    def run(*arguments: str) -> None:
        from olmv.predict.part_journal import PartJournal

        add = PartJournal.add

        def stopping(self: PartJournal, video: str, part: Any) -> None:
            add(self, video, part)
            if part.part == 4:
                raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(PartJournal, "add", stopping)
            assert predict("long", *arguments)[0] == 130
        assert Path("x.jsonl.parts.jsonl").read_text().count("\n") == 5

    return run


def test_a_threshold_may_change_between_the_runs(predict: Any, stopped: Any, attempts: list[tuple[str, int]]) -> None:
    """Nothing was decided yet, and what was scored does not depend on it."""
    stopped(*QUICK, "-q", "-o", "x.jsonl", "--threshold", "0.9")
    attempts.clear()
    assert predict("long", *QUICK, "-q", "-o", "x.jsonl", "--threshold", "0.3") == (0, "", "")
    assert min(part for _, part in attempts) == 5
    assert predict("long", *QUICK, "-q", "-o", "whole.jsonl", "--threshold", "0.3") == (0, "", "")
    assert rows("x.jsonl") == rows("whole.jsonl")


def test_other_windows_between_the_runs(predict: Any, stopped: Any, attempts: list[tuple[str, int]]) -> None:
    stopped(*QUICK, "-q", "-o", "x.jsonl")
    attempts.clear()
    other = (*QUICK, "--window", "0.8s")
    assert predict("long", *other, "-q", "-o", "x.jsonl") == (0, "", "")  # no row stands against it
    assert attempts[0] == ("long.mp4", 0)  # but no part is taken from before
    assert predict("long", *other, "-q", "-o", "whole.jsonl") == (0, "", "")
    assert same_curves("x.jsonl", "whole.jsonl")


def test_starting_over_inside_a_file(predict: Any, stopped: Any, attempts: list[tuple[str, int]]) -> None:
    stopped(*QUICK, "-q", "-o", "x.jsonl")
    attempts.clear()
    assert predict("long", *QUICK, "-q", "-o", "x.jsonl", "--no-resume") == (0, "", "")
    assert attempts[0] == ("long.mp4", 0)
    assert [part for _, part in attempts] == list(range(len(attempts)))
    assert not Path("x.jsonl.parts.jsonl").exists()


def test_a_page_of_a_run_that_went_on_inside_a_file(predict: Any, stopped: Any) -> None:
    stopped(*QUICK, "-q", "-o", "x.jsonl", "-r", "x.html")
    assert predict("long", *QUICK, "-q", "-o", "x.jsonl", "-r", "x.html") == (0, "", "")
    assert predict("long", *QUICK, "-q", "-o", "whole.jsonl", "-r", "whole.html") == (0, "", "")
    one, two = (Path(name).read_text(encoding="utf-8").partition("<main")[2] for name in ("x.html", "whole.html"))
    assert one.partition("<footer")[0] == two.partition("<footer")[0]
    assert not list(Path().glob("*.pictures.jsonl"))


def test_one_more_video_keeps_the_curves_of_the_first(predict: Any, attempts: list[tuple[str, int]]) -> None:
    assert predict("clips/0.mp4", *TIMED, "-q", "-o", "x.jsonl") == (0, "", "")
    attempts.clear()
    assert predict("clips/0.mp4", "clips/1.mp4", *TIMED, "-q", "-o", "x.jsonl") == (0, "", "")
    assert attempts == [("1.mp4", 0)]
    assert predict("clips/0.mp4", "clips/1.mp4", *TIMED, "-q", "-o", "fresh.jsonl") == (0, "", "")
    assert rows("x.jsonl") == rows("fresh.jsonl")
    assert same_curves("x.jsonl", "fresh.jsonl")


def test_new_thresholds_decide_segments_anew(predict: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    assert predict("clips", *TIMED, "-q", "-o", "x.jsonl") == (0, "", "")
    assert predict("clips", *TIMED, "-q", "-o", "fresh.jsonl", "--threshold", "0.05", "--join", "0s") == (0, "", "")
    with monkeypatch.context() as patch:
        patch.setattr("olmv.classifier.Classifier.from_pretrained", None)  # no model is needed
        code, _, err = predict("clips", *TIMED, "-o", "x.jsonl", "--threshold", "0.05", "--join", "0s")
    assert code == 0
    assert "5 rows were decided anew from their probabilities, with the new thresholds and join; no video" in err
    assert rows("x.jsonl") == rows("fresh.jsonl")
    assert same_curves("x.jsonl", "fresh.jsonl")
    Path("x.jsonl.curves.parquet").unlink()
    code, _, err = predict("clips", *TIMED, "-o", "x.jsonl", "--threshold", "0.5", "--join", "0s")
    assert code == 2
    assert "x.jsonl was made with other settings (thresholds differ)" in err
