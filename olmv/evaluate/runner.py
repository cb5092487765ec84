"""Logits of every video, view and label of a benchmark, kept on disk as they come: a killed run goes on.

DIR/scores.npy    float32 [N, V, C]; NaN where a video failed or is still to do
DIR/videos.jsonl  one row per finished video; DIR/videos.jsonl.run.json has the settings it belongs to
"""

import errno
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from olmv.classifier import Classifier
from olmv.datasets.benchmarks.registry import Benchmark
from olmv.errors import OutputError
from olmv.evaluate.views import ViewReader, Views
from olmv.io.atomic import reserve
from olmv.io.run_journal import RunJournal
from olmv.labels.texts import LabelTexts
from olmv.library.source import StoredVideos
from olmv.predictions import Failure
from olmv.progress import JobListener
from olmv.scorer import VideoScorer
from olmv.scoring.bank import TextBank
from olmv.scoring.drift import bank_note
from olmv.scoring.logits import sigmoid
from olmv.scoring.options import FramePooling, Mode, Pooling, ScoreOptions
from olmv.scoring.prompted import PromptedBank
from olmv.scoring.score import score_clips
from olmv.stream import scored_parts
from olmv.video.decode import VideoFrames
from olmv.video.options import DecodeOptions
from olmv.video.workers.loader import FrameLoader, batches
from olmv.video_scores import VideoScores

__all__ = ["Draw", "Scoring", "predicted", "score_benchmark"]

Draw = Callable[[Iterable[int]], Iterator[VideoFrames]]
"""Makes the videos of these indices where there are no files to decode."""

SCORES = "scores.npy"
VIDEOS = "videos.jsonl"
_TOGETHER = 256  # windows of a library that are scored at once
_SHOWN = 5  # labels named in a video's row where one is true


@dataclass(frozen=True)
class Scoring:
    """How videos are scored; part of what a result says of itself.

    Attributes:
        views: what the model sees of a video.
        mode: `single-label` logits are scale * similarity; `multi-label` ones have a bias or a background.
        pooling, frame_pooling: as `olmv predict`.
        thresholds: [C], of the labels named in a video's row; multi-label only.
        decode: as `olmv predict`; the views say how many frames.
        batch_size: frames per forward pass; None for the model's default.
    """

    views: Views
    mode: Mode
    pooling: Pooling = "mean"
    frame_pooling: FramePooling = "mean"
    thresholds: tuple[float, ...] = ()
    decode: DecodeOptions = DecodeOptions()
    batch_size: int | None = None


@dataclass(frozen=True)
class _Look:
    """What was looked at of a video, or why nothing was."""

    error: Failure | None
    decoded: int
    corrupt: int

    @classmethod
    def of(cls, video: VideoFrames) -> "_Look":
        error = None if video.error is None else Failure(type(video.error).__name__, str(video.error))
        return cls(error, video.decoded, video.corrupt)


Scored = tuple[int, _Look, NDArray[np.float32] | None]
"""The index of a video, what was looked at, and its logits [V, C] where it could be scored."""


def score_benchmark(
    folder: Path,
    benchmark: Benchmark,
    classifier: Classifier,
    texts: LabelTexts,
    scoring: Scoring,
    *,
    settings: Mapping[str, Any],
    resume: bool,
    listener: JobListener,
    draw: Draw | None = None,
    stored: StoredVideos | None = None,
) -> tuple[NDArray[np.float32], list[dict[str, Any]]]:
    """Score what is not scored yet.

    Args:
        folder: where scores and rows are kept.
        benchmark: the videos, and what is true of them.
        classifier: the model.
        texts: of the benchmark's labels.
        scoring: how.
        settings: everything that a score depends on; another run with others is refused.
        resume: go on with what is there; False starts over.
        listener: is told how far it is.
        draw: where there are no files to decode.
        stored: has the videos, which are not decoded then.

    Returns:
        Scores [N, V, C], mapped from the disk, and a row for every video, in order.

    Raises:
        OutputError: the folder cannot be written, or the disk is full; what is there is kept.
        UsageError: it holds scores with other settings.
    """
    shape = (len(benchmark.videos), scoring.views.count, len(benchmark.labels))
    with RunJournal(folder / VIDEOS, settings, resume=resume, check=_check_row) as journal:
        total = len(benchmark.videos)
        todo = [index for index, video in enumerate(benchmark.videos) if video not in journal.done]
        listener.started(total=total, done=total - len(todo))
        journal.begin()
        scores = _mapped(folder / SCORES, shape, new=not journal.done)
        if todo:
            bank = classifier.text_bank(
                texts, mode=scoring.mode, progress=partial(listener.advanced, stage="label texts")
            )
            if (note := bank_note(texts, bank)) is not None:
                listener.note(note)
            if stored is not None:
                scored = _stored(stored, benchmark, todo, classifier, bank, scoring)
            else:
                videos = draw(todo) if draw is not None else _decoded(benchmark, todo, classifier, scoring)
                scored = _scored(videos, todo, classifier, bank, scoring)
            for done, (index, look, logits) in enumerate(scored, start=total - len(todo) + 1):
                scores[index] = np.nan if logits is None else logits  # before the row that says it is done
                journal.append(_row(benchmark, index, look, logits, scoring))
                listener.advanced(done, total)
            scores.flush()
        journal.check_complete(benchmark.videos)
        places = journal.offsets()
        rows = [journal.row_at(places[video]) for video in benchmark.videos]
    return scores, rows


