"""The towers of olmv-lite."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn

from olmv.models.clip.own_towers import OwnTowers
from olmv.models.lite.config import LiteConfig
from olmv.models.lite.network import LiteTextTower, LiteVisionTower

__all__ = ["LiteTowers"]


class LiteTowers(OwnTowers):
    """olmv-lite's towers; its classifier was trained with a softmax, so there is no bias until fine-tuning adds one."""

    family = "olmv-lite"
    config_class = LiteConfig
    vision_class = LiteVisionTower
    text_class = LiteTextTower
    config: LiteConfig
    textual: LiteTextTower
    cpu_pictures = 4  # at once: of more, what the first layers give falls out of a CPU's caches

    def __init__(self, config: LiteConfig, tokenizer_file: Path) -> None:
        super().__init__(config, tokenizer_file)
        if config.sigmoid:
            self.add_bias(0.0)

    def image(self, pictures: Tensor) -> Tensor:
        """Encode pictures [N, 3, S, S] -> [N, D], not normalised."""
        if pictures.device.type != "cpu" or torch.compiler.is_compiling():  # an exported graph keeps N open
            return super().image(pictures)
        return torch.cat([self.visual(part) for part in torch.split(pictures, self.cpu_pictures)])

    def meaning(self, texts: Sequence[str]) -> Tensor:
        """Encode A texts -> what they mean [A, W], L2-normalised: before it is said in terms of image classes."""
        return self.textual.meaning(*self.token_ids(texts))

    @property
    def token_embedding(self) -> nn.Module:
        return self.textual.tokens

    @property
    def token_vectors(self) -> Tensor:
        return self.textual.tokens.weight

    def add_bias(self, value: float) -> None:
        """Give the model the bias of a sigmoid-trained one, for fine-tuning with a sigmoid loss."""
        self.logit_bias = nn.Parameter(torch.full_like(self.log_scale.detach(), value))
        self.config = replace(self.config, sigmoid=True)
