"""From an evaluation's options to what is scored: benchmark, label texts, thresholds, and the settings behind them."""

import hashlib
import importlib.metadata
import platform
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import olmv
from olmv.datasets.benchmarks.registry import (
    Benchmark,
    BenchmarkOptions,
    LabelStyle,
    load_benchmark,
    load_few_shot_training,
    write_train_manifest,
)
from olmv.errors import UsageError
from olmv.evaluate.options import EvaluateJob
from olmv.labels.attributes import AttributeBook
from olmv.labels.texts import Kind, LabelTexts, build_texts
from olmv.labels.vocabulary import Vocabulary
from olmv.scoring.thresholds import Thresholds, thresholds_for

if TYPE_CHECKING:
    from olmv.classifier import Classifier
    from olmv.evaluate.runner import Draw, Scoring
    from olmv.library.source import StoredVideos
    from olmv.video.decode import VideoFrames

__all__ = [
    "digest",
    "drawing",
    "label_texts",
    "open_benchmark",
    "open_stored",
    "probability_thresholds",
    "settings_of",
    "unseen_labels",
    "versions",
    "write_training",
]


def open_benchmark(job: EvaluateJob, style: LabelStyle) -> tuple[Benchmark, Vocabulary | None]:
    """Open the videos with what is true of them; and the vocabulary, if the user gave one."""
    vocabulary = None if job.labels is None else Vocabulary.load(job.labels)
    if job.protocol == "moji":
        from olmv.moji.benchmark import CLIPS, SEED, moji_benchmark

        if job.views != "uniform":
            raise UsageError("moji clips are drawn, not decoded; leave the views out", option="views")
        return moji_benchmark(clips=job.clips or CLIPS, seed=SEED if job.seed is None else job.seed), None
    if job.data is None:
        raise UsageError(f"{job.protocol} needs its data; name its folder", option="data")
    return load_benchmark(job.protocol, job.data, options=_options(job, style, vocabulary)), vocabulary


def open_stored(job: EvaluateJob) -> "StoredVideos":
    """Open the library of a job, which says itself how its videos were sampled.

    Raises:
        UsageError: other views or frames are asked for.
        InputError: there is no library, or it has no videos.
    """
    from olmv.library.source import StoredVideos

    assert job.library is not None
    stored = StoredVideos.open([job.library])
    stored.decode_options(frames=job.frames)
    if job.views != "uniform":
        raise UsageError(
            f"{job.library} has one look at a video, not the views '{job.views}'; leave them out", option="views"
        )
    return stored


def _options(job: EvaluateJob, style: LabelStyle, vocabulary: Vocabulary | None = None) -> BenchmarkOptions:
    return BenchmarkOptions(
        label_style=style,
        lists=job.lists,
        shots=job.shots,
        seed=job.seed,
        labels=vocabulary,
        unseen=unseen_labels(job),
        split=job.split,
        allow_unknown=job.allow_unknown,
    )


def write_training(job: EvaluateJob, folder: Path, style: LabelStyle) -> str:
    """Write the few videos to train on, drawn with the seed, as a manifest for `olmv train`; return a note of it."""
    path = folder / "train.jsonl"
    write_train_manifest(load_few_shot_training(job.protocol, job.data, options=_options(job, style)), path)
    return f"the videos to fine-tune on are in {path}; train on them, then evaluate the resulting model"


def unseen_labels(job: EvaluateJob) -> tuple[str, ...]:
    """Return the labels of the group `unseen`; none by default."""
    return () if job.unseen is None else Vocabulary.load(job.unseen).names


