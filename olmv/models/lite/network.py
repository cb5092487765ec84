"""The two networks of olmv-lite: EfficientNet-Lite for pictures, a sentence encoder with image classes for texts.

Own code instead of timm's and transformers' classes, whose imports would be most of the start-up
(`scripts/benchmarks/bench_lite.py` times them). Tests compare both with theirs.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from olmv.models.lite.config import LiteConfig

__all__ = ["LiteTextTower", "LiteVisionTower"]


class _Conv(nn.Conv2d):
    """A convolution with TensorFlow's padding: what does not divide evenly goes to the right and below.

    Where that is one more than to the left, the kernel gets zeros in front and the padding is alike on all sides: the
    same result, without a padded copy of the picture.
    """

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> None:
        super().__init__(inputs, outputs, kernel, stride, groups=groups)

    def forward(self, x: Tensor) -> Tensor:
        """Convolve x [N, C, H, W] -> [N, C', ceil(H / stride), ceil(W / stride)]."""
        kernel, stride = self.kernel_size[0], self.stride[0]
        total = [max((-(-side // stride) - 1) * stride + kernel - side, 0) for side in x.shape[-2:]]
        front = [side % 2 for side in total]
        weight = F.pad(self.weight, (front[1], 0, front[0], 0)) if any(front) else self.weight
        return F.conv2d(x, weight, self.bias, stride, [-(-side // 2) for side in total], groups=self.groups)


class _Block(nn.Module):
    """An inverted bottleneck: widen, convolve every channel by itself, narrow; beside it the input as it was."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        width = inputs * expansion
        self.expand = _Conv(inputs, width, 1) if expansion > 1 else None
        self.depthwise = _Conv(width, width, kernel, stride, groups=width)
        self.project = _Conv(width, outputs, 1)
        self.residual = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        """Run x [N, C, H, W] -> [N, C', H / stride, W / stride]."""
        h: Tensor = x if self.expand is None else F.relu6(self.expand(x), inplace=True)
        h = self.project(F.relu6(self.depthwise(h), inplace=True))
        if self.residual:
            h += x
        return h


class LiteVisionTower(nn.Module):
    """Pictures [N, 3, S, S] -> embeddings [N, D], not normalised: the features that EfficientNet-Lite classifies by.

    EfficientNet (arXiv 1905.11946) without squeeze-and-excitation and with ReLU6. Batch normalisation is folded into
    the convolutions: it is faster, and fine-tuning on a few clips does not disturb its statistics.
    """

    def __init__(self, config: LiteConfig) -> None:
        super().__init__()
        self.stem = _Conv(3, config.stem_channels, 3, 2)
        blocks: list[nn.Module] = []
        channels = config.stem_channels
        for stage in config.stages:
            for index in range(stage.blocks):
                stride = stage.stride if index == 0 else 1
                blocks.append(_Block(channels, stage.channels, stage.kernel, stride, stage.expansion))
                channels = stage.channels
        self.blocks = nn.ModuleList(blocks)
        self.head = _Conv(channels, config.embed_dim, 1)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # twice as fast on a CPU

    def forward(self, pictures: Tensor) -> Tensor:
        """Encode pictures [N, 3, S, S] -> [N, D]."""
        x = F.relu6(self.stem(pictures.contiguous(memory_format=torch.channels_last)), inplace=True)
        for block in self.blocks:
            x = block(x)
        return F.relu6(self.head(x), inplace=True).mean((2, 3))


class LiteTextTower(nn.Module):
    """Token ids [A, L] with padding -> embeddings [A, D], not normalised.

    A BERT (arXiv 1810.04805) whose mean over tokens, a unit vector t [W], says what a text means. K image classes have
    such vectors too, the keys; their values are what the image tower's classifier looks for. A text becomes the
    mixture of the values that its meaning attends to, averaged over H heads:

        out = mean over h of softmax(<unit(t queries_h), keys_h> / temperature) values

    The first head takes the meaning as it is; others may know what is a kind of what. With one-hot attention the result
    is the classifier itself. The idea of reaching labels that a classifier never saw
    through the meaning of those that it knows is that of ConSE (arXiv 1312.5650), which mixes words by pictures; here
    words mix the weights, so that a picture stays the plain features of its tower.
    """

    def __init__(self, config: LiteConfig) -> None:
        super().__init__()
        width = config.text_width
        self.temperature = config.temperature
        self.tokens = nn.Embedding(config.vocab_size, width)
        self.positions = nn.Parameter(nn.init.normal_(torch.empty(1, config.context_length, width), std=0.02))
        self.ln_pre = nn.LayerNorm(width, eps=1e-12)
        self.blocks = nn.ModuleList(
            nn.TransformerEncoderLayer(
                width, config.text_heads, config.text_hidden, dropout=0.0, activation="gelu", layer_norm_eps=1e-12,
                batch_first=True,
            )
            for _ in range(config.text_layers)
        )  # fmt: skip
        self.queries = nn.Parameter(nn.init.zeros_(torch.empty(config.key_heads, width, width)))
        nn.init.ones_(self.queries.diagonal(dim1=1, dim2=2))
        self.keys = nn.Parameter(nn.init.normal_(torch.empty(config.key_heads, config.anchors, width)))
        self.values = nn.Parameter(nn.init.normal_(torch.empty(config.anchors, config.embed_dim)))

    def meaning(self, ids: Tensor, mask: Tensor) -> Tensor:
        """Encode ids [A, L] int, mask [A, L] bool (True for real tokens) -> [A, W], L2-normalised."""
        x = self.ln_pre(self.tokens(ids) + self.positions[:, : ids.shape[1]])
        padding = ~mask
        for block in self.blocks:
            x = block(x, src_key_padding_mask=padding)
        weights = mask[..., None].to(x.dtype)
        return F.normalize((x * weights).sum(1) / weights.sum(1).clamp(min=1), dim=-1)

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        """Encode ids [A, L] int, mask [A, L] bool (True for real tokens) -> [A, D]."""
        return self.attention(self.meaning(ids, mask)) @ self.values

    def attention(self, meaning: Tensor) -> Tensor:
        """Return how much texts of meaning [A, W], L2-normalised, are of every image class [A, K]; rows sum to 1."""
        queries = F.normalize(meaning @ self.queries, dim=-1)  # [H, A, W]
        return (queries @ self.keys.transpose(1, 2) / self.temperature).softmax(-1).mean(0)
