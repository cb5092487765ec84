"""What each part of training costs: ratios of arms that take turns in one run.

    python scripts/benchmarks/bench_training.py [--quick] [--json FILE]

ViT-B-32-quickgelu with random weights at 224 px (real speed, no download), clips of random pixels, frame mean, AdamW;
float32 on a CPU, bf16 autocast on a GPU. Steps are the Trainer's own, on a batch made before: reading and decoding are
not in them. Arms change places every round, and a ratio is the median of the rounds' ratios.

Figures:
    iwr_step_ratio            an optimizer step with interpolated weight regularisation / one without
    distillation_step_ratio   likewise with distillation from the original
    iwr_extra_copies          bytes of tensors alive in such a step and not in a plain one, gradients left out / bytes
                              of the trainable weights
    original_copies           bytes alive once a trainer is made and not before / bytes of the trainable weights
    swa_update_steps          one update of the weight average / a step
    swa_step_ratio            an epoch of 100 steps and one update / the 100 steps, from these medians
    checkpoint_step_ratio     writing a checkpoint, weight average included / a step
    checkpoint_copies         its bytes / bytes of the trainable weights
    TEMPORAL_forward_ratio    forward pass of a batch of clips through a temporal module / frame mean, same tower
    text_encodings_per_step   texts that the text tower encodes after the first step / steps, labels only; and
    .../captions              with the caption loss, in an epoch where every caption is new
    frozen_features_speedup   a step of the config `moji_motions` on pixels (frozen tower of olmv-mini) / on features
                              read from disk
"""

import argparse
import os
import tempfile
from collections.abc import Callable, Sequence
from copy import deepcopy
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import normalize

from olmv.devices import choose
from olmv.models.clip.model import VideoCLIP
from olmv.models.clip.temporal import IN_TOWER
from olmv.models.open_clip.loading import random_model
from olmv.models.registry import load_video_clip
from olmv.progress import JobListener
from olmv.scoring.bank import TextBank
from olmv.train.config import TrainConfig
from olmv.train.config_file import find_config, load_config, parse_config
from olmv.train.data.dataset import Batch, batches
from olmv.train.data.features import FeatureBatch, FeatureStore
from olmv.train.data.sources import open_sources
from olmv.train.losses import Distillation
from olmv.train.run_folder import RunFolder
from olmv.train.trainable import Trainable, label_bank, select_weights
from olmv.train.trainer import Trainer
from olmv.train.weight_interpolation import InterpolatedWeights
from scripts.benchmarks.common import report
from scripts.benchmarks.turns import live_bytes, ratio, time_in_turns

ARCHITECTURE = "ViT-B-32-quickgelu"
LABELS = 400  # as many as Kinetics-400 has
STEPS = 100  # of the epoch that an update of the average is set against
TEMPORALS = ("cross-frame", "divided", "st-adapter", "transformer", "attention")
FOREVER = 1_000_000  # epochs and steps: no run ends and no row is logged while it is measured


class Watcher(JobListener):
    """Counts steps and, once `watch` has been called, the texts that a model encodes after the first of them."""

    def __init__(self) -> None:
        self.steps = self.texts = 0

    def watch(self, model: VideoCLIP) -> None:
        encode = model.towers.text

        def counted(texts: Sequence[str]) -> Tensor:
            self.texts += len(texts) if self.steps else 0
            out: Tensor = encode(texts)
            return out

        model.towers.text = counted  # type: ignore[method-assign]

    def advanced(self, done: int, total: int, *, stage: str = "") -> None:
        self.steps += not stage


def make_trainer(
    config: TrainConfig, model: VideoCLIP, dataset: Any, bank: TextBank, folder: Path, accelerator: Any,
    view: Watcher | None = None,
) -> Trainer:  # fmt: skip
    """As `olmv.train.job.run` makes it; in training mode."""
    frozen = config.model.train == "new"
    trainable = Trainable(model, frame_pooling=config.objective.frame_pooling, frozen_tower=frozen)
    weights, new = select_weights(trainable, config.model.train)
    trainer = Trainer(
        config, trainable=trainable, weights=weights, new=new, unmixed=new,
        original={name: weight.detach().clone() for name, weight in weights.items()},
        dataset=dataset, bank=bank, folder=RunFolder(folder), accelerator=accelerator, listener=view or Watcher(),
    )  # fmt: skip
    trainer.module.train()
    return trainer


def step(
    trainer: Trainer,
    batch: Batch | FeatureBatch,
    iwr: InterpolatedWeights | None = None,
    distillation: Distillation | None = None,
) -> None:
    """The trainer's own step on one batch, with interpolated weights or distillation or without."""
    trainer.iwr, trainer.loss.distillation = iwr, distillation
    trainer._step([batch])


