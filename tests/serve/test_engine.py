"""The engine behind the requests: turns, batches, what is given up, and an end."""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Future
from pathlib import Path
from typing import Any

import pytest

from olmv.models.base import VideoModel
from olmv.serve import engine as module
from olmv.serve.engine import BusyError, EmbedEngine, EmbedTask, GivenUpError
from olmv.serve.jobs import Job, JobTable
from olmv.video.options import DecodeOptions
from tests.support.samples import write_clip

DECODE = DecodeOptions(frames=4)


@pytest.fixture
def engine(served_model: VideoModel) -> Iterator[EmbedEngine]:
    with EmbedEngine(served_model, workers=1, most=6) as running:
        yield running


def _waits_for(event: threading.Event) -> Callable[[int, int], None]:
    def advanced(done: int, total: int) -> None:
        event.wait(20)

    return advanced


def _until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


def _task(path: Path, **more: Any) -> EmbedTask:
    return EmbedTask(path, path.name, DECODE, **more)


def test_requests_take_turns(engine: EmbedEngine, clips: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started, order = threading.Event(), []
    original = engine._decode

    def decode(task: EmbedTask) -> None:
        order.append(task.name)
        started.wait(20)
        original(task)

    monkeypatch.setattr(engine, "_decode", decode)
    many = [EmbedTask(clips / "a.mp4", f"many {number}", DECODE) for number in range(4)]
    one = [EmbedTask(clips / "b.mp4", "one", DECODE)]
    engine.submit("first", many)
    _until(lambda: bool(order))  # the first of them is at work
    engine.submit("second", one)
    started.set()
    for task in (*many, *one):
        task.future.result(timeout=30)
    assert order.index("one") == 2


def test_all_videos_of_a_request_are_taken_or_none(engine: EmbedEngine, clips: Path) -> None:
    with pytest.raises(BusyError, match=r"too many videos wait; try again in \d+ s") as busy:
        engine.submit("request", [_task(clips / "a.mp4") for _ in range(7)])
    assert busy.value.retry_after_s >= 1
    assert engine.count == 0


def test_frames_of_several_videos_share_a_pass(
    served_model: VideoModel, clips: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []
    hold = threading.Event()
    original = EmbedEngine._embed

    def embed(self: EmbedEngine, items: list[Any]) -> Any:
        sizes.append(len(items))
        hold.wait(20)
        return original(self, items)

    monkeypatch.setattr(EmbedEngine, "_embed", embed)
    with EmbedEngine(served_model, workers=3, most=9) as engine:
        tasks = [_task(clips / name) for name in ("a.mp4", "b.mp4", "a.mp4")]
        engine.submit("request", tasks)
        _until(lambda: bool(sizes) and sizes[0] + engine._parts.qsize() == 3)
        hold.set()
        stored = [task.future.result(timeout=30) for task in tasks]
    assert sum(sizes) == 3
    assert max(sizes) > 1 or sizes[0] == 3
    first, last = stored[0].parts[0].embeddings[0].rows, stored[2].parts[0].embeddings[0].rows
    assert first.equal(last)


def test_a_video_that_is_given_up_makes_room_at_once(engine: EmbedEngine, clips: Path) -> None:
    finished: list[str] = []
    hold, held = threading.Event(), threading.Event()

    def advanced(done: int, total: int) -> None:
        held.set()
        hold.wait(20)

    first = _task(clips / "a.mp4", advanced=advanced)
    second = _task(clips / "b.mp4", finished=lambda: finished.append("second"))
    engine.submit("request", [first, second])
    assert held.wait(20)  # the only decoder is busy
    second.cancel()
    assert finished == ["second"]
    assert engine.count == 1
    assert second.future.cancelled()
    hold.set()
    assert first.future.result(timeout=30).parts
    _until(lambda: engine.count == 0)


def test_a_video_that_is_given_up_in_a_batch_does_not_harm_the_others(
    engine: EmbedEngine, clips: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class GivenUpSoon(threading.Event):
        """Is set as soon as it was looked at."""

        def is_set(self) -> bool:
            before = super().is_set()
            self.set()
            return before

    tasks = [_task(clips / "a.mp4", given_up=GivenUpSoon()), _task(clips / "b.mp4")]
    futures: list[Future[str]] = [Future(), Future()]
    batches = iter([list(zip(tasks, ("first", "second"), futures, strict=True)), None])
    monkeypatch.setattr(engine, "_batch", lambda: next(batches))
    monkeypatch.setattr(engine, "_embed", lambda items: [part for _, part, _ in items])
    monkeypatch.setattr(module, "without_pixels", lambda part: part)
    engine._encode_all()
    assert futures[1].result(timeout=0) == "second"


def test_a_video_that_takes_too_long_in_all_is_an_error(
    engine: EmbedEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_LONGEST", 0)
    path = write_clip(tmp_path / "long.mp4", frames=1200)
    decode = DecodeOptions(frames=1, every_s=0.1, max_frames=None)
    task = EmbedTask(path, "mine.mp4", decode)
    engine.submit("request", [task])
    clip = task.future.result(timeout=60)
    assert clip.has_error
    assert str(clip.parts[-1].video.error) == "mine.mp4: it takes longer than 0 s in all; send a shorter video"


def test_what_waits_at_the_end_is_given_up(served_model: VideoModel, clips: Path) -> None:
    hold = threading.Event()
    finished: list[int] = []
    with EmbedEngine(served_model, workers=1, most=9) as engine:
        tasks = [
            EmbedTask(
                clips / "a.mp4",
                "a",
                DECODE,
                advanced=_waits_for(hold),
                finished=lambda: finished.append(1),
            )
            for _ in range(3)
        ]
        engine.submit("request", tasks)
        threading.Timer(0.1, hold.set).start()
    assert len(finished) == 3
    assert tasks[2].future.cancelled()
    with pytest.raises((GivenUpError, CancelledError)):
        tasks[1].future.result(timeout=1)


def test_jobs_that_ended_are_forgotten_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    table = JobTable()
    for number in range(5):
        job = Job(1)
        job.add(0, {"labels": [None] * 100, "number": number})
        job.finish("done")
        table._jobs[job.id] = job
    running = Job(1)
    table._jobs[running.id] = running
    monkeypatch.setattr("olmv.serve.jobs._MOST_LABELS", 250)
    table._forget()
    kept = [job.predictions[0]["number"] for job in table._jobs.values() if job.is_finished]
    assert kept == [3, 4]
    assert table.get(running.id) is running


def test_no_listener_takes_an_event_from_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("olmv.serve.jobs._HEARTBEAT_S", 0.01)

    async def follow() -> list[str | None]:
        job = Job(1)
        job.add(0, {"labels": []})
        slow, quick = job.listen(), job.listen()
        told = [await anext(slow), await anext(quick)]
        job.finish("done")
        told += [await anext(quick), await anext(slow)]
        return [None if event is None else event[1] for event in told]

    assert asyncio.run(follow()) == ["prediction", "prediction", "end", "end"]
