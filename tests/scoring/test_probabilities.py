"""What a similarity is worth among everyday words."""

import math
import statistics
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from olmv.scoring.options import FRAME_POOLINGS, FramePooling, Pooling
from olmv.scoring.pooling import TextBank, score
from olmv.scoring.probabilities import Background, measure_background, to_logits, to_probabilities
from tests.scoring.test_pooling import every_pooling, make_bank, mean_direction, quick, seeds, slow_score, unit

every_frame_pooling = pytest.mark.parametrize("frame_pooling", FRAME_POOLINGS)


def logits_of(
    frames: Tensor, mask: Tensor | None, bank: TextBank, frame_pooling: FramePooling, pooling: Pooling = "mean"
) -> Tensor:
    background = measure_background(frames, mask, bank, frame_pooling=frame_pooling)
    return to_logits(
        score(frames, mask, bank, pooling=pooling, frame_pooling=frame_pooling), scale=100.0, background=background
    )


def bank_of(labels: list[list[float]], words: list[list[float]]) -> TextBank:
    def one_text_each(rows: list[list[float]], background: TextBank | None = None) -> TextBank:
        names = tuple(f"text {index}" for index in range(len(rows)))
        return TextBank(torch.tensor(rows), torch.arange(len(rows)), names, names, background)

    return one_text_each(labels, one_text_each(words))


def test_three_deviations_above_everyday_words_are_one_half() -> None:
    def text(similarity: float) -> list[float]:
        return [similarity, math.sqrt(1 - similarity**2)]

    video = torch.tensor([[1.0, 0.0]])
    bank = bank_of([text(0.5), text(0.2), text(0.6)], [text(0.1), text(0.3), text(0.1), text(0.3)])
    background = measure_background(video, None, bank)
    assert background.mean.item() == pytest.approx(0.2)
    assert background.deviation.item() == pytest.approx(0.1)
    logits = to_logits(score(video, None, bank), scale=100.0, background=background)
    assert logits[0].tolist() == pytest.approx([0.0, -6.0, 2.0], abs=1e-4)
    expected = [0.5, 1 / (1 + math.exp(6)), 1 / (1 + math.exp(-2))]
    assert to_probabilities(logits)[0].tolist() == pytest.approx(expected, abs=1e-4)


@every_frame_pooling
@given(lengths=st.lists(st.integers(1, 4), min_size=1, max_size=3), seed=seeds)
@quick
def test_every_word_attends_to_frames_as_a_label_does(
    frame_pooling: FramePooling, lengths: list[int], seed: int
) -> None:
    bank = make_bank([1], seed=seed, words=5)
    frames = unit(len(lengths), max(lengths), 6, seed=seed + 9)
    mask = torch.arange(max(lengths)) < torch.tensor(lengths).unsqueeze(1)
    frames[~mask] = torch.nan
    background = measure_background(frames, mask, bank, frame_pooling=frame_pooling)
    assert background.mean.shape == background.deviation.shape == (len(lengths), 1)
    assert bank.background is not None
    for video, length in enumerate(lengths):
        shown = frames[video, :length].tolist()
        similarities = [
            slow_score(shown, [word], pooling="mean", frame_pooling=frame_pooling)
            for word in bank.background.embeddings.tolist()
        ]
        assert background.mean[video].item() == pytest.approx(statistics.mean(similarities), abs=1e-5)
        assert background.deviation[video].item() == pytest.approx(statistics.pstdev(similarities), abs=1e-5)


@every_pooling
@given(seed=seeds)
@quick
def test_neither_mates_nor_padding_nor_other_labels_change_a_logit(
    pooling: Pooling, frame_pooling: FramePooling, seed: int
) -> None:
    bank, frames = make_bank([3, 1, 2, 3], seed=seed, words=8), unit(3, 4, 6, seed=seed + 9)
    mask = torch.tensor([[True] * 4, [True, True, False, False], [True] * 4])
    together = logits_of(frames.masked_fill(~mask[..., None], torch.nan), mask, bank, frame_pooling, pooling)
    for video, count in ((0, 4), (1, 2), (2, 4)):
        alone = logits_of(frames[video : video + 1, :count], None, bank, frame_pooling, pooling)
        torch.testing.assert_close(alone[0], together[video], atol=2e-3, rtol=1e-4)
    one = TextBank(bank.embeddings[4:6], torch.tensor([0, 0]), ("a", "b"), ("label 2",), bank.background)
    only = logits_of(frames, mask, one, frame_pooling, pooling)
    torch.testing.assert_close(only[:, 0], together[:, 2], atol=2e-3, rtol=1e-4)


