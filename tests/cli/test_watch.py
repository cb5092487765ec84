"""`olmv watch`, from a source to lines on standard output."""

import json
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from olmv.cli.views.watch_view import WatchView, status_line
from olmv.watch.listener import WatchStatus, WatchSummary
from tests.cli.conftest import COMMAND, start
from tests.support.videos import make_video

LABELS = ("--labels", "dog, guitar", "--threshold", "0", "--hold", "500ms")


def lines(text: str) -> list[tuple[str, str]]:
    return [(row["label"], row["state"]) for row in map(json.loads, text.splitlines())]


@pytest.fixture
def film(here: Path) -> Path:
    return make_video(here / "film.mp4", frames=75)


def test_a_finished_file_is_watched_to_its_end(olmv: Any, film: Path, model: str) -> None:
    code, out, err = olmv("watch", "film.mp4", *LABELS, "--model", model, "-o", "events.jsonl", "--pictures", "seen")
    assert code == 0
    assert lines(out) == [("dog", "began"), ("guitar", "began"), ("dog", "ended"), ("guitar", "ended")]
    assert Path("events.jsonl").read_text(encoding="utf-8") == out
    assert len(list(Path("seen").iterdir())) == 4
    assert "note: watching film.mp4" in err
    assert err.splitlines()[-1] == "6 frames, 2 events: dog 1, guitar 1"


def test_quiet_leaves_the_events(olmv: Any, film: Path, model: str) -> None:
    code, out, err = olmv("watch", "film.mp4", *LABELS, "--model", model, "--quiet")
    assert (code, err) == (0, "")
    assert len(out.splitlines()) == 4


def test_standard_input_is_watched_to_its_end(here: Path, model: str) -> None:
    film = make_video(here / "film.ts", frames=75)
    with film.open("rb") as source:
        done = subprocess.run(
            [*COMMAND, "watch", "-", *LABELS, "--model", model],
            stdin=source, capture_output=True, text=True, timeout=60, cwd=here, check=False,
        )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert [state for _, state in lines(done.stdout)] == ["began", "began", "ended", "ended"]


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_watch_well(here: Path, model: str, how: signal.Signals) -> None:
    make_video(here / "film.ts", frames=75)
    process = start("watch", "film.ts", *LABELS, "--model", model, cwd=here)
    assert process.stdout is not None
    first = [process.stdout.readline() for _ in range(2)]
    time.sleep(0.3)
    process.send_signal(how)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 0, err
    assert [state for _, state in lines("".join(first) + out)] == ["began", "began", "ended", "ended"]
    assert err.splitlines()[-1].endswith("2 events: dog 1, guitar 1")
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("film.mp4", "--hold", "soon"), "'soon' is no time; write 2s, 500ms, 1.5min, mm:ss or h:mm:ss"),
        (("film.mp4", "--window", "0"), "a window of 0 s shows nothing; give more than 0 s (--window)"),
        (("film.mp4", "--fps", "1000"), "fps is 1000; give a number above 0, at most 120 (--fps)"),
        (("file:///etc/passwd",), "file: is not read; name an rtsp, rtsps, http or https address"),
        (("none.ts",), "none.ts: cannot be watched (No such file or directory); check the path"),
        (("film.mp4", "--post", "nonsense"), "the address to post to is no address that can be used"),
    ],
)
def test_wrong_usage_is_one_line(olmv: Any, film: Path, arguments: tuple[str, ...], message: str) -> None:
    code, out, err = olmv("watch", *arguments, "--labels", "dog")
    assert (code, out) == (2, "")
    assert message in err
    assert len(err.splitlines()) == 1


def test_the_line_of_how_it_goes_is_one_printable_line() -> None:
    status = WatchStatus(
        at_s=12.04, lag_s=0.21, frames=24, dropped=3, top=(("a\x1b[31m" + "x" * 99, 0.5),), on=tuple("abcdefg")
    )
    line = status_line(status)
    assert line.startswith("12.0 s, lag 0.2 s, 24 frames, 3 left out; a\\x1b[31mxxx")
    assert line.endswith(" 0.50; on: a, b, c, d, e and 2 more")
    assert len(line) < 150


def test_what_waits_for_the_receiver_is_told_at_the_end(capsys: pytest.CaptureFixture[str]) -> None:
    summary = WatchSummary(frames=5, dropped=1, reconnections=2, unsent=3, queue=Path("q.jsonl"))
    summary.events["dog"] = 1
    with WatchView(quiet=False) as view:
        view.finished(summary)
    assert capsys.readouterr().err.splitlines() == [
        "5 frames, 1 left out, 2 reconnections, 1 event: dog 1",
        "3 lines wait in q.jsonl; the next run posts them",
    ]


def test_how_it_goes_is_told_every_minute_where_there_is_no_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    status = WatchStatus(at_s=1.0, lag_s=0.1, frames=2, dropped=0, top=(("dog", 0.5),), on=())
    with WatchView(quiet=False) as view:
        view.watched(status)
        assert capsys.readouterr().err == ""
        monkeypatch.setattr("olmv.cli.views.watch_view.PLAIN_EVERY_S", -1.0)
        view.watched(status)
    assert capsys.readouterr().err == "1.0 s, lag 0.1 s, 2 frames; dog 0.50\n"
