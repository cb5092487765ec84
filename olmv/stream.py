"""From decoded frames to predictions: parts of videos are encoded together, scored, and put together again."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Protocol, cast

from olmv.labels.vocabulary import Vocabulary
from olmv.models.base import VideoModel
from olmv.models.embed import embed_windows
from olmv.predictions import VideoPrediction
from olmv.scorer import EmbeddedPart, VideoScorer
from olmv.scoring.bank import TextBank
from olmv.scoring.options import FramePooling, ScoreOptions
from olmv.scoring.prompted import PromptedBank
from olmv.scoring.thresholds import Thresholds, leaves_for, thresholds_for
from olmv.scoring.windows import TimelineOptions, Windows, clip_windows, shot_windows, whole
from olmv.video.decode import VideoFrames
from olmv.video.options import DecodeOptions
from olmv.video.workers.loader import FrameLoader
from olmv.video_scores import PartScores, VideoScores

__all__ = [
    "PartStore",
    "embed_parts",
    "embedded_parts",
    "first_parts",
    "make_scorer",
    "predictions",
    "scored_parts",
    "windows_of",
]


class PartStore(Protocol):
    """Keeps the scores of the parts of videos that are not done, so that a run which was killed goes on there."""

    def parts_of(self, video: str) -> Sequence[PartScores]:
        """Return the parts that are done, from the first on without a gap."""

    def add(self, video: str, part: PartScores) -> None:
        """Keep one more."""


def embedded_parts(
    loader: FrameLoader,
    model: VideoModel,
    decode: DecodeOptions,
    *,
    timeline: TimelineOptions | None = None,
    batch_size: int,
) -> Iterator[EmbeddedPart]:
    """Yield every part of the videos of a loader, embedded; several parts and videos go through the model together.

    Args:
        loader: gives the videos, in parts.
        model: that encodes.
        decode: how the loader decodes.
        timeline: its windows; None for those of a video that is looked at as a whole.
        batch_size: frames per forward pass.
    """
    for batch in loader.batches(batch_size):
        yield from embed_parts([(video, decode, timeline) for video in batch], model, batch_size=batch_size)


def embed_parts(
    parts: Sequence[tuple[VideoFrames, DecodeOptions, TimelineOptions | None]], model: VideoModel, *, batch_size: int
) -> Iterator[EmbeddedPart]:
    """Yield parts of videos, embedded together, in order.

    Args:
        parts: with how each was decoded, and the windows over its moments (None: it is looked at as a whole).
        model: that encodes.
        batch_size: frames per forward pass.
    """
    good = [
        (video, windows_of(video, model, decode, timeline))
        for video, decode, timeline in parts
        if video.pixels is not None
    ]
    embedded = iter(
        embed_windows(
            model,
            [video.tensor for video, _ in good],
            [[video.pixel_rows[moments] for moments in windows.moments] for video, windows in good],
            batch_size=batch_size,
        )
    )
    own = iter(good)
    for video, *_ in parts:
        if video.pixels is None:
            yield EmbeddedPart(video, whole(0), (), 0)
        else:
            yield EmbeddedPart(video, next(own)[1], next(embedded), len(video.pixels))


def predictions(
    parts: Iterable[EmbeddedPart],
    scorer: VideoScorer,
    bank: TextBank | PromptedBank,
    *,
    store: PartStore | None = None,
    advanced: Callable[[int, int], None] = lambda done, total: None,
    together: int = 1,
) -> Iterator[VideoPrediction]:
    """Yield the prediction of every video, in order.

    Args:
        parts: of the videos, those of one video in a row.
        scorer: of the model that embedded them.
        bank: the texts.
        store: has what was done of them before, and takes what is done now.
        advanced: called with (done, all) parts of a video that has several.
        together: windows that are scored at once, at least one part: more is faster where parts need not be waited for.
    """
    scores: VideoScores | None = None
    for embedded, part in scored_parts(parts, scorer, bank, together=together):
        video = embedded.video
        if scores is None:
            scores = VideoScores(explained=scorer.explained)
            for earlier in store.parts_of(video.path)[: video.part] if store is not None else ():
                scores.add(earlier)
        if store is not None:
            store.add(video.path, part)
        scores.add(part)
        if part.parts > 1:
            advanced(part.part + 1, part.parts)
        if part.is_last:
            yield scorer.decide(video.path, scores, bank)
            scores = None


def scored_parts(
    parts: Iterable[EmbeddedPart], scorer: VideoScorer, bank: TextBank | PromptedBank, *, together: int
) -> Iterator[tuple[EmbeddedPart, PartScores]]:
    """Yield every part with its scores, in order; see `predictions`."""
    for group in _groups(parts, together):
        scores = scorer.score_parts(group, bank, together=together if together > 1 else None)
        yield from zip(group, scores, strict=True)


def _groups(parts: Iterable[EmbeddedPart], windows: int) -> Iterator[list[EmbeddedPart]]:
    """Put parts together until they have so many windows."""
    group: list[EmbeddedPart] = []
    count = 0
    for part in parts:
        group.append(part)
        count += max(len(part.embeddings), 1)
        if count >= windows:
            yield group
            group, count = [], 0
    if group:
        yield group


def make_scorer(
    model: VideoModel,
    vocabulary: Vocabulary,
    decode: DecodeOptions,
    score: ScoreOptions,
    *,
    thresholds: Thresholds | None = None,
    timeline: TimelineOptions | None = None,
    embeddings: bool = False,
) -> VideoScorer:
    """Make what scores the videos of a run.

    Raises:
        UsageError: an option is out of range, or the model is made for another number of frames.
    """
    frame_pooling = score.frame_pooling or cast(FramePooling, model.frame_pooling)
    replace(score, frame_pooling=frame_pooling).check()
    if decode.every_s is None:
        model.check_frames(decode.frames)
    if timeline is not None:
        timeline.check()
    limits = thresholds_for(vocabulary, thresholds=thresholds, threshold=score.threshold)
    return VideoScorer(
        model=model,
        labels=vocabulary.names,
        thresholds=limits,
        leaves=leaves_for(vocabulary, limits, thresholds=thresholds, threshold=score.threshold) or None,
        options=score,
        frame_pooling=frame_pooling,
        embeddings=embeddings,
        scaler=None if thresholds is None else thresholds.scaler(vocabulary.names),
        timeline=timeline,
    )


def windows_of(
    video: VideoFrames, model: VideoModel, decode: DecodeOptions, timeline: TimelineOptions | None
) -> Windows:
    """Return the windows in which a part of a video is looked at."""
    count = len(video.times_s)
    if timeline is not None and decode.every_s is not None and video.shots is not None:
        cuts = video.shots.cuts_s
        return shot_windows(video.times_s, video.span_s, cuts, every_s=decode.every_s, options=timeline)
    if decode.every_s is not None and count > model.default_frames:
        return clip_windows(count, model.default_frames)
    return whole(count)


def first_parts(store: PartStore, paths: Iterable[str]) -> dict[int, int]:
    """Return, by the place of a path, with which part a run goes on where it is not the first.

    Of a video whose parts are all done, the last one is done again: its row was not written.
    """
    begun = {place: store.parts_of(path) for place, path in enumerate(paths)}
    return {place: len(parts) - parts[-1].is_last for place, parts in begun.items() if parts}
