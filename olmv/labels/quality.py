"""Attributes as texts: how they are tidied, compared and counted, and how long a text tower reads."""

import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from olmv.labels.label import MAX_ATTRIBUTE_CHARS

__all__ = ["MAX_WORDS", "MIN_WORDS", "TextLimit", "count_words", "normalized", "tidy"]

MIN_WORDS = 3
MAX_WORDS = 20
MAX_LAYERS = 4
"""Of marks around an attribute: a quoted item of a list, in it an emphasis."""


@dataclass(frozen=True)
class TextLimit:
    """The tokenizer of a model and how many of its tokens the text tower reads; see `olmv.models.registry.text_limit`.

    Args:
        name: of the model.
        context_length: tokens, special ones included; what is longer is cut.
        templates: the template set that the model was made for.
        token_counts: texts -> tokens of every text before cutting, special ones included.
    """

    name: str
    context_length: int
    templates: str
    token_counts: Callable[[Sequence[str]], list[int]]


_CJK = re.compile("[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff]+")
_WORD = re.compile(r"[^\W_]+(?:['’-][^\W_]+)*")
_BULLET = re.compile(r"^\s*(?:[-*•]|\(?\d{1,3}[.):])\s+")
_EMPHASIS = re.compile(r"(\*\*|__|\*|_|`)(\S(?:.*?\S)?)\1")
_LEAD = re.compile(r"^(?:an?|the)\s+(?:photo|picture|image|video|clip|footage|shot)\s+(?:of|showing)\s+", re.IGNORECASE)
_ARTICLES = frozenset(("a", "an", "the"))


def tidy(text: str) -> str:
    """Return one attribute without list marks, emphasis, quotes, a lead such as "a photo of", a full stop."""
    text = " ".join(text[: 4 * MAX_ATTRIBUTE_CHARS].split())
    for _ in range(MAX_LAYERS):
        text = _EMPHASIS.sub(r"\2", _BULLET.sub("", text)).strip("\"'“”‘’ ")
        text = _LEAD.sub("", text).rstrip(".,;: ").strip("\"'“”‘’ ")
    return text


def normalized(text: str) -> str:
    """Return what makes two attributes the same: words without case, composed accents, punctuation, articles."""
    words = _WORD.findall(unicodedata.normalize("NFKC", text).casefold())
    return " ".join(word for word in words if word not in _ARTICLES)


def count_words(text: str) -> int:
    """Count words; Chinese, Japanese and Korean are written without spaces and count as a word per two characters."""
    run_words = sum((len(run) + 1) // 2 for run in _CJK.findall(text))
    return run_words + len(_WORD.findall(_CJK.sub(" ", text)))
