"""The transformer block of olmv's own towers and of the temporal transformer.

Its parts have the names of open_clip's (`ln_1`, `attn`, `ln_2`, `mlp`), so that whatever changes attention there
changes it here.
"""

from torch import Tensor, nn

__all__ = ["Block"]


class Block(nn.Module):
    """A pre-norm transformer block over [B, N, D]."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.ln_1 = nn.LayerNorm(width)
        self.attn = nn.MultiheadAttention(width, heads, batch_first=True)
        self.ln_2 = nn.LayerNorm(width)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, x: Tensor, padding: Tensor | None = None) -> Tensor:
        """Run x [B, N, D], padding [B, N] True where there is no token -> [B, N, D]."""
        h = self.ln_1(x)
        x = x + self.attn(h, h, h, key_padding_mask=padding, need_weights=False)[0]
        out: Tensor = x + self.mlp(self.ln_2(x))
        return out
