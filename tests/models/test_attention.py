import copy
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from olmv.errors import ModelError, UsageError
from olmv.models.clip.in_tower import CrossFrameAttention, FrameGrouping, neighbour_attention
from olmv.models.clip.model import VideoCLIP
from olmv.models.clip.positions import POSITIONS_STD
from olmv.models.clip.temporal import IN_TOWER, new_parameters
from olmv.models.open_clip.towers import OpenClipTowers
from tests.models.kinds import TRANSFORMERS, blocks_of, clips, make, randomise, tiny_timm, towers_of  # noqa: F401

pytestmark = pytest.mark.usefixtures("tiny_timm")


def reference(q: Tensor, k: Tensor, v: Tensor, lengths: list[int], edges: str) -> Tensor:
    """Open-VCLIP in loops: q, k, v [B, T, H, N, d] -> [B, T, H, N, d], zero for padded frames."""
    out = torch.zeros_like(q)
    for b, length in enumerate(lengths):
        for t in range(length):
            keys, values = [k[b, t]], [v[b, t]]
            for neighbour in (t - 1, t + 1):
                if 0 <= neighbour < length:
                    keys.append(k[b, neighbour])
                    values.append(v[b, neighbour])
                elif edges == "zero":
                    keys.append(torch.zeros_like(k[b, t]))
                    values.append(torch.zeros_like(v[b, t]))
            logits = q[b, t] @ torch.cat(keys, 1).transpose(1, 2) * q.shape[-1] ** -0.5
            out[b, t] = logits.softmax(-1) @ torch.cat(values, 1)
    return out


def mask_of(lengths: list[int], time: int) -> Tensor:
    return torch.arange(time)[None] < torch.tensor(lengths)[:, None]


@settings(deadline=None, max_examples=40)
@given(
    lengths=st.lists(st.integers(1, 6), min_size=1, max_size=3),
    edges=st.sampled_from(["zero", "mask"]),
    seed=st.integers(0, 99),
)
def test_neighbour_attention_equals_loops(lengths: list[int], edges: str, seed: int) -> None:
    time = max(lengths)
    generator = torch.Generator().manual_seed(seed)
    q, k, v = torch.randn(3, len(lengths), time, 2, 5, 4, generator=generator)
    mask = mask_of(lengths, time)
    flat = [x.flatten(0, 1) for x in (q, k, v)]
    out = neighbour_attention(*flat, time=time, mask=mask, edges=edges).view_as(q)
    wanted = reference(q, k, v, lengths, edges)
    torch.testing.assert_close(out[mask], wanted[mask], atol=1e-5, rtol=1e-5)
    if min(lengths) == time:
        out = neighbour_attention(*flat, time=time, edges=edges).view_as(q)
        torch.testing.assert_close(out, wanted, atol=1e-5, rtol=1e-5)


def test_zero_edges_are_masked_edges_with_part_of_the_softmax_lost() -> None:
    """y_zero = y_mask * Z / (Z + N), Z the sum of exp(logits) over the tokens that exist."""
    torch.manual_seed(0)
    time, tokens, size = 4, 5, 8
    q, k, v = torch.randn(3, time, 1, tokens, size, dtype=torch.float64)
    zero, masked = (neighbour_attention(q, k, v, time=time, edges=edges) for edges in ("zero", "mask"))
    for t, neighbours in ((0, (0, 1)), (time - 1, (time - 2, time - 1))):
        real = torch.cat([k[n, 0] for n in neighbours])
        total = (q[t, 0] @ real.T * size**-0.5).exp().sum(-1, keepdim=True)
        torch.testing.assert_close(zero[t, 0], masked[t, 0] * total / (total + tokens))
    torch.testing.assert_close(zero[1:-1], masked[1:-1])


def block_attention(model: VideoCLIP) -> Any:
    return blocks_of(model)[0].attn


