"""The loss of a batch: which objectives, over which labels and captions.

Captions and labels come from the frozen text tower, which encodes each of them once.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from olmv.models.text_cache import encode_texts_cached
from olmv.scoring.bank import TextBank
from olmv.train.config import TrainConfig
from olmv.train.data.dataset import Batch
from olmv.train.data.features import FeatureBatch, on_device
from olmv.train.distillation import Distillation
from olmv.train.loss_terms import LABEL_OBJECTIVES, caption_contrast
from olmv.train.trainable import Output, Trainable

__all__ = ["BatchLoss"]


class BatchLoss:
    """Batches to losses.

    Args:
        config: the run.
        module: what accelerate made of `trainable`; calling it is what other processes wait for.
        trainable: the model with its labels.
        bank: label texts.
        accelerator: accelerate's.
        distillation: from the original, where it has a weight in the config.
    """

    def __init__(
        self,
        config: TrainConfig,
        module: nn.Module,
        trainable: Trainable,
        bank: TextBank,
        accelerator: Any,
        distillation: Distillation | None = None,
    ) -> None:
        self.config, self.module, self.trainable, self.bank = config, module, trainable, bank
        self.accelerator, self.distillation = accelerator, distillation
        self._captions: dict[str, Tensor] = {}

    def __call__(self, batch: Batch | FeatureBatch, step: int) -> tuple[Tensor, dict[str, float]]:
        """Return the loss of a batch at the present weights, and its parts for the log.

        Args:
            batch: the clips; all of them may have failed.
            step: what the choice of labels depends on (soft attributes).
        """
        rule, device = self.config.objective, self.accelerator.device
        if batch.pixels is None:  # every video failed; other processes still wait for this one's gradients
            if rule.caption_weight > 0:  # and for its captions
                self._from_all(torch.zeros(0, self.trainable.model.embed_dim))
            return self._nothing(), {"loss": 0.0}
        targets = batch.targets.to(device)
        labels, columns = self._labels_of(targets, step)
        if columns is not None:
            targets = targets[:, columns]
        mask = None if bool(batch.mask.all()) else batch.mask.to(device)
        pixels = on_device(batch.pixels, device)
        if self.config.data.vary_frames and mask is None:
            frames = self._some_frames(batch.mask.shape[1], step).to(device)
            pixels = pixels[:, frames] if isinstance(pixels, Tensor) else pixels.frames(frames)
        original = None if self.distillation is None else self.distillation.original(pixels, mask)
        output = Output(*self.module(pixels, mask, self.bank, labels))
        logits = output.logits
        if rule.label == "cross-entropy" and output.bias is not None:  # a softmax cannot see it; processes wait for it
            logits = output.scale * output.similarity + 0.0 * output.bias
        rows = batch.labelled.to(device)  # of other clips only the caption is known
        if rule.label == "cross-entropy":  # which label is it? teaches nothing where it is none
            rows = rows & targets.bool().any(-1)
        label = LABEL_OBJECTIVES[rule.label](logits[rows], targets[rows]) if bool(rows.any()) else logits.sum() * 0.0
        loss, figures = rule.label_weight * label, {"label": label.item()}
        if rule.caption_weight > 0:
            caption = self._caption_loss(output, batch.captions)
            loss, figures["caption"] = loss + rule.caption_weight * caption, caption.item()
        if self.distillation is not None and original is not None:
            moved = self.distillation(output.video, original)
            loss, figures["distillation"] = loss + self.config.regularization.distillation * moved, moved.item()
        return loss, {"loss": loss.item(), **figures}

    def _nothing(self) -> Tensor:
        """Return a zero that depends on every trained weight."""
        size = self.trainable.model.preprocess.size
        black = torch.zeros(1, 1, 3, size, size, dtype=torch.uint8, device=self.accelerator.device)
        labels = self.bank.labels[:1] if self.trainable.soft_attributes is not None else None
        output = Output(*self.module(black, None, self.bank, labels))
        return (output.logits.sum() + output.video.sum()) * 0.0

    def _some_frames(self, frames: int, step: int) -> Tensor:
        """Choose the frames of this step [T'], evenly spread: all, or now and then a half, a quarter, or one."""
        rng = np.random.default_rng([self.config.run.seed, step, self.accelerator.process_index, 0xF2])
        count = int(rng.choice([frames, max(1, frames // 2), max(1, frames // 4), 1], p=[0.55, 0.15, 0.15, 0.15]))
        return ((torch.arange(count) + 0.5) * frames / count).long()

    def _labels_of(self, targets: Tensor, step: int) -> tuple[Sequence[str] | None, Tensor | None]:
        """Choose, with soft attributes, this step's labels (all true ones, others at random) and their columns."""
        soft = self.config.model.soft_attributes
        if soft is None or self.trainable.soft_attributes is None:
            return None, None
        names = self.bank.labels
        if len(names) <= soft.labels_per_step:
            return names, None
        true = targets.any(0).cpu().numpy()
        rng = np.random.default_rng([self.config.run.seed, step, self.accelerator.process_index, 0x50F7])
        others = rng.permutation(np.flatnonzero(~true))[: max(0, soft.labels_per_step - int(true.sum()))]
        columns = np.sort(np.concatenate([np.flatnonzero(true), others]))
        return [names[i] for i in columns], torch.from_numpy(columns).to(targets.device)

    def _caption_loss(self, output: Output, captions: Sequence[str | None]) -> Tensor:
        rows = [i for i, caption in enumerate(captions) if caption]
        if len(rows) < 2 and self.accelerator.num_processes == 1:
            return output.video.sum() * 0.0  # nothing to tell it from
        texts = [captions[i] or "" for i in rows]
        if fresh := [t for t in dict.fromkeys(texts) if t not in self._captions]:
            encoded = encode_texts_cached(self.trainable.model, fresh)
            self._captions |= {text: row.half() for text, row in zip(fresh, encoded, strict=True)}
        mine = (
            torch.stack([self._captions[t] for t in texts]).float() if texts else torch.zeros(0, output.video.shape[1])
        )
        mine, first = self._from_all(mine.to(output.video.device))
        if not rows or len(mine) < 2:
            return output.video.sum() * 0.0
        return caption_contrast(output.video[rows], nn.functional.normalize(mine, dim=-1), output.scale, first=first)

    def _from_all(self, captions: Tensor) -> tuple[Tensor, int]:
        """Gather caption embeddings [B, D] of all processes, and the row where this process's begin."""
        if self.accelerator.num_processes == 1:
            return captions, 0
        from accelerate.utils import gather_object

        everyone: list[Tensor] = gather_object([captions.cpu()])
        first = sum(len(c) for c in everyone[: self.accelerator.process_index])
        return torch.cat(everyone).to(captions.device), first
