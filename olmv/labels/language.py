"""Whether a text is English, by how many of its words WordNet and a list of function words know."""

from olmv.labels.quality import normalized
from olmv.labels.wordnet.store import wordnet
from olmv.labels.wordnet.words import FUNCTION_WORDS

__all__ = ["is_english"]

MIN_KNOWN = 0.75


def is_english(text: str, *, names: str = "") -> bool:
    """Tell whether enough of the words are known.

    Args:
        text: an attribute, or a prompt.
        names: of the label: what stands in them counts as known, a brand or a word of jargon.
    """
    dictionary, own, words = wordnet(), set(_words(names)), _words(text)
    known = sum(word in own or word in FUNCTION_WORDS or bool(dictionary.senses([word])) for word in words)
    return known >= MIN_KNOWN * len(words)


def _words(text: str) -> list[str]:
    return [part for word in normalized(text).split() for part in word.split("-")]
