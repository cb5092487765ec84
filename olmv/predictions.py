"""What a prediction is, and the row it is written as."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import Tensor

    from olmv.io.curves import Curve
    from olmv.scoring.explain import Explanation
    from olmv.scoring.segments import Segment

__all__ = [
    "Failure",
    "FrameCounts",
    "LabelPrediction",
    "VideoPrediction",
    "round_all",
    "round_significant",
    "segment_row",
]

_T = TypeVar("_T")

_POWERS = 10.0 ** np.arange(23)  # all that are whole numbers to the bit
_NEAR_HALF = 1e-4  # so near a half, the product may have crossed it


@dataclass(frozen=True)
class FrameCounts:
    """What was looked at of a video.

    Attributes:
        requested: how many frames were asked for; of a file that could not be opened, the fewest.
        decoded: how many were decoded.
        corrupt: how many of the picked ones were damaged or unreadable.
        encoded: how many the model encoded; fewer than decoded where the picture rested (`adaptive` timelines).
        widest_gap_s: the longest time in which no sampled frame is shown; what is shorter can be missed.
        capped: the most frames of a video cut in, so the gap is wider than was asked for.
    """

    requested: int
    decoded: int = 0
    corrupt: int = 0
    encoded: int = 0
    widest_gap_s: float | None = None
    capped: bool = False


@dataclass(frozen=True)
class LabelPrediction:
    """One label's verdict on one video.

    Attributes:
        label: as the user wrote it.
        similarity: the pooled cosine, for ranking and for the curious; it is not a confidence.
        logit: what the probability is made of.
        probability: 0..1; independent of the other labels in multi-label mode, summing to 1 in single-label
            mode.
        threshold: the label is positive from this probability up.
        positive: the verdict.
    """

    label: str
    similarity: float
    logit: float
    probability: float
    threshold: float
    positive: bool


@dataclass(frozen=True)
class Failure:
    """Why a video has no labels: the error's class name and its one-line message."""

    type: str
    message: str


@dataclass(frozen=True, repr=False)
class VideoPrediction:
    """Every label's verdict on one video, or the reason why there is none.

    Attributes:
        labels: in the vocabulary's order, or best first under `top_k`; empty on failure.
        explanations: when asked for, of the labels with the highest probabilities, best first.
        thumbnails, thumbnail_times_s: the sampled frames as small JPEGs when asked for, at most 240, and their times.
        times_s: the presentation time of every decoded frame, in seconds.
        embedding: [D], L2-normalised, of the whole video (the mean over frames), when asked for.
        segments: of a timeline, by label, then by time; None where none was asked for.
        shots_s: of a timeline, where a shot ends and the next begins.
        curve: of a timeline, the probability of each label over time.
    """

    video: str
    status: Literal["ok", "error"]
    error: Failure | None
    duration_s: float | None
    frames: FrameCounts
    model: str
    labels: tuple[LabelPrediction, ...] = ()
    explanations: tuple["Explanation", ...] = ()
    thumbnails: tuple[bytes, ...] = ()
    thumbnail_times_s: tuple[float, ...] = ()
    times_s: tuple[float, ...] = ()
    embedding: "Tensor | None" = field(default=None, compare=False)
    segments: "tuple[Segment, ...] | None" = None
    shots_s: tuple[float, ...] = ()
    curve: "Curve | None" = field(default=None, compare=False)

    def __repr__(self) -> str:
        if self.error is not None:
            return f"VideoPrediction({self.video!r}, {self.error.type}: {self.error.message})"
        over_time = "" if self.segments is None else f", {len(self.segments)} segments"
        return f"VideoPrediction({self.video!r}, positives={self.positives} of {len(self.labels)} labels{over_time})"

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> "VideoPrediction":
        """Read what `to_row` returned, of which `olmv.io.prediction_fields.check_row` says that it is whole."""
        from olmv.scoring.segments import Segment

        error, segments = row["error"], row.get("segments")
        return cls(
            video=row["video"],
            status=row["status"],
            error=None if error is None else _of(Failure, error),
            duration_s=row["duration_s"],
            frames=_of(FrameCounts, row["frames"]),
            model=row["model"],
            labels=tuple(_of(LabelPrediction, label) for label in row["labels"]),
            explanations=tuple(_explanations(row)),
            segments=None if segments is None else tuple(_of(Segment, segment) for segment in segments),
            shots_s=tuple(row.get("shots_s", ())),
        )

    @property
    def positives(self) -> list[str]:
        """Return the labels that are true of the video, most probable first."""
        positive = [label for label in self.labels if label.positive]
        return [label.label for label in sorted(positive, key=lambda label: -label.probability)]

    def to_row(self) -> dict[str, Any]:
        """Return the row of a `.jsonl` file; `explanations` is there only if explanations were asked for.

        Numbers are rounded to 6 significant digits: fewer than float32 carries, more than anyone can use.
        """
        row: dict[str, Any] = {
            "video": self.video,
            "status": self.status,
            "error": {"type": self.error.type, "message": self.error.message} if self.error else None,
            "duration_s": None if self.duration_s is None else round_significant(self.duration_s),
            "frames": {
                "requested": self.frames.requested,
                "decoded": self.frames.decoded,
                "corrupt": self.frames.corrupt,
                "encoded": self.frames.encoded,
                "widest_gap_s": None if (gap := self.frames.widest_gap_s) is None else round_significant(gap),
                "capped": self.frames.capped,
            },
            "model": self.model,
            "labels": [
                {
                    "label": label.label,
                    "similarity": similarity,
                    "logit": logit,
                    "probability": probability,
                    "threshold": label.threshold,
                    "positive": label.positive,
                }
                for label, similarity, logit, probability in zip(
                    self.labels,
                    round_all([label.similarity for label in self.labels]),
                    round_all([label.logit for label in self.labels]),
                    round_all([label.probability for label in self.labels]),
                    strict=True,
                )
            ],
        }
        if self.explanations:
            row["explanations"] = [_explanation_row(explanation) for explanation in self.explanations]
        if self.segments is not None:
            row["segments"] = [segment_row(segment) for segment in self.segments]
            row["shots_s"] = [_milliseconds(time) for time in self.shots_s]
        return row