@pytest.mark.parametrize("kind", TRANSFORMERS)
@pytest.mark.parametrize("time", [1, 2, 4])
def test_every_kind_of_attention_sees_its_neighbours(kind: str, time: int) -> None:
    """Masked edges are the original attention over the tokens of all three frames at once, read at the middle one."""
    plain = block_attention(make(kind))
    grouping = FrameGrouping()
    mixed = CrossFrameAttention(copy.deepcopy(plain), grouping, "mask")
    x = torch.randn(time, 5, 32)

    def attend(h: Tensor) -> Tensor:
        out: Tensor = plain(h, h, h)[0] if isinstance(plain, nn.MultiheadAttention) else plain(h)
        return out

    with grouping.frames(time), torch.no_grad():
        grouping.bind(x)
        out = mixed(x, x, x)
        out = out[0] if isinstance(out, tuple) else out
        for t in range(time):
            near = [n for n in (t, t - 1, t + 1) if 0 <= n < time]
            wanted = attend(torch.cat([x[n] for n in near])[None])[0, :5]
            torch.testing.assert_close(out[t], wanted, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("kind", TRANSFORMERS)
def test_a_still_video_with_masked_edges_is_the_plain_picture(kind: str) -> None:
    """Keys that come two or three times change no softmax average; this runs the whole tower, rotary positions too."""
    model, plain = make(kind, temporal="cross-frame", options={"edges": "mask"}), make(kind)
    still = clips(2, 1).expand(-1, 4, -1, -1, -1)
    torch.testing.assert_close(model.encode_frames(still), plain.encode_frames(still), atol=1e-5, rtol=1e-4)
    moving = clips(2, 4)
    assert (model.encode_frames(moving) - plain.encode_frames(moving)).abs().max() > 1e-4


@pytest.mark.parametrize("kind", TRANSFORMERS)
def test_cross_frame_has_the_parameters_of_the_original(kind: str) -> None:
    model, plain = make(kind, temporal="cross-frame"), make(kind)
    assert list(model.state_dict()) == list(plain.state_dict())
    assert [n for n, _ in model.named_parameters()] == [n for n, _ in plain.named_parameters()]
    assert new_parameters(model) == []
    model.load_state_dict(plain.state_dict())
    half = model.to(torch.bfloat16)
    assert half.encode_frames(clips().bfloat16()).dtype == torch.bfloat16


@pytest.mark.parametrize("kind", TRANSFORMERS)
def test_divided_adds_to_a_plain_checkpoint(kind: str) -> None:
    model, plain = make(kind, temporal="divided"), make(kind)
    missing, unexpected = model.load_state_dict(plain.state_dict(), strict=False)
    assert not unexpected
    own = new_parameters(model)
    assert set(own) == {n for n in missing if n in dict(model.named_parameters())} == set(missing)
    assert all(".temporal." in name for name in own)
    block = blocks_of(model)[0]
    for mine, theirs in zip(block.temporal.attn.parameters(), block.attn.parameters(), strict=True):
        assert mine is not theirs
        torch.testing.assert_close(mine, theirs)
    assert block.temporal.positions.std().item() == pytest.approx(POSITIONS_STD, rel=0.2)


@pytest.mark.parametrize("kind", ["mini", "open_clip"])
def test_a_fresh_divided_branch_knows_before_from_after(kind: str) -> None:
    """Its gate is closed, so it changes nothing; but the gate's first gradient depends on the order of the frames."""
    frames, gradients = clips(1, 4), []
    for shown in (frames, frames.flip(1)):
        torch.manual_seed(0)
        model = make(kind, temporal="divided").requires_grad_(True)
        embedded = model.encode_video(shown)
        torch.testing.assert_close(embedded, make(kind).encode_video(frames), atol=1e-5, rtol=1e-4)
        torch.autograd.backward(embedded[..., 0].sum())
        gradients.append(torch.stack([block.temporal.gate.grad for block in blocks_of(model)]))
    assert (gradients[0].abs() > 0).all()
    assert (gradients[0] - gradients[1]).abs().max() > 1e-3 * gradients[0].abs().max()


def test_divided_attends_over_time_at_the_same_token() -> None:
    model = make("open_clip", temporal="divided")
    branch = blocks_of(randomise(model))[0].temporal
    x = torch.randn(2 * 3, 5, 32)
    changed = x.clone()
    changed[1, 2] += torch.randn(32)  # frame 1 of the first clip, token 2
    with branch.grouping.frames(3):
        branch.grouping.bind(x)
        moved = (branch(x) - branch(changed)).abs().amax(-1) > 1e-6
    wanted = torch.zeros(6, 5, dtype=torch.bool)
    wanted[:3, 2] = True
    assert torch.equal(moved, wanted)


@pytest.mark.parametrize("kind", ["open_clip", "siglip", "pe"])
@pytest.mark.parametrize("temporal", IN_TOWER)
def test_checkpointing_gives_the_same_gradients(kind: str, temporal: str) -> None:
    """Two clips of different lengths wait for their backward pass, where the blocks run again."""
    found = []
    for checkpointing in (False, True):
        model = randomise(make(kind, temporal=temporal)).train().requires_grad_(True)
        towers_of(model, OpenClipTowers).model.visual.set_grad_checkpointing(checkpointing)
        long, short = clips(1, 4, seed=1), clips(2, 2, seed=2)
        mask = mask_of([2, 1], 2)
        loss = model.encode_frames(long)[..., 0].sum() + model.encode_frames(short, mask)[mask][..., 0].sum()
        torch.autograd.backward(loss)
        found.append({n: p.grad for n, p in model.named_parameters() if p.grad is not None})
    assert found[0].keys() == found[1].keys()
    for name, gradient in found[0].items():
        torch.testing.assert_close(found[1][name], gradient, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("temporal", IN_TOWER)
def test_a_tower_on_its_own_and_a_copy(temporal: str) -> None:
    model = randomise(make("open_clip", temporal=temporal))
    frames = clips(1, 3)
    together, one_by_one = model.encode_frames(frames), model.encode_frames(frames.transpose(0, 1))
    assert (together[0] - one_by_one[:, 0]).abs().max() > 1e-4
    single = nn.functional.normalize(model.towers.image(frames[0]), dim=-1)
    torch.testing.assert_close(single, one_by_one[:, 0])
    twin = copy.deepcopy(model)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
    torch.testing.assert_close(twin.encode_frames(frames), together)


@pytest.mark.parametrize("temporal", IN_TOWER)
@pytest.mark.parametrize(("kind", "name"), [("resnet", "ModifiedResNet"), ("convnext", "ConvNeXt")])
def test_towers_without_attention_are_refused(kind: str, name: str, temporal: str) -> None:
    with pytest.raises(ModelError, match=f"image tower {name} .* use the temporal module transformer or attention"):
        make(kind, temporal=temporal)
    assert make(kind, temporal="transformer").encode_frames(clips()).shape == (2, 3, 16)


def test_towers_are_changed_once() -> None:
    model = make("mini", temporal="divided")
    with pytest.raises(ModelError, match="already attend across frames; load the model again"):
        VideoCLIP(model.towers, name="again", preprocess=model.preprocess)


def test_unknown_edges_are_refused() -> None:
    with pytest.raises(UsageError, match="edges is 'wrap'; choose from zero, mask"):
        make("mini", temporal="cross-frame", options={"edges": "wrap"})
