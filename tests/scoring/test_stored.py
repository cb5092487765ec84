"""Stored embeddings scored chunk by chunk, from disk to disk."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from olmv.scoring import stored
from olmv.scoring.options import POOLINGS, Pooling
from olmv.scoring.pooling import TEMPERATURE, TOP_K, TextBank, pool_attributes
from olmv.scoring.stored import score_stored, write_scores
from tests.scoring.test_pooling import counts_per_label, make_bank, quick, seeds, unit

every_text_pooling = pytest.mark.parametrize("pooling", POOLINGS)


def score_all(
    embeddings: torch.Tensor | NDArray[np.floating[Any]],
    bank: TextBank,
    *,
    pooling: Pooling = "mean",
    top_k: int = TOP_K,
    temperature: float = TEMPERATURE,
) -> torch.Tensor:
    """Join all chunks; they must follow each other without a gap."""
    end, parts = 0, []
    for rows, similarity in score_stored(embeddings, bank, pooling=pooling, top_k=top_k, temperature=temperature):
        assert rows.start == end
        assert rows.stop - rows.start == len(similarity)
        end = rows.stop
        parts.append(similarity)
    return torch.cat(parts)


@every_text_pooling
@given(
    counts=counts_per_label,
    videos=st.integers(1, 7),
    top_k=st.integers(1, 6),
    temperature=st.floats(0.02, 1),
    rows=st.integers(1, 4),
    columns=st.sampled_from([1, 1000]),
    seed=seeds,
)
@quick
def test_stored_scores_are_the_scores(
    pooling: Pooling,
    counts: list[int],
    videos: int,
    top_k: int,
    temperature: float,
    rows: int,
    columns: int,
    seed: int,
) -> None:
    bank, embeddings = make_bank(counts, seed=seed), unit(videos, 6, seed=seed + 2)
    expected = pool_attributes(embeddings, bank, pooling=pooling, top_k=top_k, temperature=temperature)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stored, "ROWS", rows)
        patch.setattr(stored, "COLUMNS", columns)
        patch.setattr(stored, "_ALIGNED", 2)
        similarity = score_all(embeddings, bank, pooling=pooling, top_k=top_k, temperature=temperature)
    torch.testing.assert_close(similarity, expected, atol=1e-5, rtol=0)


@every_text_pooling
def test_from_disk_to_disk(pooling: Pooling, tmp_path: Path) -> None:
    bank, embeddings = make_bank([9] * 40 + [2] * 30, width=8), unit(2500, 8, seed=4)
    np.save(tmp_path / "embeddings.npy", embeddings.half().numpy())
    mapped = np.load(tmp_path / "embeddings.npy", mmap_mode="r")
    out = np.lib.format.open_memmap(tmp_path / "out.npy", mode="w+", dtype=np.float32, shape=(2500, 70))
    write_scores(mapped, bank, out, pooling=pooling)
    del out
    expected = pool_attributes(embeddings.half().float(), bank, pooling=pooling)
    torch.testing.assert_close(torch.from_numpy(np.load(tmp_path / "out.npy")), expected, atol=1e-5, rtol=0)


def test_changes_to_a_private_map_are_not_lost(tmp_path: Path) -> None:
    np.save(tmp_path / "embeddings.npy", np.zeros((3000, 6), dtype=np.float32))
    private = np.load(tmp_path / "embeddings.npy", mmap_mode="c")
    private[:] = unit(3000, 6).numpy()
    bank = make_bank([2, 1])
    for _ in range(2):
        torch.testing.assert_close(score_all(private, bank), pool_attributes(unit(3000, 6), bank))
    out = np.load(tmp_path / "embeddings.npy", mmap_mode="c")[:, :2]
    write_scores(private, bank, out)
    torch.testing.assert_close(torch.from_numpy(out), pool_attributes(unit(3000, 6), bank))


@every_text_pooling
def test_the_bank_says_the_dtype(pooling: Pooling) -> None:
    bank, embeddings = make_bank([3, 1, 4], width=32), unit(5, 32, seed=7)
    half = TextBank(bank.embeddings.bfloat16(), bank.label_index, bank.texts, bank.labels)
    similarity = score_all(embeddings.double().numpy(), half, pooling=pooling)
    assert similarity.dtype == torch.bfloat16
    expected = pool_attributes(embeddings, bank, pooling=pooling)
    torch.testing.assert_close(similarity.float(), expected, atol=0.02, rtol=0)


def test_chunks_are_the_callers_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stored, "ROWS", 2)
    bank, embeddings = make_bank([2, 2]), unit(4, 6, seed=1)
    chunks = [part for _, part in score_stored(embeddings, bank, pooling="max")]
    torch.testing.assert_close(torch.cat(chunks), pool_attributes(embeddings, bank, pooling="max"))
    assert not chunks[0].is_inference()
    for _ in score_stored(embeddings, bank):
        assert torch.is_grad_enabled()
    assert list(score_stored(embeddings[:0], bank)) == []


@every_text_pooling
def test_threads_share_the_work_and_the_setting_is_restored(pooling: Pooling, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stored, "ROWS", 3)
    bank, embeddings = make_bank([3, 1, 4], width=32), unit(50, 32, seed=7)
    torch.set_num_threads(2)
    try:
        with torch.inference_mode():
            inside = score_all(unit(50, 32, seed=7), make_bank([3, 1, 4], width=32), pooling=pooling)
        torch.testing.assert_close(inside, score_all(embeddings, bank, pooling=pooling))
        for rows, similarity in score_stored(embeddings, bank, pooling=pooling):
            assert torch.get_num_threads() == 2
            assert rows.stop - rows.start == min(12, 50 - rows.start)
            expected = pool_attributes(embeddings[rows], bank, pooling=pooling)
            torch.testing.assert_close(similarity, expected, atol=1e-5, rtol=0)
    finally:
        torch.set_num_threads(1)


def test_what_stored_scoring_refuses() -> None:
    unknown: Any = "sum"
    bank, embeddings = make_bank([2, 1]), unit(4, 6)
    with pytest.raises(ValueError, match=r"embeddings \[4, 5\] do not fit a bank of \[3, 6\]"):
        score_stored(unit(4, 5), bank)
    with pytest.raises(ValueError, match=r"embeddings \[1, 4, 6\] do not fit"):
        score_stored(embeddings[None], bank)
    with pytest.raises(ValueError, match="no pooling 'sum'; choose from mean, max, topk, softmax"):
        score_stored(embeddings, bank, pooling=unknown)
    with pytest.raises(ValueError, match="top_k is 0; it must be at least 1"):
        score_stored(embeddings, bank, top_k=0)
    with pytest.raises(ValueError, match="temperature is 0; it must be above 0"):
        score_stored(embeddings, bank, temperature=0)
    with pytest.raises(ValueError, match=r"out \[4, 3\] does not fit 4 videos and 2 labels"):
        write_scores(embeddings, bank, np.empty((4, 3), dtype=np.float32))
