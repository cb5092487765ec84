"""A moment of a video that a search finds: adjacent windows that pass, told as one."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from olmv.library.files import LibraryFiles, VideoEntry
from olmv.predictions import round_significant

__all__ = ["Moment", "Passing", "join_windows"]

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Moment:
    """Some seconds of a video that are what was looked for.

    Attributes:
        video: as the user named it when it was indexed.
        path: absolute, or an address.
        duration_s: of the video; None where nobody knows.
        start_s, end_s: of the moment, in seconds.
        peak_s: when it shows most, in its best window, whose probability and similarity it has.
        probability: 0..1, of the least probable of the things that were looked for.
        similarity: the cosine that this probability was made of.
        thumbnail: a JPEG of the time nearest to `peak_s`; None where the library has no pictures.
    """

    video: str
    path: str
    duration_s: float | None
    start_s: float
    end_s: float
    peak_s: float
    probability: float
    similarity: float
    thumbnail: bytes | None = field(default=None, repr=False)

    def to_row(self) -> dict[str, Any]:
        """Return the row of a `.jsonl` file, without the picture; times in milliseconds, numbers to 6 digits."""
        return {
            "video": self.video,
            "path": self.path,
            "duration_s": None if self.duration_s is None else round(self.duration_s, 3),
            "start_s": round(self.start_s, 3),
            "end_s": round(self.end_s, 3),
            "peak_s": round(self.peak_s, 3),
            "probability": round_significant(self.probability),
            "similarity": round_significant(self.similarity),
        }


@dataclass(frozen=True, eq=False)
class Passing:
    """Windows of one video that pass.

    Attributes:
        entry: the video.
        windows: [W] their places in the fragment, rising.
        probability, similarity: [W].
    """

    entry: VideoEntry
    windows: NDArray[np.int64]
    probability: Floats
    similarity: Floats

    @property
    def peak(self) -> float:
        """Return the highest probability."""
        return float(self.probability.max())


def join_windows(library: LibraryFiles, passing: Passing, peak_s: Callable[[int, int], float]) -> Iterator[Moment]:
    """Yield the moments of a video: windows that follow each other without a gap are one.

    Args:
        library: that has the video.
        passing: at least one window.
        peak_s: of a fragment and a window, both by their places, the time in seconds when it shows most.
    """
    fragment = library.fragments[passing.entry.fragment]
    table = fragment.window_table
    starts, ends = table.start_s[passing.windows], table.end_s[passing.windows]
    reach = np.maximum.accumulate(ends)
    gaps = (np.diff(passing.windows) > 1) & (starts[1:] > reach[:-1] + 1e-6)
    duration = float(fragment.durations_s[passing.entry.first])
    for places in np.split(np.arange(len(starts)), np.flatnonzero(gaps) + 1):
        best = int(places[passing.probability[places].argmax()])
        time_s = peak_s(passing.entry.fragment, int(passing.windows[best]))
        part = int(table.part[passing.windows[best]])
        yield Moment(
            video=passing.entry.video,
            path=passing.entry.path,
            duration_s=None if np.isnan(duration) else duration,
            start_s=float(starts[places].min()),
            end_s=float(ends[places].max()),
            peak_s=time_s,
            probability=round_significant(float(passing.probability[best])),
            similarity=min(float(passing.similarity[best]), 1.0),  # of vectors in half precision it can be a bit more
            thumbnail=fragment.thumbnail(part, time_s),
        )
