"""The options of scoring: one check, and messages that name every choice."""

from typing import Any

import pytest

from olmv.errors import UsageError
from olmv.scoring.options import (
    FRAME_POOLINGS,
    MODES,
    POOLINGS,
    FramePooling,
    Mode,
    Pooling,
    ScoreOptions,
    check_choice,
)


def test_the_defaults_are_good() -> None:
    ScoreOptions().check()


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("pooling", POOLINGS)
@pytest.mark.parametrize("frame_pooling", [None, *FRAME_POOLINGS])
def test_every_choice_is_good(mode: Mode, pooling: Pooling, frame_pooling: FramePooling | None) -> None:
    ScoreOptions(mode=mode, pooling=pooling, frame_pooling=frame_pooling, top_k=1).check()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mode": "multi"}, "unknown mode 'multi'; choose multi-label, single-label"),
        ({"pooling": "sum"}, "unknown pooling 'sum'; choose mean, max, topk, softmax"),
        ({"frame_pooling": "topk"}, "unknown frame pooling 'topk'; choose mean, max, softmax, logits"),
        ({"frame_pooling": ""}, "unknown frame pooling ''; choose mean, max, softmax, logits"),
        ({"top_k": 0}, "top_k is 0; it must be at least 1"),
        ({"top_k": -3}, "top_k is -3; it must be at least 1"),
    ],
)
def test_what_check_refuses(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError) as error:
        ScoreOptions(**options).check()
    assert str(error.value) == message


def test_check_choice() -> None:
    check_choice("colour", "red", ["red", "green"])
    with pytest.raises(UsageError, match=r"^unknown colour 'blue'; choose red, green$"):
        check_choice("colour", "blue", ["red", "green"])
