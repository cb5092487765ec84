"""A library that is served while others write it: what changed on the disk is opened beside what requests run on.

A request takes `now` once and keeps to it: all files of that are mapped, so that it can be read to the end, also when
compacting or a whole new library has taken its place. What cannot be opened, such as a library that is half copied,
leaves the one before in service.
"""

import asyncio
import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from olmv.errors import OlmvError
from olmv.library.files import LibraryFiles
from olmv.library.library import Library
from olmv.library.settings import LibrarySettings
from olmv.models.base import VideoModel
from olmv.video.sampling import even_places

__all__ = ["LOOK_S", "SETTLED_S", "Advanced", "ServedLibrary", "StoppedError"]

log = logging.getLogger(__name__)

LOOK_S = 3.0
"""Between two looks at whether the library was changed."""
SETTLED_S = 60.0
"""So long the library must be as it is before its review takes it: a run of `olmv index` writes every half minute."""
_PATIENCE_S = 1.0  # of a request, for what it had looked for
_AROUND_S, _AROUND = 10.0, 12  # seconds before and after a moment, and pictures in all
_SHARE = 10  # times as long as looking in vain took, until the next look

Advanced = Callable[[int, int], None]


class StoppedError(Exception):
    """The service ends."""


class ServedLibrary:
    """One library, as it is now.

    Args:
        library: all of whose files are mapped, see `LibraryFiles.open_held`.
        model: that is served.
        review: has the review of the library go on with a changed one; it is given what to call with (done, all) videos
            meanwhile. None where there is no review.
        clock: seconds that only rise.

    Attributes:
        folder: of the library.
        now: the library, as it was opened last. Take it once for each request.
        trouble: why what is on the disk by now is not served; "" where it is.
        lock: for what is asked of the library one after the other.
    """

    def __init__(
        self,
        library: Library,
        model: VideoModel,
        *,
        review: Callable[[Library, Advanced], None] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.folder = Path(library.folder)
        self.now = library
        self.trouble = ""
        self.lock = threading.Lock()
        self._model = model
        self._review = review
        self._reviewed = library
        self._clock = clock
        self._state = LibraryFiles.state(self.folder)
        self._opened_as: object = None  # it may have been changed between its opening and now
        self._next_s = self._changed_s = clock()
        self._ends = threading.Event()
        self._threads = ThreadPoolExecutor(1, thread_name_prefix="olmv-library")
        self._looking: Future[None] | None = None

    async def fresh(self) -> Library:
        """Return the library, and see to it that it is looked at every few seconds; called on the event loop.

        Who has it looked at waits for that for a second; what takes longer is there for a later request.
        """
        if (
            self._clock() >= self._next_s
            and (self._looking is None or self._looking.done())
            and not self._ends.is_set()
        ):
            self._looking = self._threads.submit(self.look)
            await asyncio.wait({asyncio.wrap_future(self._looking)}, timeout=_PATIENCE_S)
        return self.now

    def look(self) -> None:
        """Open the library anew if it was changed, and have its review go on with it once it has settled."""
        begun = self._clock()
        try:
            self._renew()
        except StoppedError:
            return
        except Exception as failure:
            log.exception("a fault of olmv")
            self._failed(f"{type(failure).__name__}, a fault of olmv")
        self._next_s = self._clock() + max(LOOK_S, _SHARE * (self._clock() - begun) if self.trouble else 0.0)
        if self._review is not None and self._reviewed is not self.now and begun - self._changed_s >= SETTLED_S:
            self._review_anew()

    def picture(self, video: str, time_s: float) -> bytes | None:
        """Return the picture of a video nearest to a time, as JPEG; None where there is none."""
        library = self.now
        if (entry := library.get(video)) is None:
            return None
        fragment = library.fragments[entry.fragment]
        parts = range(entry.first, entry.stop)
        spans = [fragment.records[part].frames.span_s for part in parts]
        near = [max(begin - time_s, time_s - end, 0.0) for begin, end in spans]
        order = sorted(parts, key=lambda part: near[part - entry.first])
        return next((jpeg for part in order if (jpeg := fragment.thumbnail(part, time_s)) is not None), None)

    def picture_times(self, video: str, start_s: float, end_s: float) -> list[float] | None:
        """Return when the pictures in and around a moment are, some of many; None where there is no such video."""
        library = self.now
        if (entry := library.get(video)) is None:
            return None
        fragment = library.fragments[entry.fragment]
        first_s, last_s = start_s - _AROUND_S, end_s + _AROUND_S
        spans = {part: fragment.records[part].frames.span_s for part in range(entry.first, entry.stop)}
        parts = [part for part, (begin, end) in spans.items() if begin <= last_s and end >= first_s]
        times = sorted(time for part in parts for time in fragment.thumbnails_of(part)[1] if first_s <= time <= last_s)
        inside = [time for time in times if start_s <= time <= end_s]
        if len(inside) > _AROUND:
            return [inside[place] for place in even_places(len(inside), _AROUND)]
        return sorted(sorted(times, key=lambda time: max(start_s - time, time - end_s, 0.0))[:_AROUND])

    def close(self) -> None:
        """End what is under way."""
        self._ends.set()
        self._threads.shutdown(wait=True, cancel_futures=True)

    def _advanced(self, done: int, total: int) -> None:
        if self._ends.is_set():
            raise StoppedError

    def _renew(self) -> None:
        state = LibraryFiles.state(self.folder)
        if state != self._state:
            self._state, self._changed_s = state, self._clock()
        if state == self._opened_as:
            self._recovered()
            return
        try:
            LibrarySettings.read(self.folder).check_model(self._model, self.folder)  # before all of it is read
            library = Library.open_held(self.folder, before=self.now, advanced=self._advanced)
            library.model(self._model)
            _ = library.entries  # not by the first who asks
        except OlmvError as failure:
            if LibraryFiles.state(self.folder) == state:  # else it is being changed, and the next look sees it
                self._failed(str(failure))
            return
        if (library.settings, library.fragments) != (self.now.settings, self.now.fragments):
            self.now = library
        self._opened_as = state
        self._recovered()

    def _failed(self, why: str) -> None:
        if not self.trouble:
            log.warning(
                "%s was changed and cannot be served; what it was before stays in service: %s", self.folder, why
            )
        self.trouble = why

    def _recovered(self) -> None:
        if self.trouble:
            log.warning("%s is served as it is again, with %d videos", self.folder, len(self.now))
        self.trouble = ""

    def _review_anew(self) -> None:
        assert self._review is not None
        library = self.now
        try:
            self._review(library, self._advanced)
        except StoppedError:
            return
        except OlmvError as failure:
            log.warning("the review of %s stays as it was: %s", self.folder, failure)
        except Exception:
            log.exception("the review of %s stays as it was: a fault of olmv", self.folder)
        self._reviewed = library
