"""Frames and texts pooled into one similarity a label, against plain Python."""

import math
import time
from itertools import pairwise, product
from typing import Any, TypedDict

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.functional import normalize

from olmv.labels.label import Label
from olmv.labels.texts import build_texts
from olmv.labels.vocabulary import Vocabulary
from olmv.scoring import pooling as pooling_module
from olmv.scoring.options import FRAME_POOLINGS, POOLINGS, FramePooling, Pooling
from olmv.scoring.pooling import (
    TEMPERATURE,
    TOP_K,
    TextBank,
    average_frames,
    frame_weights,
    pool_attributes,
    pool_frames,
    score,
)

quick = settings(deadline=None, max_examples=30)
counts_per_label = st.lists(st.integers(1, 5), min_size=1, max_size=6)
seeds = st.integers(0, 2**32 - 1)
every_pooling = pytest.mark.parametrize(("pooling", "frame_pooling"), list(product(POOLINGS, FRAME_POOLINGS)))


class PoolingArguments(TypedDict, total=False):
    """The keyword arguments of `score` that say how to pool."""

    pooling: Pooling
    frame_pooling: FramePooling
    top_k: int
    temperature: float
    frame_temperature: float


def unit(*shape: int, seed: int = 0) -> Tensor:
    return normalize(torch.randn(*shape, generator=torch.Generator().manual_seed(seed)), dim=-1)


def make_bank(counts: list[int], *, width: int = 6, seed: int = 0, words: int = 0) -> TextBank:
    index = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
    return TextBank(
        embeddings=unit(len(index), width, seed=seed),
        label_index=index,
        texts=tuple(f"text {row}" for row in range(len(index))),
        labels=tuple(f"label {label}" for label in range(len(counts))),
        background=make_bank([1] * words, width=width, seed=seed + 1) if words else None,
    )


def dot(a: list[float], b: list[float]) -> float:
    return sum(x * y for x, y in zip(a, b, strict=True))


def mean_direction(vectors: list[list[float]]) -> list[float]:
    total = [sum(column) for column in zip(*vectors, strict=True)]
    length = math.sqrt(dot(total, total))
    return [value / length for value in total]


def soft_weights(values: list[float], temperature: float) -> list[float]:
    weights = [math.exp((value - max(values)) / temperature) for value in values]
    return [weight / sum(weights) for weight in weights]


def slow_score(
    frames: list[list[float]],
    texts: list[list[float]],
    *,
    pooling: Pooling,
    frame_pooling: FramePooling,
    top_k: int = TOP_K,
    temperature: float = TEMPERATURE,
    frame_temperature: float = TEMPERATURE,
) -> float:
    """One video, one label, plain Python, straight from the definitions."""

    def to_label(frame: list[float]) -> float:
        values = sorted((dot(frame, text) for text in texts), reverse=True)
        if pooling == "mean":
            return dot(frame, mean_direction(texts))
        if pooling == "max":
            return values[0]
        if pooling == "topk":
            best = values[:top_k]
            return sum(best) / len(best)
        return dot(soft_weights(values, temperature), values)

    if frame_pooling == "mean":
        return to_label(mean_direction(frames))
    values = [to_label(frame) for frame in frames]
    if frame_pooling == "logits":
        return sum(values) / len(values)
    if frame_pooling == "max":
        return max(values)
    return dot(soft_weights(values, frame_temperature), values)


@every_pooling
@given(
    counts=counts_per_label,
    lengths=st.lists(st.integers(1, 4), min_size=1, max_size=3),
    top_k=st.integers(1, 6),
    temperature=st.floats(0.02, 1),
    frame_temperature=st.floats(0.02, 1),
    chunk=st.sampled_from([1, 7, 1 << 24]),
    seed=seeds,
)
@quick
def test_score_is_what_the_definitions_say(
    pooling: Pooling,
    frame_pooling: FramePooling,
    counts: list[int],
    lengths: list[int],
    top_k: int,
    temperature: float,
    frame_temperature: float,
    chunk: int,
    seed: int,
) -> None:
    bank = make_bank(counts, seed=seed)
    frames = unit(len(lengths), max(lengths), 6, seed=seed + 2)
    mask = torch.arange(max(lengths)) < torch.tensor(lengths).unsqueeze(1)
    frames[~mask] = torch.nan
    how: PoolingArguments = {
        "pooling": pooling,
        "frame_pooling": frame_pooling,
        "top_k": top_k,
        "temperature": temperature,
        "frame_temperature": frame_temperature,
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pooling_module, "CHUNK_ELEMENTS", chunk)
        similarity = score(frames, mask, bank, **how)
    assert similarity.shape == (len(lengths), len(counts))
    for video, length in enumerate(lengths):
        for label, (first, last) in enumerate(pairwise(bank.offsets)):
            expected = slow_score(frames[video, :length].tolist(), bank.embeddings[first:last].tolist(), **how)
            assert similarity[video, label].item() == pytest.approx(expected, abs=2e-5)


