from collections.abc import Callable
from functools import partial

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import olmv  # noqa: F401  (the torchvision guard, before open_clip and timm)
from olmv.models.clip.attention import can_take_apart, finish, project


def torchs(**options: bool) -> nn.Module:
    return nn.MultiheadAttention(32, 2, **{"batch_first": True, **options})


def open_clips(**options: bool) -> nn.Module:
    from open_clip.transformer import Attention

    module: nn.Module = Attention(32, 2, **options)
    return module


def timms(name: str, **options: object) -> nn.Module:
    from timm.layers import Attention, AttentionRope
    from timm.models.eva import EvaAttention

    kind = {"Attention": Attention, "AttentionRope": AttentionRope, "EvaAttention": EvaAttention}[name]
    module: nn.Module = kind(32, num_heads=2, norm_layer=nn.LayerNorm, **options)
    return module


KNOWN: list[Callable[[], nn.Module]] = [
    torchs,
    partial(torchs, bias=False),
    open_clips,
    partial(open_clips, qk_norm=True, scale_heads=True, inner_norm=True),
    partial(timms, "Attention", qkv_bias=True, qk_norm=True),
    partial(timms, "Attention", gated=True, scale_norm=True),
    partial(timms, "AttentionRope", gated=True),
    partial(timms, "AttentionRope", qkv_fused=False, qk_norm=True, scale_norm=True),
    partial(timms, "EvaAttention", scale_norm=True),
    partial(timms, "EvaAttention", qkv_bias_separate=True, gated=True),
    partial(timms, "EvaAttention", qkv_fused=False, qk_norm=True),
]


@pytest.mark.parametrize("make", KNOWN)
def test_the_parts_put_together_are_the_original(make: Callable[[], nn.Module]) -> None:
    torch.manual_seed(0)
    attention = make().eval()
    with torch.no_grad():
        for parameter in attention.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    assert can_take_apart(attention)
    x = torch.randn(3, 5, 32)
    wanted = attention(x, x, x)[0] if isinstance(attention, nn.MultiheadAttention) else attention(x)
    again = finish(attention, F.scaled_dot_product_attention(*project(attention, x, None)), x)
    torch.testing.assert_close(again, wanted, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("half", [False, True])
@pytest.mark.parametrize("name", ["AttentionRope", "EvaAttention"])
def test_rotary_positions(name: str, half: bool) -> None:
    torch.manual_seed(0)
    attention = timms(name, rotate_half=half).eval()
    x, rope = torch.randn(3, 5, 32), torch.randn(4, 32)  # a class token and four patches; sines and cosines
    again = finish(attention, F.scaled_dot_product_attention(*project(attention, x, rope)), x)
    torch.testing.assert_close(again, attention(x, rope=rope), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(
    "make",
    [
        nn.Identity,
        partial(torchs, batch_first=False),
        partial(torchs, add_bias_kv=True),
        partial(open_clips, scaled_cosine=True),
        partial(timms, "AttentionRope", qkv_fused=False, num_kv_heads=1),
    ],
)
def test_what_would_come_out_otherwise_is_left_alone(make: Callable[[], nn.Module]) -> None:
    assert not can_take_apart(make())