def _of(kind: type[_T], values: Mapping[str, Any]) -> _T:
    return kind(**{name: values[name] for name in kind.__dataclass_fields__ if name in values})  # type: ignore[attr-defined]


def _explanations(row: Mapping[str, Any]) -> "Iterator[Explanation]":
    if not row.get("explanations"):
        return
    from olmv.scoring.explain import Explanation, FrameContribution, TextContribution  # imports torch

    similarity = {label["label"]: label["similarity"] for label in row["labels"]}
    for item in row["explanations"]:
        texts = tuple(TextContribution(text["text"], text["contribution"]) for text in item["texts"])
        frames = tuple(
            FrameContribution(frame["frame"], frame["time_s"], frame["contribution"]) for frame in item["frames"]
        )
        yield Explanation(item["label"], similarity.get(item["label"], 0.0), texts, frames)


def round_significant(value: float, digits: int = 6) -> float:
    """Round a number to that many significant digits."""
    return float(f"{value:.{digits}g}")


def round_all(values: Sequence[float] | NDArray[np.floating], digits: int = 6) -> list[float]:
    """Round numbers as `round_significant` does each, to the bit, but many times as fast."""
    numbers = np.asarray(values, np.float64)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        places = digits - 1 - np.floor(np.log10(np.abs(numbers)))
        exact = (places >= 0) & (places < len(_POWERS))  # a quotient by one of these is the nearest number there is
        powers = _POWERS[np.where(exact, places, 0).astype(np.int64)]
        scaled = numbers * powers
        whole = np.rint(scaled)
        exact &= np.abs(np.abs(scaled - whole) - 0.5) > _NEAR_HALF
        rounded: list[float] = (whole / powers).tolist()
    for place in np.flatnonzero(~exact).tolist():
        rounded[place] = round_significant(float(numbers[place]), digits)
    return rounded


def segment_row(segment: "Segment") -> dict[str, Any]:
    """Return a segment as it stands in a row, its times in milliseconds."""
    return {
        "label": segment.label,
        "start_s": _milliseconds(segment.start_s),
        "end_s": _milliseconds(segment.end_s),
        "peak": round_significant(segment.peak),
        "peak_s": _milliseconds(segment.peak_s),
        "mean": round_significant(segment.mean),
    }


def _milliseconds(time_s: float) -> float:
    return round(time_s, 3)


def _explanation_row(explanation: "Explanation") -> dict[str, Any]:
    return {
        "label": explanation.label,
        "texts": [
            {"text": text.text, "contribution": round_significant(text.contribution)} for text in explanation.texts
        ],
        "frames": [
            {
                "frame": frame.frame,
                "time_s": None if frame.time_s is None else round_significant(frame.time_s),
                "contribution": round_significant(frame.contribution),
            }
            for frame in explanation.frames
        ],
    }