@every_pooling
def test_whatever_the_pooling_one_frame_and_one_text_are_a_plain_cosine(
    pooling: Pooling, frame_pooling: FramePooling
) -> None:
    bank, frames = make_bank([1, 1, 1]), unit(4, 1, 6, seed=9)
    how: PoolingArguments = {"pooling": pooling, "frame_pooling": frame_pooling}
    similarity = score(frames, None, bank, **how)
    torch.testing.assert_close(similarity, frames[:, 0] @ bank.embeddings.T)
    torch.testing.assert_close(score(frames[:, 0], None, bank, **how), similarity)


@given(counts=counts_per_label, seed=seeds)
@quick
def test_poolings_are_ordered_and_meet_at_their_limits(counts: list[int], seed: int) -> None:
    bank, videos = make_bank(counts, seed=seed), unit(3, 6, seed=seed + 2)
    best = pool_attributes(videos, bank, pooling="max")
    top = pool_attributes(videos, bank, pooling="topk", top_k=2)
    everything = pool_attributes(videos, bank, pooling="topk", top_k=99)
    assert (best >= top - 1e-6).all()
    assert (top >= everything - 1e-6).all()
    torch.testing.assert_close(pool_attributes(videos, bank, pooling="topk", top_k=1), best)
    cold = pool_attributes(videos, bank, pooling="softmax", temperature=1e-4)
    torch.testing.assert_close(cold, best, atol=1e-3, rtol=0)
    warm = pool_attributes(videos, bank, pooling="softmax", temperature=1e4)
    torch.testing.assert_close(warm, everything, atol=1e-3, rtol=0)


@every_pooling
@given(seed=seeds)
@quick
def test_neither_the_batch_nor_other_labels_change_a_score(
    pooling: Pooling, frame_pooling: FramePooling, seed: int
) -> None:
    how: PoolingArguments = {"pooling": pooling, "frame_pooling": frame_pooling}
    bank, frames = make_bank([3, 1, 2, 3], seed=seed), unit(3, 4, 6, seed=seed + 2)
    together = score(frames, None, bank, **how)
    for video in range(3):
        torch.testing.assert_close(score(frames[video : video + 1], None, bank, **how)[0], together[video])
    alone = TextBank(bank.embeddings[4:6], torch.tensor([0, 0]), ("a", "b"), ("label 2",))
    torch.testing.assert_close(score(frames, None, alone, **how)[:, 0], together[:, 2])


def test_a_brief_label_does_not_drown() -> None:
    dog, street = torch.eye(2)
    frames = torch.stack([dog] * 2 + [street] * 6).unsqueeze(0)
    bank = TextBank(dog.unsqueeze(0), torch.tensor([0]), ("dog",), ("dog",))
    mean, best, soft, logits = (score(frames, None, bank, frame_pooling=pooling).item() for pooling in FRAME_POOLINGS)
    assert mean == pytest.approx(2 / math.sqrt(40))
    assert logits == pytest.approx(2 / 8)
    assert best == pytest.approx(1)
    assert soft == pytest.approx(1, abs=1e-3)


def test_average_frames_ignores_padding() -> None:
    frames = unit(2, 3, 4)
    mask = torch.tensor([[True, True, False], [True, True, True]])
    padded = frames.masked_fill(~mask.unsqueeze(-1), torch.nan)
    torch.testing.assert_close(average_frames(padded, mask)[0], average_frames(frames[:1, :2])[0])
    torch.testing.assert_close(average_frames(padded, mask).norm(dim=-1), torch.ones(2))


def test_max_looks_at_one_frame_even_in_a_tie() -> None:
    weights = frame_weights(torch.ones(1, 3, 2), pooling="max")
    assert weights.sum(dim=1).tolist() == [[1.0, 1.0]]


def test_the_mean_of_logits_is_the_mean_embedding_at_its_length() -> None:
    bank, frames = make_bank([3, 1]), unit(2, 4, 6, seed=3)
    mask = torch.tensor([[True] * 4, [True, False, True, False]])
    frames[~mask] = torch.nan
    similarity = score(frames, mask, bank, frame_pooling="logits")
    means = torch.stack([frames[0].mean(dim=0), frames[1, [0, 2]].mean(dim=0)])
    torch.testing.assert_close(similarity, means @ bank.means.T)
    per_frame = (
        (frames.nan_to_num().flatten(0, 1) @ bank.means.T).view(2, 4, 2).masked_fill(~mask[..., None], torch.nan)
    )
    torch.testing.assert_close(pool_frames(per_frame, mask, pooling="logits"), similarity)


@given(seed=seeds, temperature=st.floats(0.01, 1))
@quick
def test_pool_frames_is_the_weighted_sum(seed: int, temperature: float) -> None:
    similarity = unit(2, 4, 3, seed=seed)
    mask = torch.tensor([[True] * 4, [True, False, True, False]])
    similarity[~mask] = torch.nan
    pooled = pool_frames(similarity, mask, pooling="softmax", temperature=temperature)
    for video, frames in ((0, [0, 1, 2, 3]), (1, [0, 2])):
        for label in range(3):
            values = similarity[video, frames, label].tolist()
            expected = dot(soft_weights(values, temperature), values)
            assert pooled[video, label].item() == pytest.approx(expected, abs=1e-5)


