"""Scalings: calibrated where the model is not, and never another order."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from scipy.special import expit

from olmv.calibrate.scaling_fit import KINDS, Kind, fit_scaling, fit_scalings
from olmv.scoring.logits import logit_of
from olmv.scoring.scaling import Isotonic, Platt, Scaler


def overconfident(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities of logits three times too large and shifted."""
    random = np.random.default_rng(seed)
    logit = random.normal(0, 1.5, count)
    return expit(3 * logit + 1), random.random(count) < expit(logit)


@pytest.mark.parametrize("kind", KINDS)
def test_calibrated_on_other_videos(kind: Kind) -> None:
    scaling = fit_scaling(*overconfident(3000), kind)
    probability, truth = overconfident(3000, seed=1)
    scaled = Scaler([scaling])(probability[:, None])[:, 0]

    def brier(p: np.ndarray) -> float:
        return float(((p - truth) ** 2).mean())

    assert brier(scaled) < brier(probability) - 0.02
    for low in (0.1, 0.3, 0.5, 0.7):
        inside = (scaled >= low) & (scaled < low + 0.2)
        assert truth[inside].mean() == pytest.approx(scaled[inside].mean(), abs=0.07)


def test_platt_finds_the_line() -> None:
    scaling = fit_scaling(*overconfident(20_000), "platt")
    assert isinstance(scaling, Platt)
    assert (scaling.slope, scaling.offset) == pytest.approx((1 / 3, -1 / 3), abs=0.05)


@given(
    st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=2, max_size=40),
    st.sampled_from(KINDS),
    st.lists(st.floats(0, 1), min_size=2, max_size=8),
)
@settings(deadline=None, max_examples=60)
def test_order_is_kept(pairs: list[tuple[float, bool]], kind: Kind, more: list[float]) -> None:
    scaling = fit_scaling(np.array([p for p, _ in pairs]), np.array([t for _, t in pairs]), kind)
    asked = np.sort([*more, *(p for p, _ in pairs)])
    scaled = Scaler([scaling])(asked[:, None])[:, 0]
    assert ((scaled >= 0) & (scaled <= 1)).all()
    assert (np.diff(scaled) >= 0).all()


def test_isotonic_rises_between_what_the_model_tells_apart() -> None:
    probability = np.linspace(0.05, 0.95, 60)
    scaling = fit_scaling(probability, np.arange(60) >= 30, "isotonic")  # two level steps
    assert isinstance(scaling, Isotonic)
    assert (np.diff(scaling(logit_of(np.linspace(0, 1, 300)))) > 0).all()
    assert (len(scaling.logit), scaling.probability[0] > 0, scaling.probability[-1] < 1) == (4, True, True)
    assert len(fit_scaling(*overconfident(40_000), "isotonic").logit) <= 100  # type: ignore[union-attr]


@pytest.mark.parametrize("kind", KINDS)
def test_what_does_not_rise_is_left_alone(kind: Kind) -> None:
    probability = np.linspace(0.1, 0.9, 50)
    assert fit_scaling(probability, probability < 0.5, kind) is None
    assert fit_scaling(probability, probability > 2, kind) is None
    assert fit_scaling(probability, probability < 2, kind) is None
    assert fit_scaling(np.full(50, 0.3), probability < 0.5, kind) is None


def test_rare_labels_share_a_scaling() -> None:
    probability, truth = (np.stack([part, part, part], axis=1) for part in overconfident(300))
    truth[:, 1] &= np.arange(300) < 20
    truth[:, 2] = True
    own, *shared = fit_scalings(probability, truth, "platt", min_support=20)
    assert shared[0] == shared[1] == fit_scaling(probability.ravel(), truth.ravel(), "platt")
    assert own == fit_scaling(probability[:, 0], truth[:, 0], "platt") != shared[0]


def test_a_label_without_a_scaling_keeps_its_probability() -> None:
    scaler = Scaler([None, Platt(slope=2, offset=0.5), Isotonic(logit=(-1, 1), probability=(0.2, 0.6))])
    asked = np.array([[0.3, 0.5, 0.5], [0.0, 0.0, 0.0], [1.0, 1.0, 1.0]], dtype=np.float32)
    scaled = scaler(asked)
    assert scaled[0] == pytest.approx([0.3, expit(0.5), 0.4])
    assert scaled[1:] == pytest.approx(np.array([[0, 0, 0], [1, 1, 1]]), abs=1e-6)
    assert scaler(asked[0]).tolist() == scaled[0].tolist()


def test_bad_scalings() -> None:
    with pytest.raises(ValidationError, match="greater than 0"):
        Platt(slope=-1, offset=0)
    with pytest.raises(ValidationError, match="must be equally many"):
        Isotonic(logit=(0, 1), probability=(0.5,))
    with pytest.raises(ValidationError, match="the knots of a scaling must rise"):
        Isotonic(logit=(0, 1), probability=(0.5, 0.5))
