"""One `olmv evaluate` run: a benchmark and a model in, a result folder out; safe to kill and take up again."""

import hashlib
import importlib.metadata
import platform
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import olmv
from olmv.datasets.benchmarks.registry import (
    BENCHMARKS,
    Benchmark,
    BenchmarkOptions,
    LabelStyle,
    close_protocols,
    load_benchmark,
    load_few_shot_training,
    write_train_manifest,
)
from olmv.errors import OutputError, UsageError
from olmv.evaluate.results import Result, write_result
from olmv.labels.attributes import AttributeBook
from olmv.labels.texts import Kind, LabelTexts, build_texts
from olmv.labels.vocabulary import Vocabulary
from olmv.models.default import drawings_note
from olmv.scoring.thresholds import Thresholds, thresholds_for

if TYPE_CHECKING:
    from olmv.classifier import Classifier
    from olmv.evaluate.runner import Listener, Scoring
    from olmv.video.decode import VideoFrames

__all__ = ["PROTOCOLS", "EvaluateJob", "evaluate"]

PROTOCOLS: dict[str, str] = {
    **BENCHMARKS,
    "moji": "drawings with exact truth; needs no data",
    "predictions": "rows of olmv predict beside a manifest",
}
"""Protocol -> what it is, in one line."""


@dataclass(frozen=True)
class EvaluateJob:
    """What to evaluate; the options of prediction are those of `Classifier.predict`.

    Attributes:
        protocol: one of `PROTOCOLS`.
        data: where the data set lies; not for `moji`.
        truth: for `predictions`: a manifest that says what is true.
        model: name or folder.
        output: the result folder.
        labels: for `manifest`: the vocabulary; by default the labels that occur.
        attributes: an attribute book.
        unseen: for multi-label: the labels of the group `unseen`, as `Vocabulary.load` takes them.
        views: a preset of `olmv.evaluate.views`.
        lists: the user's own sample lists, in the place of a draw.
        shots: training videos a class, for few-shot protocols.
        split: of the manifest.
        allow_unknown: for `manifest` and `predictions`: go on where many true labels are not among those looked for.
        clips: for `moji`, how many to draw.
        seed: of a draw; None for the protocol's own.
    """

    protocol: str
    data: Path | None = None
    truth: Path | None = None
    model: str | None = None
    output: Path | None = None
    labels: str | None = None
    attributes: Path | None = None
    unseen: str | None = None
    views: str = "uniform"
    frames: int | None = None
    templates: str | None = None
    pooling: str = "mean"
    frame_pooling: str | None = None
    thresholds: Path | None = None
    lists: Path | None = None
    shots: int | None = None
    split: str | None = None
    allow_unknown: bool = False
    clips: int | None = None
    seed: int | None = None
    decoder: str = "auto"
    device: str = "auto"
    dtype: str = "auto"
    workers: int | None = None
    batch_size: int | None = None
    timeout_s: float = 60.0
    resume: bool = True


