"""`olmv train`: a config in, a run folder with a trained model out."""

import hashlib
import logging
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from olmv.devices import choose
from olmv.errors import InputError, OutputError, UsageError
from olmv.models.hub import load_model, random_model
from olmv.models.label_embeddings import LabelEmbeddings
from olmv.models.language_model import load_language_model
from olmv.models.saving import save_pretrained
from olmv.models.soft_attributes import SoftAttributes
from olmv.models.video_clip import VideoCLIP
from olmv.scoring.bank import TextBank
from olmv.training.card import model_card
from olmv.training.checkpoint import load_tensors, save_tensors
from olmv.training.config import GUARD, Source, TrainConfig
from olmv.training.dataset import VideoDataset, batches
from olmv.training.features import FeatureStore
from olmv.training.interpolation import interpolate
from olmv.training.objectives import initial_bias
from olmv.training.run_folder import RunFolder
from olmv.training.sources import Labelled, open_sources
from olmv.training.sweep import Curve, sweep_ratios, write_curve
from olmv.training.trainable import Output, Trainable, embedded_bank, label_bank, select_weights
from olmv.training.trainer import Trainer, View, load_weights
from olmv.training.validation import macro_map, score_videos, top1

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
    accelerator = _accelerator(config, view)
    main: bool = accelerator.is_main_process
    folder = RunFolder(output)
    if main and not resume:
        _clear(folder)
    if main:
        folder.begin(config, device=str(accelerator.device))
    accelerator.wait_for_everyone()
    if folder.finished:
        view.say(f"'{folder.path}' is finished; its model is {folder.model} (start over with --no-resume)")
        return None
    torch.manual_seed(config.run.seed)  # new weights begin alike in every process and after a resume
    model = _model(config, accelerator.device)
    training, validation = open_sources(
        config.data,
        preprocess=model.preprocess,
        templates=config.model.templates or model.templates,
        seed=config.run.seed,
    )
    soft = _soft_attributes(config, model)
    trainable = Trainable(
        model,
        frame_pooling=config.objective.frame_pooling,
        frozen_tower=config.model.train == "new",
        soft_attributes=soft,
    )
    bank = label_bank(model, training.texts)
    banks = {name: label_bank(model, source.texts) for name, source in validation.items()}
    videos, checked = _features(config, model, training, validation, view, accelerator)
    view.say(
        f"{len(training.dataset)} training videos, {len(bank.labels)} labels, {accelerator.num_processes} process(es)"
    )
    _prepare_bias(config, trainable, training, bank, known=folder.original.is_file())
    weights, new = select_weights(trainable, config.model.train)
    original = _original(folder, weights, main=main)
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


def _features(
    config: TrainConfig,
    model: VideoCLIP,
    training: Labelled,
    validation: Mapping[str, Labelled],
    view: View,
    accelerator: Any,
) -> tuple[VideoDataset | FeatureStore, dict[str, VideoDataset | FeatureStore]]:
    """The videos themselves, or with a feature cache what the frozen tower gives for them."""
    data = config.data
    if data.feature_cache is None:
        return training.dataset, {name: source.dataset for name, source in validation.items()}
    if config.model.train != "new":
        raise UsageError("data.feature_cache needs a frozen image tower; set model.train=new or leave the cache out")
    shared = [data.frames, data.sampling, str(data.augmentation), config.run.seed]  # of files; drawn clips are as drawn

    def kept(source: Source, dataset: VideoDataset, *, train: bool) -> FeatureStore:
        store = FeatureStore(
            Path(str(data.feature_cache)),
            model,
            dataset,
            [str(source), _digest(source), train, shared if train and source.moji is None else shared[:2]],
        )
        if accelerator.is_main_process:
            store.prepare(lambda done, total: view.side("clips encoded", done, total))
        accelerator.wait_for_everyone()
        if not accelerator.is_main_process:
            store.prepare()
        return store

    return kept(data.train, training.dataset, train=True), {
        name: kept(data.validation[name], source.dataset, train=False) for name, source in validation.items()
    }


def _digest(source: Source) -> str | None:
    """Of a manifest: its labels may change."""
    try:
        return None if source.manifest is None else hashlib.sha256(source.manifest.read_bytes()).hexdigest()
    except OSError as error:
        raise InputError(f"cannot read '{source.manifest}': {error.strerror}") from None


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


def _accelerator(config: TrainConfig, view: View) -> Any:
    """Mixed precision by device: bf16 or fp16 autocast on CUDA; on a CPU autocast halves the speed, so none."""
    from accelerate import Accelerator

    placement = choose(config.run.device, "auto")
    wanted: str = config.run.precision
    reason = "asked for"
    if wanted == "auto" and placement.device.type == "cuda":
        wanted, reason = {"float16": "fp16"}.get(placement.dtype_name, "bf16"), placement.dtype_reason
    elif wanted == "auto":
        wanted, reason = "fp32", "autocast is slower on this device"
    if wanted == "fp16" and placement.device.type == "cpu":
        raise UsageError("fp16 training needs a GPU; use run.precision=fp32")
    accelerator = Accelerator(
        mixed_precision="no" if wanted == "fp32" else wanted,
        cpu=placement.device.type == "cpu",
        step_scheduler_with_optimizer=False,
    )
    if accelerator.is_main_process:
        view.say(f"training on {accelerator.device} ({placement.device_reason}), {wanted} ({reason})")
    return accelerator


