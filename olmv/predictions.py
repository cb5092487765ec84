"""What a prediction is, and the row it is written as."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import NoneType
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from torch import Tensor

    from olmv.scoring.explain import Explanation


@dataclass(frozen=True)
class FrameCounts:
    """How many frames were asked for, how many were decoded, how many of the picked ones were bad."""

    requested: int
    decoded: int = 0
    corrupt: int = 0


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


@dataclass(frozen=True)
class VideoPrediction:
    """Every label's verdict on one video, or the reason why there is none.

    Attributes:
        labels: in the vocabulary's order, or best first under `top_k`; empty on failure.
        explanations: when asked for, of the labels with the highest probabilities, best first.
        thumbnails: the sampled frames as small JPEGs when asked for.
        times_s: the presentation time of every decoded frame, in seconds.
        embedding: [D], L2-normalised, of the whole video (the mean over frames), when asked for.
    """

    video: str
    status: Literal["ok", "error"]
    error: Failure | None
    duration_s: float | None
    frames: FrameCounts
    model: str
    labels: tuple[LabelPrediction, ...] = ()
    explanations: tuple["Explanation", ...] = ()
    thumbnails: tuple[bytes, ...] = field(default=(), repr=False)
    times_s: tuple[float, ...] = ()
    embedding: "Tensor | None" = field(default=None, repr=False, compare=False)

    @property
    def positives(self) -> list[str]:
        """The labels that are true of the video, most probable first."""
        positive = [label for label in self.labels if label.positive]
        return [label.label for label in sorted(positive, key=lambda label: -label.probability)]

    def to_row(self) -> dict[str, Any]:
        """The row of a `.jsonl` file; `explanations` is there only if explanations were asked for.

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
            },
            "model": self.model,
            "labels": [
                {
                    "label": label.label,
                    "similarity": round_significant(label.similarity),
                    "logit": round_significant(label.logit),
                    "probability": round_significant(label.probability),
                    "threshold": label.threshold,
                    "positive": label.positive,
                }
                for label in self.labels
            ],
        }
        if self.explanations:
            row["explanations"] = [_explanation_row(explanation) for explanation in self.explanations]
        return row


def check_row(row: Mapping[str, Any]) -> None:
    """Make sure that a row read from a file has the fields of `VideoPrediction.to_row` that others build on.

    Raises:
        ValueError: it lacks one, or one holds something else; the field is named.
    """
    check_fields(row, _ROW)
    if row["error"] is not None:
        check_fields(row["error"], _ERROR, "error.")
    check_fields(row["frames"], _FRAMES, "frames.")
    for label in row["labels"]:
        check_fields(label, _LABEL, "labels.")
    for explanation in row.get("explanations", ()):
        check_fields(explanation, _EXPLANATION, "explanations.")
        for part, fields in (("texts", _TEXT), ("frames", _FRAME)):
            for item in explanation[part]:
                check_fields(item, fields, f"explanations.{part}.")


_NUMBER = (int, float)
_ROW = {
    "video": str,
    "status": str,
    "error": (dict, NoneType),
    "duration_s": (*_NUMBER, NoneType),
    "frames": dict,
    "model": str,
    "labels": list,
}
_ERROR = {"type": str, "message": str}
_FRAMES = {"requested": int, "decoded": int, "corrupt": int}
_LABEL = {
    "label": str,
    "similarity": _NUMBER,
    "logit": _NUMBER,
    "probability": _NUMBER,
    "threshold": _NUMBER,
    "positive": bool,
}
_EXPLANATION = {"label": str, "texts": list, "frames": list}
_TEXT = {"text": str, "contribution": _NUMBER}
_FRAME = {"frame": int, "time_s": (*_NUMBER, NoneType), "contribution": _NUMBER}


def check_fields(row: Any, fields: Mapping[str, Any], place: str = "") -> None:
    """Make sure that an object read from a file has fields of these kinds.

    Args:
        row: the object.
        fields: name -> a class, or several.
        place: what stands before a name in an error.

    Raises:
        ValueError: it lacks one, or one holds something else; the field is named.
    """
    if not isinstance(row, Mapping):
        raise ValueError(f"{place.rstrip('.') or 'it'} is no object")  # noqa: TRY004 - the file's fault
    for name, kinds in fields.items():
        if not isinstance(row.get(name, ...), kinds):
            state = "odd" if name in row else "missing"
            raise ValueError(f"its '{place}{name}' is {state}")  # noqa: TRY004


def round_significant(value: float, digits: int = 6) -> float:
    """`value` with that many significant digits."""
    return float(f"{value:.{digits}g}")


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