def evaluate(job: EvaluateJob, listener: "Listener") -> tuple[Path, Result]:
    """Do the job. Everything that can be checked is checked before the model is loaded.

    Returns:
        The result folder, and what stands in it.

    Raises:
        UsageError: an unknown protocol, or options that do not go with it.
        InputError: the data set's layout is not as expected; the message says what was looked for.
        OutputError: the folder cannot be written.
    """
    from olmv.evaluate.runner import Scoring, score_benchmark
    from olmv.evaluate.views import views_for
    from olmv.models.default import chosen_model
    from olmv.models.registry import frames_for
    from olmv.scoring.pooling import FRAME_POOLINGS, POOLINGS
    from olmv.scoring.probabilities import Mode

    if job.protocol not in PROTOCOLS:
        close = close_protocols(job.protocol, PROTOCOLS) or PROTOCOLS
        raise UsageError(f"no protocol '{job.protocol}'; choose from {', '.join(close)}")
    if job.protocol == "predictions":
        return _of_predictions(job, listener)
    model, note = chosen_model(job.model)
    if note is not None:
        listener.note(note)
    job = replace(job, model=model)
    views = views_for(job.views, job.protocol, frames_for(model, job.frames))
    benchmark, vocabulary = _benchmark(job, views.label_style)
    for name, value, choices in (
        ("pooling", job.pooling, POOLINGS),
        ("frame pooling", job.frame_pooling, FRAME_POOLINGS),
    ):
        if value is not None and value not in choices:
            raise UsageError(f"unknown {name} '{value}'; choose from {', '.join(choices)}")
    thresholds, remarks = _thresholds(job, benchmark, vocabulary)
    book = None if job.attributes is None else AttributeBook.load(job.attributes)
    folder = job.output or Path("runs") / benchmark.name
    _check_folder(folder)
    if job.protocol.endswith("-few-shot") and (job.shots or job.lists):
        remarks += (_write_training(job, folder, views.label_style),)
    for note in (*benchmark.notes, *remarks):
        listener.note(note)
    classifier = _classifier(job)
    if job.protocol != "moji" and (warning := drawings_note(classifier.model.name)) is not None:
        listener.note(warning)
    mode: Mode = "multi-label" if benchmark.kind == "multi-label" else "single-label"
    pooled = job.frame_pooling or views.frame_pooling or classifier.model.frame_pooling
    scoring = Scoring(
        views=views,
        mode=mode,
        pooling=job.pooling,  # type: ignore[arg-type]  # checked above
        frame_pooling=pooled,  # type: ignore[arg-type]
        thresholds=thresholds,
        decoder=job.decoder,
        workers=job.workers,
        batch_size=job.batch_size,
        timeout_s=job.timeout_s,
    )
    templates = job.templates or views.templates or classifier.model.templates
    texts = _texts(benchmark, vocabulary, book, templates)
    settings = _settings(job, benchmark, classifier, scoring, templates)
    kept = settings | {
        "texts": _digest(texts.texts),
        "videos": _digest(benchmark.videos),
        "truth": _digest(benchmark.truth),
        "values of thresholds": _digest(thresholds),  # the rows say what passes them
    }
    scores, rows = score_benchmark(
        folder,
        benchmark,
        classifier,
        texts,
        scoring,
        settings=kept,
        resume=job.resume,
        listener=listener,
        draw=_drawing(job, benchmark, classifier, scoring),
    )
    result = _measured(benchmark, scores, rows, views.combine, thresholds, classifier.model.name, settings, remarks)
    return folder, _write(folder, result, benchmark)


def _of_predictions(job: EvaluateJob, listener: "Listener") -> tuple[Path, Result]:
    """What `olmv predict` wrote, beside a manifest: nothing is decoded or encoded again."""
    from olmv.evaluate.from_predictions import benchmark_of

    if job.data is None or job.truth is None:
        raise UsageError("name the rows of olmv predict with --data, and what is true of the videos with --truth")
    benchmark, scores, rows, scored = benchmark_of(
        job.data, job.truth, unseen=_unseen(job), allow_unknown=job.allow_unknown
    )
    folder = job.output or Path("runs") / benchmark.name
    _check_folder(folder)
    for note in benchmark.notes:
        listener.note(note)
    thresholds = tuple(scored.threshold.tolist())
    settings = {"protocol": benchmark.name, "model": scored.model, **benchmark.choices}
    result = _measured(benchmark, scores, rows, "logits", thresholds, scored.model, settings, ())
    return folder, _write(folder, result, benchmark)


def _measured(
    benchmark: Benchmark,
    scores: Any,
    rows: Sequence[Mapping[str, Any]],
    combine: Literal["logits", "probabilities"],
    thresholds: tuple[float, ...],
    model: str,
    settings: Mapping[str, Any],
    remarks: tuple[str, ...],
) -> Result:
    from olmv.evaluate.measure import measure

    figures = measure(benchmark, scores, combine, thresholds)
    failed = sum(row["status"] != "ok" for row in rows)
    return Result(
        protocol=benchmark.name,
        kind=benchmark.kind,
        model=model,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        labels=benchmark.labels,
        videos=tuple(rows),
        metrics=figures.metrics,
        intervals=figures.intervals,
        classes=benchmark.classes,
        thresholds=thresholds,
        versions=_versions(),
        settings=settings,
        counts={"videos": len(rows), "failed": failed, "labels": len(benchmark.labels)},
        splits=tuple(figures.splits),
        groups=figures.groups,
        never=figures.never,
        always=figures.always,
        notes=(*benchmark.notes, *remarks),
        combine=combine,
        scores=scores,
    )


def _write(folder: Path, result: Result, benchmark: Benchmark) -> Result:
    from olmv.evaluate.page import write_result_page
    from olmv.evaluate.tables import label_table

    table = label_table(result, benchmark.groups)
    write_result(folder, result, table)
    write_result_page(folder, result, table)
    return result


