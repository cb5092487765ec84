"""The settings of a run that move its probabilities, and how files spell them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ["RunSettings"]

# field -> how run files, thresholds files and result folders spell it, this version's spelling first
_SPELLINGS: dict[str, tuple[str, ...]] = {
    "mode": ("mode",),
    "templates": ("templates",),
    "frames": ("frames",),
    "every_s": ("every",),
    "window_s": ("window",),
    "step_s": ("step",),
    "sampling": ("sampling",),
    "pooling": ("pooling",),
    "frame_pooling": ("frame-pooling", "frame pooling"),
}


@dataclass(frozen=True, kw_only=True)
class RunSettings:
    """How the probabilities of a run came about; None where a file does not say.

    A probability fitted or compared under other settings means something else: `olmv calibrate` writes these into a
    thresholds file, and `olmv predict` compares them with its own.

    Attributes:
        mode: `multi-label` or `single-label`.
        templates: the sentences, or the name of a set; None for the model's own.
        frames: T, of a video; with `every_s`, the fewest.
        every_s: seconds from frame to frame of a long video; None where `frames` are taken of any.
        window_s, step_s: of a timeline, else None.
        sampling, pooling, frame_pooling: as in `DecodeOptions` and `ScoreOptions`.
    """

    mode: str | None = None
    templates: Sequence[str] | str | None = None
    frames: int | None = None
    every_s: float | None = None
    window_s: float | None = None
    step_s: float | None = None
    sampling: str | None = None
    pooling: str | None = None
    frame_pooling: str | None = None

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> "RunSettings":
        """Read the settings of a `.run.json`, a thresholds file or a result folder; what else is there is ignored."""
        values = {
            field: next((document[name] for name in names if name in document), None)
            for field, names in _SPELLINGS.items()
        }
        return cls(**values)

    def to_document(self) -> dict[str, Any]:
        """Return them as plain data, under the names in a `.run.json`."""
        templates = self.templates if self.templates is None or isinstance(self.templates, str) else [*self.templates]
        return {
            names[0]: templates if field == "templates" else getattr(self, field) for field, names in _SPELLINGS.items()
        }

    def differences(self, other: "RunSettings") -> list[tuple[str, Any, Any]]:
        """List what both say and say differently, as (name, this one's, the other's)."""
        mine, theirs = self.to_document(), other.to_document()
        return [
            (name, mine[name], theirs[name])
            for name in mine
            if mine[name] is not None and theirs[name] is not None and mine[name] != theirs[name]
        ]
