"""The training loop, on accelerate: one process or many, the same code.

    accelerate launch -m olmv train CONFIG.yaml -o RUN

Exact resume: whatever is random in a step (data order, frames, augmentation, interpolation ratio, dropout) is a
pure function of (seed, epoch, step, process), so a killed and resumed run gives the same weights as an
uninterrupted one.
"""

import logging
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from olmv.errors import TrainingError
from olmv.labels.templates import resolve
from olmv.progress import JobListener
from olmv.scoring.bank import TextBank
from olmv.train.checkpoint import (
    Checkpoint,
    latest_checkpoint,
    load_optimizer_tensors,
    load_weights,
    optimizer_tensors,
    read_checkpoint,
    write_checkpoint,
)
from olmv.train.config import TrainConfig
from olmv.train.data.dataset import Batch, epoch_order
from olmv.train.data.features import Clips, FeatureBatch
from olmv.train.losses import BatchLoss, Distillation
from olmv.train.optimizer import parameter_groups, rate_factor
from olmv.train.run_folder import MetricsLog, RunFolder
from olmv.train.trainable import Trainable
from olmv.train.weight_interpolation import InterpolatedWeights, WeightAverage, distance_to

__all__ = ["Trainer"]

log = logging.getLogger(__name__)


@dataclass
class _Counts:
    """Of the current epoch."""

    seen: int = 0
    failed: int = 0
    failures: list[str] = field(default_factory=list)


