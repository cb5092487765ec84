"""`olmv predict` on Ray: actors predict, the driver writes the rows as it does without a cluster."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from olmv.classifier import Classifier
from olmv.cluster.decoding import ActorDecoding
from olmv.cluster.engine import RayEngine, blocks_of
from olmv.errors import VideoError
from olmv.labels.texts import build_texts
from olmv.labels.vocabulary import Vocabulary
from olmv.models.default import chosen_model
from olmv.models.registry import model_info
from olmv.placement import PlacementOptions
from olmv.predict.engine import NamedModel, Place
from olmv.predict.options import PredictJob
from olmv.predictions import VideoPrediction
from olmv.scoring.options import ScoreOptions
from olmv.scoring.thresholds import Thresholds
from olmv.scoring.windows import TimelineOptions
from olmv.stream import PartStore, embedded_parts, make_scorer, predictions
from olmv.video.options import DecodeOptions
from olmv.video_scores import PartScores

__all__ = ["PredictWorker", "RayPredictor"]

_MOST = 32  # videos of a block


class RayPredictor:
    """Predicts on Ray, see `olmv.predict.engine.PredictEngine`.

    Args:
        engine: open.
    """

    def __init__(self, engine: RayEngine) -> None:
        self._engine = engine
        self.served: NamedModel | None = None

    def choose_model(self, job: PredictJob) -> tuple[str, str | None]:
        """Return the model that is chosen without a cluster, too."""
        return chosen_model(job.model)

    def place(self, options: PlacementOptions) -> Place:
        """Choose device, dtype and runtime as an actor would."""
        place = self._engine.placement(options)
        return place.device.type, place.dtype_name, place.runtime

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
        thresholds: Thresholds | None = None,
        timeline: TimelineOptions | None = None,
        store: PartStore | None = None,
        embeddings: bool = False,
        **listening: Any,
    ) -> Iterator[VideoPrediction]:
        """Yield the prediction of every video, those of a block when it is done; nothing is told of what goes on."""
        model_info(model)  # a name that there is not is told before actors are started
        place = self._engine.placement(placement)
        arguments = {
            "model": model,
            "vocabulary": vocabulary,
            "device": str(place.device),
            "dtype": place.dtype_name,
            "runtime": placement.runtime,
            "batch_size": batch_size,
            "decode": replace(decode, workers=self._engine.workers),
            "score": score,
            "thresholds": thresholds,
            "timeline": timeline,
            "embeddings": embeddings,
        }
        blocks = blocks_of(videos, actors=self._engine.actors, most=_MOST)
        for _, results in self._engine.map(blocks, PredictWorker, arguments):
            for prediction, parts in results:
                if store is not None:
                    for part in parts:
                        store.add(prediction.video, part)
                yield prediction


class PredictWorker:
    """Predicts in an actor; the arguments are those of `RayPredictor.stream`."""

    def __init__(
        self,
        *,
        model: str,
        vocabulary: Vocabulary,
        device: str,
        dtype: str,
        runtime: str,
        batch_size: int | None,
        decode: DecodeOptions,
        score: ScoreOptions,
        thresholds: Thresholds | None,
        timeline: TimelineOptions | None,
        embeddings: bool,
    ) -> None:
        self._classifier = classifier = Classifier.from_pretrained(model, device=device, dtype=dtype, runtime=runtime)
        self._decode, self._timeline = decode, timeline
        self._decoding = ActorDecoding(classifier.model.preprocess, decode)  # its processes start meanwhile
        self._batch_size = batch_size or classifier.default_batch_size
        self._scorer = make_scorer(
            classifier.model, vocabulary, decode, score, thresholds=thresholds, timeline=timeline, embeddings=embeddings
        )
        texts = build_texts(vocabulary, score.templates or classifier.model.templates)
        self._bank = classifier.text_bank(texts, mode=score.mode)

    def work(
        self, paths: Sequence[str], error: VideoError | None = None
    ) -> list[tuple[VideoPrediction, list[PartScores]]]:
        """Return the prediction of each video, and of a timeline the scores of its parts."""
        model, store = self._classifier.model, _Parts()
        results = []
        with self._decoding.loader(paths, error) as loader:
            parts = embedded_parts(loader, model, self._decode, timeline=self._timeline, batch_size=self._batch_size)
            for prediction in predictions(parts, self._scorer, self._bank, store=store):
                if prediction.embedding is not None:
                    prediction = replace(prediction, embedding=prediction.embedding.cpu())
                results.append((prediction, store.take() if self._timeline is not None else []))
        return results

    def finish(self, block: int, results: list[Any]) -> list[Any]:
        """Return them as they are."""
        return results


class _Parts:
    """Takes the parts of the video at hand, see `PartStore`."""

    def __init__(self) -> None:
        self._parts: list[PartScores] = []

    def parts_of(self, video: str) -> Sequence[PartScores]:
        """Return none: a block is done as a whole."""
        return ()

    def add(self, video: str, part: PartScores) -> None:
        """Keep one more."""
        self._parts.append(part)

    def take(self) -> list[PartScores]:
        """Return what was kept, and forget it."""
        parts, self._parts = self._parts, []
        return parts
