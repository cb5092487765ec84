"""What captions in other processes than the job's own."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from olmv.labels.vocabulary import Vocabulary
from olmv.placement import PlacementOptions
from olmv.predictions import VideoPrediction
from olmv.scoring.options import ScoreOptions
from olmv.video.options import DecodeOptions

if TYPE_CHECKING:
    from olmv.caption.frame_captions import CaptionedVideo
    from olmv.caption.from_labels import LabelWords

__all__ = ["CaptionEngine"]


class CaptionEngine(Protocol):
    """Captions elsewhere, see `olmv.cluster.caption`; videos come in any order."""

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
        embeddings: bool = False,
        **listening: Any,
    ) -> Iterator[VideoPrediction]:
        """Yield the labels of every video."""

    def frames(
        self,
        videos: Iterable[str],
        *,
        captioner: str,
        options: Mapping[str, str],
        model: str | None,
        placement: PlacementOptions,
        decode: DecodeOptions,
        vocabulary: Vocabulary | None,
        words: "LabelWords | None",
    ) -> Iterator["CaptionedVideo"]:
        """Yield the captions of the frames of every video: by a captioner, or with a vocabulary by `model`'s labels."""