class Trainer:
    """Runs the epochs of a config.

    Args:
        config: the run.
        trainable: the model with its labels; gradients are on where it is trained.
        weights: the trained weights by name.
        new: names of those that the original did not have.
        unmixed: names of those that IWR leaves as they are, see `unmixed_weights`.
        original: the trained weights before the first step, by name.
        dataset: training videos, or what a frozen tower gave for them.
        bank: label texts.
        folder: of the run.
        accelerator: accelerate's.
        listener: is told how far it is.
        validate: called at the end of an epoch; returns figures to log.
    """

    def __init__(
        self,
        config: TrainConfig,
        *,
        trainable: Trainable,
        weights: Mapping[str, nn.Parameter],
        new: set[str],
        unmixed: set[str],
        original: Mapping[str, Tensor],
        dataset: Clips,
        bank: TextBank,
        folder: RunFolder,
        accelerator: Any,
        listener: JobListener,
        validate: Callable[[], dict[str, float]] | None = None,
    ) -> None:
        self.config, self.dataset, self.bank, self.folder = config, dataset, bank, folder
        self.listener = listener
        self.accelerator, self.validate = accelerator, validate
        self.weights, self.original = dict(weights), dict(original)
        self.step = self.epoch = self.batch = 0
        self.counts = _Counts()
        self.average = WeightAverage()
        self._names = {id(p): name for name, p in self.weights.items()}
        rule, options = config.regularization, config.optimizer
        self.iwr = (
            InterpolatedWeights(
                self.weights, self.original, strength=rule.iwr, max_ratio=rule.iwr_max_ratio, unmixed=unmixed
            )
            if rule.iwr > 0
            else None
        )
        optimizer = torch.optim.AdamW(
            parameter_groups(self.weights, new, options),
            lr=options.lr,
            betas=options.betas,
            eps=options.eps,
        )
        self.trainable = trainable
        self.module, self.optimizer = accelerator.prepare(trainable, optimizer)
        templates = resolve(config.model.templates or trainable.model.templates)
        distillation = (
            Distillation(trainable, self.weights, self.original, templates) if rule.distillation > 0 else None
        )
        self.loss = BatchLoss(config, self.module, trainable, bank, accelerator, distillation)
        self.batches_per_epoch = math.ceil(len(dataset) / accelerator.num_processes / options.batch_size)
        self.steps_per_epoch = math.ceil(self.batches_per_epoch / options.accumulate)
        self.total = min(self.steps_per_epoch * options.epochs, config.run.steps or 1 << 60)

    # -- the loop ------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Train to the end, from the newest checkpoint if there is one.

        Raises:
            TrainingError: the loss is no longer a number, or too many videos fail.
            OutputError: a checkpoint cannot be written.
        """
        self._resume()
        main = self.accelerator.is_main_process
        self._metrics = MetricsLog(self.folder, step=self.step) if main else None
        self.listener.started(total=self.total, done=self.step)
        self._saved_at = time.monotonic()
        try:
            while self.step < self.total:
                self._epoch()
        finally:
            if self._metrics is not None:
                self._metrics.close()

    def _epoch(self) -> None:
        options = self.config.optimizer
        self.module.train()
        _freeze_statistics(self.trainable)
        waiting: list[Batch | FeatureBatch] = []
        for batch in self._batches():
            self.batch += 1
            self._count(batch)
            waiting.append(batch)
            if len(waiting) == options.accumulate:
                self._step(waiting)
                waiting = []
                if self.step >= self.total:
                    break
                if self.batch < self.batches_per_epoch and self._due():  # the end of the epoch saves anyway
                    self._save()
        if waiting and self.step < self.total:
            self._step(waiting)
        self._end_of_epoch()

    def _end_of_epoch(self) -> None:
        rule, run = self.config.regularization, self.config.run
        self.epoch += 1
        self.batch = 0
        if rule.swa_start is not None and self.epoch > rule.swa_start:
            self.average.update(self.weights)
        self._check_failures(final=True)
        self._log("epoch", {"epoch": self.epoch, "failed": self.counts.failed})
        if self.validate is not None and run.validate_every and self.epoch % run.validate_every == 0:
            validation = self.validate()
            self._log("validation", validation)
            shown = ", ".join(f"{name} {value:.3f}" for name, value in validation.items())
            self.listener.note(f"epoch {self.epoch}: {shown}")
        self.counts = _Counts()
        self._save()

    def _batches(self) -> Iterator[Batch | FeatureBatch]:
        options = self.config.optimizer
        order = epoch_order(
            len(self.dataset),
            seed=self.config.run.seed,
            epoch=self.epoch,
            rank=self.accelerator.process_index,
            world=self.accelerator.num_processes,
        )
        rest = order[self.batch * options.batch_size :]
        workers = self.config.data.workers
        return self.dataset.batches(rest, self.epoch, batch_size=options.batch_size, workers=workers)

    # -- one step ------------------------------------------------------------------------------------------

    def _step(self, parts: Sequence[Batch | FeatureBatch]) -> None:
        """Take one optimizer step from `accumulate` batches."""
        options, run = self.config.optimizer, self.config.run
        torch.manual_seed(_seed(run.seed, self.step, self.accelerator.process_index))
        self._set_rates()
        started = time.perf_counter()
        figures: dict[str, float] = {}
        for part in parts:
            if self.iwr is not None:
                ratio = self.iwr.draw(run.seed, self.step, self.accelerator.process_index)
                with self.iwr.at(ratio), self._no_sync():
                    loss, _ = self.loss(part, self.step)
                    self.accelerator.backward(loss * (self.iwr.strength / len(parts)))
            with nullcontext() if part is parts[-1] else self._no_sync():
                loss, of_part = self.loss(part, self.step)
                if self.config.regularization.l2 > 0:
                    distance = distance_to(self.weights, self.original)
                    loss = loss + self.config.regularization.l2 * distance
                    of_part["distance"] = distance.item()
                self.accelerator.backward(loss / len(parts))
            for name, value in of_part.items():
                figures[name] = figures.get(name, 0.0) + value / len(parts)
        self._check_finite(figures)
        figures["gradient"] = float(self.accelerator.clip_grad_norm_(list(self.weights.values()), options.clip_norm))
        if self.accelerator.scaler is None:  # fp16's scaler looks for itself, and leaves such a step out
            self._check_finite({"gradient": figures["gradient"]})
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.step += 1
        seconds = time.perf_counter() - started
        self.listener.advanced(self.step, self.total)
        if self.step % run.log_every == 0 or self.step == self.total:
            videos = sum(len(part.videos) for part in parts) * self.accelerator.num_processes
            rate = self.optimizer.param_groups[0]["lr"]
            self._log("train", {**figures, "lr": rate, "videos_per_s": videos / seconds, "epoch": self.epoch})

    def _no_sync(self) -> Any:
        return self.accelerator.no_sync(self.module)

    def _set_rates(self) -> None:
        factor = rate_factor(
            self.config.optimizer, step=self.step, steps_per_epoch=self.steps_per_epoch, total=self.total
        )
        for group in self.optimizer.param_groups:
            group["lr"] = group["base_lr"] * factor

    # -- what can go wrong ---------------------------------------------------------------------------------

    def _check_finite(self, figures: Mapping[str, float]) -> None:
        bad = [name for name, value in figures.items() if not math.isfinite(value)]
        if self.accelerator.num_processes > 1:  # all stop, or all go on
            flag = torch.tensor(float(bool(bad)), device=self.accelerator.device)
            if float(self.accelerator.reduce(flag, "sum")) and not bad:
                bad = ["loss of another process"]
        if not bad:
            return
        last = latest_checkpoint(self.folder.checkpoints)
        where = f"the last good checkpoint is '{last}'" if last else "there is no checkpoint yet"
        if self.accelerator.is_main_process:
            self.folder.add_divergence(step=self.step + 1, lr=self.config.optimizer.lr, what=bad[0])
        raise TrainingError(
            f"the {bad[0]} is not a number at step {self.step + 1}; {where}: lower optimizer.lr or optimizer.clip_norm "
            f"and run it again, it {'goes on from there' if last else 'begins anew'}"
        )

    def _count(self, batch: Batch | FeatureBatch) -> None:
        self.counts.seen += len(batch.videos) + len(batch.failed)
        for video, message in batch.failed:
            self.counts.failed += 1
            self.listener.note(f"left out: {video}: {message}")
            if len(self.counts.failures) < 3:
                self.counts.failures.append(f"{video}: {message}")
        self._check_failures(final=False)

    def _check_failures(self, *, final: bool) -> None:
        """Stop where more than `max_failed` of an epoch's videos failed: something is wrong with the data."""
        limit = self.config.run.max_failed
        whole = self.counts.seen if final else len(self.dataset) / self.accelerator.num_processes
        if self.counts.failed > max(limit * whole, 0.0):
            raise TrainingError(
                f"{self.counts.failed} of {self.counts.seen} videos failed, over run.max_failed={limit} of an epoch "
                f"({self.counts.failures[0]}); mend the data, or allow more with a larger run.max_failed",
                option=("overrides", "set_"),
            )

    # -- checkpoints ---------------------------------------------------------------------------------------

    def _due(self) -> bool:
        """Tell whether it is time for a checkpoint; processes agree, as saving waits for all of them."""
        late = time.monotonic() - self._saved_at > 60 * self.config.run.checkpoint_minutes
        if self.accelerator.num_processes == 1:
            return late
        flag = torch.tensor(float(late and self.accelerator.is_main_process), device=self.accelerator.device)
        return bool(self.accelerator.reduce(flag, "sum") > 0)

    def _save(self) -> None:
        self._saved_at = time.monotonic()
        self.accelerator.wait_for_everyone()
        if not self.accelerator.is_main_process:
            return
        write_checkpoint(
            self.folder.checkpoints,
            Checkpoint(
                step=self.step,
                epoch=self.epoch,
                batch=self.batch,
                weights={name: weight.detach() for name, weight in self.weights.items()},
                optimizer=optimizer_tensors(self.optimizer.optimizer, self._names),
                average=self.average.weights,
                averaged=self.average.count,
                counts=asdict(self.counts),
                scaler=self.accelerator.scaler.state_dict() if self.accelerator.scaler is not None else {},
            ),
            keep=self.config.run.keep_checkpoints,
        )

    def _resume(self) -> None:
        path = latest_checkpoint(self.folder.checkpoints)
        if path is None:
            return
        saved = read_checkpoint(path)
        load_weights(self.weights, saved.weights)
        load_optimizer_tensors(self.optimizer.optimizer, self._names, saved.optimizer)
        self.step, self.epoch, self.batch = saved.step, saved.epoch, saved.batch
        self.average.weights, self.average.count = saved.average, saved.averaged
        self.counts = _Counts(**saved.counts)
        if self.accelerator.scaler is not None and saved.scaler:
            self.accelerator.scaler.load_state_dict(saved.scaler)
        self.listener.note(f"going on after step {self.step} of {self.total} ({path.name})")

    def _log(self, kind: str, values: Mapping[str, Any]) -> None:
        if self._metrics is not None:  # fp16 leaves out a step whose gradient overflows; JSON has no number for it
            finite = {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in values.items()}
            self._metrics.write(kind, self.step, finite)


def _freeze_statistics(module: nn.Module) -> None:
    """Keep the original's statistics of batch normalisation: they are no weights and would drift apart from them."""
    for part in module.modules():
        if isinstance(part, nn.modules.batchnorm._BatchNorm):
            part.eval()


def _seed(*key: int) -> int:
    return int(np.random.SeedSequence(list(key)).generate_state(1)[0])
