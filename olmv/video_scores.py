"""What was scored of one video, gathered part by part until its prediction can be made."""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from olmv.predictions import Failure, FrameCounts

if TYPE_CHECKING:
    from torch import Tensor

    from olmv.models.base import VideoEmbedding
    from olmv.video.part_shots import PartShots

__all__ = ["PartScores", "ScoredWindow", "VideoScores"]

Floats = NDArray[np.float32]

PASSABLE = "DecodeError"
"""The error of a part of an open file that the other parts of it survive."""


@dataclass(frozen=True, eq=False)
class ScoredWindow:
    """A window that was the best of a label, for explanations.

    Attributes:
        embedding: of its frames.
        times_s: [T] of its frames.
        frames: [T] their numbers among the decoded frames of the part.
    """

    embedding: "VideoEmbedding"
    times_s: Sequence[float]
    frames: Sequence[int]


@dataclass(frozen=True, kw_only=True, eq=False)
class PartScores:
    """What was scored of a part of a video; of most videos there is one part.

    Attributes:
        part, parts: which of how many.
        frames: that were looked at, of this part; the gap is of the whole video.
        duration_s: of the whole video; None where it could not be opened.
        error: why the part has no scores, or None.
        logits, similarity: [C] those of the window with the highest logit of each label.
        starts_s, curve: [N] and [N, C] the cells of a timeline and their probabilities.
        shots: of a timeline.
        windows, window_of: for explanations, windows and which of them [C] is the best of each label.
        vector: [D] the sum of the frames' unit vectors, if embeddings are asked for.
        times_s: [T] of the decoded frames.
        thumbnails, thumbnail_times_s: JPEGs, if asked for.
    """

    part: int = 0
    parts: int = 1
    frames: FrameCounts
    duration_s: float | None = None
    error: Failure | None = None
    logits: Floats | None = None
    similarity: Floats | None = None
    starts_s: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    curve: Floats | None = None
    shots: "PartShots | None" = None
    windows: Sequence[ScoredWindow] = ()
    window_of: NDArray[np.int64] | None = None
    vector: "Tensor | None" = None
    times_s: Sequence[float] = ()
    thumbnails: Sequence[bytes] = ()
    thumbnail_times_s: Sequence[float] = ()

    @property
    def is_last(self) -> bool:
        """Tell whether no part follows."""
        return self.part + 1 >= self.parts

    def to_record(self) -> dict[str, Any]:
        """Return what a run that goes on later needs, as plain data: not windows, vectors nor pictures."""
        shots = self.shots
        return {
            "part": self.part,
            "parts": self.parts,
            "frames": vars(self.frames),
            "duration_s": self.duration_s,
            "error": None if self.error is None else vars(self.error),
            "times_s": [*self.times_s],
            **{name: _packed(getattr(self, name)) for name in ("logits", "similarity", "starts_s", "curve")},
            "shots": None if shots is None else {name: _packed(array) for name, array in vars(shots).items()},
        }

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> "PartScores":
        """Read what `to_record` returned.

        Raises:
            ValueError, TypeError, LookupError: it is something else.
        """
        from olmv.video.part_shots import PartShots

        shots = record["shots"]
        return cls(
            part=record["part"],
            parts=record["parts"],
            frames=FrameCounts(**record["frames"]),
            duration_s=record["duration_s"],
            error=None if record["error"] is None else Failure(**record["error"]),
            times_s=record["times_s"],
            shots=None if shots is None else PartShots(**{name: _unpacked(array) for name, array in shots.items()}),
            **{name: _unpacked(record[name]) for name in ("logits", "similarity", "starts_s", "curve")},
        )