def predicted(logits: NDArray[np.float32], labels: tuple[str, ...], scoring: Scoring) -> list[str]:
    """Return what a row names, from logits [V, C]: labels at or above their thresholds, or the best few; best first."""
    mean = logits.astype(np.float64).mean(0)
    order = np.argsort(-mean, kind="stable")
    if scoring.mode == "multi-label" and scoring.thresholds:
        probability = sigmoid(mean)
        return [labels[i] for i in order if probability[i] >= scoring.thresholds[i]]
    return [labels[i] for i in order[:_SHOWN]]


def _decoded(benchmark: Benchmark, todo: list[int], classifier: Classifier, scoring: Scoring) -> Iterator[VideoFrames]:
    loader = FrameLoader(
        [benchmark.videos[index] for index in todo],
        preprocess=classifier.model.preprocess,
        prefetch=max(2, 16 // scoring.views.count),
        decode=ViewReader(scoring.views),
        options=replace(scoring.decode, frames=scoring.views.frames),
    )
    with closing(loader):
        yield from loader.start()


def _scored(
    videos: Iterator[VideoFrames],
    todo: list[int],
    classifier: Classifier,
    bank: TextBank | PromptedBank,
    scoring: Scoring,
) -> Iterator[Scored]:
    size = scoring.batch_size or classifier.default_batch_size
    for batch in batches(videos, size):
        good = [video for video in batch if video.pixels is not None]
        clips = [clip for video in good for clip in _clips(video, scoring.views.count)]
        embedded = iter(classifier.embed_clips(clips, batch_size=size))
        for video in batch:
            if video.pixels is None:
                yield todo[video.index], _Look.of(video), None
                continue
            views = [next(embedded) for _ in range(scoring.views.count)]
            _, logits = score_clips(
                classifier.model,
                views,
                bank,
                mode=scoring.mode,
                pooling=scoring.pooling,
                frame_pooling=scoring.frame_pooling,
            )
            yield todo[video.index], _Look.of(video), logits.float().cpu().numpy()


def _stored(
    stored: StoredVideos,
    benchmark: Benchmark,
    todo: list[int],
    classifier: Classifier,
    bank: TextBank | PromptedBank,
    scoring: Scoring,
) -> Iterator[Scored]:
    """Score videos of a library: of a long one each label's best window, as `olmv predict` does."""
    scorer = VideoScorer(
        model=classifier.model,
        labels=benchmark.labels,
        thresholds=(),
        options=ScoreOptions(mode=scoring.mode, pooling=scoring.pooling),
        frame_pooling=scoring.frame_pooling,
    )
    parts = stored.parts([benchmark.videos[index] for index in todo], classifier.model, stored.settings.decode)
    scores = VideoScores()
    for embedded, part in scored_parts(parts, scorer, bank, together=_TOGETHER):
        scores.add(part)
        if part.is_last:
            counts, logits = scores.frames, scores.logits
            failed = scores.error is not None or logits is None
            look = _Look(scores.error, counts.decoded, counts.corrupt)
            yield (
                todo[embedded.video.index],
                look,
                None if failed or logits is None else logits[None].astype(np.float32),
            )
            scores = VideoScores()


def _clips(video: VideoFrames, views: int) -> tuple[Tensor, ...]:
    """Part a video's frames into its views: [V * T, 3, S, S] -> V x [T, 3, S, S]."""
    return video.tensor.chunk(views) if views > 1 else (video.tensor,)


def _row(
    benchmark: Benchmark, index: int, look: _Look, logits: NDArray[np.float32] | None, scoring: Scoring
) -> dict[str, Any]:
    truth = benchmark.truth[index]
    names = [benchmark.labels[label] for label in truth]
    row: dict[str, Any] = {
        "video": benchmark.videos[index],
        "status": "ok" if look.error is None else "error",
        "error": None if look.error is None else {"type": look.error.type, "message": look.error.message},
        "frames": {"decoded": look.decoded, "corrupt": look.corrupt},
        "truth": names,
        "predicted": [] if logits is None else predicted(logits, benchmark.labels, scoring),
    }
    if len(set(benchmark.labels)) < len(benchmark.labels):  # two videos of MSR-VTT may have the same sentence
        row["truth_index"] = list(truth)
    return row


def _check_row(row: Mapping[str, Any]) -> None:
    """Raise ValueError for a row that lacks what is read of it."""
    for name, kind in (("status", str), ("frames", dict), ("truth", list), ("predicted", list)):
        if not isinstance(row.get(name), kind):
            raise ValueError(f"its '{name}' is missing or odd")  # noqa: TRY004 - the file's fault


def _mapped(path: Path, shape: tuple[int, ...], *, new: bool) -> Any:
    """Map the array on disk; filled with NaN where it is new."""
    try:
        if not new:
            reserve(path)  # a copy of it may have holes
            there = np.load(path, mmap_mode="r+", allow_pickle=False)
            if there.shape == shape and there.dtype == np.float32:
                return there
            reason = f"it has the shape {there.shape}, not {shape}"
        else:
            scores = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=shape)
            reserve(path)
            scores[...] = np.nan
            return scores
    except (OSError, ValueError) as error:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            if new:
                path.unlink(missing_ok=True)
            raise OutputError(
                f"cannot use {path}: the disk is full, it needs {4 * math.prod(shape):,} bytes; make room, or choose "
                "another output",
                option="output",
            ) from None
        reason = str(error)
    raise OutputError(f"cannot use {path}: {reason}; start over, or choose another output", option=("resume", "output"))
