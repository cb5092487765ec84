"""`olmv caption` on Ray: actors caption frames or see labels, the driver has sentences made and writes the rows."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from typing import Any

from olmv.caption.frame_captions import CaptionedVideo, caption_frames
from olmv.caption.frame_labels import FrameLabels
from olmv.caption.from_labels import LabelWords
from olmv.caption.loading import default_batch, load_classifier, open_captioner
from olmv.cluster.engine import blocks_of
from olmv.cluster.predict import RayPredictor
from olmv.errors import VideoError
from olmv.labels.vocabulary import Vocabulary
from olmv.placement import PlacementOptions
from olmv.video.decode import VideoFrames
from olmv.video.options import DecodeOptions

__all__ = ["CaptionWorker", "RayCaptioner"]

_MOST = 16  # videos of a block


class RayCaptioner(RayPredictor):
    """Captions on Ray, see `olmv.caption.engine.CaptionEngine`.

    Args:
        engine: open.
    """

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
        words: LabelWords | None,
    ) -> Iterator[CaptionedVideo]:
        """Yield the captions of the frames of every video, those of a block when it is done."""
        arguments = {
            "captioner": captioner,
            "options": dict(options),
            "model": model,
            "placement": placement,
            "decode": replace(decode, workers=self._engine.workers),
            "vocabulary": vocabulary,
            "words": words,
        }
        blocks = blocks_of(list(videos), actors=self._engine.actors, most=_MOST)
        for _, results in self._engine.map(blocks, CaptionWorker, arguments):
            yield from results


class CaptionWorker:
    """Captions frames in an actor; the arguments are those of `RayCaptioner.frames`."""

    def __init__(
        self,
        *,
        captioner: str,
        options: Mapping[str, str],
        model: str | None,
        placement: PlacementOptions,
        decode: DecodeOptions,
        vocabulary: Vocabulary | None,
        words: LabelWords | None,
    ) -> None:
        classifier = None if model is None else load_classifier(model, placement, compares=False)
        self._stack = ExitStack()
        self._source: Callable[[Iterable[str]], Iterator[CaptionedVideo]]
        if classifier is not None and vocabulary is not None and words is not None:
            self._source = FrameLabels(classifier, vocabulary, words, decode, placement.batch_size)
            return
        self._source = partial(
            caption_frames,
            captioner=open_captioner(captioner, placement, options, self._stack),
            batch_size=placement.batch_size or default_batch(placement),
            decode=decode,
            embed=None if classifier is None else classifier.embed_video,
        )

    def work(self, paths: Sequence[str], error: VideoError | None = None) -> list[CaptionedVideo]:
        """Return the captions of each video, without its pixels."""
        if error is not None:
            return [CaptionedVideo(VideoFrames(index=0, path=path, error=error), []) for path in paths]
        return [
            replace(
                captioned,
                video=replace(captioned.video, pixels=None, thumbnails=[], thumbnail_times_s=[]),
                embedding=None if captioned.embedding is None else captioned.embedding.cpu(),
            )
            for captioned in self._source(paths)
        ]

    def finish(self, block: int, results: list[CaptionedVideo]) -> list[Any]:
        """Return them as they are."""
        return results
