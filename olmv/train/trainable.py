"""What a training step runs: clips in, similarities out, in one `forward`, so that every process's gradients meet."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from olmv.errors import UsageError
from olmv.labels.texts import LabelTexts
from olmv.models.clip.model import VideoCLIP
from olmv.models.clip.temporal import FrameFeatures, new_parameters
from olmv.models.text_cache import encode_texts_cached
from olmv.scoring.bank import TextBank
from olmv.scoring.options import FramePooling
from olmv.scoring.pooling import score

__all__ = ["Output", "Trainable", "embedded_bank", "label_bank", "select_weights", "unmixed_weights"]

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Output:
    """Of one forward pass.

    Attributes:
        similarity: [B, C] cosines, pooled over frames and texts.
        video: [B, D] L2-normalised, for captions.
        scale, bias: the model's own, as scalars; bias is None for softmax-trained models.
    """

    similarity: Tensor
    video: Tensor
    scale: Tensor
    bias: Tensor | None

    @property
    def logits(self) -> Tensor:
        """Return scale * similarity (+ bias) [B, C]."""
        logits = self.scale * self.similarity
        return logits if self.bias is None else logits + self.bias


def label_bank(model: VideoCLIP, texts: LabelTexts) -> TextBank:
    """Embed all labels, once: the text tower is frozen."""
    encoded = encode_texts_cached(model, texts.texts).to(model.device)
    return TextBank.from_texts(texts, encoded, stored=model.label_embeddings)


def embedded_bank(labels: Sequence[str], embeddings: Tensor) -> TextBank:
    """Make a bank of C labels with one embedding each, [C, D] float32, L2-normalised."""
    return TextBank(embeddings, torch.arange(len(labels), device=embeddings.device), tuple(labels), tuple(labels))


class Trainable(nn.Module):
    """A video CLIP with its label texts.

    Args:
        model: what is trained.
        frame_pooling: as `olmv predict --frame-pooling`.
        frozen_tower: the image tower gets no gradient (and keeps no activations).
        soft_attributes: a `SoftAttributes`, which then gives the label embeddings.
    """

    def __init__(
        self,
        model: VideoCLIP,
        *,
        frame_pooling: FramePooling = "mean",
        frozen_tower: bool = False,
        soft_attributes: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.model = model
        self.frame_pooling = frame_pooling
        self.frozen_tower = frozen_tower
        self.soft_attributes: Any = soft_attributes
        self.new_bias = False  # given to a softmax-trained model by this run

    def forward(
        self, pixels: Tensor | FrameFeatures, mask: Tensor | None, bank: TextBank, labels: Sequence[str] | None = None
    ) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
        """Turn pixels [B, T, 3, S, S] (0 to 255) and mask [B, T], True for real frames, into the fields of `Output`.

        A plain tuple, because DistributedDataParallel looks for gradients in plain containers.

        Args:
            pixels, mask: the clips; of a frozen tower also what it gave for them.
            bank: the label texts, used as they are unless there are `labels`.
            labels: what to describe softly, with gradient, instead of the bank; only with soft attributes.
        """
        model = self.model
        if isinstance(pixels, FrameFeatures):
            embeddings = model.contextualise(pixels, mask)
        elif self.frozen_tower and model.encodes_stills:
            with torch.no_grad():
                features = model.encode_stills(model.preprocess.normalize(pixels, dtype=model.dtype), mask)
            embeddings = model.contextualise(features, mask)
        else:
            embeddings = model.encode_frames(model.preprocess.normalize(pixels, dtype=model.dtype), mask)
        embeddings = embeddings.float()
        mask = model.row_mask(mask)
        video = model.pool_frames(embeddings, mask)
        if labels is not None:
            bank = embedded_bank(labels, self.soft_attributes(labels))
        if model.yields_video_embedding:
            similarity = score(video, None, bank)
        else:
            similarity = score(embeddings, mask, bank, frame_pooling=self.frame_pooling)
        bias = model.towers.logit_bias
        return similarity, video, model.towers.logit_scale.float(), None if bias is None else bias.float()


def select_weights(trainable: Trainable, which: str) -> tuple[dict[str, nn.Parameter], set[str]]:
    """Switch gradients on for what is trained.

    Args:
        trainable: the model.
        which: `visual` (image tower, temporal module, scale, bias) or `new` (only weights the original did not have).

    Returns:
        The trained weights by name, and the names of those that the original did not have.

    Raises:
        UsageError: nothing is left to train.
    """
    model = trainable.model
    text = {id(p) for _, p in model.towers.text_parameters()}
    new = {f"model.{name}" for name in new_parameters(model)}
    if trainable.new_bias:
        new |= {n for n, p in trainable.named_parameters() if p is model.towers.logit_bias}
    soft = {n for n, p in trainable.named_parameters() if n.startswith("soft_attributes.") and p.requires_grad}
    chosen: dict[str, nn.Parameter] = {}
    for name, parameter in trainable.named_parameters():
        visual = name.startswith("model.") and id(parameter) not in text
        trained = name in new | soft or (which == "visual" and visual)
        parameter.requires_grad_(trained)
        if trained:
            chosen[name] = parameter
    if which == "new" and not new and not soft:
        raise UsageError(
            "model.train is 'new', but this model has no new weights; choose a temporal module with weights "
            "(attention, transformer, divided, st-adapter), soft attributes, or model.train=visual"
        )
    return chosen, new | soft


def unmixed_weights(trainable: Trainable, new: set[str], *, own_module: bool) -> set[str]:
    """Name the trained weights that the original model has no counterpart of, so that nothing can be mixed with them.

    Args:
        trainable: the model.
        new: what `select_weights` gave.
        own_module: the temporal module is the loaded model's own, trained before.
    """
    return new - {f"model.{name}" for name in new_parameters(trainable.model)} if own_module else set(new)
