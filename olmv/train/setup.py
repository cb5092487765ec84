"""What stands before a run's first step: processes, model, features, bias, the original's weights."""

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from olmv.devices import choose
from olmv.errors import InputError, UsageError
from olmv.io.atomic import replacing_file
from olmv.models.clip.model import VideoCLIP
from olmv.models.open_clip.loading import random_model
from olmv.models.registry import load_video_clip
from olmv.models.soft_attributes.language_model import load_language_model
from olmv.models.soft_attributes.module import SoftAttributes
from olmv.progress import JobListener
from olmv.scoring.bank import TextBank
from olmv.train.checkpoint import load_tensors, load_weights, save_tensors
from olmv.train.config import Source, TrainConfig
from olmv.train.data.dataset import batches
from olmv.train.data.features import Clips, FeatureStore
from olmv.train.data.sources import Labelled
from olmv.train.loss_terms import initial_bias
from olmv.train.run_folder import RunFolder
from olmv.train.trainable import Output, Trainable, embedded_bank

__all__ = [
    "file_digest",
    "make_accelerator",
    "make_model",
    "make_soft_attributes",
    "open_features",
    "original_weights",
    "prepare_bias",
]


def make_accelerator(config: TrainConfig, listener: JobListener) -> Any:
    """Set up processes and mixed precision: bf16 or fp16 autocast on CUDA; none on a CPU, where it halves the speed."""
    from accelerate import Accelerator

    placement = choose(config.run.device, "auto")
    precision: str = config.run.precision
    reason = "asked for"
    if precision == "auto" and placement.device.type == "cuda":
        precision, reason = {"float16": "fp16"}.get(placement.dtype_name, "bf16"), placement.dtype_reason
    elif precision == "auto":
        precision, reason = "fp32", "autocast is slower on this device"
    if precision == "fp16" and placement.device.type == "cpu":
        raise UsageError("fp16 training needs a GPU; use run.precision=fp32")
    accelerator = Accelerator(
        mixed_precision="no" if precision == "fp32" else precision,
        cpu=placement.device.type == "cpu",
        step_scheduler_with_optimizer=False,
    )
    if accelerator.is_main_process:
        listener.note(f"training on {accelerator.device} ({placement.device_reason}), {precision} ({reason})")
    return accelerator


def make_model(config: TrainConfig, device: torch.device) -> VideoCLIP:
    """Load the model that is trained, with a new temporal module where the config names one."""
    options = config.model
    if options.random_weights:
        model = random_model(options.name, device=str(device))
    else:  # `mean` adds nothing to the towers, so that a new module begins in its first state
        plain = None if options.temporal is None else "mean"
        model = load_video_clip(options.name, device=str(device), dtype="float32", temporal=plain)
    if options.temporal is not None:
        stored = model.label_embeddings
        model = VideoCLIP(
            model.towers, name=model.name, preprocess=model.preprocess, templates=model.templates,
            temporal=options.temporal, temporal_options=options.temporal_options,
        ).to(device).eval().requires_grad_(False)  # fmt: skip
        model.label_embeddings = stored
    elif options.temporal_options:
        raise UsageError("model.temporal_options go with a new module; name it in model.temporal")
    model.preprocess = replace(
        model.preprocess,
        interpolation=options.interpolation or model.preprocess.interpolation,
        antialias=model.preprocess.antialias if options.antialias is None else options.antialias,
    )
    if options.gradient_checkpointing:
        inner = getattr(model.towers, "model", None)
        if inner is None or not hasattr(inner, "set_grad_checkpointing"):
            raise UsageError(f"'{options.name}' has no gradient checkpointing; set model.gradient_checkpointing=false")
        inner.set_grad_checkpointing(True)
    return model


def make_soft_attributes(config: TrainConfig, model: VideoCLIP) -> SoftAttributes | None:
    """Load the language model that describes labels; None where the config has none."""
    options = config.model.soft_attributes
    if options is None:
        return None
    language_model = load_language_model(options.llm, device=model.device)
    templates = config.model.templates or model.templates
    return SoftAttributes(
        model.towers, language_model, templates=templates, n_prefix=options.prefixes, n_query=options.queries
    )


def open_features(
    config: TrainConfig,
    model: VideoCLIP,
    training: Labelled,
    validation: Mapping[str, Labelled],
    listener: JobListener,
    accelerator: Any,
) -> tuple[Clips, dict[str, Clips]]:
    """Return the videos themselves, or with a feature cache what the frozen tower gives for them."""
    data = config.data
    if data.feature_cache is None:
        return training.dataset, {name: source.dataset for name, source in validation.items()}
    if config.model.train != "new":
        raise UsageError("data.feature_cache needs a frozen image tower; set model.train=new or leave the cache out")
    shared = [data.frames, data.sampling, str(data.augmentation), config.run.seed]  # of files; drawn clips are as drawn

    def identity(source: Source, *, train: bool) -> list[Any]:
        settings = shared if train and source.moji is None else shared[:2]
        return [str(source), file_digest(source), train, settings]

    def features(labelled: Labelled, *, train: bool) -> FeatureStore:
        told = [identity(source, train=train) for source in labelled.sources]
        store = FeatureStore(Path(str(data.feature_cache)), model, labelled.dataset, told if len(told) > 1 else told[0])
        if accelerator.is_main_process:
            store.prepare(partial(listener.advanced, stage="clips encoded"))
        accelerator.wait_for_everyone()
        if not accelerator.is_main_process:
            store.prepare()
        return store

    return features(training, train=True), {name: features(s, train=False) for name, s in validation.items()}


def file_digest(source: Source) -> str | None:
    """Return the hash of a manifest, whose labels may change; None for other sources."""
    try:
        return None if source.manifest is None else hashlib.sha256(source.manifest.read_bytes()).hexdigest()
    except OSError as error:
        raise InputError(f"cannot read '{source.manifest}': {error.strerror}") from None


def prepare_bias(config: TrainConfig, trainable: Trainable, training: Labelled, bank: TextBank, *, known: bool) -> None:
    """Give a softmax-trained model the bias that a sigmoid loss needs, one that fits its first batch.

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
            output = Output(*trainable(batch.pixels.to(device), mask, bank))
        towers.add_bias(initial_bias(output.similarity.cpu(), batch.targets, float(output.scale)))
        return


def original_weights(folder: RunFolder, weights: Mapping[str, nn.Parameter], *, main: bool) -> dict[str, Tensor]:
    """Return the weights before the first step; kept in the run folder, so that a resumed run starts from the same."""
    if folder.original.is_file():
        saved = load_tensors(folder.original)
        load_weights(weights, saved)
    elif main:
        with replacing_file(folder.original) as fresh:
            save_tensors(fresh, weights)
    return {name: weight.detach().clone() for name, weight in weights.items()}
