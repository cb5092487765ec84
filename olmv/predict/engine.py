"""What predicts in other processes than the job's own."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from olmv.labels.vocabulary import Vocabulary
from olmv.placement import PlacementOptions
from olmv.predictions import VideoPrediction
from olmv.scoring.options import ScoreOptions
from olmv.scoring.windows import TimelineOptions
from olmv.video.options import DecodeOptions

if TYPE_CHECKING:
    from olmv.devices import Placement
    from olmv.scoring.thresholds import Thresholds
    from olmv.stream import PartStore

__all__ = ["PredictEngine"]


class PredictEngine(Protocol):
    """Predicts elsewhere, see `olmv.cluster.predict`."""

    def placement(self, options: PlacementOptions) -> "Placement":
        """Choose device and dtype there."""

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
