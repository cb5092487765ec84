"""Pictures: what they count, and that no label breaks them."""

import warnings
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from olmv.metrics.multilabel import multi_label
from olmv.pages import plots

PNG = b"\x89PNG\r\n\x1a\n"
LABELS = ("$x^2_{", "_private", "天気予報 🎥", "a label that goes on for ever and ever", "100%\n\\frac", "", "dog$")


def scores(labels: int = 7, scale: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(0)
    truth = draw.random((50, labels)) < 0.3
    return np.clip((0.4 * truth + 0.6 * draw.random((50, labels))) * scale, 0, 1), truth


def size(picture: plots.Picture) -> tuple[int, int]:
    assert picture.png.startswith(PNG)
    assert picture.pdf.startswith(b"%PDF-")
    return int.from_bytes(picture.png[16:20]), int.from_bytes(picture.png[20:24])


def all_pictures(probability: np.ndarray, truth: np.ndarray) -> list[plots.Picture]:
    measured = multi_label(probability, truth, np.full(truth.shape[1], 0.5))
    counts = plots.co_occurrence(probability >= 0.5, truth)
    return [
        plots.pr_curves(probability, truth, LABELS, measured.per_label.ap),
        plots.reliability(measured),
        plots.threshold_sweep(probability, truth, measured),
        plots.heat_map(counts, truth.sum(axis=0), LABELS, title="Mistakes"),
    ]


@pytest.mark.parametrize("scale", [1.0, 0.001])
def test_labels_of_any_text_are_drawn_without_a_word(scale: float) -> None:
    probability, truth = scores(scale=scale)
    truth[:, 5] = False
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for picture in all_pictures(probability, truth):
            assert min(size(picture)) > 300


def test_nothing_true_and_one_label_alone() -> None:
    probability, truth = scores(1)
    for true in (np.zeros_like(truth), np.ones_like(truth)):
        for picture in all_pictures(probability, true):
            assert size(picture)


def test_the_users_own_style_changes_nothing_and_is_kept() -> None:
    import matplotlib

    draw: Callable[[], plots.Picture] = lambda: plots.splits({"a": 0.5, "b": 0.75}, metric="Top-1")  # noqa: E731
    before = draw()
    with matplotlib.rc_context({"text.usetex": True, "axes.facecolor": "black", "font.size": 30}):
        assert draw() == before
        assert matplotlib.rcParams["text.usetex"]


def test_splits_and_ranks() -> None:
    assert (
        size(plots.splits({f"draw {i}": 0.8 + i / 100 for i in range(10)}, metric="Top-1"))[0]
        > size(plots.splits({"one": 0.5, "two": 0.75}, metric="Top-1"))[0]
    )
    ranks = np.array([1, 2, 300, 0, 1])
    assert plots.rank_histogram(ranks, ranks) != plots.rank_histogram(ranks, np.zeros(0, dtype=np.int64))
    assert size(plots.rank_histogram(np.zeros(3, dtype=np.int64), np.zeros(3, dtype=np.int64)))


def test_a_heat_map_keeps_the_labels_with_the_most_errors(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 200 labels 5 are drawn: mistakes between 100 and 101 change the picture, hits of 190 do not."""
    monkeypatch.setattr(plots, "LABELS_SHOWN", 5)
    counts = np.eye(200) * 5
    support, labels = np.full(200, 5), [f"label {i}" for i in range(200)]
    counts[:5, 150] = 1
    before = plots.heat_map(counts, support, labels, title="x")
    quiet = counts.copy()
    quiet[190, 190] = 3
    assert plots.heat_map(quiet, support, labels, title="x") == before
    loud = counts.copy()
    loud[100, 101] = 5
    assert plots.heat_map(loud, support, labels, title="x") != before


@settings(max_examples=50)
@given(st.integers(1, 6), st.integers(1, 12), st.integers(0, 2**32 - 1))
def test_what_is_counted(labels: int, videos: int, seed: int) -> None:
    draw = np.random.default_rng(seed)
    truth, predicted = draw.random((2, videos, labels)) < 0.5
    counted = plots.co_occurrence(predicted, truth)
    classes, guesses = draw.integers(labels, size=(2, videos))
    confused = plots.confusion(guesses, classes, labels)
    for i in range(labels):
        for j in range(labels):
            assert counted[i, j] == sum(truth[v, i] and predicted[v, j] and not truth[v, j] for v in range(videos))
            assert confused[i, j] == sum(classes[v] == i and guesses[v] == j for v in range(videos))


@given(st.text())
def test_a_label_fits_and_holds_no_markup(label: str) -> None:
    text = plots.short(label)
    assert len(text.replace(r"\$", "$")) <= plots.LONGEST_LABEL + 1
    assert "\n" not in text
    assert not text.startswith("_")
    assert text.replace(r"\$", "").count("$") == 0
