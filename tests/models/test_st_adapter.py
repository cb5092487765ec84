from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from olmv.errors import ModelError, UsageError
from olmv.models.clip.in_tower import FrameGrouping, attach
from olmv.models.clip.st_adapter import STAdapter
from olmv.models.clip.temporal import check_temporal, new_parameters
from tests.models.kinds import TRANSFORMERS, blocks_of, clips, make, randomise, tiny_timm  # noqa: F401

pytestmark = pytest.mark.usefixtures("tiny_timm")


def adapter_of(kernel: int = 3, patches: int = 4, seed: int = 0) -> STAdapter:
    torch.manual_seed(seed)
    made = STAdapter(8, bottleneck=6, kernel=kernel, patches=patches, like=torch.zeros(1))
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.normal_()
    return made


@settings(deadline=None, max_examples=30)
@given(
    lengths=st.lists(st.integers(1, 6), min_size=1, max_size=3),
    kernel=st.sampled_from([1, 3, 5]),
    prefix=st.integers(0, 2),
    seed=st.integers(0, 99),
)
def test_it_is_a_depthwise_3d_convolution_between_projections(
    lengths: list[int], kernel: int, prefix: int, seed: int
) -> None:
    """Each clip alone through torch's Conv3d of extent (kernel, 1, 1) on the 2 x 2 grid, as the paper writes it."""
    adapter, time = adapter_of(kernel, seed=seed), max(lengths)
    x = torch.randn(len(lengths), time, prefix + 4, 8)
    mask = torch.arange(time)[None] < torch.tensor(lengths)[:, None]
    out = adapter(x.flatten(0, 1), time, mask).view_as(x)
    conv = nn.Conv3d(6, 6, (kernel, 1, 1), padding=(kernel // 2, 0, 0), groups=6)
    with torch.no_grad():
        conv.weight.copy_(adapter.kernel.T.reshape(6, 1, kernel, 1, 1))
        assert conv.bias is not None
        conv.bias.copy_(adapter.bias)
    for clip, length, found in zip(x, lengths, out, strict=True):
        grid = adapter.down(clip[:length, prefix:]).view(1, length, 2, 2, 6).permute(0, 4, 1, 2, 3)
        added = adapter.up(conv(grid).permute(0, 2, 3, 4, 1)).reshape(length, 4, 8)
        wanted = clip[:length].clone()
        wanted[:, prefix:] += added
        torch.testing.assert_close(found[:length], wanted, atol=1e-5, rtol=1e-5)
        assert torch.equal(found[:, :prefix], clip[:, :prefix])  # class and register tokens


@pytest.mark.parametrize("kind", TRANSFORMERS)
def test_a_fresh_one_is_frame_averaging_to_the_last_bit(kind: str) -> None:
    model, plain = make(kind, temporal="st-adapter"), make(kind)
    mask = torch.tensor([[True] * 4, [True, True, False, False]])
    assert torch.equal(model.encode_video(clips(2, 4), mask), plain.encode_video(clips(2, 4), mask))
    missing, unexpected = model.load_state_dict(plain.state_dict(), strict=False)
    assert not unexpected
    assert set(missing) == set(new_parameters(model))
    assert len(missing) == 6 * len(model.towers.image_blocks())


def test_it_stands_before_the_norm_of_every_block() -> None:
    model = randomise(make("open_clip", temporal="st-adapter"))
    seen: list[tuple[Tensor, Tensor]] = []
    for block in blocks_of(model):
        block.temporal.register_forward_hook(lambda _, args, out: seen.append((args[0], out)))
        block.ln_1.register_forward_pre_hook(lambda _, args: seen.append((args[0], args[0])))
    model.encode_frames(clips(1, 3))
    assert len(seen) == 4
    for (before, made), (normed, _) in zip(seen[::2], seen[1::2], strict=True):
        assert torch.equal(made, normed)
        assert torch.equal(made[:, 0], before[:, 0])
        assert (made[:, 1:] - before[:, 1:]).abs().min(dim=-1).values.max() > 0


@pytest.mark.parametrize("kind", ["mini", "open_clip", "eva"])
def test_a_frozen_tower_learns_through_it(kind: str) -> None:
    """The convolution gets the first gradients; after one step everything gets some."""
    model = make(kind, temporal="st-adapter")
    named = dict(model.named_parameters())
    own = {name: named[name].requires_grad_(True) for name in new_parameters(model)}
    optimizer = torch.optim.SGD(own.values(), lr=1.0)
    wanted = torch.randn(model.embed_dim)
    losses, reached = [], []
    for _ in range(3):
        optimizer.zero_grad()
        loss = -(model.encode_video(clips(2, 4)) @ wanted).sum()
        torch.autograd.backward(loss)
        reached.append({n.rpartition("temporal.")[2] for n, p in own.items() if p.grad is not None and p.grad.any()})
        optimizer.step()
        losses.append(loss.item())
    assert reached[0] == {"kernel", "bias", "up.bias"}
    assert reached[1] == {"kernel", "bias", "down.weight", "down.bias", "up.weight", "up.bias"}
    assert losses[2] < losses[0]


def test_order_of_frames_matters() -> None:
    model = randomise(make("open_clip", temporal="st-adapter"))
    there, back = model.encode_video(clips(1, 4)), model.encode_video(clips(1, 4).flip(1))
    assert (there - back).abs().max() > 1e-4


def test_its_sizes() -> None:
    block = blocks_of(make("open_clip", temporal="st-adapter"))[0]
    assert (block.temporal.down.weight.shape, block.temporal.kernel.shape) == ((16, 32), (3, 16))
    block = blocks_of(make("siglip", temporal="st-adapter", options={"width": 5, "kernel": 7}))[0]
    assert (block.temporal.up.weight.shape, block.temporal.kernel.shape) == ((32, 5), (7, 5))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"width": 0}, "width of the temporal module st-adapter is 0; give a whole number from 1 to 65536"),
        ({"kernel": None}, "kernel of the temporal module st-adapter is None; give a whole number from 1 to 255"),
        ({"kernel": 4}, "kernel of the temporal module st-adapter is 4; give an odd number"),
        ({"edges": "zero"}, "unknown option 'edges' of temporal module 'st-adapter'; choose from width, kernel"),
    ],
)
def test_wrong_options_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        check_temporal("st-adapter", options)


def test_towers_without_a_whole_grid_are_refused() -> None:
    with pytest.raises(ModelError, match=r"leaves out 2 of 4 patches.* set patch_dropout to 0"):
        adapter_of()(torch.randn(3, 2, 8), 3)
    towers = make("mini").towers
    towers.grid_side = None
    with pytest.raises(
        ModelError, match=r"olmv-mini has no square grid of patch tokens, .*'st-adapter' needs; use div"
    ):
        attach(towers, "st-adapter", check_temporal("st-adapter"), FrameGrouping())
