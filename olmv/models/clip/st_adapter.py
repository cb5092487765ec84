"""ST-Adapter: a bottleneck with a convolution over time, before the attention of every block of an image tower.

Pan et al., NeurIPS 2022, arXiv 2206.13559: the published way to make a frozen image CLIP a video model cheaply, and
here the baseline for modules with weights inside the tower.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from olmv.errors import ModelError

__all__ = ["STAdapter"]


class STAdapter(nn.Module):
    """X + DWConv(X W_down) W_up on the patch tokens; class and register tokens pass as they are.

    The convolution is depthwise, of extent (kernel, 1, 1) over (time, height, width): a token meets those at its own
    place in the neighbouring frames, feature by feature. All as in the authors' code (linziyi96/st-adapter): a bias
    at each of the three steps; no activation, although the paper's formula has one, f(DWConv(.)); the convolution and
    all biases start at zero, so a fresh module changes nothing, and training moves the convolution first, then the
    projections. Open-VCLIP's `stadapt_zeroinit` has the same parts and starts the up-projection at zero instead; both
    at zero would never learn. It too stands before the attention; of the authors' own models the one for Kinetics has
    it before the MLP, the one for Something-Something at both places.

    Args:
        width: W, of the tower.
        bottleneck: R, features between the projections; 384 for the published ViT-B/16 (W = 768).
        kernel: K, frames that a frame sees, itself in the middle: odd; published 3.
        patches: P, patch tokens of a frame; what comes before the last P tokens has no place in the picture.
        like: a weight of the tower, for device and dtype.
    """

    def __init__(self, width: int, *, bottleneck: int, kernel: int, patches: int, like: Tensor) -> None:
        super().__init__()
        self.down = nn.Linear(width, bottleneck, device=like.device, dtype=like.dtype)
        self.kernel = nn.Parameter(like.new_zeros(kernel, bottleneck))
        self.bias = nn.Parameter(like.new_zeros(bottleneck))
        self.up = nn.Linear(bottleneck, width, device=like.device, dtype=like.dtype)
        nn.init.zeros_(self.down.bias)
        nn.init.zeros_(self.up.bias)
        self.patches = patches

    def forward(self, x: Tensor, time: int, mask: Tensor | None = None) -> Tensor:
        """Run x [B * T, N, W], clip by clip, time T, mask [B, T] True for real frames -> [B * T, N, W].

        Padded frames are zero for the convolution, as is what lies before and after the clip.

        Raises:
            ModelError: fewer than P tokens.
        """
        before = x.shape[1] - self.patches
        if before < 0:
            raise ModelError(
                f"the image tower leaves out {-before} of {self.patches} patches, so tokens of neighbouring frames do "
                "not lie at the same places; set patch_dropout to 0 in its open_clip config"
            )
        h = self.down(x[:, before:]).view(-1, time, self.patches, len(self.bias))  # [B, T, P, R]
        if mask is not None:
            h = h * mask[:, :, None, None].to(h.dtype)
        # a sum of shifted products: the tokens need no other layout, as torch's own convolutions would have it
        reach = len(self.kernel) // 2
        h = pad(h, (0, 0, 0, 0, reach, reach))
        mixed: Tensor = self.bias
        for shift, weight in enumerate(self.kernel):
            mixed = torch.addcmul(mixed, h[:, shift : shift + time], weight)
        added = self.up(mixed).flatten(0, 1)
        return x + pad(added, (0, 0, before, 0))