def test_templates_are_averaged_per_phrase() -> None:
    texts = build_texts(Vocabulary([Label("dog", attributes=("tail",)), "rain"]), ["{}", "see {}"])
    raw = 7 * unit(6, 4)
    bank = TextBank.from_texts(texts, raw, background=make_bank([1, 1], width=4))
    assert bank.texts == ("dog", "tail", "rain")
    assert bank.labels == ("dog", "rain")
    assert bank.label_index.tolist() == [0, 0, 1]
    torch.testing.assert_close(bank.embeddings, normalize(raw.view(3, 2, 4).mean(dim=1), dim=-1))
    assert repr(bank) == "TextBank(labels=2, embeddings=[3, 4], background=2)"
    assert repr(TextBank.from_texts(texts, raw)) == "TextBank(labels=2, embeddings=[3, 4], background=0)"
    moved = bank.to("cpu")
    assert torch.equal(moved.embeddings, bank.embeddings)
    assert moved.background is not None
    assert bank.background is not None
    assert torch.equal(moved.background.embeddings, bank.background.embeddings)
    with pytest.raises(ValueError, match="5 embeddings for 6 texts"):
        TextBank.from_texts(texts, raw[:5])


@pytest.mark.parametrize(
    ("index", "texts", "labels", "message"),
    [
        ([0, 1], "ab", "ab", r"embeddings \[3, 4\], label_index \[2\] and 2 texts do not fit"),
        ([0, 1, 1], "ab", "ab", "and 2 texts do not fit each other"),
        ([0, 2, 2], "abc", "abc", "must run through all labels in order"),
        ([1, 0, 0], "abc", "ab", "must run through all labels in order"),
        ([1, 1, 2], "abc", "abc", "must run through all labels in order"),
        ([0, 1, 1], "abc", "abc", "each with at least one text"),
    ],
)
def test_a_bank_that_does_not_fit(index: list[int], texts: str, labels: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TextBank(unit(3, 4), torch.tensor(index), tuple(texts), tuple(labels))


def test_a_background_that_does_not_fit() -> None:
    with pytest.raises(ValueError, match=r"a background of \[2, 5\] does not fit embeddings \[1, 4\]"):
        TextBank(unit(1, 4), torch.tensor([0]), ("a",), ("a",), make_bank([1, 1], width=5))


def test_what_score_refuses() -> None:
    bank, frames = make_bank([2, 1]), unit(2, 3, 6)
    unknown: Any = "sum"
    with pytest.raises(ValueError, match=r"frames \[2, 3, 5\] do not fit a bank of \[3, 6\]"):
        score(unit(2, 3, 5), None, bank)
    with pytest.raises(ValueError, match=r"mask \[2, 2\] does not fit frames"):
        score(frames, torch.ones(2, 2, dtype=torch.bool), bank)
    with pytest.raises(ValueError, match="a video without frames cannot be scored"):
        score(frames, torch.tensor([[True, True, True], [False, False, False]]), bank)
    with pytest.raises(ValueError, match="a video without frames cannot be scored"):
        score(unit(2, 0, 6), None, bank)
    with pytest.raises(ValueError, match="no pooling 'sum'; choose from mean, max, topk, softmax"):
        score(frames, None, bank, pooling=unknown)
    with pytest.raises(ValueError, match="no frame pooling 'sum'; choose from mean, max, softmax, logits"):
        score(frames, None, bank, frame_pooling=unknown)
    with pytest.raises(ValueError, match="top_k is 0; it must be at least 1"):
        score(frames, None, bank, pooling="topk", top_k=0)
    with pytest.raises(ValueError, match="temperature is 0; it must be above 0"):
        score(frames, None, bank, pooling="softmax", temperature=0)
    with pytest.raises(ValueError, match="temperature is -1; it must be above 0"):
        score(frames, None, bank, frame_pooling="softmax", frame_temperature=-1)
    with pytest.raises(ValueError, match="no frame weights for pooling 'mean'; it is max, softmax or logits"):
        pool_frames(torch.zeros(1, 2, 3), pooling="mean")


@pytest.mark.slow
@pytest.mark.parametrize("pooling", POOLINGS)
def test_ten_thousand_labels_with_eight_attributes(pooling: Pooling) -> None:
    counts = [9] * 9_000 + [1 + label % 8 for label in range(1_000)]
    bank = make_bank(counts, width=512)
    frames = unit(8, 8, 512)
    score(frames, None, bank, pooling=pooling, frame_pooling="softmax")
    start = time.process_time()
    score(frames, None, bank, pooling=pooling, frame_pooling="softmax")
    # about 0.4 s; a loop over labels takes far longer
    assert time.process_time() - start < 5
