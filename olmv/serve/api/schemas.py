"""What goes in and out of the HTTP API, with examples; requests are checked against these before anything is done."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from olmv.labels.attributes import AttributeBook
from olmv.labels.label import Label
from olmv.labels.vocabulary import Vocabulary
from olmv.scoring.options import FramePooling, Mode, Pooling, ScoreOptions
from olmv.video.options import Sampling

__all__ = [
    "MOST_LABELS",
    "MOST_VIDEOS",
    "EmbedAnswer",
    "EmbedOptions",
    "EmbedRequest",
    "ErrorAnswer",
    "JobAnswer",
    "JobStart",
    "LabelAnswer",
    "LabelsAnswer",
    "MomentAnswer",
    "PictureAnswer",
    "PicturesAnswer",
    "PredictAnswer",
    "PredictOptions",
    "PredictRequest",
    "RowsRequest",
    "SearchAnswer",
    "SearchRequest",
    "SuggestAnswer",
    "TooManyLabelsError",
]

MOST_LABELS = 10_000
MOST_TEXTS = 50_000
MOST_VIDEOS = 64

Probability = Annotated[float, Field(strict=True, ge=0, le=1, allow_inf_nan=False)]
Text = Annotated[str, Field(max_length=1000)]
Name = Annotated[str, Field(min_length=1, max_length=4096)]


class TooManyLabelsError(ValueError):
    """More labels or texts than one request may have."""


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ErrorDetail(_Model):
    """What went wrong, and what mends it."""

    type: str = Field(examples=["VocabularyError"])
    message: str = Field(examples=["the list of labels is empty; give at least one, as in 'dog, guitar, rain'"])


class ErrorAnswer(_Model):
    """Every answer that is no success."""

    error: ErrorDetail


class PredictOptions(_Model):
    """What videos are asked, and how; all of it may be left out."""

    labels: list[Text] | Annotated[str, Field(max_length=4_000_000)] | None = Field(
        None,
        description="Names, or a text with one a line or with commas between them; none for the server's own.",
        examples=[["dog", "guitar", "rain"]],
    )
    attributes: dict[str, list[Text]] = Field(
        {}, description="What labels look like.", examples=[{"guitar": ["a person plucks the strings of a guitar"]}]
    )
    threshold: Probability | None = Field(None, description="One for all labels; wins over all others.")
    thresholds: dict[str, Probability] = Field(
        {}, description="Of some of these labels, and of no other.", examples=[{"dog": 0.4}]
    )
    mode: Mode = "multi-label"
    top_k: int | None = Field(None, ge=1, le=MOST_LABELS, description="Only so many labels, the most probable first.")
    frames: int | None = Field(None, ge=1, le=512, description="So many of a video, however long.")
    every_s: float | None = Field(None, ge=0.01, le=3600, description="A frame each so many seconds.")
    sampling: Sampling = "uniform"
    timeline: bool = Field(False, description="Also tell when each label is true.")
    curve: bool = Field(
        False,
        description="With a timeline: also give `cells`, the probabilities over time: `starts_s` and, by label, the "
        "base64 of little-endian float64 and float32.",
    )
    pooling: Pooling = "mean"
    frame_pooling: FramePooling | None = None
    templates: str | list[Text] | None = Field(None, description="A set by name, or sentences with {} for the label.")
    explain: bool = Field(False, description="Also tell which texts and frames carried the most probable labels.")
    pictures: bool = Field(False, description="Also give addresses of the frames that were looked at.")
    embeddings: bool = Field(False, description="Also give the embedding of each video.")
    background: bool = Field(False, description="Answer at once with a job to come back for.")

    def vocabulary(self, default: Vocabulary | None) -> Vocabulary:
        """Return the labels that are asked, with their attributes.

        Raises:
            VocabularyError: labels or attributes that cannot be used, or none.
            UsageError: attributes or thresholds of a label that is not asked.
            TooManyLabelsError: more than one request may have.
        """
        from olmv.errors import VocabularyError
        from olmv.scoring.thresholds import Thresholds

        if self.labels is None:
            if default is None:
                raise VocabularyError("there are no labels; name some, as in 'dog, guitar, rain'", option="labels")
            words = default
        elif isinstance(self.labels, str):
            words = Vocabulary.parse(self.labels)
        else:
            words = Vocabulary([Label(name) for name in self.labels])
        if self.attributes:
            words = words.with_attributes(AttributeBook.of(self.attributes, words.names))
        Thresholds.of(self.thresholds, words.names)
        if len(words) > MOST_LABELS:
            raise TooManyLabelsError(f"{len(words):,} labels are too many for one request; ask {MOST_LABELS:,} at most")
        texts = sum(1 + len(label.aliases) + len(label.attributes) for label in words)
        if texts > MOST_TEXTS:
            raise TooManyLabelsError(f"{texts:,} texts are too many for one request; give {MOST_TEXTS:,} at most")
        return words

    @property
    def score(self) -> ScoreOptions:
        """Return how videos are scored."""
        return ScoreOptions(
            mode=self.mode,
            pooling=self.pooling,
            frame_pooling=self.frame_pooling,
            templates=self.templates,
            threshold=self.threshold,
            top_k=self.top_k,
            explain=self.explain,
        )


class PredictRequest(PredictOptions):
    """Videos that the server has or reaches, and what they are asked."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        json_schema_extra={"examples": [{"paths": ["clips/a.mp4"], "labels": ["dog", "guitar", "rain"]}]},
    )

    paths: list[Name] = Field([], max_length=MOST_VIDEOS, description="Files under the folder that the server allows.")
    urls: list[Name] = Field([], max_length=MOST_VIDEOS, description="Public addresses, where the server allows them.")
    clips: list[Name] = Field(
        [], max_length=MOST_VIDEOS, description="Videos of earlier answers, by their `clip`: other labels, no decoding."
    )

    @model_validator(mode="after")
    def _has_videos(self) -> "PredictRequest":
        count = len(self.paths) + len(self.urls) + len(self.clips)
        if not 1 <= count <= MOST_VIDEOS:
            raise ValueError(f"there are {count} videos; name 1 to {MOST_VIDEOS} in paths, urls or clips")
        return self


