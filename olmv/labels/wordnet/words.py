"""Words as people write them and as a dictionary lists them: tokens of a label, base forms, stems, keys."""

import re
import unicodedata
from collections.abc import Iterator, Mapping
from functools import lru_cache

__all__ = [
    "FUNCTION_WORDS",
    "PREPOSITIONS",
    "base_forms",
    "content_words",
    "key_of",
    "spelled_out",
    "stem",
    "tokens_of",
]

_PREPOSITIONS = """
about above across after against along around at before behind below beside between by down during for from in inside
into near of off on onto out outside over past through to toward towards under up upon with within without while
"""
_OTHERS = """
a an the and or but nor not no this that these those such as than then when where which who whom whose what how it its
itself he him his himself she her hers herself they them their theirs themselves we us our you its i me my one ones
oneself someone somebody something anyone anything other others another each every any all some both few many much more
most several either is are was were be been being am has have having had do does did done can could may might must shall
should will would there here so too very also only just even own same made used using use usually especially often
typically generally esp etc
"""
PREPOSITIONS = frozenset(_PREPOSITIONS.split())
FUNCTION_WORDS = PREPOSITIONS | frozenset(_OTHERS.split())

_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_TOKEN = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")
_LETTERS = re.compile(r"[a-z]+(?:-[a-z]+)*")
_SEPARATORS = str.maketrans("", "", " _-'’./")

# what an ending may stand for: WordNet's rules of detachment
_ENDINGS: Mapping[str, tuple[tuple[str, str], ...]] = {
    "n": (
        *(("s", ""), ("ses", "s"), ("xes", "x"), ("zes", "z"), ("ches", "ch"), ("shes", "sh")),
        *(("men", "man"), ("ies", "y")),
    ),
    "v": (
        *(("s", ""), ("ies", "y"), ("es", "e"), ("es", ""), ("ed", "e"), ("ed", "")),
        *(("ing", "e"), ("ing", "")),
    ),
}


def spelled_out(label: str) -> str:
    """Return a label as one would write it in a text: "PlayingGuitar" and "playing_guitar" become "playing guitar"."""
    words = label.replace("_", " ").split()
    parts = [_CAMEL.sub(" ", word) for word in words]
    return " ".join(parts).lower() if parts != label.split() else label


def tokens_of(label: str) -> list[str]:
    """Return the words of a label in small letters: the same for "PlayingGuitar" and "playing-guitar"."""
    text = unicodedata.normalize("NFKC", label)
    return [token.lower() for token in _TOKEN.findall(_CAMEL.sub(" ", text))]


def key_of(lemma: str) -> str:
    """Return what makes spellings of one lemma equal: "hot dog", "hot-dog" and "hotdog"; "T-shirt" and "t shirt"."""
    return lemma.lower().translate(_SEPARATORS)


def base_forms(word: str, pos: str, irregular: Mapping[str, tuple[str, ...]]) -> Iterator[str]:
    """Yield what `word` may be a form of, irregular forms first; not the word itself.

    Args:
        word: in small letters.
        pos: "n" or "v".
        irregular: form -> lemmas, of this part of speech.
    """
    yield from irregular.get(word, ())
    for ending, instead in _ENDINGS[pos]:
        stump = word.removesuffix(ending)
        if len(stump) < len(word) and len(stump) > 1:
            yield stump + instead
            if pos == "v" and not instead and len(stump) > 3 and stump[-1] == stump[-2]:
                yield stump[:-1]  # "vlogging" is in no list


@lru_cache(maxsize=2**17)
def stem(word: str) -> str:
    """Return a crude common part of a word's forms, for counting words that two texts share."""
    if len(word) < 4:
        return word
    for ending in ("ing", "ed", "ies", "es", "s"):
        if word.endswith(ending) and len(word) - len(ending) >= 3 and not word.endswith(("ss", "us", "is")):
            word = word.removesuffix(ending) + ("y" if ending == "ies" else "")
            break
    if len(word) > 3 and word[-1] == word[-2]:
        return word[:-1]
    return word.removesuffix("e") if len(word) > 3 else word


def content_words(text: str) -> Iterator[str]:
    """Yield the stems of what carries meaning in an English text, in order, repeated as they are."""
    for word in _LETTERS.findall(text.lower()):
        if len(word) > 2 and word not in FUNCTION_WORDS:
            yield stem(word)
