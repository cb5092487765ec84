"""The towers of olmv-mini."""

from pathlib import Path

import torch
from torch import Tensor, nn

from olmv.models.clip.own_towers import OwnTowers
from olmv.models.mini.network import MiniConfig, MiniTextTower, MiniVisionTower

__all__ = ["MiniTowers"]


class MiniTowers(OwnTowers):
    """olmv-mini's towers; trained with a sigmoid loss, so they have a bias."""

    family = "olmv-mini"
    config_class = MiniConfig
    vision_class = MiniVisionTower
    text_class = MiniTextTower
    config: MiniConfig
    visual: MiniVisionTower
    textual: MiniTextTower

    def __init__(self, config: MiniConfig, tokenizer_file: Path) -> None:
        super().__init__(config, tokenizer_file)
        self.logit_bias = nn.Parameter(torch.tensor(-8.0))
        self.grid_side = config.image_size // 8
        self.token_width = config.vision_width

    @property
    def token_embedding(self) -> nn.Module:
        return self.textual.widen

    @property
    def token_vectors(self) -> Tensor:
        vectors: Tensor = self.textual.widen(self.textual.tokens.weight)
        return vectors

    def image_and_tokens(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        tokens = self.visual.tokens(pictures)
        return self.visual.head(tokens), tokens

    def image_blocks(self) -> list[nn.Module]:
        return list(self.visual.blocks)
