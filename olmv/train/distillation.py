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
