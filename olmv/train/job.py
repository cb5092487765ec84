"""`olmv train`: a config in, a run folder with a trained model out."""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from olmv.errors import InputError
from olmv.io.atomic import replacing_folder
from olmv.io.packages import installed
from olmv.models.clip.interpolation import interpolate
from olmv.models.default import drawings_note
from olmv.models.soft_attributes.module import SoftAttributes
from olmv.models.storage.label_embeddings import LabelEmbeddings
from olmv.models.storage.saving import save_pretrained
from olmv.progress import JobListener
from olmv.scoring.bank import TextBank
from olmv.train.card import model_card
from olmv.train.checkpoint import load_weights, save_tensors
from olmv.train.config import GUARD, TrainConfig
from olmv.train.continual.changes import Changes
from olmv.train.continual.earlier import EarlierSources
from olmv.train.continual.history import (
    History,
    TrainedLabels,
    begin_from,
    check_new_labels,
    read_figures,
    write_history,
)
from olmv.train.data.features import Clips
from olmv.train.data.sources import Labelled, open_sources
from olmv.train.run_folder import RunFolder
from olmv.train.setup import (
    make_accelerator,
    make_model,
    make_soft_attributes,
    open_features,
    original_weights,
    prepare_bias,
)
from olmv.train.sweep import Curve, sweep_ratios, write_curve
from olmv.train.trainable import Trainable, embedded_bank, label_bank, select_weights, unmixed_weights
from olmv.train.trainer import Trainer
from olmv.train.validation import macro_map, score_videos, top1

__all__ = ["TrainJob", "TrainSummary", "run"]

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainJob:
    """What to train and where.

    Attributes:
        config: the run.
        output: the run folder.
        resume: go on where an earlier run in the folder stopped; False deletes what it left.
    """

    config: TrainConfig
    output: Path
    resume: bool = True


@dataclass(frozen=True)
class TrainSummary:
    """What came of a run.

    Attributes:
        model: folder of the saved model.
        figures: of the validation sources with the saved weights.
        curve: of the ratio sweep, if there was one.
        last: of the last weights before averaging and mixing, where checkpoints were averaged.
        changes: what became of earlier labels, where the run added some to a tuned model.
    """

    model: Path
    figures: dict[str, float]
    curve: Curve | None
    last: dict[str, float] = field(default_factory=dict)
    changes: Changes | None = None


def run(job: TrainJob, listener: JobListener | None = None) -> TrainSummary | None:
    """Train; goes on where an earlier run of the config in the same folder stopped.

    Returns:
        None in all processes but the main one, and where the run had been finished before.

    Raises:
        UsageError: the folder holds another run; a setting does not fit the model or the data.
        TrainingError: the loss is no longer a number, or too many videos fail.
        InputError, ModelError, OutputError: data, weights or disk.
    """
    listener = listener or JobListener()
    config, earlier = begin_from(job.config, job.output)
    accelerator = make_accelerator(config, listener)
    main: bool = accelerator.is_main_process
    folder = RunFolder(job.output)
    if main and not job.resume:
        folder.clear()
    if main:
        folder.begin(config, device=str(accelerator.device))
    accelerator.wait_for_everyone()
    if folder.finished:
        listener.note(f"'{folder.path}' is finished; its model is {folder.model}; to train anew, start over")
        return None
    if main:
        for note in _missing(config):
            listener.note(note)
    torch.manual_seed(config.run.seed)  # new weights begin alike in every process and after a resume
    model = make_model(config, accelerator.device)
    templates = config.model.templates or model.templates
    training, validation = open_sources(
        config.data, preprocess=model.preprocess, templates=templates, seed=config.run.seed
    )
    labels = training.dataset.labels
    if earlier is not None and config.continual is not None:
        overlap = check_new_labels(earlier, labels, config.continual.run)
        if overlap is not None:
            listener.note(overlap)
        sources = EarlierSources(earlier, config, preprocess=model.preprocess, templates=templates)
        training = sources.replayed(training)
        validation |= sources.validation(listener.note)
    before = read_figures(folder) if earlier is not None else None
    this = TrainedLabels(str(job.output), config.run.seed, labels, config.data)
    history = History(config.model.name, (this,)) if earlier is None else replace(earlier, runs=(*earlier.runs, this))
    if main:
        write_history(folder, history, before=before)
        for note in dict.fromkeys(note for part in (training, *validation.values()) for note in part.dataset.notes):
            listener.note(note)
        if config.data.train.moji is None and (warning := drawings_note(history.model)) is not None:
            listener.note(warning)
    soft = make_soft_attributes(config, model)
    trainable = Trainable(
        model,
        frame_pooling=config.objective.frame_pooling,
        frozen_tower=config.model.train == "new",
        soft_attributes=soft,
    )
    bank = label_bank(model, training.texts)
    banks = {name: label_bank(model, source.texts) for name, source in validation.items()}
    videos, checked = open_features(config, model, training, validation, listener, accelerator)
    listener.note(
        f"{len(training.dataset)} training videos, {len(bank.labels)} labels, {accelerator.num_processes} process(es)"
    )
    prepare_bias(config, trainable, training, bank, known=folder.original.is_file())
    weights, new = select_weights(trainable, config.model.train)
    unmixed = unmixed_weights(trainable, new, own_module=config.model.temporal is None)
    original = original_weights(folder, weights, main=main)
    accelerator.wait_for_everyone()

    def validate() -> dict[str, float]:
        return _figures(trainable, validation, checked, banks, config)

    if earlier is not None and main and before is None:
        write_history(folder, history, before=(before := validate()))

    def changes_to(figures: Mapping[str, float]) -> Changes | None:
        if earlier is None:
            return None
        sources = {name: source.dataset.labels for name, source in validation.items()}
        return Changes.between(before or {}, figures, earlier=earlier.labels, new=labels, sources=sources)

    trainer = Trainer(
        config, trainable=trainable, weights=weights, new=new, unmixed=unmixed, original=original, dataset=videos,
        bank=bank, folder=folder, accelerator=accelerator, listener=listener,
        validate=validate if main and validation else None,
    )  # fmt: skip
    trainer.run()
    accelerator.wait_for_everyone()
    if not main:
        return None
    tuned = {n: w.detach().clone() for n, w in weights.items()}
    if trainer.average.count:
        tuned = {n: w.to(tuned[n].device, tuned[n].dtype) for n, w in trainer.average.weights.items()}
    summary = _finish(
        config, folder, trainable, [training, *validation.values()], weights, original, tuned, unmixed,
        validate if validation else None, listener, changes_to,
    )  # fmt: skip
    if summary.changes is not None:
        write_history(folder, history, before=before, after=summary.figures)
        for note in summary.changes.notes():
            listener.note(note)
    return summary


