"""Why an attribute is refused, and what a language model is told about it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

__all__ = ["ADVICE", "Reason", "Rejection"]

Reason = Literal[
    "length",
    "form",
    "language",
    "absence",
    "not visual",
    "no description",
    "other label",
    "other thing",
    "label echo",
    "prompt echo",
    "loop",
    "near copy",
    "shared",
    "off topic",
    "moves label",
]

# Rules of general kind, none of which quotes an attribute: a small model copies what it reads, complaints included.
ADVICE: Mapping[Reason, str] = {
    "length": "Use 4 to 12 words in every attribute.",
    "form": "Write plain words only: no lists, numbers, marks or code.",
    "language": "Write English.",
    "absence": "Say what is there.",
    "not visual": "Say what is seen: colours, shapes, parts, people, places, motion.",
    "no description": "Describe the label itself.",
    "other label": "Leave other labels of the list out.",
    "other thing": "Describe the label and nothing like it.",
    "label echo": "Say more than the name.",
    "prompt echo": "Use words of your own.",
    "loop": "Use every word once.",
    "near copy": "Let every attribute be about another side.",
    "shared": "Say what only this label has.",
    "off topic": "Stay close to the label.",
    "moves label": "Stay close to the label.",
}


@dataclass(frozen=True)
class Rejection:
    """A reason, and the end of a sentence about the attribute, for people."""

    reason: Reason
    detail: str
