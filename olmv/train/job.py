"""`olmv train`: a config in, a run folder with a trained model out."""

import logging
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from olmv.errors import InputError, OutputError
from olmv.models.clip.interpolation import interpolate
from olmv.models.default import drawings_note
from olmv.models.soft_attributes.module import SoftAttributes
from olmv.models.storage.label_embeddings import LabelEmbeddings
from olmv.models.storage.saving import save_pretrained
from olmv.scoring.bank import TextBank
from olmv.train.card import model_card
from olmv.train.checkpoint import save_tensors
from olmv.train.config import GUARD, TrainConfig
from olmv.train.data.dataset import VideoDataset
from olmv.train.data.features import FeatureStore
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
from olmv.train.trainable import Trainable, embedded_bank, label_bank, select_weights
from olmv.train.trainer import Trainer, View, load_weights
from olmv.train.validation import macro_map, score_videos, top1

__all__ = ["TrainResult", "train"]

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainResult:
    """What came of a run.

    Attributes:
        model: folder of the saved model.
        figures: of the validation sources with the saved weights.
        curve: of the ratio sweep, if there was one.
        last: of the last weights before averaging and mixing, where checkpoints were averaged.
    """

    model: Path
    figures: dict[str, float]
    curve: Curve | None
    last: dict[str, float] = field(default_factory=dict)


def train(config: TrainConfig, output: str | Path, *, view: View, resume: bool = True) -> TrainResult | None:
    """Run a training config; goes on where an earlier run of it in the same folder stopped.

    Args:
        config: what to do.
        output: the run folder.
        view: who watches.
        resume: False deletes what an earlier run left in the folder.

    Returns:
        None in all processes but the main one, and where the run had been finished before.

    Raises:
        UsageError: the folder holds another run; a setting does not fit the model or the data.
        TrainingError: the loss is no longer a number, or too many videos fail.
        InputError, ModelError, OutputError: data, weights or disk.
    """
    accelerator = make_accelerator(config, view)
    main: bool = accelerator.is_main_process
    folder = RunFolder(output)
    if main and not resume:
        folder.clear()
    if main:
        folder.begin(config, device=str(accelerator.device))
    accelerator.wait_for_everyone()
    if folder.finished:
        view.say(f"'{folder.path}' is finished; its model is {folder.model} (start over with --no-resume)")
        return None
    torch.manual_seed(config.run.seed)  # new weights begin alike in every process and after a resume
    model = make_model(config, accelerator.device)
    training, validation = open_sources(
        config.data,
        preprocess=model.preprocess,
        templates=config.model.templates or model.templates,
        seed=config.run.seed,
    )
    if main:
        for note in dict.fromkeys(note for part in (training, *validation.values()) for note in part.dataset.notes):
            view.say(note)
        if config.data.train.moji is None and (warning := drawings_note(model.name)) is not None:
            view.say(warning)
    soft = make_soft_attributes(config, model)
    trainable = Trainable(
        model,
        frame_pooling=config.objective.frame_pooling,
        frozen_tower=config.model.train == "new",
        soft_attributes=soft,
    )
    bank = label_bank(model, training.texts)
    banks = {name: label_bank(model, source.texts) for name, source in validation.items()}
    videos, checked = open_features(config, model, training, validation, view, accelerator)
    view.say(
        f"{len(training.dataset)} training videos, {len(bank.labels)} labels, {accelerator.num_processes} process(es)"
    )
    prepare_bias(config, trainable, training, bank, known=folder.original.is_file())
    weights, new = select_weights(trainable, config.model.train)
    original = original_weights(folder, weights, main=main)
    accelerator.wait_for_everyone()

    def validate() -> dict[str, float]:
        return _figures(trainable, validation, checked, banks, config)

    trainer = Trainer(
        config, trainable=trainable, weights=weights, new=new, original=original, dataset=videos, bank=bank,
        folder=folder, accelerator=accelerator, view=view, validate=validate if main and validation else None,
    )  # fmt: skip
    trainer.run()
    accelerator.wait_for_everyone()
    if not main:
        return None
    tuned = {n: w.detach().clone() for n, w in weights.items()}
    if trainer.average.count:
        tuned = {n: w.to(tuned[n].device, tuned[n].dtype) for n, w in trainer.average.weights.items()}
    return _finish(
        config, folder, trainable, [training, *validation.values()], weights, original, tuned,
        validate if validation else None, view,
    )  # fmt: skip