class VideoScores:
    """The parts of one video so far.

    Args:
        explained: of how many labels, the best, windows are kept for explanations.

    Attributes:
        failure: why the video has no prediction, as far as is known.
    """

    def __init__(self, *, explained: int = 0) -> None:
        self._explained = explained
        self.parts: list[PartScores] = []
        self.logits: Floats | None = None
        self.similarity: Floats | None = None
        self.window_of: dict[int, tuple[ScoredWindow, int]] = {}
        self.failure: Failure | None = None
        self._passable = True
        self._decoded = 0

    def add(self, part: PartScores) -> None:
        """Take the next part."""
        if part.error is not None:
            passable = part.error.type == PASSABLE and part.duration_s is not None
            if self.failure is None or not passable:
                self.failure = part.error
            self._passable &= passable
        elif part.logits is not None and part.similarity is not None:
            better = np.ones(len(part.logits), bool) if self.logits is None else part.logits > self.logits
            if self.logits is None or self.similarity is None:
                self.logits, self.similarity = part.logits, part.similarity
            else:
                self.logits = np.where(better, part.logits, self.logits)
                self.similarity = np.where(better, part.similarity, self.similarity)
            self._take_windows(part, better)
        self._decoded += part.frames.decoded
        self.parts.append(replace(part, logits=None, similarity=None, windows=(), window_of=None))

    def _take_windows(self, part: PartScores, better: NDArray[np.bool_]) -> None:
        if not self._explained or part.window_of is None or self.logits is None:
            return
        best = np.argsort(-self.logits, kind="stable")[: self._explained].tolist()
        earlier = self.window_of
        self.window_of = {label: earlier[label] for label in best if label in earlier}
        for label in best:
            if better[label]:
                self.window_of[label] = part.windows[part.window_of[label]], self._decoded

    @property
    def error(self) -> Failure | None:
        """Return why there is no prediction; None where there is one, perhaps without the parts that are damaged."""
        return None if self._passable and self.logits is not None else self.failure

    @property
    def frames(self) -> FrameCounts:
        """Return what was looked at of the whole video."""
        counts = [part.frames for part in self.parts]
        first = counts[0]
        return FrameCounts(
            requested=sum(count.requested for count in counts),
            decoded=sum(count.decoded for count in counts),
            corrupt=sum(count.corrupt for count in counts),
            encoded=sum(count.encoded for count in counts),
            widest_gap_s=first.widest_gap_s,
            capped=first.capped,
        )

    @property
    def curve(self) -> tuple[NDArray[np.float64], Floats]:
        """Return where cells begin [N] and their probabilities [N, C]."""
        parts = [part for part in self.parts if part.curve is not None]
        starts = np.concatenate([part.starts_s for part in parts])
        return starts, np.concatenate([part.curve for part in parts if part.curve is not None])

    @property
    def shots_s(self) -> tuple[float, ...]:
        """Return where shots begin, the first aside."""
        cuts: list[float] = []
        before: PartShots | None = None
        for part in self.parts:
            if part.shots is None:
                continue
            if before is not None and (cut := part.shots.cut_after(before)) is not None:
                cuts.append(cut)
            cuts += part.shots.cuts_s.tolist()
            before = part.shots
        return tuple(cuts)

    @property
    def vector(self) -> "Tensor | None":
        """Return the embedding [D] of the whole video, L2-normalised, if it was asked for."""
        from torch.nn.functional import normalize

        vectors = [part.vector for part in self.parts if part.vector is not None]
        return normalize(sum(vectors[1:], start=vectors[0]), dim=0) if vectors else None


def _packed(array: NDArray[Any] | None) -> dict[str, Any] | None:
    if array is None:
        return None
    own = np.ascontiguousarray(array)
    return {"dtype": own.dtype.str, "shape": [*own.shape], "data": base64.b64encode(own.tobytes()).decode("ascii")}


def _unpacked(record: Mapping[str, Any] | None) -> Any:
    if record is None:
        return None
    dtype = np.dtype(record["dtype"])
    if dtype.hasobject:
        raise ValueError("an array of objects")
    return np.frombuffer(base64.b64decode(record["data"]), dtype).reshape(record["shape"])