def probability_thresholds(
    job: EvaluateJob, benchmark: Benchmark, vocabulary: Vocabulary | None
) -> tuple[tuple[float, ...], tuple[str, ...]]:
    """Return a threshold for each label's own probability, none where one label is true; and notes on them."""
    if benchmark.kind != "multi-label":
        if job.thresholds is not None:
            raise UsageError(
                f"{job.protocol} has one true label a video; thresholds are for multi-label protocols",
                option="thresholds",
            )
        return (), ()
    words = vocabulary or Vocabulary.from_names(benchmark.labels)
    if job.thresholds is None:
        return tuple(thresholds_for(words)), ()
    fitted = Thresholds.load(job.thresholds)
    # of the model's own probability, which the figures are about; a scaling changes no decision
    raw = {label: fitted.entry(label).threshold for label in fitted}
    return tuple(thresholds_for(words, thresholds=raw)), tuple(fitted.notes_for(words, model=job.model))


def label_texts(
    benchmark: Benchmark, vocabulary: Vocabulary | None, book: AttributeBook | None, templates: str | Sequence[str]
) -> LabelTexts:
    """Build the texts of the benchmark's labels; sentences of retrieval stay as they are."""
    if benchmark.kind == "retrieval":  # sentences as they are; two videos may have the same one
        numbers = tuple(range(len(benchmark.labels)))
        kinds: list[Kind] = ["name"] * len(numbers)
        return LabelTexts(
            labels=benchmark.labels,
            phrases=benchmark.labels,
            label_of_phrase=numbers,
            kind_of_phrase=tuple(kinds),
            texts=benchmark.labels,
            phrase_of_text=numbers,
            templates=("{}",),
        )
    words = vocabulary or Vocabulary.from_names(benchmark.labels)
    if words.names != benchmark.labels:
        raise UsageError("two labels of the data set read the same; rename one of them there")
    return build_texts(words if book is None else words.with_attributes(book), templates)


def drawing(job: EvaluateJob, benchmark: Benchmark, classifier: "Classifier", scoring: "Scoring") -> "Draw | None":
    """Return what draws the clips of `moji`; None where videos are decoded."""
    if job.protocol != "moji":
        return None
    from olmv.moji.benchmark import draw_clips

    def draw(indices: Iterable[int]) -> Iterator["VideoFrames"]:
        return draw_clips(benchmark, indices, frames=scoring.views.frames, size=classifier.model.preprocess.size)

    return draw


def settings_of(
    job: EvaluateJob,
    benchmark: Benchmark,
    classifier: "Classifier",
    scoring: "Scoring",
    templates: str | Sequence[str],
    stored: "StoredVideos | None" = None,
) -> dict[str, Any]:
    """Return every choice that a figure depends on, as the page shows it."""
    from olmv.models.fingerprint import digest_weights

    model, look = classifier.model, scoring.views.describe()
    if stored is not None:
        look |= {"sampling": stored.described, "library": stored.where}
    return {
        "protocol": benchmark.name,
        "model": model.name,
        "weights": digest_weights(model.state_dict().items())[:12],
        "temporal": model.temporal,
        "dtype": model.dtype_name,
        "device": model.device.type,
        "templates": "the sentences alone" if benchmark.kind == "retrieval" else templates,
        "attributes": None if job.attributes is None else job.attributes.name,
        "frames": scoring.views.frames,
        **look,
        "pooling": scoring.pooling,
        "frame pooling": scoring.frame_pooling,
        "probabilities": "one sigmoid a label" if scoring.mode == "multi-label" else "softmax over the labels",
        "thresholds": None if job.thresholds is None else job.thresholds.name,
        "decoder": scoring.decode.decoder,
        **benchmark.choices,
    }


def digest(values: Iterable[object]) -> str:
    """Return 16 hex digits that stand for these values in this order."""
    content = hashlib.sha256()
    for value in values:
        content.update(f"{value}\n".encode("utf-8", "surrogateescape"))
    return content.hexdigest()[:16]


def versions() -> Mapping[str, str]:
    """Return the version of every package that may move a figure."""
    versions = {"olmv": olmv.__version__, "python": platform.python_version()}
    for name in ("torch", "open_clip_torch", "transformers", "av", "numpy", "scikit-learn"):
        with suppress(importlib.metadata.PackageNotFoundError):
            versions[name] = importlib.metadata.version(name)
    return versions
