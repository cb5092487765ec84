"""What else must be true of a video that is searched: its path, its length, labels and their probabilities."""

import fnmatch
import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from olmv.errors import InputError, UsageError, VocabularyError
from olmv.labels.label import MAX_LABEL_CHARS, clean_text
from olmv.library.files import LibraryFiles, VideoEntry

__all__ = ["LabelLimit", "VideoFilter"]

_LIMIT = re.compile(r"(?P<label>.*?)\s*(?P<sign>[<>]=?)\s*(?P<number>[^<>=]*)", re.DOTALL)
_EXAMPLE = 'write it as "dog>0.5"'


@dataclass(frozen=True)
class LabelLimit:
    """What the probability of a label must be in a video, that of its best moment.

    Attributes:
        label: its name.
        above: it must be at least `probability`; False: below it.
        probability: 0..1.
    """

    label: str
    above: bool
    probability: float

    @classmethod
    def parse(cls, text: str) -> "LabelLimit":
        """Read `dog>0.5` or `dog<0.2`; `>=` is `>`.

        Raises:
            UsageError: it is neither, or the number is no probability.
        """
        shown = repr(text if len(text) <= 60 else text[:60] + "...")
        match = _LIMIT.fullmatch(text.strip())
        if match is None:
            raise UsageError(f"label {shown} has no probability; {_EXAMPLE}", option="labels")
        try:
            number = float(match["number"])
        except ValueError:
            after = f"label {shown} has no number after {match['sign']}"
            raise UsageError(f"{after}; {_EXAMPLE}", option="labels") from None
        if not 0 <= number <= 1:
            raise UsageError(f"label {shown} has the probability {number:g}; give one from 0 to 1", option="labels")
        try:
            label = clean_text(match["label"], what=f"label of {shown}", limit=MAX_LABEL_CHARS)
        except VocabularyError:
            raise UsageError(f"label {shown} has no name; {_EXAMPLE}", option="labels") from None
        return cls(label, above=match["sign"].startswith(">"), probability=number)


@dataclass(frozen=True, kw_only=True)
class VideoFilter:
    """Which videos of a library are searched.

    Attributes:
        path: a glob, of the path as it was given or from the root on, or of the name of the file; `*` crosses folders.
        longer_than_s, shorter_than_s: seconds.
    """

    path: str | None = None
    longer_than_s: float | None = None
    shorter_than_s: float | None = None

    def check(self) -> None:
        """Raise UsageError for lengths that no video has."""
        least, most = self.longer_than_s, self.shorter_than_s
        for name, value in (("longer_than_s", least), ("shorter_than_s", most)):
            if value is not None and not 0 <= value < float("inf"):
                raise UsageError(f"{name} is {value:g}; give a number of seconds, 0 or more", option=name)
        if least is not None and most is not None and least >= most:
            raise UsageError(
                f"no video is longer than {least:g} s and shorter than {most:g} s; swap the two",
                option=("longer_than_s", "shorter_than_s"),
            )

    @property
    def shown(self) -> list[str]:
        """Return it in words."""
        lengths = (("longer", self.longer_than_s), ("shorter", self.shorter_than_s))
        return [
            *([] if self.path is None else [f"path {self.path}"]),
            *(f"{name} than {value:g} s" for name, value in lengths if value is not None),
        ]

    def masks(self, library: LibraryFiles) -> list[NDArray[np.bool_]] | None:
        """Return for each fragment which of its videos [V] pass, in the order of `LibraryFiles.spans`; None for all.

        Raises:
            InputError: the glob matches no video.
        """
        if self.path is None and self.longer_than_s is None and self.shorter_than_s is None:
            return None
        pattern = None if self.path is None else re.compile(fnmatch.translate(self.path))
        masks, matches = [], 0
        for fragment, spans in zip(library.fragments, library.spans, strict=True):
            mask = np.ones(len(spans.entries), bool)
            if pattern is not None:
                mask &= np.fromiter((_matches(pattern, entry) for entry in spans.entries), bool, len(spans.entries))
                matches += int(mask.sum())
            durations = fragment.durations_s[spans.first] if len(mask) else np.zeros(0)
            with np.errstate(invalid="ignore"):  # of a length that nobody knows nothing is true
                if self.longer_than_s is not None:
                    mask &= durations > self.longer_than_s
                if self.shorter_than_s is not None:
                    mask &= durations < self.shorter_than_s
            masks.append(mask)
        if pattern is not None and not matches and len(library):
            raise InputError(
                f"no video of {library.folder} matches {self.path!r}; its paths look like {next(iter(library)).video}",
                option="path",
            )
        return masks

    def count(self, library: LibraryFiles) -> int:
        """Return how many videos with windows pass; one that could not be read has none.

        Raises:
            InputError: as `masks`.
        """
        masks = self.masks(library)
        return sum(len(spans.entries) for spans in library.spans) if masks is None else sum(int(m.sum()) for m in masks)


def _matches(pattern: re.Pattern[str], entry: VideoEntry) -> bool:
    names = (entry.video, entry.path, entry.path.rpartition("/")[2])
    return any(pattern.match(name) is not None for name in names)
