"""What a search did."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from olmv.library.query.duplicates import DuplicateGroup
    from olmv.library.query.moments import Moment

__all__ = ["SearchSummary"]


@dataclass
class SearchSummary:
    """What a search found.

    Attributes:
        videos, windows: how many were searched.
        moments: those that pass, the most probable first.
        groups: of near-duplicates, where those were looked for; else None.
        best: the most probable moment there is, where none passes.
        seconds: without loading the model.
        written: the files that the user asked for.
    """

    videos: int = 0
    windows: int = 0
    moments: "list[Moment]" = field(default_factory=list)
    groups: "list[DuplicateGroup] | None" = None
    best: "Moment | None" = None
    seconds: float = 0.0
    written: list[Path] = field(default_factory=list)