def _finish(
    config: TrainConfig,
    folder: RunFolder,
    trainable: Trainable,
    sources: Sequence[Labelled],
    weights: Mapping[str, nn.Parameter],
    original: Mapping[str, Tensor],
    tuned: Mapping[str, Tensor],
    validate: Any,
    view: View,
) -> TrainResult:
    """Choose the ratio, save curve and model."""
    trainable.eval()
    save_tensors(folder.path / "tuned.safetensors", tuned)
    averaged = config.regularization.swa_start is not None
    last = validate() if validate is not None and averaged else {}
    curve = None
    if config.sweep is not None and validate is not None:
        view.say(f"measuring {len(config.sweep.ratios)} ratios between the original and the tuned model")
        seen = next(name for name in config.data.validation if name != GUARD)
        metric = "top1" if config.objective.label == "cross-entropy" else "map"
        curve = sweep_ratios(weights, original, tuned, validate, config.sweep, metric=metric, seen=seen)
        write_curve(curve, folder.path)
        view.say(f"ratio {curve.ratio:g} ({curve.rule}); the curve is {folder.path / 'curve.png'}")
        figures = curve.points[curve.ratio]
    else:
        ratio = config.sweep.ratio if config.sweep is not None else None
        load_weights(weights, interpolate(original, tuned, ratio or 0.0))
        figures = validate() if validate is not None else {}
    model = trainable.model
    model.templates = config.model.templates or model.templates
    model.frame_pooling = config.objective.frame_pooling
    staged = folder.path / ".model.tmp"
    shutil.rmtree(staged, ignore_errors=True)
    if trainable.soft_attributes is not None:
        # of validation too, so that the saved model gives the figures of its card
        model.label_embeddings = _label_embeddings(trainable.soft_attributes, sources)
        trainable.soft_attributes.save(staged / "soft_attributes")
    card = model_card(config, figures, curve, versions_file=folder.path / "versions.json")
    save_pretrained(model, staged, card=card, description=config.description)
    try:
        shutil.rmtree(folder.model, ignore_errors=True)
        staged.replace(folder.model)
    except OSError as error:
        raise OutputError(f"cannot write '{folder.model}': {error.strerror}") from None
    return TrainResult(folder.model, figures, curve, last)


def _figures(
    trainable: Trainable,
    sources: Mapping[str, Labelled],
    videos: Mapping[str, VideoDataset | FeatureStore],
    banks: Mapping[str, TextBank],
    config: TrainConfig,
) -> dict[str, float]:
    """`SOURCE/map`, `SOURCE/top1` where only one label is true of a video, and `SOURCE/KIND_map`."""
    found: dict[str, float] = {}
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
        found[f"{name}/map"] = macro_map(scores)
        if bool((scores.targets.sum(1) == 1).all()):
            found[f"{name}/top1"] = top1(scores)
        found |= {f"{name}/{kind}_map": macro_map(scores, columns) for kind, columns in source.groups.items()}
        if scores.failed:
            found[f"{name}/failed"] = scores.failed
    return {k: v for k, v in found.items() if v == v}


def _label_embeddings(soft: SoftAttributes, sources: Iterable[Labelled]) -> LabelEmbeddings:
    """All labels of the sources, with the present weights."""
    labels = tuple(dict.fromkeys(label for source in sources for label in source.texts.labels))
    return LabelEmbeddings(labels, soft.precompute(labels), soft.source)
