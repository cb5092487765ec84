"""What goes in and out of the review over HTTP."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

__all__ = [
    "ConflictOut",
    "EstimatesOut",
    "Figure",
    "FrameOut",
    "FramesOut",
    "ItemOut",
    "KeptOut",
    "LabelIn",
    "LabelOut",
    "Probability",
    "QueueOut",
    "ReviewOut",
    "ReviewerIn",
    "ScoresOut",
    "Suggestion",
    "ThresholdIn",
    "UndoneOut",
    "VerdictIn",
    "WordOut",
]

Label = Annotated[str, Field(min_length=1, max_length=2000)]
Reviewer = Annotated[str, Field(max_length=100, description="who judges; a name of their own")]
Place = Annotated[int, Field(ge=0, lt=2**63)]  # as SQLite holds it
Probability = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)  # true is no 1, and "0.3" no number


class VerdictIn(_Body):
    """A verdict on a pair of video and label."""

    video: Annotated[str, Field(max_length=8192)]
    label: Label
    verdict: Annotated[bool | None, Field(description="null for: cannot tell")]
    reviewer: Reviewer = ""
    order: Annotated[Place | None, Field(description="of the queue item it answers; null: met elsewhere")] = None


class ReviewerIn(_Body):
    """Who asks."""

    reviewer: Reviewer = ""


class LabelIn(_Body):
    """A label, and who asks."""

    label: Label
    reviewer: Reviewer = ""


class ThresholdIn(_Body):
    """Another threshold of a label."""

    label: Label
    threshold: Probability
    reviewer: Reviewer = ""


class Figure(BaseModel):
    """A share with its interval of confidence 0.9."""

    value: float
    low: float
    high: float


class LabelOut(BaseModel):
    """A label and what is known of it."""

    label: str
    threshold: float
    anchor: Annotated[float | None, Field(description="the probability that the order of review is around")]
    total: int
    positives: int
    reviewed: int
    right: Annotated[int, Field(description="videos judged true")]
    wrong: Annotated[int, Field(description="videos judged false")]
    skipped: int
    conflicts: int
    histogram: Annotated[list[int], Field(description="videos by probability, 50 bins of equal width")]
    precision: Figure | None
    recall: Figure | None


class KeptOut(LabelOut):
    """A label after a verdict was kept."""

    id: int


class ReviewOut(BaseModel):
    """The whole review."""

    source: str
    model: str
    folder: str
    reviewer_count: int
    export_error: Annotated[str, Field(description="why truth.csv and thresholds.json could not be written; or empty")]
    labels: list[LabelOut]


class ItemOut(BaseModel):
    """A video that waits for a verdict, with what can be shown of it."""

    model_config = ConfigDict(extra="allow")

    video: str
    name: str
    folder: str
    label: str
    probability: float
    threshold: float
    order: int | None
    verdict: bool | None
    player: str = ""
    pictures: list[dict[str, Any]] = []


class QueueOut(BaseModel):
    """The next videos of a label."""

    items: list[ItemOut]
    left: int


class UndoneOut(BaseModel):
    """What the verdict was on that was taken back; null where there was none."""

    item: ItemOut | None
    label: LabelOut | None


class Suggestion(BaseModel):
    """The threshold that serves the objective best, null where too little was reviewed."""

    objective: str
    threshold: float | None


class EstimatesOut(BaseModel):
    """What decisions at a threshold are worth."""

    label: str
    threshold: float
    positives: int
    reviewed: int
    precision: Figure | None
    recall: Figure | None
    suggestion: Suggestion


class ScoresOut(BaseModel):
    """How many videos are positive at the thresholds 0, 0.001, ... 1."""

    label: str
    positives: list[int]


class FrameOut(BaseModel):
    """A frame of a video."""

    time_s: float
    src: Annotated[str, Field(description="a JPEG, as an address of data")]


class FramesOut(BaseModel):
    """Frames of a video, spread over its length."""

    video: str
    pictures: list[FrameOut]


class WordOut(BaseModel):
    """A reviewer's last verdict."""

    reviewer: str
    verdict: bool
    at: str


class ConflictOut(BaseModel):
    """A video on which reviewers disagree; the last verdict counts."""

    item: ItemOut
    verdicts: list[WordOut]
