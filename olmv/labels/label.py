"""Say what one label is: its name, other names, what it looks like, its threshold."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from olmv.errors import VocabularyError

__all__ = ["MAX_ATTRIBUTE_CHARS", "MAX_LABEL_CHARS", "MAX_TEXTS", "Label", "check_count", "clean_text"]

MAX_LABEL_CHARS = 300

MAX_ATTRIBUTE_CHARS = 1000

MAX_TEXTS = 1000
"""Aliases or attributes of one label; a few tens are plenty, and each is encoded in every template."""

# C0 and C1 controls, line and paragraph separators, what reverses the reading direction, lone surrogates.
# Joiners (U+200D) stay: emoji and Indic scripts need them.
_REFUSED = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def clean_text(text: object, *, what: str, limit: int) -> str:
    """Return one line of text without surrounding white space, otherwise as written.

    Args:
        text: what stood in the file.
        what: how to call it in an error ("label", "attribute of 'dog'").
        limit: the most characters allowed.

    Raises:
        VocabularyError: not a text, empty, too long, or with control characters.
    """
    if not isinstance(text, str):
        raise VocabularyError(f"{what} {text!r} is {type(text).__name__}, not text; write it in quotes")
    text = text.strip()
    if not text:
        raise VocabularyError(f"{what} is empty; write it out or take the line away")
    if len(text) > limit:
        raise VocabularyError(f"{what} {text[:40]!r}... has {len(text)} characters; keep it under {limit + 1}")
    if match := _REFUSED.search(text):
        raise VocabularyError(f"{what} {text[:80]!r} has the control character U+{ord(match[0]):04X}; take it out")
    return text


def check_count(texts: Sequence[str], *, what: str, label: str) -> None:
    """Raise VocabularyError where a label has more aliases or attributes (`what`) than `MAX_TEXTS`."""
    if len(texts) > MAX_TEXTS:
        raise VocabularyError(f"{label!r} has {len(texts):,} {what}; keep at most {MAX_TEXTS:,}, a few tens are plenty")


@dataclass(frozen=True)
class Label:
    """One label and what is known of it. Texts are stripped and checked.

    Args:
        name: as the user wrote it; never rewritten in outputs.
        aliases: other names; each counts as a text of the label.
        attributes: short descriptions of what it looks like.
        threshold: the probability from which it is positive, in [0, 1]; None leaves it to others.

    Raises:
        VocabularyError: a text is empty, too long or has control characters; the threshold is out of range.
    """

    name: str
    aliases: tuple[str, ...] = ()
    attributes: tuple[str, ...] = ()
    threshold: float | None = None

    def __post_init__(self) -> None:
        name = clean_text(self.name, what="label", limit=MAX_LABEL_CHARS)
        object.__setattr__(self, "name", name)
        for field, limit in (("aliases", MAX_LABEL_CHARS), ("attributes", MAX_ATTRIBUTE_CHARS)):
            texts = getattr(self, field)
            if isinstance(texts, str):
                raise VocabularyError(f"{field} of {name!r} must be a list of texts, not one text")
            check_count(texts, what=field, label=name)
            what = f"{'alias' if field == 'aliases' else 'attribute'} of {name!r}"
            cleaned = dict.fromkeys(clean_text(text, what=what, limit=limit) for text in texts)
            object.__setattr__(self, field, tuple(cleaned))
        if self.threshold is not None:
            threshold = self.threshold
            if isinstance(threshold, bool) or not isinstance(threshold, int | float) or not 0 <= threshold <= 1:
                raise VocabularyError(f"threshold of {name!r} is {threshold!r}; give a number from 0 to 1")
            object.__setattr__(self, "threshold", float(threshold))
