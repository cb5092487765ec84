"""Distillation from the original, and what it costs and keeps."""

from typing import Any

import pytest
import torch
from torch.nn.functional import normalize

from olmv.labels.templates import resolve
from olmv.models.registry import load_video_clip
from olmv.train.loss_terms import relation_distillation
from olmv.train.losses import Distillation
from olmv.train.trainable import Trainable, select_weights


def unit(*shape: int, seed: int = 0) -> torch.Tensor:
    return normalize(torch.randn(*shape, generator=torch.Generator().manual_seed(seed)), dim=-1)


def test_nothing_has_moved_and_something_has() -> None:
    videos, words, scale = unit(3, 8), unit(5, 8, seed=1), torch.tensor(20.0)
    assert float(relation_distillation(videos, videos, words, scale)) == pytest.approx(0, abs=1e-6)
    other = unit(3, 8, seed=2)
    before = (scale * videos @ words.T).softmax(-1)
    after = (scale * other @ words.T).softmax(-1)
    expected = (before * (before / after).log()).sum(-1).mean() + (1 - (videos * other).sum(-1)).mean()
    assert float(relation_distillation(other, videos, words, scale)) == pytest.approx(float(expected), rel=1e-5)


def test_a_part_that_no_word_sees_is_kept_by_the_cosine() -> None:
    words = torch.eye(4)[:2]
    before, after = torch.eye(4)[2:3], torch.eye(4)[3:4]
    assert float(relation_distillation(after, before, words, torch.tensor(9.0))) == pytest.approx(1.0)


def test_the_original_is_asked_with_its_own_weights_and_they_are_put_back() -> None:
    model = load_video_clip("olmv-mini", device="cpu", dtype="float32", temporal="mean")
    trainable = Trainable(model)
    weights, _ = select_weights(trainable, "visual")
    original = {name: weight.detach().clone() for name, weight in weights.items()}
    distillation = Distillation(trainable, weights, original, resolve("photo"))
    pixels = torch.randint(0, 255, (2, 1, 3, 64, 64), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    before = distillation.original(pixels, None)
    with torch.no_grad():
        for weight in weights.values():
            weight.add_(0.02 * torch.randn(weight.shape, generator=torch.Generator().manual_seed(1)))
    moved = {name: weight.detach().clone() for name, weight in weights.items()}
    again = distillation.original(pixels, None)
    assert torch.equal(before, again)
    assert all(torch.equal(weights[name], moved[name]) for name in weights)
    video: Any = trainable(pixels, None, distillation._bank)[1]
    loss = distillation(video, again)
    torch.autograd.backward(loss)
    assert loss.item() > 0.01
    assert all(w.grad is not None for name, w in weights.items() if "logit" not in name and "log_scale" not in name)
