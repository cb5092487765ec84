"""Rows of predictions: rounded, written, read back."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from olmv.predictions import (
    Failure,
    FrameCounts,
    LabelPrediction,
    VideoPrediction,
    round_all,
    round_significant,
)
from olmv.scoring.explain import Explanation, FrameContribution, TextContribution
from olmv.scoring.segments import Segment


@given(st.lists(st.one_of(st.floats(allow_nan=False), st.floats(0, 1, width=32), st.sampled_from([0.1234565, 1e22]))))
def test_rounded_together_as_each_by_itself(values: list[float]) -> None:
    assert round_all(values) == [round_significant(value) for value in values]
    halves = [value + 0.5 for value in np.arange(99999.0, 100009.0)] + [0.9999995, 9999995.0, 0.00012345650000000001]
    assert round_all(halves) == [round_significant(value) for value in halves]


def test_a_row_is_read_back() -> None:
    texts, frames = (TextContribution("a dog", 0.25),), (FrameContribution(3, 1.5, 0.125),)
    prediction = VideoPrediction(
        video="a.mp4",
        status="ok",
        error=None,
        duration_s=2.5,
        frames=FrameCounts(8, 8, 0, 8, 0.25, False),
        model="tiny",
        labels=(LabelPrediction("dog", 0.25, -1.5, 0.182426, 0.1, positive=True),),
        explanations=(Explanation("dog", 0.25, texts, frames),),
        segments=(Segment("dog", 0.5, 1.5, 0.75, 1.0, 0.5),),
        shots_s=(1.0,),
    )
    assert VideoPrediction.from_row(prediction.to_row()) == prediction
    failed = VideoPrediction("b.mp4", "error", Failure("DecodeError", "no"), None, FrameCounts(8), "tiny")
    assert VideoPrediction.from_row(failed.to_row()) == failed