@every_frame_pooling
@given(seed=seeds)
@quick
def test_frames_in_another_order_are_the_same_video(frame_pooling: FramePooling, seed: int) -> None:
    bank, frames = make_bank([2, 1], seed=seed, words=8), unit(2, 5, 6, seed=seed + 9)
    logits = logits_of(frames, None, bank, frame_pooling)
    torch.testing.assert_close(logits_of(frames.flip(1), None, bank, frame_pooling), logits, atol=2e-3, rtol=1e-4)


@every_frame_pooling
@given(seed=seeds)
@quick
def test_within_a_video_more_similar_is_more_probable(frame_pooling: FramePooling, seed: int) -> None:
    bank, frames = make_bank([1] * 6, seed=seed, words=8), unit(2, 3, 6, seed=seed + 9)
    similarity = score(frames, None, bank, frame_pooling=frame_pooling)
    logits = logits_of(frames, None, bank, frame_pooling)
    assert torch.equal(logits.argsort(dim=1), similarity.argsort(dim=1))


@given(seed=seeds)
@quick
def test_with_one_frame_all_frame_poolings_agree(seed: int) -> None:
    bank, frames = make_bank([2, 1], seed=seed, words=8), unit(2, 1, 6, seed=seed + 9)
    mean, *others = (logits_of(frames, None, bank, pooling) for pooling in FRAME_POOLINGS)
    for other in (*others, logits_of(frames[:, 0], None, bank, "max")):
        torch.testing.assert_close(other, mean)


@given(seed=seeds)
@quick
def test_the_length_of_a_video_does_not_matter(seed: int) -> None:
    bank, frames = make_bank([2, 1], seed=seed, words=8), unit(2, 5, 6, seed=seed + 9)
    mean, logits = logits_of(frames, None, bank, "mean"), logits_of(frames, None, bank, "logits")
    torch.testing.assert_close(mean, logits, atol=5e-3, rtol=1e-4)


def test_a_word_that_shows_briefly_counts_where_it_shows() -> None:
    dog, street, other = [1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]
    frames = torch.tensor([[dog] * 2 + [street] * 6])
    bank = bank_of([dog], [dog, street, other])
    backgrounds = {pooling: measure_background(frames, None, bank, frame_pooling=pooling) for pooling in FRAME_POOLINGS}
    assert backgrounds["max"].mean.item() == pytest.approx(2 / 3)
    assert backgrounds["logits"].mean.item() == pytest.approx(1 / 3)
    assert backgrounds["mean"].mean.item() == pytest.approx(sum(mean_direction([dog] * 2 + [street] * 6)) / 3)
    assert backgrounds["softmax"].mean.item() == pytest.approx(2 / 3, abs=1e-3)


def test_a_video_as_similar_to_all_words_gets_numbers_all_the_same() -> None:
    bank = bank_of([[1.0, 0.0], [0.0, 1.0]], [[0.6, 0.8], [0.6, -0.8]])
    logits = logits_of(torch.tensor([[1.0, 0.0], [0.0, 0.0]]), None, bank, "mean")
    assert logits.isfinite().all()
    assert logits[0, 0] > 0 > logits[0, 1]
    assert logits[1].tolist() == [-6.0, -6.0], "a video of nothing has nothing"


def test_logits_of_sigmoid_models_and_of_a_single_label_take_no_background() -> None:
    similarity = torch.tensor([[0.1, 0.3]])
    torch.testing.assert_close(to_logits(similarity, scale=10.0, bias=-2.0), torch.tensor([[-1.0, 1.0]]))
    ignored = Background(torch.zeros(1, 1), torch.ones(1, 1))
    for background in (None, ignored):
        single = to_logits(similarity, scale=10.0, bias=-2.0, background=background, mode="single-label")
        torch.testing.assert_close(single, torch.tensor([[1.0, 3.0]]))
    assert to_probabilities(single, mode="single-label").sum().item() == pytest.approx(1)


def test_what_is_refused() -> None:
    similarity = torch.tensor([[0.1, 0.3]])
    with pytest.raises(ValueError, match="logits of a softmax-trained model need the background"):
        to_logits(similarity, scale=10.0)
    with pytest.raises(ValueError, match="no background; build it with background="):
        measure_background(unit(1, 6), None, make_bank([1]))
    unknown: Any = "multi"
    with pytest.raises(ValueError, match="no mode 'multi'; choose multi-label or single-label"):
        to_logits(similarity, scale=1.0, mode=unknown)
    with pytest.raises(ValueError, match="no mode 'multi'; choose multi-label or single-label"):
        to_probabilities(similarity, mode=unknown)
