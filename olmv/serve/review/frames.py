"""Frames of videos that a browser may not be able to play, decoded when a reviewer looks at them."""

import threading
from collections import OrderedDict

from olmv.library.records import FileState
from olmv.serve.engine import BusyError, not_started
from olmv.video.options import DecodeOptions
from olmv.video.transforms import Preprocess
from olmv.video.workers.fork_server import ForkServer
from olmv.video.workers.loader import FrameLoader, start_workers

__all__ = ["ReviewFrames"]

Pictures = tuple[tuple[float, bytes], ...]

_FRAMES = 8
_KEPT = 200  # videos; a reviewer goes back by a few
_WAIT = 8
"""So many may wait: each holds a thread of the service, and one video can take a minute to fail."""
_LATER_S = 10
# the pixels themselves are not looked at
_PREPROCESS = Preprocess(size=32)
_OPTIONS = DecodeOptions(frames=_FRAMES, thumbnails=True, workers=1)


class ReviewFrames:
    """Decodes in a worker process, one video at a time, with the limits that all decoding has.

    The process is started when it is first needed.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._room = threading.BoundedSemaphore(_WAIT)
        self._fork_server: ForkServer | None = None
        self._kept: OrderedDict[tuple[str, FileState], Pictures] = OrderedDict()

    def of(self, video: str) -> Pictures:
        """Return frames of a video, spread over its length, as (time in seconds, JPEG at most 160 pixels wide).

        Raises:
            VideoError: it cannot be read.
            BusyError: too many wait for theirs.
        """
        if not self._room.acquire(blocking=False):
            raise BusyError(_LATER_S)
        try:
            with self._lock:
                key = video, FileState.of(video)  # it may have been changed since
                if key not in self._kept:
                    self._kept[key] = self._decoded(video)
                    if len(self._kept) > _KEPT:
                        self._kept.popitem(last=False)
                self._kept.move_to_end(key)
                return self._kept[key]
        finally:
            self._room.release()

    def _decoded(self, video: str) -> Pictures:
        if self._fork_server is None:
            self._fork_server = start_workers(preprocess=_PREPROCESS)
        loader = FrameLoader([video], preprocess=_PREPROCESS, options=_OPTIONS, fork_server=self._fork_server)
        try:
            with loader:
                frames = next(iter(loader))
        except (OSError, EOFError) as failure:
            raise not_started(video, failure) from failure
        if frames.error is not None:
            raise frames.error
        return tuple(zip(frames.thumbnail_times_s, frames.thumbnails, strict=True))

    def close(self) -> None:
        """End the process."""
        with self._lock:
            if self._fork_server is not None:
                self._fork_server.close()
                self._fork_server = None
