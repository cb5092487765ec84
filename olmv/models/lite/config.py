"""Sizes of olmv-lite's towers."""

import math
from dataclasses import asdict, dataclass
from typing import Any

from olmv.errors import ModelError
from olmv.models.storage.json import check_sizes

__all__ = ["LiteConfig", "Stage"]

_MOST = {
    "image_size": 4096, "embed_dim": 65536, "vocab_size": 2**20, "text_width": 65536, "text_layers": 200,
    "text_heads": 1024, "text_hidden": 2**18, "context_length": 8192, "anchors": 2**20, "key_heads": 64,
}  # fmt: skip
_RANGES = {"width": (0.1, 10.0), "depth": (0.1, 10.0), "temperature": (1e-4, 1e3)}
# EfficientNet-B0 (arXiv 1905.11946, table 1): kernel, stride, expansion, channels, blocks
_BASE = (
    (3, 1, 1, 16, 1), (3, 2, 6, 24, 2), (5, 2, 6, 40, 2), (3, 2, 6, 80, 3),
    (5, 1, 6, 112, 3), (5, 2, 6, 192, 4), (3, 1, 6, 320, 1),
)  # fmt: skip


@dataclass(frozen=True)
class Stage:
    """Several blocks of one shape in a row; only the first has the stride."""

    kernel: int
    stride: int
    expansion: int
    channels: int
    blocks: int


@dataclass(frozen=True)
class LiteConfig:
    """Sizes of both towers; what `config.json` of a saved olmv-lite holds under `architecture`.

    Attributes:
        image_size: S, pixels a side.
        width, depth: multipliers on the channels and blocks of EfficientNet-B0; (1.1, 1.2) is EfficientNet-Lite2.
        embed_dim: D, the channels of the image tower's last layer.
        vocab_size, text_width, text_layers, text_heads, text_hidden, context_length: of the sentence encoder.
        anchors: K, image classes that a text is compared with.
        key_heads: H, ways to compare.
        temperature: of that comparison, in units of cosine.
        sigmoid: whether it was fine-tuned with a sigmoid loss, and so has a bias.

    Raises:
        ModelError: sizes that no model has.
    """

    image_size: int = 260
    width: float = 1.1
    depth: float = 1.2
    embed_dim: int = 1280
    vocab_size: int = 30522
    text_width: int = 384
    text_layers: int = 6
    text_heads: int = 12
    text_hidden: int = 1536
    context_length: int = 128
    anchors: int = 1000
    key_heads: int = 2
    temperature: float = 0.06
    sigmoid: bool = False

    def __post_init__(self) -> None:
        check_sizes(self, _MOST, "an olmv-lite")
        for name, (least, most) in _RANGES.items():
            value = getattr(self, name)
            if type(value) not in (int, float) or not least <= value <= most:
                raise ModelError(
                    f"an olmv-lite with {name} = {value!r:.40} cannot be; give a number from {least:g} to {most:g}"
                )
        if type(self.sigmoid) is not bool:
            raise ModelError(f"an olmv-lite with sigmoid = {self.sigmoid!r:.40} cannot be; it is true or false")
        if self.text_width % self.text_heads:
            raise ModelError(
                f"an olmv-lite with text_width = {self.text_width} and text_heads = {self.text_heads} cannot be; the "
                "width must be a multiple of the heads"
            )

    @property
    def stem_channels(self) -> int:
        """Return the channels of the first layer, which the Lite models do not scale."""
        return 32

    @property
    def stages(self) -> tuple[Stage, ...]:
        """Return the stages of the image tower: those of EfficientNet-B0 made wider and deeper.

        The first and the last stage keep their depth, as in the Lite models.
        """
        last = len(_BASE) - 1
        return tuple(
            Stage(
                kernel,
                stride,
                expansion,
                _multiple_of_8(channels * self.width),
                blocks if index in (0, last) else math.ceil(blocks * self.depth),
            )
            for index, (kernel, stride, expansion, channels, blocks) in enumerate(_BASE)
        )

    def to_dict(self) -> dict[str, Any]:
        """Return what `config.json` holds."""
        return asdict(self)


def _multiple_of_8(channels: float) -> int:
    """Round to the nearest multiple of 8, but never to less than nine tenths of `channels`."""
    rounded = max(8, int(channels + 4) // 8 * 8)
    return rounded if rounded >= 0.9 * channels else rounded + 8