_ROW = {
    "video": "a.mp4",
    "status": "ok",
    "error": None,
    "duration_s": 9.8,
    "frames": {"requested": 8, "decoded": 8, "corrupt": 0, "encoded": 8, "widest_gap_s": 1.2, "capped": False},
    "model": "olmv-lite",
    "labels": [
        {"label": "dog", "similarity": 0.31, "logit": 2.1, "probability": 0.89, "threshold": 0.5, "positive": True}
    ],
    "clip": "Vb3kq0ZfP1mJt9sQ",
}


class PredictAnswer(_Model):
    """Predictions, in the order in which the videos were sent: rows as `olmv predict` writes them, and `clip`."""

    model: str = Field(examples=["olmv-lite"])
    labels: list[str] = Field(examples=[["dog"]])
    predictions: list[dict[str, Any]] = Field(examples=[[_ROW]])


class JobAnswer(_Model):
    """How far a job is, and what is there of it."""

    id: str
    status: Literal["queued", "running", "done", "cancelled", "failed"]
    done: int = Field(examples=[1])
    total: int = Field(examples=[2])
    predictions: list[dict[str, Any]] = Field(examples=[[_ROW]])


class JobStart(_Model):
    """A job that has begun."""

    id: str
    status: Literal["queued"] = "queued"
    url: str = Field(examples=["/v1/jobs/Vb3kq0ZfP1mJt9sQ"])


class LabelAnswer(_Model):
    """One of the server's labels."""

    name: str = Field(examples=["dog"])
    threshold: float = Field(examples=[0.5])
    aliases: list[str] = []
    attributes: list[str] = []


class LabelsAnswer(_Model):
    """The server's labels and model, and what it has to be asked."""

    model: str = Field(examples=["olmv-lite"])
    model_note: str | None = Field(None, description="What a reader must know of the model.")
    labels: list[LabelAnswer]
    library: str | None = Field(None, description="Name of the library that can be searched.")
    videos: int | None = Field(None, description="How many videos it has.")
    review: bool = Field(False, description="Whether there is something to review.")
    allow_urls: bool = False
    root: bool = Field(False, description="Whether paths can be predicted.")
    max_upload_mb: int = Field(examples=[2048])
    max_rows_mb: int = Field(examples=[32], description="What `/v1/rows` takes at once.")
    max_label_chars: int = Field(examples=[300], description="Characters of a label.")


class SuggestAnswer(_Model):
    """Labels that begin with, or have, what was typed."""

    suggestions: list[str] = Field(examples=[["guitar", "guitarist"]])


class RowsRequest(_Model):
    """Predictions as they were answered, to be made files of."""

    rows: list[dict[str, Any]] = Field(
        min_length=1, max_length=10_000, description="Each with its `cells`, if it has any, which become its curve."
    )


class EmbedRequest(_Model):
    """Texts to embed, as they are: no template is put around them."""

    texts: list[Text] = Field(min_length=1, max_length=1000, examples=[["a video of a dog"]])


class EmbedOptions(_Model):
    """How videos are looked at that are embedded."""

    frames: int | None = Field(None, ge=1, le=512)
    every_s: float | None = Field(None, ge=0.01, le=3600)
    sampling: Sampling = "uniform"


class EmbedAnswer(_Model):
    """Embeddings, each of length 1; of a video that could not be decoded, null."""

    model: str = Field(examples=["olmv-lite"])
    dimension: int = Field(examples=[384])
    embeddings: list[list[float] | None]


class LikeWindow(_Model):
    """A moment of the library that others should be like."""

    video: Name
    time_s: float = Field(0, ge=0, le=1e9)


class SearchRequest(_Model):
    """What is looked for in the library; see `olmv search`."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, json_schema_extra={"examples": [{"query": ["a dog"], "without": ["snow"]}]}
    )

    query: list[Text] = Field([], max_length=20)
    without: list[Text] = Field([], max_length=20)
    like: LikeWindow | None = None
    threshold: Probability = 0.5
    top: int = Field(20, ge=1, le=500)
    all_moments: bool = False
    path: Name | None = Field(None, description="A glob that the path or name of the video matches.")
    longer_than_s: float | None = Field(None, ge=0, le=1e9)
    shorter_than_s: float | None = Field(None, ge=0, le=1e9)
    labels: list[Text] = Field([], max_length=20, examples=[["dog>0.5"]])


class PictureAnswer(_Model):
    """A picture of a video."""

    time_s: float
    src: str = Field(description="Address of a JPEG.")


class PicturesAnswer(_Model):
    """Pictures of a video, in the order of time."""

    pictures: list[PictureAnswer]


class MomentAnswer(_Model):
    """Some seconds of a video that are what was looked for."""

    video: str
    name: str
    duration_s: float | None
    start_s: float
    end_s: float
    peak_s: float
    probability: float
    similarity: float
    picture: str = Field(description="Address of a JPEG, or empty.")
    pictures: str = Field("", description="Address that tells which pictures there are around it, or empty.")
    player: str = Field(description="Address of the video, or empty.")


class SearchAnswer(_Model):
    """Moments, the most probable first; none where nothing is as probable as asked, then `best` is the nearest."""

    moments: list[MomentAnswer]
    best: MomentAnswer | None
    videos: int
    windows: int
    seconds: float
    notes: list[str] = []
