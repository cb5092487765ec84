"""Frames of videos that a browser may not be able to play, decoded when a reviewer looks at them."""

import threading
from collections import OrderedDict

from olmv.video.options import DecodeOptions
from olmv.video.transforms import Preprocess
from olmv.video.workers.fork_server import ForkServer
from olmv.video.workers.loader import FrameLoader, start_workers

__all__ = ["ReviewFrames"]

Pictures = tuple[tuple[float, bytes], ...]

_FRAMES = 8
_KEPT = 200  # videos; a reviewer goes back by a few
# the pixels themselves are not looked at
_PREPROCESS = Preprocess(size=32)
_OPTIONS = DecodeOptions(frames=_FRAMES, thumbnails=True, workers=1)


class ReviewFrames:
    """Decodes in a worker process, one video at a time, with the limits that all decoding has.

    The process is started when it is first needed.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._fork_server: ForkServer | None = None
        self._kept: OrderedDict[str, Pictures] = OrderedDict()

    def of(self, video: str) -> Pictures:
        """Return frames of a video, spread over its length, as (time in seconds, JPEG at most 160 pixels wide).

        Raises:
            VideoError: it cannot be read.
        """
        with self._lock:
            if video not in self._kept:
                self._kept[video] = self._decoded(video)
                if len(self._kept) > _KEPT:
                    self._kept.popitem(last=False)
            self._kept.move_to_end(video)
            return self._kept[video]

    def _decoded(self, video: str) -> Pictures:
        if self._fork_server is None:
            self._fork_server = start_workers(preprocess=_PREPROCESS)
        loader = FrameLoader([video], preprocess=_PREPROCESS, options=_OPTIONS, fork_server=self._fork_server)
        with loader:
            frames = next(iter(loader))
        if frames.error is not None:
            raise frames.error
        return tuple(zip(frames.thumbnail_times_s, frames.thumbnails, strict=True))

    def close(self) -> None:
        """End the process."""
        with self._lock:
            if self._fork_server is not None:
                self._fork_server.close()
                self._fork_server = None
