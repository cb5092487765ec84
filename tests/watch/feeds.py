"""A feed that is read for a while."""

import time
from collections.abc import Callable

from olmv.video.transforms import Preprocess
from olmv.watch.feed import Feed
from olmv.watch.reader import Frame, ReadTask
from olmv.watch.sources import parse_source
from tests.support.videos import number_of

FAST = {"preset": "ultrafast", "tune": "zerolatency"}


def task(source: str, *, fps: float = 2.0, pictures: bool = False) -> ReadTask:
    return ReadTask(parse_source(source), Preprocess(size=96, resize_mode="squash"), fps, pictures, 2048)


class Watched:
    """A feed that is read for a while.

    Attributes:
        notes: what it said.
    """

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.feed = Feed(self.notes.append)

    def read(self, task: ReadTask, until: Callable[[list[Frame]], bool] = lambda _: False) -> list[Frame]:
        """Return the frames up to the end, or until so many are there."""
        frames: list[Frame] = []
        deadline = time.monotonic() + 40.0
        stream = self.feed.frames(task)
        for frame in stream:
            if frame is not None:
                frames.append(frame)
            if until(frames):
                break
            assert time.monotonic() < deadline, self.notes
        stream.close()  # type: ignore[attr-defined]
        return frames


def numbers(frames: list[Frame]) -> list[int]:
    return [number_of(frame.pixels.transpose(1, 2, 0)) for frame in frames]
