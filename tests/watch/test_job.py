"""A watch from its source to those who are told."""

import json
import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

import olmv
from olmv.errors import InputError, OutputError, UsageError
from olmv.watch.job import WatchJob, WatchListener, WatchStatus, run
from olmv.watch.options import WatchOptions
from tests.support.videos import make_video
from tests.watch.servers import reply, serving

CLIPS = Path(olmv.__file__).parent / "data/footage"
QUICK = WatchOptions(window_s=1.0, hold_s=0.5, cooldown_s=0.0)


class Listener(WatchListener):
    """Remembers what a watch says; interrupts it at an event's state."""

    def __init__(self, stop_at: str | None = None) -> None:
        self.notes: list[str] = []
        self.rows: list[dict[str, Any]] = []
        self.statuses: list[WatchStatus] = []
        self._stop_at = stop_at

    def note(self, text: str) -> None:
        self.notes.append(text)

    def event(self, row: dict[str, Any]) -> None:
        self.rows.append(row)
        if row["state"] == self._stop_at:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(0.1)

    def watched(self, status: WatchStatus) -> None:
        self.statuses.append(status)


def footage(**values: Any) -> WatchJob:
    """Watch a cat, then a cup of coffee."""
    common: dict[str, Any] = {"labels": "cat, cup of coffee, horse", "model": "olmv-lite", "options": QUICK}
    return WatchJob(source=str(CLIPS / "cat_then_coffee.mp4"), **{**common, **values})


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OLMV_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)


def test_labels_begin_and_end_and_everyone_is_told() -> None:
    taken: list[Any] = []

    def answer(handler: Any) -> None:
        taken.append(json.loads(handler.rfile.read(int(handler.headers["Content-Length"]))))
        reply(handler, 200)

    listener = Listener()
    Path("events.jsonl").write_text('{"event": "earlier"}\n{"torn', encoding="utf-8")
    with serving(answer) as url:
        summary = run(footage(output=Path("events.jsonl"), post=url, pictures=Path("seen")), listener)
    rows = listener.rows
    assert [(row["label"], row["state"]) for row in rows] == [
        ("cat", "began"),
        ("cat", "ended"),
        ("cup of coffee", "began"),
        ("cup of coffee", "ended"),
    ]
    assert taken == rows
    lines = Path("events.jsonl").read_text(encoding="utf-8").splitlines()
    assert lines[:2] == ['{"event": "earlier"}', '{"torn']
    assert [json.loads(line) for line in lines[2:]] == rows
    began, ended, second, _ = rows
    assert began["event"] == ended["event"] != second["event"]
    assert began["at_s"] == 0.0
    assert 2.0 <= second["at_s"] <= 3.5
    assert ended["peak"] >= began["peak"] > 0.5 > ended["probability"]
    schema = json.loads((Path(olmv.__file__).parents[1] / "docs/schemas/watch-event.json").read_text(encoding="utf-8"))
    Draft202012Validator(schema).validate(began)
    Draft202012Validator(schema).validate(ended)
    assert [Path(row["frame"]).read_bytes()[:2] for row in rows] == [b"\xff\xd8"] * 4
    assert len(list(Path("seen").iterdir())) == 4
    assert dict(summary.events) == {"cat": 1, "cup of coffee": 1}
    assert (summary.frames, summary.dropped, summary.unsent, summary.interrupted) == (9, 0, 0, False)
    assert listener.statuses[-1].frames == 9
    assert listener.statuses[-1].on == ("cup of coffee",)
    assert listener.statuses[-1].top[0][0] == "cup of coffee"


def test_sigterm_ends_open_events_and_leaves_the_queue() -> None:
    listener = Listener(stop_at="began")
    before = signal.getsignal(signal.SIGTERM)
    with serving(lambda handler: reply(handler, 500)) as url:
        summary = run(footage(post=url), listener)
    assert summary.interrupted
    assert [row["state"] for row in listener.rows] == ["began", "ended"]
    assert signal.getsignal(signal.SIGTERM) == before
    assert summary.unsent == 2
    assert summary.queue is not None
    assert [json.loads(line) for line in summary.queue.read_text().splitlines()] == listener.rows


def test_a_disk_that_cannot_be_written_costs_the_line_only(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, _: object) -> None:
        raise OutputError(f"cannot write {path}: the disk is full")

    monkeypatch.setattr("olmv.watch.teller.append_event", full)
    listener = Listener()
    run(footage(output=Path("events.jsonl")), listener)
    assert len(listener.rows) == 4
    assert listener.notes.count("cannot write events.jsonl: the disk is full") == 1


def test_a_thresholds_file_decides_and_calibrates(tmp_path: Path) -> None:
    entry = {"threshold": 0.5, "scaling": {"kind": "platt", "slope": 1.0, "offset": -50.0}}
    document = {"format": "olmv-thresholds/1", "model": "olmv-lite", "labels": {"cat": entry}}
    path = tmp_path / "thresholds.json"
    path.write_text(json.dumps(document), encoding="utf-8")
    listener = Listener()
    run(footage(thresholds=path, labels="cat"), listener)
    assert all(status.top[0][1] < 1e-6 for status in listener.statuses)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"options": WatchOptions(fps=0)}, "fps is 0; give a number above 0"),
        ({"options": WatchOptions(window_s=0)}, "a window of 0 s shows nothing"),
        ({"options": WatchOptions(hold_s=-1)}, "hold is -1 s; give 0 or more"),
        ({"options": WatchOptions(cooldown_s=float("inf"))}, "cooldown is inf s; give 0 or more"),
        ({"source": "ftp://x/y"}, "ftp: is not read"),
        ({"post": "http:///x"}, "the address to post to is no address"),
        ({"post": "ftp://host/x"}, "the address to post to is no address"),
        ({"output": Path("no/such/folder.jsonl")}, "its folder does not exist"),
        ({"labels": "nothing.txt"}, "nothing.txt"),
    ],
)
def test_wrong_calls_fail_before_anything_is_done(values: dict[str, Any], message: str) -> None:
    job = footage(**{key: value for key, value in values.items() if key != "source"})
    if "source" in values:
        job = WatchJob(source=values["source"], labels="cat")
    with pytest.raises(UsageError, match=message):
        run(job, Listener())


def test_a_window_of_too_many_frames_is_refused() -> None:
    with pytest.raises(UsageError, match="is 4001 frames; the most is 512"):
        run(footage(options=WatchOptions(window_s=400.0, fps=10.0)), Listener())


def test_a_source_that_is_no_video_is_told(tmp_path: Path) -> None:
    path = tmp_path / "a.ts"
    path.write_bytes(b"\0" * 3_000_000)
    with pytest.raises(InputError, match="is no video that can be read as it comes"):
        run(WatchJob(source=str(path), labels="cat", model="olmv-lite"), Listener())


def test_a_silence_ends_events(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("olmv.watch.watcher.BREAK_S", 1.0)
    path = make_video(tmp_path / "a.ts", frames=100)
    listener = Listener()

    def stop() -> None:
        while not any(row["state"] == "ended" for row in listener.rows):
            time.sleep(0.05)
        time.sleep(0.5)
        os.kill(os.getpid(), signal.SIGTERM)

    thread = threading.Thread(target=stop, daemon=True)
    thread.start()
    job = WatchJob(source=str(path), labels="cat", model="olmv-lite", threshold=0.0, options=QUICK)
    summary = run(job, listener)
    thread.join()
    assert [row["state"] for row in listener.rows] == ["began", "ended"]
    assert summary.interrupted
