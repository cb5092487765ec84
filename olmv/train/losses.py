"""The loss of a batch: which objectives, over which labels and captions.

Captions and labels come from the frozen text tower, which encodes each of them once.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from olmv.labels.background import background_texts
from olmv.models.clip.temporal import FrameFeatures
from olmv.models.text_cache import encode_texts_cached
from olmv.scoring.bank import TextBank
from olmv.train.config import TrainConfig
from olmv.train.data.dataset import Batch
from olmv.train.data.features import FeatureBatch, on_device
from olmv.train.loss_terms import LABEL_OBJECTIVES, caption_contrast, relation_distillation
from olmv.train.trainable import Output, Trainable, label_bank
from olmv.train.weight_interpolation import InterpolatedWeights

__all__ = ["BatchLoss", "Distillation"]

UNKNOWN = -1e4  # logit of a pair that nobody judged: its loss is exactly 0 in every floating-point format


class Distillation:
    """How far clips have moved from where the original has them, see `olmv.train.loss_terms.relation_distillation`.

    Needs no second model: the original's weights are put in for one pass without gradient, a third of a step's cost.

    Args:
        trainable: the model with its labels.
        weights: the trained weights, by name.
        original: what they were before training, by name.
        templates: of the everyday words.
    """

    def __init__(
        self,
        trainable: Trainable,
        weights: Mapping[str, nn.Parameter],
        original: Mapping[str, Tensor],
        templates: Sequence[str],
    ) -> None:
        self._trainable = trainable
        self._swap = InterpolatedWeights(weights, original)
        self._bank = label_bank(trainable.model, background_texts(templates))
        self._words = self._bank.means
        self._scale = trainable.model.towers.logit_scale.detach().float()

    @torch.no_grad()
    def original(self, pixels: Tensor | FrameFeatures, mask: Tensor | None) -> Tensor:
        """Return what the original sees [B, D], L2-normalised, in the clips `pixels` with `mask` [B, T].

        To be asked before the pass with gradient: afterwards the weights must not change until its gradient is there.
        """
        with self._swap.at(1.0):
            return Output(*self._trainable(pixels, mask, self._bank)).video

    def __call__(self, videos: Tensor, original: Tensor) -> Tensor:
        """Return the mean over videos [B, D], L2-normalised, with what `original` gave for them."""
        return relation_distillation(videos, original, self._words, self._scale)


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
            output = self._black()
            loss = (output.logits.sum() + output.video.sum()) * 0.0  # it depends on every trained weight
            if rule.caption_weight > 0:  # and for its captions, of which it has none
                loss = loss + rule.caption_weight * self._caption_loss(output, [])
            return loss, {"loss": loss.item()}
        targets = batch.targets.to(device)
        labels, columns = self._labels_of(targets, step)
        if columns is not None:
            targets = targets[:, columns]
        known = None if batch.known is None else batch.known.to(device)
        if known is not None and columns is not None:
            known = known[:, columns]
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
        elif rule.label != "cross-entropy" and known is not None:
            # replayed clips were not looked at for the new labels, nor new ones for the earlier: a sure "no" costs
            # nothing and moves nothing; a softmax needs every label to choose from
            logits = logits.masked_fill(~known, UNKNOWN)
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

    def _black(self) -> Output:
        """Run the model on one black frame."""
        size = self.trainable.model.preprocess.size
        black = torch.zeros(1, 1, 3, size, size, dtype=torch.uint8, device=self.accelerator.device)
        labels = self.bank.labels[:1] if self.trainable.soft_attributes is not None else None
        return Output(*self.module(black, None, self.bank, labels))

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
        """Contrast the captioned videos of all processes with their captions.

        Every process computes the loss of all of them and has the gradient of its own videos. The mean over processes
        that DistributedDataParallel takes then is the gradient of one process with all videos: the loss counts as often
        as there are processes, and the scale, whose gradient each has whole, once in all.
        """
        rows = [i for i, caption in enumerate(captions) if caption]
        texts = [captions[i] or "" for i in rows]
        if fresh := [t for t in dict.fromkeys(texts) if t not in self._captions]:
            encoded = encode_texts_cached(self.trainable.model, fresh)
            self._captions |= {text: row.half() for text, row in zip(fresh, encoded, strict=True)}
        width = output.video.shape[1]
        mine = torch.stack([self._captions[t] for t in texts]).float() if texts else torch.zeros(0, width)
        videos, sentences = self._from_all(output.video[rows], mine.to(output.video.device))
        if len(sentences) < 2:
            return output.video.sum() * 0.0  # nothing to tell it from
        processes: int = self.accelerator.num_processes
        scale = _with_gradient_times(output.scale, 1 / processes)
        loss = caption_contrast(videos, nn.functional.normalize(sentences, dim=-1), scale)
        return _with_gradient_times(loss, processes) + output.video.sum() * 0.0

    def _from_all(self, videos: Tensor, captions: Tensor) -> tuple[Tensor, Tensor]:
        """Gather the embeddings of all processes, [B, D] each; this process's videos keep their gradient."""
        if self.accelerator.num_processes == 1:
            return videos, captions
        from accelerate.utils import gather_object

        everyone: list[tuple[Tensor, Tensor]] = gather_object([(videos.detach().cpu(), captions.cpu())])
        parts = [part.to(videos.device, videos.dtype) for part, _ in everyone]
        parts[self.accelerator.process_index] = videos
        return torch.cat(parts), torch.cat([part for _, part in everyone]).to(captions.device)


def _with_gradient_times(value: Tensor, factor: float) -> Tensor:
    """Return the same value, whose gradient is `factor` times as large."""
    return value.detach() + factor * (value - value.detach())
