import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn.functional import normalize

from olmv.models.temporal import TEMPORALS, AttentionPool, MeanPool, build_temporal


@given(st.integers(1, 5), st.integers(1, 9), st.integers(0, 1000))
def test_fresh_attention_equals_frame_averaging(batch: int, time: int, seed: int) -> None:
    frames = normalize(torch.randn(batch, time, 8, generator=torch.Generator().manual_seed(seed)), dim=-1)
    torch.testing.assert_close(AttentionPool(8)(frames), MeanPool()(frames))


@pytest.mark.parametrize("name", TEMPORALS)
def test_padded_frames_change_nothing(name: str) -> None:
    torch.manual_seed(0)
    pool = build_temporal(name, 8)
    if isinstance(pool, AttentionPool):
        torch.nn.init.ones_(pool.gate)
    frames = normalize(torch.randn(2, 5, 8), dim=-1)
    padded = torch.cat([frames, torch.randn(2, 3, 8)], dim=1)
    mask = torch.arange(8)[None].expand(2, 8) < 5
    torch.testing.assert_close(pool(padded, mask), pool(frames, None))


def test_attention_prefers_the_frames_its_query_asks_for() -> None:
    torch.manual_seed(0)
    pool = AttentionPool(8)
    with torch.no_grad():
        pool.gate.fill_(50.0)
    frames = normalize(torch.randn(1, 6, 8), dim=-1)
    weights = pool.weights(frames)
    assert weights.sum().item() == pytest.approx(1.0)
    assert weights.max().item() > 0.5


def test_unknown_name_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown temporal module 'median'; choose from mean, attention"):
        build_temporal("median", 8)
