import numpy as np
import pytest

from olmv.scoring.logits import sigmoid
from olmv.serve.review.order import ReviewOrder, review_weights, video_keys

NAMES = [f"{number}.mp4" for number in range(4000)]


def test_keys_are_the_same_on_every_machine() -> None:
    assert video_keys(["a.mp4", "\udcff.mp4"]).tolist() == [1461060205421071492, 13980468326058935265]


def test_two_reviewers_have_one_order_and_another_label_or_a_later_order_has_its_own() -> None:
    logit = np.random.default_rng(0).normal(0, 2, len(NAMES))
    keys = video_keys(NAMES)
    first, again = (ReviewOrder.of(1, "dog", 0.0, logit, keys) for _ in range(2))
    assert (first.places == again.places).all()
    for other in (ReviewOrder.of(1, "rain", 0.0, logit, keys), ReviewOrder.of(2, "dog", 0.0, logit, keys)):
        assert abs(np.corrcoef(first.uniform, other.uniform)[0, 1]) < 0.05


def test_lots_are_uniform() -> None:
    lots = ReviewOrder.of(3, "dog", 0.0, np.zeros(len(NAMES)), video_keys(NAMES)).uniform
    assert lots.min() > 0
    assert lots.max() <= 1
    counts = np.histogram(lots, bins=20, range=(0, 1))[0]
    assert ((counts - 200) ** 2 / 200).sum() < 43.8  # chi-squared with 19 degrees of freedom, 0.999


def test_videos_near_the_threshold_come_first_from_both_sides_alike() -> None:
    logit = np.random.default_rng(1).normal(-4, 2, len(NAMES))
    order = ReviewOrder.of(1, "dog", -1.0, logit, video_keys(NAMES))
    first = logit[order.places[:150]]
    assert np.abs(first + 1).mean() < 0.5 * np.abs(logit + 1).mean()
    assert 0.35 < (first >= -1).mean() < 0.65  # a fifteenth of all videos lies above
    assert sorted(order.places.tolist()) == list(range(len(NAMES)))


@pytest.mark.parametrize("anchor", [-40.0, 0.0, 40.0])
def test_every_video_may_come(anchor: float) -> None:
    weight = review_weights(np.linspace(-30, 30, 100), anchor)
    assert weight.min() >= 0.1 / 100 / 2 - 1e-12
    assert weight.sum() == pytest.approx(1)


def test_the_probability_to_have_come_is_how_often_videos_come() -> None:
    logit = np.random.default_rng(2).normal(-2, 2, 60)
    keys, count, rounds = video_keys(NAMES[:60]), 15, 1500
    came, inverse = np.zeros(60), np.zeros(60)
    for number in range(rounds):
        order = ReviewOrder.of(number, "dog", 0.0, logit, keys)
        first = order.places[:count]
        came[first] += 1
        inverse[first] += 1 / order.inclusion(int(order.places[count]))[first]
    # each video counts 1 in the mean: the estimate of any sum over videos is without bias
    assert np.abs(inverse / rounds - 1).max() < 0.3
    assert abs(inverse.mean() / rounds - 1) < 0.02
    assert came[sigmoid(logit) > 0.3].mean() > came[sigmoid(logit) < 0.05].mean()


def test_at_the_end_of_the_order_all_have_come() -> None:
    order = ReviewOrder.of(1, "dog", 0.0, np.zeros(5), video_keys(NAMES[:5]))
    assert order.inclusion(None).tolist() == [1.0] * 5
