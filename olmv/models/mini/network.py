"""The towers of olmv-mini: a small image encoder for 64 px pictures and a small text encoder for English labels."""

from dataclasses import asdict, dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from olmv.errors import ModelError
from olmv.models.clip.block import Block
from olmv.models.storage.json import check_sizes

__all__ = ["MiniConfig", "MiniTextTower", "MiniVisionTower"]

_MOST = {
    "image_size": 4096, "vision_width": 65536, "vision_layers": 200, "vision_heads": 1024, "pooled_width": 65536,
    "embed_dim": 65536, "vocab_size": 2**20, "token_dim": 65536, "text_width": 65536, "text_layers": 200,
    "text_heads": 1024, "context_length": 8192, "memory_size": 2**20,
}  # fmt: skip


@dataclass(frozen=True)
class MiniConfig:
    """Sizes of both towers; what `config.json` of a saved olmv-mini holds under `architecture`.

    Raises ModelError where sizes are impossible.
    """

    image_size: int = 64
    vision_width: int = 192
    vision_layers: int = 3
    vision_heads: int = 4
    pooled_width: int = 512  # of the features that the head takes the maximum of, over tokens
    embed_dim: int = 256
    vocab_size: int = 30522
    token_dim: int = 128  # token embeddings are factorised: most of a small tower would be its vocabulary
    text_width: int = 256
    text_layers: int = 3
    text_heads: int = 4
    context_length: int = 40
    memory_size: int = 0  # label vectors that the text tower reads at its end; 0 for none
    memory_strength: float = 2.0
    memory_temperature: float = 0.03

    def __post_init__(self) -> None:
        check_sizes(self, _MOST, "an olmv-mini", may_be_0=("memory_size",))
        for name, least in (("memory_strength", 0.0), ("memory_temperature", 1e-6)):
            value = getattr(self, name)
            if type(value) not in (int, float) or not least <= value <= 1e6:
                raise ModelError(
                    f"an olmv-mini with {name} = {value!r:.40} cannot be; give a number from {least:g} to 1e+06"
                )

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


class _ConvNorm(nn.Sequential):
    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__(
            nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False),
            nn.GroupNorm(8, outputs),
            nn.GELU(),
        )


class MiniVisionTower(nn.Module):
    """Pictures [N, 3, S, S] -> embeddings [N, D], not normalised.

    Three stride-2 convolutions make a token of every 8x8 pixels, three transformer layers let tokens see each
    other, and the head takes the maximum of every feature over tokens (beside the mean): a picture of three
    objects holds the features of all three, however little of the picture each one fills.
    """

    def __init__(self, config: MiniConfig) -> None:
        super().__init__()
        width, side = config.vision_width, config.image_size // 8
        self.stem = nn.ModuleList([
            _ConvNorm(3, width // 4, 2), _ConvNorm(width // 4, width // 2, 2),
            _ConvNorm(width // 2, width // 2, 1), _ConvNorm(width // 2, width, 2),
        ])  # fmt: skip
        self.positions = nn.Parameter(nn.init.normal_(torch.empty(1, side * side, width), std=0.02))
        self.blocks = nn.ModuleList(Block(width, config.vision_heads) for _ in range(config.vision_layers))
        self.ln_post = nn.LayerNorm(width)
        self.features = nn.Linear(width, config.pooled_width)
        self.proj = nn.Linear(2 * config.pooled_width, config.embed_dim)

    def tokens(self, pictures: Tensor) -> Tensor:
        """Run the blocks over pictures [N, 3, S, S] -> [N, (S / 8) ** 2, width], row by row."""
        x = self.stem[1](self.stem[0](pictures))
        x = x + self.stem[2](x)
        x = self.stem[3](x).flatten(2).transpose(1, 2) + self.positions
        for block in self.blocks:
            x = block(x)
        out: Tensor = x
        return out

    def head(self, tokens: Tensor) -> Tensor:
        """Pool tokens [N, (S / 8) ** 2, width] -> [N, D]."""
        x = F.gelu(self.features(self.ln_post(tokens)))
        out: Tensor = self.proj(torch.cat([x.amax(1), x.mean(1)], dim=-1))
        return out

    def forward(self, pictures: Tensor) -> Tensor:
        """Encode pictures [N, 3, S, S] -> [N, D]."""
        return self.head(self.tokens(pictures))


class MiniTextTower(nn.Module):
    """Token ids [A, L] with padding -> embeddings [A, D], not normalised; mean over the real tokens.

    The last layer is an attention over a memory of the label vectors [M, D] that the image tower was trained to hit:

        out = t + strength * softmax(<t, memory> / temperature) memory,    t a unit vector

    Pictures live where those vectors are, while a word such as "porpoise" lands beside its neighbours there; the
    layer moves it towards them. It hardly moves a trained label, whose nearest neighbour is itself.
    """

    memory: Tensor

    def __init__(self, config: MiniConfig) -> None:
        super().__init__()
        self.strength, self.temperature = config.memory_strength, config.memory_temperature
        self.register_buffer("memory", torch.zeros(config.memory_size, config.embed_dim))
        self.tokens = nn.Embedding(config.vocab_size, config.token_dim)
        self.widen = nn.Linear(config.token_dim, config.text_width)
        positions = torch.empty(1, config.context_length, config.text_width)
        self.positions = nn.Parameter(nn.init.normal_(positions, std=0.02))
        self.blocks = nn.ModuleList(Block(config.text_width, config.text_heads) for _ in range(config.text_layers))
        self.ln_final = nn.LayerNorm(config.text_width)
        self.proj = nn.Linear(config.text_width, config.embed_dim)

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        """Encode ids [A, L] int, mask [A, L] bool (True for real tokens) -> [A, D]."""
        x = self.widen(self.tokens(ids)) + self.positions[:, : ids.shape[1]]
        padding = ~mask
        for block in self.blocks:
            x = block(x, padding)
        x = self.ln_final(x)
        weights = mask[..., None].to(x.dtype)
        out: Tensor = self.proj((x * weights).sum(1) / weights.sum(1).clamp(min=1))
        if len(self.memory) == 0:
            return out
        unit = F.normalize(out.float(), dim=-1)
        memory = self.memory.float()
        return (unit + self.strength * (unit @ memory.T / self.temperature).softmax(-1) @ memory).to(out.dtype)
