"""What texts and frames contribute to a similarity."""

from itertools import product
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from olmv.scoring.explain import FrameContribution, TextContribution, explain
from olmv.scoring.options import FRAME_POOLINGS, POOLINGS, FramePooling, Pooling
from olmv.scoring.pooling import TextBank, score
from tests.scoring.test_pooling import (
    PoolingArguments,
    counts_per_label,
    every_pooling,
    make_bank,
    quick,
    seeds,
    unit,
)


@every_pooling
@given(counts=counts_per_label, length=st.integers(1, 5), temperature=st.floats(0.02, 1), seed=seeds)
@quick
def test_contributions_add_up_to_the_score(
    pooling: Pooling, frame_pooling: FramePooling, counts: list[int], length: int, temperature: float, seed: int
) -> None:
    bank, frames = make_bank(counts, seed=seed), unit(length, 6, seed=seed + 2)
    how: PoolingArguments = {
        "pooling": pooling,
        "frame_pooling": frame_pooling,
        "top_k": 2,
        "temperature": temperature,
        "frame_temperature": temperature / 2,
    }
    expected = score(frames.unsqueeze(0), None, bank, **how)[0].tolist()
    explanations = explain(frames, bank, times_s=range(length), top_texts=None, top_frames=None, **how)
    assert [item.label for item in explanations] == list(bank.labels)
    for item, similarity, count in zip(explanations, expected, counts, strict=True):
        assert item.similarity == pytest.approx(similarity, abs=2e-5)
        for parts in (item.texts, item.frames):
            values = [part.contribution for part in parts]
            assert sum(values) == pytest.approx(similarity, abs=2e-5)
            assert values == sorted(values, reverse=True)
        assert len(item.texts) == count
        assert len(item.frames) == length


def test_it_names_what_raised_the_score() -> None:
    tail, nose, street = torch.eye(3)
    bank = TextBank(torch.stack([tail, nose]), torch.tensor([0, 0]), ("a tail", "a nose"), ("dog",))
    frames = torch.stack([street, street, tail, street])
    for pooling, frame_pooling in product(POOLINGS, FRAME_POOLINGS):
        (item,) = explain(frames, bank, times_s=[0.0, 1.5, 3.0, 4.5], pooling=pooling, frame_pooling=frame_pooling)
        assert item.texts[0].text == "a tail"
        assert item.frames[0][:2] == (2, 3.0)
        assert item.texts[0].contribution > 0
    (item,) = explain(frames, bank, times_s=range(4), pooling="max", frame_pooling="max", top_texts=1, top_frames=1)
    assert item.texts == (TextContribution("a tail", 1.0),)
    assert item.frames == (FrameContribution(2, 2.0, 1.0),)


def test_chosen_labels_and_one_embedding_for_the_video() -> None:
    bank, video = make_bank([2, 1, 3]), unit(6, seed=5)
    items = explain(video, bank, labels=[2, 0], pooling="max")
    assert [item.label for item in items] == ["label 2", "label 0"]
    assert [item.frames for item in items] == [(), ()]
    expected = score(video.unsqueeze(0), None, bank, pooling="max")[0, [2, 0]]
    assert [item.similarity for item in items] == pytest.approx(expected.tolist(), abs=1e-6)


@pytest.mark.parametrize("frame_pooling", FRAME_POOLINGS)
def test_two_rows_a_frame_add_up(frame_pooling: FramePooling) -> None:
    bank, rows = make_bank([2, 1]), unit(6, 6)
    twice = explain(rows, bank, times_s=[0, 1, 2], frame_pooling=frame_pooling, top_frames=None)
    apart = explain(rows, bank, times_s=list(range(6)), frame_pooling=frame_pooling, top_frames=None)
    for folded, item in zip(twice, apart, strict=True):
        by_row = {frame.frame: frame.contribution for frame in item.frames}
        assert sorted(frame.frame for frame in folded.frames) == [0, 1, 2]
        for frame in folded.frames:
            assert frame.contribution == pytest.approx(by_row[frame.frame] + by_row[frame.frame + 3], abs=1e-6)
            assert frame.time_s == frame.frame


def test_what_explain_refuses() -> None:
    bank = make_bank([2])
    unknown: Any = "sum"
    with pytest.raises(ValueError, match=r"frames \[2, 5\] do not fit a bank of \[2, 6\]"):
        explain(unit(2, 5), bank, times_s=[0, 1])
    with pytest.raises(ValueError, match=r"frames \[0, 6\] do not fit"):
        explain(unit(0, 6), bank)
    with pytest.raises(ValueError, match="1 times for 3 frames"):
        explain(unit(3, 6), bank, times_s=[0.0])
    with pytest.raises(ValueError, match="0 times for 2 frames"):
        explain(unit(2, 6), bank)
    with pytest.raises(ValueError, match="no pooling 'sum'; choose from mean, max, topk, softmax"):
        explain(unit(2, 6), bank, times_s=[0, 1], pooling=unknown)
    with pytest.raises(ValueError, match="no frame weights for pooling 'sum'"):
        explain(unit(2, 6), bank, times_s=[0, 1], frame_pooling=unknown)
