"""What a merge came to."""

from dataclasses import dataclass
from pathlib import Path

__all__ = ["MergeSummary"]


@dataclass(frozen=True, kw_only=True)
class MergeSummary:
    """What a merge came to.

    Attributes:
        videos: in the output.
        twice: videos that several parts have.
        differing: of these, the ones of which the parts say different things.
        written: the files, or the folder.
    """

    videos: int
    twice: int
    differing: int
    written: list[Path]
