"""The families of olmv's own making, such as olmv-mini: all that differs is the class of their towers."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from olmv.labels.quality import TextLimit
from olmv.models.clip.clip_family import VideoClipFamily
from olmv.models.clip.own_towers import OwnTowers, Sizes
from olmv.models.family import ModelInfo
from olmv.models.storage.folder import read_preprocess, reading
from olmv.models.storage.migrations import check_architecture
from olmv.models.storage.tokenizer_check import read_tokenizer
from olmv.models.storage.weights import NoRandomWeights, check_shapes

__all__ = ["OwnFamily"]


class OwnFamily(VideoClipFamily):
    """A family by its towers.

    Args:
        towers: their class.
    """

    required_files = ("tokenizer.json",)

    def __init__(self, towers: type[OwnTowers]) -> None:
        self.towers = towers

    def check(self, config: Mapping[str, Any], source: Path) -> None:
        super().check(config, source)
        check_architecture(config, source)

    def info(self, config: Mapping[str, Any], folder: Path, *, name: str) -> ModelInfo:
        image_size, sizes = read_preprocess(folder).size, self._sizes(config, folder)
        return ModelInfo(
            name, "olmv", config["family"], image_size, sizes.embed_dim or None, sizes.context_length, False,
            config["description"], config["temporal"],
        )  # fmt: skip

    def text_limit(self, config: Mapping[str, Any], folder: Path, *, name: str) -> TextLimit:
        context = self._sizes(config, folder).context_length
        tokenizer = read_tokenizer(folder / "tokenizer.json")
        return TextLimit(
            name,
            context,
            config["templates"],
            lambda texts: [len(encoding.ids) for encoding in tokenizer.encode_batch(list(texts))],
        )

    def build_towers(self, config: Mapping[str, Any], folder: Path, saved: Mapping[str, Tensor]) -> OwnTowers:
        sizes = self._sizes(config, folder)
        with torch.device("meta"), NoRandomWeights():
            for part, tower in (
                ("visual", self.towers.vision_class(sizes)),
                ("textual", self.towers.text_class(sizes)),
            ):
                check_shapes({f"towers.{part}.{k}": v for k, v in tower.state_dict().items()}, saved, folder)
        with NoRandomWeights():
            return self.towers(sizes, folder / "tokenizer.json")

    def _sizes(self, config: Mapping[str, Any], folder: Path) -> Sizes:
        with reading(folder):
            return self.towers.config_class(**config["architecture"])
