"""Precision, recall and F1 of decisions against scikit-learn; what is not decided does not count."""

import numpy as np
import pytest
from sklearn.metrics import precision_recall_fscore_support

from olmv.metrics.decisions import decision_figures


def test_figures_are_those_of_scikit_learn() -> None:
    random = np.random.default_rng(1)
    truth, positive = random.random((60, 5)) < 0.3, random.random((60, 5)) < 0.4
    truth[:, 4] = False
    positive[:, 0] = False
    figures = decision_figures(positive, truth)
    precision, recall, f1, support = precision_recall_fscore_support(truth, positive, zero_division=0)
    assert figures.precision[:4] == pytest.approx(precision[:4])
    assert figures.recall[:4] == pytest.approx(recall[:4])
    assert figures.f1[:4] == pytest.approx(f1[:4])
    assert np.isnan(figures.f1[4])
    assert figures.support.tolist() == support.tolist()
    assert figures.macro_f1 == pytest.approx(f1[:4].mean())
    micro = precision_recall_fscore_support(truth, positive, average="micro")
    assert (figures.micro_precision, figures.micro_recall, figures.micro_f1) == pytest.approx(micro[:3])


def test_undecided_videos_do_not_count() -> None:
    truth, positive = np.array([[True], [True], [False]]), np.array([[True], [False], [True]])
    figures = decision_figures(positive, truth, np.array([[True], [False], [False]]))
    assert (figures.macro_f1, figures.decided.tolist(), figures.support.tolist()) == (1, [1], [1])
    nothing = decision_figures(positive, truth, np.zeros_like(truth))
    assert np.isnan([nothing.macro_f1, nothing.micro_f1, nothing.micro_precision]).all()
