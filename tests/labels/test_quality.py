"""Attributes as texts: tidied, made comparable, counted."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from olmv.labels.quality import count_words, normalized, tidy


@pytest.mark.parametrize(
    ("raw", "clean"),
    [
        ("  - a brown  dog\non a lawn. ", "a brown dog on a lawn"),
        ("2) “a brown dog”;", "a brown dog"),
        ("A photo of a brown dog", "a brown dog"),
        ("the video showing people at sea", "people at sea"),
        ("10. ten dogs", "ten dogs"),
        ("**a brown dog** on a lawn", "a brown dog on a lawn"),
        ("- __a _brown_ dog__", "a brown dog"),
        ("`a brown dog`", "a brown dog"),
        ("2 * 3 dogs", "2 * 3 dogs"),
        ("", ""),
    ],
)
def test_tidy(raw: str, clean: str) -> None:
    assert tidy(raw) == clean


@pytest.mark.parametrize(
    ("text", "words"),
    [("a man's well-kept lawn", 4), ("狗在跑", 2), ("棕色的狗在草地上奔跑", 5), ("a 狗 runs", 3), ("...", 0)],
)
def test_count_words(text: str, words: int) -> None:
    assert count_words(text) == words


def test_case_marks_and_articles_do_not_count() -> None:
    assert normalized("The BROWN dog, on (a) lawn!") == normalized("brown dog on lawn") == "brown dog on lawn"
    assert normalized("cafe\u0301") == normalized("CAFÉ")


@given(st.text(max_size=300))
def test_any_text_is_read(text: str) -> None:
    assert normalized(normalized(text)) == normalized(text)
    assert count_words(text) >= 0


@given(st.text(max_size=300))
def test_what_is_tidy_stays_as_it_is(text: str) -> None:
    assert tidy(tidy(text)) == tidy(text)
