"""Captions are somebody else's text: cleaned, capped, merged."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from olmv.caption.captioner import FrameCaption, captions_with_times, clean_caption, open_captioner
from olmv.errors import UsageError


@pytest.mark.parametrize(
    ("raw", "clean"),
    [
        (" a dog\n on\ta  lawn ", "a dog on a lawn"),
        ("a dog\x1b[2J on a lawn", "a dog [2J on a lawn"),
        ("a dog a dog a dog a dog a dog", "a dog"),
        ("a red car, a red car, a red car, a red car and a tree", "a red car and a tree"),
        ("very very old", "very very old"),
        ("", ""),
        (" \x00 ", ""),
    ],
)
def test_clean(raw: str, clean: str) -> None:
    assert clean_caption(raw) == clean


def test_two_thousand_tokens_of_repetition() -> None:
    assert clean_caption("the the man is " * 700).split().count("man") == 1
    assert len(clean_caption("x" * 5000)) <= 300
    assert len(clean_caption(" ".join(f"word{n}" for n in range(2000)))) <= 300


@given(st.text(max_size=500))
def test_any_caption_becomes_one_short_line(text: str) -> None:
    cleaned = clean_caption(text)
    assert len(cleaned) <= 300
    assert cleaned.isprintable()
    assert cleaned == cleaned.strip()


def test_frames_of_which_nothing_is_said_are_left_out() -> None:
    assert captions_with_times(["a dog", "", "a cat"], [0.0, 1.0, 2.00049]) == [
        FrameCaption(0.0, "a dog"),
        FrameCaption(2.0, "a cat"),
    ]


@pytest.mark.parametrize("spec", ["", "blip2", "blip2:", "git:x", "labels:olmv-mini"])
def test_other_specs_are_refused(spec: str) -> None:
    with pytest.raises(UsageError, match="is not blip2:MODEL, hf:MODEL or labels:MODEL"):
        open_captioner(spec)
