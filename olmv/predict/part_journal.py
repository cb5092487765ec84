"""Keep what was scored of long videos, part by part, so that a run which was killed goes on inside a file.

    rows.jsonl.parts.jsonl        {"settings": sha256, "video", "part", ...}, until the run is done

Of it the curves of a timeline are made at the end. Parts of other settings than the run's are not looked at.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from olmv.io.curves import Curve, CurveFile, curves_path, write_curves
from olmv.io.digests import sha256_json
from olmv.io.journal import JsonlJournal
from olmv.pages.pictures import PictureStore
from olmv.video_scores import PartScores

__all__ = ["PartJournal"]


class PartJournal:
    """The parts of the videos of one run; see `olmv.stream.PartStore`.

    Args:
        output: the file that the user asked for; names the journal and the file of curves.
        settings: everything that a part depends on, as plain data.
        labels: [C] of the curves.
        pictures: takes the thumbnails of each part, if any.
        resume: go on from what is there; False starts over.

    Raises:
        OutputError: a file cannot be read or written, or another run is writing it.
    """

    def __init__(
        self,
        output: Path,
        settings: Mapping[str, Any],
        labels: Sequence[str],
        *,
        pictures: PictureStore | None = None,
        resume: bool = True,
    ) -> None:
        self._settings = sha256_json(settings)
        self._labels = tuple(labels)
        self._pictures = pictures
        self._output = output
        self._journal = JsonlJournal(output.with_name(output.name + ".parts.jsonl"))
        self._offsets: dict[str, list[int]] = {}
        if not resume:
            self._journal.clear()
            curves_path(output).unlink(missing_ok=True)  # of rows that are gone
        self._journal.open()
        for offset, row in self._journal.places():
            self._count(row, offset)

    def _count(self, row: Mapping[str, Any], offset: int) -> None:
        if row.get("settings") != self._settings:
            return
        own = self._offsets.setdefault(str(row.get("video")), [])
        part = row.get("part")
        if isinstance(part, int) and 0 <= part <= len(own):
            own[part:] = [offset]  # one that was done again is the last that is there

    def parts_of(self, video: str) -> list[PartScores]:
        """Return the parts of a video that are done, from the first on."""
        parts = []
        for offset in self._offsets.get(video, ()):
            try:
                parts.append(PartScores.from_record(self._journal.row_at(offset)))
            except (ValueError, TypeError, LookupError, AttributeError):
                break  # changed by hand: this part and what follows are done again
        return parts

    def begun(self, videos: Iterable[str]) -> int:
        """Count the videos of which some parts are done."""
        return sum(video in self._offsets for video in videos)

    def add(self, video: str, part: PartScores) -> None:
        """Keep the scores of one more part, and its pictures.

        Raises:
            OutputError: the disk is full.
        """
        if self._pictures is not None:
            times, jpegs = part.thumbnail_times_s, part.thumbnails
            self._pictures.add(video, times, jpegs, part=part.part, parts=part.parts)
        row = {"settings": self._settings, "video": video, **part.to_record()}
        offset = self._journal.size
        self._journal.append(row)
        self._count(row, offset)

    def write_curves(self, videos: Iterable[str]) -> Path:
        """Write the curves of these videos, those of earlier runs included, and drop the journal.

        Raises:
            OutputError: the file cannot be written, or the disk is full.
        """
        path = curves_path(self._output)
        earlier = CurveFile(path) if path.exists() else None
        write_curves(path, chain.from_iterable(self._curves(video, earlier) for video in videos))
        self.close()
        self._journal.path.unlink(missing_ok=True)
        return path

    def _curves(self, video: str, earlier: CurveFile | None) -> Iterator[Curve]:
        parts = [part for part in self.parts_of(video) if part.curve is not None]
        if parts:
            starts = np.concatenate([part.starts_s for part in parts])
            yield Curve(
                video, self._labels, starts, np.concatenate([part.curve for part in parts if part.curve is not None])
            )
        elif earlier is not None and (curve := earlier.get(video)) is not None:
            yield curve

    def close(self) -> None:
        """Close the file; it stays on disk for a later resume."""
        self._journal.close()
