"""Losses against the same formulas written with loops."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.functional import normalize

from olmv.train.loss_terms import asymmetric, bce, caption_contrast, cross_entropy, initial_bias


def logits_and_targets(seed: int, videos: int = 3, labels: int = 5) -> tuple[Tensor, Tensor]:
    random = torch.Generator().manual_seed(seed)
    targets = (torch.rand(videos, labels, generator=random) < 0.4).float()
    targets[:, seed % labels] = 1
    return 4 * torch.randn(videos, labels, generator=random), targets


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


@pytest.mark.parametrize("seed", range(5))
def test_bce(seed: int) -> None:
    logits, targets = logits_and_targets(seed)
    total = 0.0
    for row, truth in zip(logits.tolist(), targets.tolist(), strict=True):
        total -= sum(math.log(sigmoid(x) if y else 1 - sigmoid(x)) for x, y in zip(row, truth, strict=True))
    assert float(bce(logits, targets)) == pytest.approx(total / 3, rel=1e-5)


@pytest.mark.parametrize(
    ("pos", "neg", "margin"), [(0.0, 4.0, 0.05), (1.0, 2.0, 0.0), (0.0, 0.0, 0.0), (2.0, 1.0, 0.3)]
)
def test_asymmetric(pos: float, neg: float, margin: float) -> None:
    logits, targets = logits_and_targets(1)
    total = 0.0
    for row, truth in zip(logits.tolist(), targets.tolist(), strict=True):
        for x, y in zip(row, truth, strict=True):
            p = sigmoid(x)
            q = max(p - margin, 0)
            total -= (1 - p) ** pos * math.log(p) if y else q**neg * math.log(1 - q)
    assert float(asymmetric(logits, targets, gamma_pos=pos, gamma_neg=neg, margin=margin)) == pytest.approx(
        total / 3, rel=1e-4
    )


def test_asymmetric_without_focusing_is_bce() -> None:
    logits, targets = logits_and_targets(2)
    plain = asymmetric(logits, targets, gamma_pos=0, gamma_neg=0, margin=0)
    assert torch.allclose(plain, bce(logits, targets), rtol=1e-4)


def test_sure_answers_have_finite_gradients() -> None:
    for loss in (bce, asymmetric, cross_entropy):
        logits = torch.tensor([[200.0, -200.0, 200.0, -200.0]], requires_grad=True)
        torch.autograd.backward(loss(logits, torch.tensor([[1.0, 0.0, 0.0, 1.0]])))
        assert logits.grad is not None
        assert logits.grad.isfinite().all()


def test_cross_entropy_shares_among_true_labels() -> None:
    logits, targets = logits_and_targets(3)
    assert targets.sum(1).max() > 1
    total = 0.0
    for row, truth in zip(logits.tolist(), targets.tolist(), strict=True):
        norm = math.log(sum(math.exp(x) for x in row))
        total -= sum((x - norm) / sum(truth) for x, y in zip(row, truth, strict=True) if y)
    assert float(cross_entropy(logits, targets)) == pytest.approx(total / 3, rel=1e-5)


def embeddings(count: int, seed: int = 0) -> Tensor:
    return normalize(torch.randn(count, 6, generator=torch.Generator().manual_seed(seed)), dim=-1)


def reference(videos: Tensor, captions: Tensor, scale: float, names: str) -> float:
    """Symmetric InfoNCE where equal captions are each right for both videos."""
    total = 0.0
    for rows, columns in ((videos, captions), (captions, videos)):
        for i, row in enumerate(rows):
            logits = [scale * float(row @ column) for column in columns]
            norm = math.log(sum(map(math.exp, logits)))
            right = [j for j, name in enumerate(names) if name == names[i]]
            total -= sum(logits[j] - norm for j in right) / len(right) / len(rows)
    return total / 2


@pytest.mark.parametrize("names", ["abcd", "abac", "aaaa", "ab"])
def test_caption_contrast(names: str) -> None:
    kinds = dict(zip("abcd", embeddings(4, 1), strict=True))
    captions = torch.stack([kinds[name] for name in names])
    videos = embeddings(len(names))
    found = caption_contrast(videos, captions, torch.tensor(7.0))
    assert float(found) == pytest.approx(reference(videos, captions, 7.0, names), rel=1e-4)


def test_caption_contrast_is_clip_s_loss() -> None:
    videos, captions = embeddings(5), embeddings(5, 1)
    logits = 10 * videos @ captions.T
    rows = torch.arange(5)
    plain = (torch.nn.functional.cross_entropy(logits, rows) + torch.nn.functional.cross_entropy(logits.T, rows)) / 2
    assert torch.allclose(caption_contrast(videos, captions, torch.tensor(10.0)), plain, atol=1e-5)


def test_captions_without_videos() -> None:
    with pytest.raises(ValueError, match="3 captions for 2 videos; give one a video"):
        caption_contrast(embeddings(2), embeddings(3), torch.tensor(1.0))


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.floats(1, 120), st.floats(0.01, 0.99))
def test_the_first_bias_fits_the_share_of_true_labels(seed: int, scale: float, share: float) -> None:
    random = torch.Generator().manual_seed(seed)
    similarity = (2 * torch.rand(4, 7, generator=random) - 1).double()
    targets = (torch.rand(4, 7, generator=random) < share).double()
    bias = initial_bias(similarity, targets, scale)
    expected = min(max(float(targets.mean()), 1e-6), 1 - 1e-6)
    assert float((scale * similarity + bias).sigmoid().mean()) == pytest.approx(expected, abs=1e-5)
