"""Training between two models: the gradient of the paper, the average, nothing left behind."""

from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.func import functional_call

from olmv.errors import ModelError
from olmv.models.clip.interpolation import interpolate
from olmv.train.weight_interpolation import InterpolatedWeights, WeightAverage, distance_to
from tests.models.weights import equal, weights

RATIOS = st.floats(0, 1, width=32)


@settings(deadline=None, max_examples=30)
@given(RATIOS, st.integers(1, 5))
def test_averaging_and_patching_commute(ratio: float, count: int) -> None:
    original = weights(0)
    before, after = WeightAverage(), WeightAverage()
    for seed in range(1, count + 1):
        before.update(weights(seed))
        after.update(interpolate(original, weights(seed), ratio))
    for name, found in interpolate(original, before.weights, ratio).items():
        assert torch.allclose(found, after.weights[name], rtol=1e-4, atol=2e-2 if name == "b" else 1e-5)


# --- interpolated weight regularisation


def network() -> tuple[nn.Module, dict[str, Tensor], Callable[[dict[str, Tensor]], Tensor]]:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 2)).double()
    original = {name: p.detach() + 0.3 * torch.randn_like(p) for name, p in net.named_parameters()}
    x, y = torch.randn(5, 4).double(), torch.randn(5, 2).double()

    def loss(named: dict[str, Tensor]) -> Tensor:
        output: Tensor = functional_call(net, named, (x,))
        return (output - y).square().mean()

    return net, original, loss


@settings(max_examples=20, deadline=None)
@given(st.floats(0, 0.9), st.floats(0.01, 5))
def test_the_gradient_is_that_of_the_paper(ratio: float, strength: float) -> None:
    net, original, loss = network()
    named = dict(net.named_parameters())
    theta = {name: p.detach().clone().requires_grad_() for name, p in named.items()}
    between = {name: ratio * original[name] + (1 - ratio) * w for name, w in theta.items()}
    whole = loss(dict(theta)) + strength / (1 - ratio) * loss(between)
    expected = torch.autograd.grad(whole, list(theta.values()))

    iwr = InterpolatedWeights(named, original, strength=strength)
    with iwr.at(ratio):
        torch.autograd.backward(iwr.strength * loss(dict(named)))
    torch.autograd.backward(loss(dict(named)))
    for found, right in zip(named.values(), expected, strict=True):
        assert found.grad is not None
        assert torch.allclose(found.grad, right, rtol=1e-9, atol=1e-12)


def test_weights_come_back_bit_for_bit() -> None:
    net, original, _ = network()
    named = dict(net.named_parameters())
    before = {name: p.detach().clone() for name, p in named.items()}
    iwr = InterpolatedWeights(named, original)

    def fail() -> None:
        with iwr.at(0.37):
            assert not torch.equal(named["0.weight"], before["0.weight"])
            assert torch.allclose(named["0.weight"], torch.lerp(before["0.weight"], original["0.weight"], 0.37))
            raise RuntimeError("in the loss")

    with pytest.raises(RuntimeError, match="in the loss"):
        fail()
    assert equal({k: v.detach() for k, v in named.items()}, before)
    with iwr.at(0.1):
        pass
    assert equal({k: v.detach() for k, v in named.items()}, before)


def test_new_weights_stay_as_they_are() -> None:
    net, original, _ = network()
    named = dict(net.named_parameters())
    before = {name: p.detach().clone() for name, p in named.items()}
    with InterpolatedWeights(named, original, unmixed={"0.weight", "0.bias"}).at(0.5):
        for name, weight in named.items():
            expected = before[name] if name.startswith("0.") else torch.lerp(before[name], original[name], 0.5)
            assert torch.equal(weight.detach(), expected), name
    assert equal({k: v.detach() for k, v in named.items()}, before)


def test_one_copy_is_kept() -> None:
    net, original, _ = network()
    iwr = InterpolatedWeights(dict(net.named_parameters()), original)
    assert iwr._kept == []
    with iwr.at(0.5):
        kept = [t.data_ptr() for t in iwr._kept]
    with iwr.at(0.2):
        assert [t.data_ptr() for t in iwr._kept] == kept
    assert len(kept) == len(original)
    assert [t.data_ptr() for t in iwr._original] == [t.data_ptr() for t in original.values()]


def test_the_original_must_fit() -> None:
    net, original, _ = network()
    with pytest.raises(ModelError, match=r"'0\.bias'"):
        InterpolatedWeights(dict(net.named_parameters()), {k: v for k, v in original.items() if k != "0.bias"})


@settings(deadline=None, max_examples=30)
@given(st.lists(st.integers(0, 2**31), min_size=1, max_size=3), st.floats(0.01, 0.99))
def test_ratios_follow_from_the_key(key: list[int], most: float) -> None:
    net, original, _ = network()
    draw = InterpolatedWeights(dict(net.named_parameters()), original, max_ratio=most).draw
    assert draw(*key) == draw(*key)
    assert 0 <= draw(*key) < most


def test_ratios_are_uniform() -> None:
    net, original, _ = network()
    draw = InterpolatedWeights(dict(net.named_parameters()), original).draw
    drawn = torch.tensor([draw(0, step, 0) for step in range(2000)])
    assert float(drawn.mean()) == pytest.approx(0.3, abs=0.02)
    assert float(drawn.std()) == pytest.approx(0.6 / 12**0.5, abs=0.02)
    assert draw(0, 1, 0) != draw(0, 1, 1)


# --- the average, the distance


@settings(deadline=None, max_examples=20)
@given(st.integers(1, 30))
def test_the_average_is_the_mean(count: int) -> None:
    average = WeightAverage()
    for seed in range(count):
        average.update({"a": weights(seed, torch.bfloat16)["a"]})
    stacked = torch.stack([weights(seed, torch.bfloat16)["a"].float() for seed in range(count)]).mean(0)
    assert average.count == count
    assert average.weights["a"].dtype == torch.float32
    assert torch.allclose(average.weights["a"], stacked, atol=1e-6)


def test_the_average_holds_copies() -> None:
    given_weights = weights(0)
    average = WeightAverage()
    average.update(given_weights)
    given_weights["a"].zero_()
    assert average.weights["a"].abs().sum() > 0


def test_distance() -> None:
    a, b = weights(0), weights(1)
    assert float(distance_to(a, a)) == 0
    expected = sum(float(((a[k] - b[k]) ** 2).sum()) for k in a)
    assert float(distance_to(a, b)) == pytest.approx(expected, rel=1e-5)
