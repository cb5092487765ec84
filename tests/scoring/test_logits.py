"""Sigmoid, logit and softmax against scipy, to the ends of the range."""

import warnings

import numpy as np
import pytest
from scipy import special

from olmv.scoring.logits import log_softmax, log_sum_exp, logit_of, sigmoid, softmax

LOGITS = np.concatenate([np.linspace(-60, 60, 241), [-1e4, -745, 745, 1e4, np.inf, -np.inf]])


def test_sigmoid_equals_scipy_and_never_overflows() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        np.testing.assert_allclose(sigmoid(LOGITS), special.expit(LOGITS), rtol=1e-14, atol=1e-300)
        assert sigmoid(LOGITS.astype(np.float32)).dtype == np.float64
    assert np.isnan(sigmoid(np.array([np.nan]))).all()


def test_logit_is_its_inverse_and_finite_at_the_ends() -> None:
    inner = LOGITS[np.abs(LOGITS) < 30]
    np.testing.assert_allclose(logit_of(sigmoid(inner)), inner, atol=1e-2)
    assert np.isfinite(logit_of(np.array([0.0, 1.0]))).all()


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_softmax_equals_scipy(axis: int) -> None:
    values = np.random.default_rng(0).normal(0, 200, (4, 3, 5)).astype(np.float32)
    wide = values.astype(np.float64)
    for ours, theirs in (
        (softmax, special.softmax),
        (log_softmax, special.log_softmax),
        (log_sum_exp, special.logsumexp),
    ):
        np.testing.assert_allclose(ours(values, axis=axis), theirs(wide, axis=axis), rtol=1e-12, atol=1e-13)
