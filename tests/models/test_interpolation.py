"""Weights between two models: exact ends, and models that do not go together."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from olmv.errors import ModelError
from olmv.models.clip.interpolation import interpolate
from tests.models.weights import equal, weights

RATIOS = st.floats(0, 1, width=32)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_the_ends_are_exact_copies(dtype: torch.dtype) -> None:
    original, tuned = weights(0, dtype), weights(1, dtype)
    assert equal(interpolate(original, tuned, 1), original)
    assert equal(interpolate(original, tuned, 0), tuned)
    interpolate(original, tuned, 1)["a"].zero_()
    assert equal(original, weights(0, dtype))
    assert interpolate(original, tuned, 0.5)["a"].dtype == dtype


@settings(deadline=None, max_examples=40)
@given(RATIOS, st.integers(0, 99))
def test_between_the_ends(ratio: float, seed: int) -> None:
    original, tuned = weights(seed), weights(seed + 1)
    for name, found in interpolate(original, tuned, ratio).items():
        expected = ratio * original[name].double() + (1 - ratio) * tuned[name].double()
        assert torch.allclose(found.double(), expected, rtol=1e-5, atol=1e-2 if name == "b" else 1e-5)


@pytest.mark.parametrize("ratio", [0.0, 0.3, 1.0])
def test_what_the_original_did_not_have_is_not_mixed(ratio: float) -> None:
    original, tuned = weights(0), weights(1)
    mixed = interpolate(original, tuned, ratio, unmixed={"a"})
    assert torch.equal(mixed["a"], tuned["a"])
    assert torch.equal(mixed["b"], interpolate(original, tuned, ratio)["b"])
    mixed["a"].zero_()
    assert equal(tuned, weights(1))


def test_models_that_do_not_go_together() -> None:
    original, tuned = weights(0), weights(1)
    with pytest.raises(ModelError, match=r"the original has no weight 'c' \(1 names differ\)"):
        interpolate(original, tuned | {"c": torch.ones(1)}, 0.5)
    with pytest.raises(ModelError, match=r"the tuned model has no weight 'c'.*are they one architecture"):
        interpolate(original | {"c": torch.ones(1)}, tuned, 0.5)
    with pytest.raises(ModelError, match=r"weight 'a' is \[3, 4\] in the original and \[4, 3\] when tuned"):
        interpolate(original, tuned | {"a": torch.ones(4, 3)}, 1)
    with pytest.raises(ModelError, match=r"weight 'a' is float32 in the original and float16 when tuned; convert"):
        interpolate(original, tuned | {"a": tuned["a"].half()}, 0)
    for ratio in (-0.1, 1.5, float("nan")):
        with pytest.raises(ValueError, match=r"ratio is .*; it is the weight of the original, from 0 to 1"):
            interpolate(original, tuned, ratio)