def _model(config: TrainConfig, device: torch.device) -> VideoCLIP:
    asked = config.model
    if asked.random_weights:
        model = random_model(asked.name, device=str(device))
    else:  # `mean` adds nothing to the towers, so that a new module begins in its first state
        plain = None if asked.temporal is None else "mean"
        model = load_model(asked.name, device=str(device), dtype="float32", temporal=plain)
    if asked.temporal is not None:
        stored = model.label_embeddings
        model = VideoCLIP(
            model.towers, name=model.name, preprocess=model.preprocess, templates=model.templates,
            temporal=asked.temporal, temporal_options=asked.temporal_options,
        ).to(device).eval().requires_grad_(False)  # fmt: skip
        model.label_embeddings = stored
    elif asked.temporal_options:
        raise UsageError("model.temporal_options go with a new module; name it in model.temporal")
    if asked.gradient_checkpointing:
        inner = getattr(model.towers, "model", None)
        if inner is None or not hasattr(inner, "set_grad_checkpointing"):
            raise UsageError(f"'{asked.name}' has no gradient checkpointing; set model.gradient_checkpointing=false")
        inner.set_grad_checkpointing(True)
    return model


def _soft_attributes(config: TrainConfig, model: VideoCLIP) -> SoftAttributes | None:
    asked = config.model.soft_attributes
    if asked is None:
        return None
    language_model = load_language_model(asked.llm, device=model.device)
    templates = config.model.templates or model.templates
    return SoftAttributes(
        model.towers, language_model, templates=templates, n_prefix=asked.prefixes, n_query=asked.queries
    )


def _label_embeddings(soft: SoftAttributes, sources: Iterable[Labelled]) -> LabelEmbeddings:
    """All labels of the sources, with the present weights."""
    labels = tuple(dict.fromkeys(label for source in sources for label in source.texts.labels))
    return LabelEmbeddings(labels, soft.precompute(labels), soft.source)


def _prepare_bias(
    config: TrainConfig, trainable: Trainable, training: Labelled, bank: TextBank, *, known: bool
) -> None:
    """A sigmoid loss needs a bias; a softmax-trained model gets one that fits its first batch.

    Without a sigmoid loss a bias would get no gradient, so it is left alone.
    """
    towers = trainable.model.towers
    if config.objective.label == "cross-entropy" or towers.logit_bias is not None:
        return
    towers.add_bias(0.0)
    trainable.new_bias = True
    if known:  # the run's original holds it
        return
    if trainable.soft_attributes is not None:
        bank = embedded_bank(bank.labels, trainable.soft_attributes.precompute(bank.labels).to(trainable.model.device))
    order = range(min(len(training.dataset), config.optimizer.batch_size))
    for batch in batches(training.dataset, order, 0, batch_size=len(order) or 1, workers=config.data.workers):
        if batch.pixels is None:
            continue
        device = trainable.model.device
        mask = None if bool(batch.mask.all()) else batch.mask.to(device)
        with torch.no_grad():  # what the bank keeps for later is needed in training too
            found = Output(*trainable(batch.pixels.to(device), mask, bank))
        towers.add_bias(initial_bias(found.similarity.cpu(), batch.targets, float(found.scale)))
        return


def _original(folder: RunFolder, weights: Mapping[str, nn.Parameter], *, main: bool) -> dict[str, Tensor]:
    """The weights before the first step: kept in the run folder, so that a resumed run starts from the same."""
    if folder.original.is_file():
        saved = load_tensors(folder.original)
        load_weights(weights, saved)
    elif main:
        staged = folder.original.with_suffix(".tmp")
        save_tensors(staged, weights)
        staged.replace(folder.original)
    return {name: weight.detach().clone() for name, weight in weights.items()}


def _clear(folder: RunFolder) -> None:
    """Delete what an earlier run wrote, and nothing else; a folder without a run is left as it is."""
    if not (folder.path / "config.yaml").is_file():
        return
    for name in ("checkpoints", "tensorboard", "model", ".model.tmp"):
        shutil.rmtree(folder.path / name, ignore_errors=True)
    for name in (
        "versions.json",
        "metrics.jsonl",
        "original.safetensors",
        "tuned.safetensors",
        "curve.json",
        "curve.png",
        "config.yaml",  # last: it is what makes the folder a run
    ):
        (folder.path / name).unlink(missing_ok=True)
