"""What a server answers, as values: predictions, its labels, moments of its library, events of a job."""

import binascii
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Literal, TypeVar

from olmv.errors import OlmvError, ServerError
from olmv.io.curves import Curve
from olmv.io.prediction_fields import check_row
from olmv.predictions import Failure, FrameCounts, VideoPrediction

__all__ = [
    "JobEvent",
    "JobStart",
    "ServerHealth",
    "ServerInfo",
    "ServerLabel",
    "ServerMoment",
    "entries_of",
    "failed_prediction",
    "prediction_of",
    "value_of",
]

_T = TypeVar("_T")


@dataclass(frozen=True, kw_only=True)
class ServerLabel:
    """One of the server's own labels.

    Attributes:
        name: as it stands in predictions.
        threshold: the probability from which it is positive.
        aliases, attributes: what else it is called, and what it looks like.
    """

    name: str
    threshold: float
    aliases: tuple[str, ...] = ()
    attributes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class ServerInfo:
    """What a server has, and what it can be asked.

    Attributes:
        model: its name.
        model_note: what a reader must know of it, or None.
        labels: its own, which are asked where a request names none.
        library: the name of the library that can be searched, or None.
        videos: how many there are in it.
        max_upload_mb: the most that one request may send, in MiB.
    """

    model: str
    model_note: str | None = None
    labels: tuple[ServerLabel, ...] = ()
    library: str | None = None
    videos: int | None = None
    max_upload_mb: int


@dataclass(frozen=True, kw_only=True)
class ServerHealth:
    """Whether a server answers requests now.

    Attributes:
        is_ready: it does.
        message: why not; empty where it does.
        model: the name of its model; None where it is not ready.
    """

    is_ready: bool
    message: str = ""
    model: str | None = None


@dataclass(frozen=True, kw_only=True)
class ServerMoment:
    """Some seconds of a video of the server's library that are what was looked for.

    Attributes:
        video, name: as the library names it, and its last part.
        duration_s: of the video; None where nobody knows.
        start_s, end_s: of the moment, in seconds.
        peak_s: when it shows most.
        probability: 0..1, of the least probable of the things that were looked for.
        similarity: the cosine that this probability was made of.
        picture, player: addresses of a JPEG and of the video on the server, or empty.
    """

    video: str
    name: str
    duration_s: float | None
    start_s: float
    end_s: float
    peak_s: float
    probability: float
    similarity: float
    picture: str = ""
    player: str = ""


@dataclass(frozen=True, kw_only=True)
class JobStart:
    """A job that has begun.

    Attributes:
        id: by which the server knows it.
    """

    id: str


@dataclass(frozen=True, kw_only=True)
class JobEvent:
    """What is told of a job.

    Attributes:
        kind: `progress` of a video, its `prediction`, or the `end` of the job.
        place: of the video among those that were sent; None at the end.
        video: its name, as it was given.
        done, total: of a progress: parts of the video.
        prediction: of a prediction.
        status: at the end: `done`, `cancelled` or `failed`.
    """

    kind: Literal["progress", "prediction", "end"]
    place: int | None = None
    video: str | None = None
    done: int | None = None
    total: int | None = None
    prediction: VideoPrediction | None = None
    status: str | None = None


def value_of(kind: type[_T], document: Any) -> _T:
    """Make a value of a document; what a newer server tells besides is left out.

    Raises:
        ServerError: the document is something else.
    """
    try:
        known = {field.name: document[field.name] for field in fields(kind) if field.name in document}  # type: ignore[arg-type]
        known = {name: tuple(item) if isinstance(item, list) else item for name, item in known.items()}
        return kind(**known)
    except (TypeError, KeyError):
        raise _other() from None


def entries_of(document: Any, name: str) -> list[Any]:
    """Return a list that stands in a document.

    Raises:
        ServerError: there is none.
    """
    entries = document.get(name) if isinstance(document, dict) else None
    if not isinstance(entries, list):
        raise _other()
    return entries


def prediction_of(row: Any, name: str, *, order: Sequence[str] = ()) -> VideoPrediction:
    """Make a prediction of a row as the server tells it.

    Args:
        row: the row; with `cells` and `embedding` where these were asked for.
        name: what the caller calls the video; the server knows the last part of it.
        order: of the labels, where the server orders them for a page; else as they are.

    Raises:
        ServerError: it is no row.
    """
    try:
        check_row(row)
        sent = row["video"]
        if row["error"] is not None:
            row = {**row, "error": {**row["error"], "message": row["error"]["message"].replace(sent, name, 1)}}
        place = {label: number for number, label in enumerate(order)}
        labels = sorted(row["labels"], key=lambda label: place.get(label["label"], 0))
        prediction = VideoPrediction.from_row({**row, "video": name, "labels": labels})
        if row.get("cells") is not None:
            prediction = replace(prediction, curve=Curve.from_document(name, row["cells"]))
        if row.get("embedding") is not None:
            from torch import tensor

            prediction = replace(prediction, embedding=tensor(row["embedding"]))
    except (OlmvError, KeyError, TypeError, ValueError, AttributeError, binascii.Error):
        raise _other() from None
    return prediction


def failed_prediction(name: str, model: str, error: OlmvError) -> VideoPrediction:
    """Make the prediction of a video that could not be sent."""
    failure = Failure(type(error).__name__, str(error))
    return VideoPrediction(
        video=name, status="error", error=failure, duration_s=None, frames=FrameCounts(0), model=model
    )


def _other() -> ServerError:
    return ServerError("the server answers something else than olmv serve does; check its address and its version")