def most_alive(trainer: Trainer, batch: Batch, iwr: InterpolatedWeights | None = None) -> int:
    """Bytes alive at the beginning of a forward pass of a step, the most of its passes; gradients left out."""
    seen: list[int] = []

    def look(*_: Any) -> None:
        grads = [weight.grad for weight in trainer.weights.values() if weight.grad is not None]
        seen.append(live_bytes(without=grads))

    hook = trainer.module.register_forward_pre_hook(look)
    step(trainer, batch, iwr)
    hook.remove()
    return max(seen)


def steps_of_vit(
    model: VideoCLIP, frames: int, clips: int, rounds: int, checkpoints: int, folder: Path, accelerator: Any
) -> dict[str, float]:
    """IWR, averaging and checkpoints."""
    moji = {"seed": 0, "clips": STEPS * clips, "objects": f"seen[:{LABELS}]", "labels": ["objects"]}
    config = parse_config({
        "data": {"train": {"moji": moji}, "frames": frames},  # for its size and labels; not a clip of it is drawn
        "objective": {"label": "cross-entropy"},
        "optimizer": {"batch_size": clips, "epochs": FOREVER},
        "run": {"log_every": FOREVER},
    })  # fmt: skip
    dataset = open_sources(config.data, preprocess=model.preprocess, templates="none", seed=0)[0].dataset
    vectors = normalize(torch.randn(LABELS, model.embed_dim, device=accelerator.device), dim=-1)
    index = torch.arange(LABELS, device=accelerator.device)
    bank = TextBank(vectors, index, dataset.labels, dataset.labels)
    size = model.preprocess.size
    batch = Batch(
        pixels=torch.randint(0, 256, (clips, frames, 3, size, size), dtype=torch.uint8),
        mask=torch.ones(clips, frames, dtype=torch.bool), targets=torch.eye(LABELS)[:clips],
        labelled=torch.ones(clips, dtype=torch.bool), captions=[None] * clips, videos=["noise"] * clips, failed=[],
    )  # fmt: skip
    before = live_bytes()
    trainer = make_trainer(config, model, dataset, bank, folder, accelerator)
    assert trainer.steps_per_epoch == STEPS
    weights = sum(weight.nbytes for weight in trainer.weights.values() if weight.ndim)
    figures = {"original_copies": (live_bytes() - before) / weights}

    step(trainer, batch)  # from now on AdamW's moments are there
    plain = most_alive(trainer, batch)
    iwr = InterpolatedWeights(trainer.weights, trainer.original)
    figures["iwr_extra_copies"] = (most_alive(trainer, batch, iwr) - plain) / weights

    update = partial(trainer.average.update, trainer.weights)
    update()  # the first one copies
    without = partial(step, trainer, batch)
    distillation = Distillation(trainer.trainable, trainer.weights, trainer.original, ("{}",))
    arms: dict[str, Callable[[], object]] = {
        "plain": without,
        "iwr": partial(step, trainer, batch, iwr),
        "distillation": partial(step, trainer, batch, None, distillation),
        "swa": update,
    }
    took = time_in_turns(arms, rounds)
    writing = time_in_turns({"plain": without, "checkpoint": trainer._save}, checkpoints)
    figures["iwr_step_ratio"] = ratio(took, "iwr", "plain")
    figures["distillation_step_ratio"] = ratio(took, "distillation", "plain")
    figures["swa_update_steps"] = ratio(took, "swa", "plain")
    figures["swa_step_ratio"] = 1 + figures["swa_update_steps"] / STEPS
    figures["checkpoint_step_ratio"] = ratio(writing, "checkpoint", "plain")
    figures["checkpoint_copies"] = _folder_bytes(next(trainer.folder.checkpoints.iterdir())) / weights
    figures["seconds_checkpoint"] = median(writing["checkpoint"])
    return figures | {f"seconds_step_{name}": median(took[name]) for name in ("plain", "iwr")}


def _folder_bytes(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.iterdir())


def forwards_of_vit(base: VideoCLIP, frames: int, clips: int, rounds: int) -> dict[str, float]:
    """Every temporal module over frame mean, in the dtype that `olmv predict` takes here."""
    base = base.to(choose().dtype).eval().requires_grad_(False)
    size = base.preprocess.size
    noise = torch.randn(clips, frames, 3, size, size, device=base.device, dtype=base.dtype)
    arms: dict[str, Callable[[], object]] = {}
    for temporal in ("mean", *TEMPORALS):
        towers = deepcopy(base.towers) if temporal in IN_TOWER else base.towers  # these change it
        made = VideoCLIP(towers, name=temporal, preprocess=base.preprocess, temporal=temporal)
        arms[temporal] = partial(made.to(base.device, base.dtype).eval().encode_video, noise)
    with torch.inference_mode():
        time_in_turns(arms, 1)  # warm-up
        took = time_in_turns(arms, rounds)
    figures = {f"{name.replace('-', '_')}_forward_ratio": ratio(took, name, "mean") for name in TEMPORALS}
    return figures | {"seconds_forward_mean": median(took["mean"])}