def _finish(
    config: TrainConfig,
    folder: RunFolder,
    trainable: Trainable,
    sources: Sequence[Labelled],
    weights: Mapping[str, nn.Parameter],
    original: Mapping[str, Tensor],
    tuned: Mapping[str, Tensor],
    unmixed: set[str],
    validate: Callable[[], dict[str, float]] | None,
    listener: JobListener,
    changes_to: Callable[[Mapping[str, float]], Changes | None],
) -> TrainSummary:
    """Choose the ratio, save curve and model."""
    trainable.eval()
    save_tensors(folder.path / "tuned.safetensors", tuned)
    averaged = config.regularization.swa_start is not None
    last = validate() if validate is not None and averaged else {}
    curve = None
    if config.sweep is not None and validate is not None:
        listener.note(f"measuring {len(config.sweep.ratios)} ratios between the original and the tuned model")
        seen = next(name for name in config.data.validation if name != GUARD)
        metric = "top1" if config.objective.label == "cross-entropy" else "map"
        curve = sweep_ratios(
            weights, original, tuned, validate, config.sweep, metric=metric, seen=seen, unmixed=unmixed
        )
        shown = write_curve(curve, folder.path)
        listener.note(f"ratio {curve.ratio:g} ({curve.rule}); the curve is {shown}")
        figures = curve.points[curve.ratio]
    else:
        ratio = config.sweep.ratio if config.sweep is not None else None
        load_weights(weights, interpolate(original, tuned, ratio or 0.0, unmixed=unmixed))
        figures = validate() if validate is not None else {}
    model = trainable.model
    model.templates = config.model.templates or model.templates
    model.frame_pooling = config.objective.frame_pooling
    changes = changes_to(figures)
    card = model_card(config, figures, curve, versions_file=folder.path / "versions.json", changes=changes)
    with replacing_folder(folder.model) as fresh:
        if trainable.soft_attributes is not None:
            # of validation too, so that the saved model gives the figures of its card
            model.label_embeddings = _label_embeddings(trainable.soft_attributes, sources)
            trainable.soft_attributes.save(fresh / "soft_attributes")
        save_pretrained(model, fresh, card=card, description=config.description)
    return TrainSummary(folder.model, figures, curve, last, changes)


def _missing(config: TrainConfig) -> list[str]:
    """Say what this run goes without for want of a package."""
    lost = {"tensorboard": "metrics.jsonl, but no tensorboard folder"}
    if config.sweep is not None:
        lost["matplotlib"] = "curve.json, but no curve.png"
    return [
        f"{package} is not installed: the run writes {what}; to have both: pip install 'olmv[train]'"
        for package, what in lost.items()
        if not installed(package)
    ]


def _figures(
    trainable: Trainable,
    sources: Mapping[str, Labelled],
    videos: Mapping[str, Clips],
    banks: Mapping[str, TextBank],
    config: TrainConfig,
) -> dict[str, float]:
    """Measure `SOURCE/map`, `SOURCE/top1` where only one label is true of a video, and `SOURCE/KIND_map`."""
    figures: dict[str, float] = {}
    if trainable.soft_attributes is not None:  # every label goes through the language model once
        soft = _label_embeddings(trainable.soft_attributes, sources.values())
        banks = {
            name: embedded_bank(bank.labels, soft.lookup(bank.labels)[1].to(trainable.model.device))
            for name, bank in banks.items()
        }
    for name, source in sources.items():
        size = 2 * config.optimizer.batch_size
        scores = score_videos(trainable, videos[name], banks[name], batch_size=size, workers=config.data.workers)
        if len(scores.targets) == 0:
            raise InputError(f"no video of the validation source '{name}' can be read; mend its paths")
        figures[f"{name}/map"] = macro_map(scores)
        if bool((scores.targets.sum(1) == 1).all()):
            figures[f"{name}/top1"] = top1(scores)
        figures |= {f"{name}/{kind}_map": macro_map(scores, columns) for kind, columns in source.groups.items()}
        if scores.failed:
            figures[f"{name}/failed"] = scores.failed
    return {k: v for k, v in figures.items() if v == v}


def _label_embeddings(soft: SoftAttributes, sources: Iterable[Labelled]) -> LabelEmbeddings:
    """Embed all labels of the sources with the present weights."""
    labels = tuple(dict.fromkeys(label for source in sources for label in source.texts.labels))
    return LabelEmbeddings(labels, soft.precompute(labels), soft.source)
