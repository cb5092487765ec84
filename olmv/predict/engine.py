"""What predicts elsewhere than in the job's own process: the protocol of it, and a server of `olmv serve`."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from olmv.client.asks import AskOptions, calibrates
from olmv.client.client import Client
from olmv.errors import UsageError
from olmv.labels.vocabulary import Vocabulary
from olmv.models.default import drawings_note
from olmv.placement import PlacementOptions
from olmv.predict.options import PredictJob
from olmv.predictions import VideoPrediction
from olmv.scoring.options import ScoreOptions
from olmv.scoring.windows import TimelineOptions
from olmv.video.cloud import is_cloud
from olmv.video.options import DecodeOptions
from olmv.video_scores import PartScores

if TYPE_CHECKING:
    from olmv.scoring.thresholds import Thresholds
    from olmv.stream import PartStore

__all__ = ["NamedModel", "Place", "PredictEngine", "ServerPredictor"]

Place = tuple[str, str, str]
"""Kind of device, dtype, runtime."""


class NamedModel(Protocol):
    """What a page tells of a model."""

    name: str
    frame_pooling: str


class PredictEngine(Protocol):
    """Predicts elsewhere, see `olmv.cluster.predict`.

    Attributes:
        served: what has its own model: none is loaded here, and predictions bring their pictures. None: it is loaded
            here, too, where the page needs it.
    """

    served: NamedModel | None

    def choose_model(self, job: PredictJob) -> tuple[str, str | None]:
        """Return the model's name, and a line for the user; raise UsageError about what cannot be done there."""

    def place(self, options: PlacementOptions) -> Place:
        """Choose device, dtype and runtime there."""

    def stream(
        self,
        videos: Sequence[str],
        vocabulary: Vocabulary,
        *,
        model: str,
        placement: PlacementOptions,
        decode: DecodeOptions,
        score: ScoreOptions,
        batch_size: int | None = None,
        thresholds: "Thresholds | None" = None,
        timeline: TimelineOptions | None = None,
        store: "PartStore | None" = None,
        **listening: Any,
    ) -> Iterator[VideoPrediction]:
        """Yield the prediction of every video, in any order; of a timeline `store` takes its parts before.

        `listening` are those of `Classifier.stream`, which an engine may tell or not.
        """


class ServerPredictor:
    """Asks a server of `olmv serve`, see `PredictEngine`; its model, its sampling defaults and its limits hold.

    Args:
        client: of the server.
    """

    frame_pooling = "the model's own"

    def __init__(self, client: Client) -> None:
        self._client = client
        self._job: PredictJob | None = None
        self.name = ""
        self.served: NamedModel | None = self

    def choose_model(self, job: PredictJob) -> tuple[str, str | None]:
        """Return the server's model, and the warning that it needs.

        Raises:
            UsageError: another model is named, or an option that is the server's business.
            ServerError: the server is not there.
        """
        for what, given, option in (
            ("the decoder", job.decode.decoder != DecodeOptions.decoder, "decoder"),
            ("the most of a video's frames", job.decode.max_frames is not None, "max_frames"),
            ("the number of decoding processes", job.decode.workers is not None, "workers"),
            ("the time limit of a file", job.decode.timeout_s != DecodeOptions.timeout_s, "timeout"),
            ("where the model runs", job.placement.device != PlacementOptions.device, "device"),
            ("the model's number format", job.placement.dtype != PlacementOptions.dtype, "dtype"),
            ("the model's runtime", job.placement.runtime != PlacementOptions.runtime, "runtime"),
            ("the batch size", job.placement.batch_size is not None, "batch_size"),
            ("how windows and segments are made", job.timeline not in (None, TimelineOptions()), _TIMES),
        ):
            if given:
                raise UsageError(f"{what} is the server's business; leave it out", option=option)
        if job.thresholds is not None:
            from olmv.scoring.thresholds import Thresholds

            if calibrates(Thresholds.load(job.thresholds)):
                raise UsageError(
                    f"{job.thresholds} calibrates probabilities or ends of labels, which is not sent; start the server "
                    "with it",
                    option="thresholds",
                )
        info = self._client.info()
        if job.model is not None and job.model != info.model:
            raise UsageError(
                f"the server has {info.model}, not {job.model}; leave out the model, or start a server of it",
                option="model",
            )
        self._job, self.name = job, info.model
        return info.model, drawings_note(info.model)

    def place(self, options: PlacementOptions) -> Place:
        """Return that it is not known here."""
        return "server", "server", "torch"

    def stream(
        self,
        videos: Sequence[str],
        vocabulary: Vocabulary,
        *,
        decode: DecodeOptions,
        score: ScoreOptions,
        thresholds: "Thresholds | None" = None,
        timeline: TimelineOptions | None = None,
        store: "PartStore | None" = None,
        **others: Any,
    ) -> Iterator[VideoPrediction]:
        """Yield the prediction of every video, in order; `store` takes the curve of each before.

        Raises:
            UsageError: a video that is not on this machine, or what the server refuses.
            ServerError: the server is not there.
        """
        from olmv.scoring.thresholds import thresholds_for

        assert self._job is not None, "the model is chosen first"
        if away := [video for video in videos if is_cloud(video)]:
            raise UsageError(f"{away[0]} is not on this machine, from where files are sent; copy it, or leave it out")
        limits = thresholds_for(vocabulary, thresholds=thresholds, threshold=score.threshold)
        options: AskOptions = {
            "mode": score.mode,
            "thresholds": dict(zip(vocabulary.names, limits, strict=True)),
            "top_k": score.top_k,
            "frames": self._job.frames,
            "every_s": self._job.every_s,
            "sampling": decode.sampling,
            "timeline": timeline is not None,
            "pooling": score.pooling,
            "frame_pooling": score.frame_pooling,
            "templates": score.templates,
            "explain": score.explain,
        }
        predictions = self._client.predict(list(videos), vocabulary, thumbnails=decode.thumbnails, **options)
        return predictions if store is None else _stored(predictions, store)


def _stored(predictions: Iterator[VideoPrediction], store: "PartStore") -> Iterator[VideoPrediction]:
    """Keep the curve of each video as that of its only part, from which the file of curves is written."""
    for prediction in predictions:
        if (curve := prediction.curve) is not None:
            part = PartScores(
                frames=prediction.frames,
                duration_s=prediction.duration_s,
                starts_s=curve.starts_s,
                curve=curve.probability,
                thumbnails=prediction.thumbnails,
                thumbnail_times_s=prediction.thumbnail_times_s,
            )
            store.add(prediction.video, part)
        yield prediction


_TIMES = ("window_s", "step_s", "join_s", "least_s")