def text_encodings(folder: Path, accelerator: Any, *, caption_weight: float) -> float:
    """Of a whole run of olmv-mini over clips that are each seen once."""
    config = parse_config({
        "data": {"train": {"moji": {"seed": 5, "clips": 36, "objects": "seen[:8]"}}, "frames": 2},
        "objective": {"caption_weight": caption_weight},
        "optimizer": {"batch_size": 4, "epochs": 1},
    })  # fmt: skip
    model = load_video_clip("olmv-mini", device=str(accelerator.device), dtype="float32")
    source, _ = open_sources(config.data, preprocess=model.preprocess, templates=model.templates, seed=0)
    view = Watcher()
    view.watch(model)
    bank = label_bank(model, source.texts)
    make_trainer(config, model, source.dataset, bank, folder, accelerator, view).run()
    return view.texts / (view.steps - 1)


def features_speedup(clips: int, rounds: int, folder: Path, accelerator: Any) -> float:
    """Steps of the shipped config of olmv-mini on pixels over steps on kept features."""
    changed = {"data.train.moji.clips": clips, "optimizer.batch_size": clips, "optimizer.epochs": FOREVER}
    changed["run.log_every"] = FOREVER
    config = load_config(find_config("moji_motions"), [f"{key}={value}" for key, value in changed.items()])
    asked, device = config.model, str(accelerator.device)
    model = load_video_clip(
        asked.name, device=device, dtype="float32", temporal=asked.temporal, temporal_options=asked.temporal_options
    )
    source, _ = open_sources(config.data, preprocess=model.preprocess, templates=model.templates, seed=0)
    bank = label_bank(model, source.texts)
    store = FeatureStore(folder / "features", model, source.dataset, "bench")
    store.prepare()
    trainer = make_trainer(config, model, source.dataset, bank, folder, accelerator)
    order = range(clips)
    pixels = next(batches(source.dataset, order, 0, batch_size=clips, workers=0))
    arms: dict[str, Callable[[], object]] = {
        "pixels": partial(step, trainer, pixels),
        "features": lambda: step(trainer, next(store.batches(order, batch_size=clips))),
    }
    time_in_turns(arms, 1)  # warm-up
    return ratio(time_in_turns(arms, rounds), "pixels", "features")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="clips of 2 frames, few rounds; under a minute")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    from accelerate import Accelerator  # here, because olmv's torchvision guard has to be in place first

    torch.manual_seed(0)
    cuda = choose().device.type == "cuda"
    accelerator = Accelerator(mixed_precision="bf16" if cuda else "no", cpu=not cuda)
    frames, rounds, checkpoints = (2, 2, 1) if args.quick else (8, 7, 3)
    clips = 16 if cuda else 2
    mini_clips = 16 if args.quick else 64
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        os.environ["OLMV_CACHE"] = str(folder / "cache")  # no text is known before
        vit = random_model(ARCHITECTURE, device=str(accelerator.device))
        figures = steps_of_vit(vit, frames, clips, rounds, checkpoints, folder / "vit", accelerator)
        figures |= forwards_of_vit(vit, frames, clips, rounds)
        for name, weight in (("", 0.0), ("/captions", 4.0)):
            encoded = text_encodings(folder / f"run{weight}", accelerator, caption_weight=weight)
            figures[f"text_encodings_per_step{name}"] = encoded
        figures["frozen_features_speedup"] = features_speedup(mini_clips, rounds, folder / "mini", accelerator)
    settings = {
        "architecture": ARCHITECTURE, "frames": frames, "clips": clips, "mini_clips": mini_clips, "labels": LABELS,
        "rounds": rounds, "checkpoint_rounds": checkpoints, "swa_epoch_steps": STEPS,
        "device": torch.cuda.get_device_name() if cuda else "cpu", "cpus": os.cpu_count(),
        "threads": torch.get_num_threads(), "training": "bf16 autocast" if cuda else "float32",
        "forward": choose().dtype_name,
    }  # fmt: skip
    report(figures, settings, args.json, "training, ViT-B-32 with random weights")


if __name__ == "__main__":
    main()