def _benchmark(job: EvaluateJob, style: LabelStyle) -> tuple[Benchmark, Vocabulary | None]:
    """The videos with what is true of them; and the vocabulary, if the user gave one."""
    vocabulary = None if job.labels is None else Vocabulary.load(job.labels)
    if job.protocol == "moji":
        from olmv.moji.benchmark import CLIPS, SEED, moji_benchmark

        if job.views != "uniform":
            raise UsageError("moji clips are drawn, not decoded; leave --views out")
        return moji_benchmark(clips=job.clips or CLIPS, seed=SEED if job.seed is None else job.seed), None
    if job.data is None:
        raise UsageError(f"{job.protocol} needs its data; name its folder with --data")
    return load_benchmark(job.protocol, job.data, options=_options(job, style, vocabulary)), vocabulary


def _options(job: EvaluateJob, style: LabelStyle, vocabulary: Vocabulary | None = None) -> BenchmarkOptions:
    return BenchmarkOptions(
        label_style=style,
        lists=job.lists,
        shots=job.shots,
        seed=job.seed,
        labels=vocabulary,
        unseen=_unseen(job),
        split=job.split,
        allow_unknown=job.allow_unknown,
    )


def _write_training(job: EvaluateJob, folder: Path, style: LabelStyle) -> str:
    """The few videos to train on, drawn with the seed, as a manifest for `olmv train`."""
    path = folder / "train.jsonl"
    write_train_manifest(load_few_shot_training(job.protocol, job.data, options=_options(job, style)), path)
    return f"the videos to fine-tune on are in {path}; train on them, then evaluate the result with --model"


def _unseen(job: EvaluateJob) -> tuple[str, ...]:
    return () if job.unseen is None else Vocabulary.load(job.unseen).names


def _thresholds(
    job: EvaluateJob, benchmark: Benchmark, vocabulary: Vocabulary | None
) -> tuple[tuple[float, ...], tuple[str, ...]]:
    if benchmark.kind != "multi-label":
        if job.thresholds is not None:
            raise UsageError(f"{job.protocol} has one true label a video; thresholds are for multi-label protocols")
        return (), ()
    words = vocabulary or Vocabulary.from_names(benchmark.labels)
    if job.thresholds is None:
        return tuple(thresholds_for(words)), ()
    fitted = Thresholds.load(job.thresholds)
    # of the model's own probability, which the figures are about; a scaling changes no decision
    raw = {label: fitted.entry(label).threshold for label in fitted}
    return tuple(thresholds_for(words, thresholds=raw)), tuple(fitted.notes_for(words, model=job.model))


def _check_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot make {folder}: {error.strerror}; choose another folder with -o") from None


def _classifier(job: EvaluateJob) -> "Classifier":
    from olmv.classifier import Classifier

    return Classifier.from_pretrained(job.model, device=job.device, dtype=job.dtype)


def _texts(
    benchmark: Benchmark, vocabulary: Vocabulary | None, book: AttributeBook | None, templates: str
) -> LabelTexts:
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


def _drawing(job: EvaluateJob, benchmark: Benchmark, classifier: "Classifier", scoring: "Scoring") -> Any:
    if job.protocol != "moji":
        return None
    from olmv.moji.benchmark import draw_clips

    def draw(indices: Iterable[int]) -> Iterator["VideoFrames"]:
        return draw_clips(benchmark, indices, frames=scoring.views.frames, size=classifier.model.preprocess.size)

    return draw


def _settings(
    job: EvaluateJob, benchmark: Benchmark, classifier: "Classifier", scoring: "Scoring", templates: str
) -> dict[str, Any]:
    """Every choice that a figure depends on, as the page shows it."""
    from olmv.models.clip.towers import digest_weights

    model = classifier.model
    return {
        "protocol": benchmark.name,
        "model": model.name,
        "weights": digest_weights(model.state_dict().items())[:12],
        "temporal": model.temporal,
        "dtype": str(model.dtype).removeprefix("torch."),
        "device": model.device.type,
        "templates": "the sentences alone" if benchmark.kind == "retrieval" else templates,
        "attributes": None if job.attributes is None else job.attributes.name,
        "frames": scoring.views.frames,
        **scoring.views.describe(),
        "pooling": scoring.pooling,
        "frame pooling": scoring.frame_pooling,
        "probabilities": "one sigmoid a label" if scoring.mode == "multi-label" else "softmax over the labels",
        "thresholds": None if job.thresholds is None else job.thresholds.name,
        "decoder": scoring.decoder,
        **benchmark.choices,
    }


def _digest(values: Iterable[object]) -> str:
    digest = hashlib.sha256()
    for value in values:
        digest.update(f"{value}\n".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()[:16]


def _versions() -> Mapping[str, str]:
    found = {"olmv": olmv.__version__, "python": platform.python_version()}
    for name in ("torch", "open_clip_torch", "transformers", "av", "numpy", "scikit-learn"):
        found[name] = importlib.metadata.version(name)
    return found
