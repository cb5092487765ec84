"""Distillation from the original: what it sees in the training clips, among everyday words, stays as it was."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from olmv.labels.background import background_texts
from olmv.models.clip.temporal import FrameFeatures
from olmv.train.loss_terms import relation_distillation
from olmv.train.trainable import Output, Trainable, label_bank
from olmv.train.weight_interpolation import InterpolatedWeights

__all__ = ["Distillation"]


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

    def __call__(self, videos: Tensor, pixels: Tensor | FrameFeatures, mask: Tensor | None) -> Tensor:
        """Return the mean over videos [B, D], L2-normalised, of the clips `pixels` with `mask` [B, T]."""
        with torch.no_grad(), self._swap.at(1.0):
            before = Output(*self._trainable(pixels, mask, self._bank)).video
        return relation_distillation(videos, before, self._words, self._scale)
