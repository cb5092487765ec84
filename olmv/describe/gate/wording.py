"""What an attribute must be by itself: a short plain phrase about what is seen, that fits the text tower."""

import re
from collections.abc import Sequence

from olmv.describe.gate.reasons import Reason, Rejection
from olmv.errors import VocabularyError
from olmv.labels.label import MAX_ATTRIBUTE_CHARS, Label, clean_text
from olmv.labels.quality import MAX_WORDS, MIN_WORDS, TextLimit, count_words, normalized
from olmv.labels.templates import apply
from olmv.labels.vocabulary import Vocabulary

__all__ = ["Wording", "breaks_off", "rambling"]

# What a camera cannot record, and what CLIP cannot read. English only: the prompts ask for English, and in another
# language the remaining checks still hold. A false alarm costs one more question, never the label.
_REFUSED: tuple[tuple[Reason, str, str], ...] = (
    (
        "absence",
        "says what is absent",
        r"not|no|without|never|neither|nor|lacks?|lacking|\w+n['’]t|absence of|unlike|instead of|rather than",
    ),
    (
        "not visual",
        "is about sound",
        r"sounds? (?:of|like)|noises?|noisy|loud(?:ly)?|audible|(?:is|are|be) heard|silence|silent(?:ly)?",
    ),
    (
        "not visual",
        "is about smell or taste",
        r"smell(?:s|ing|y)?|scents?|odou?rs?|aromas?|fragran\w+|tast(?:e|es|y|ing)|delicious|flavou?rs?",
    ),
    ("not visual", "is about what is felt", r"feels?|feelings?|emotions?|soft to the touch"),
    (
        "not visual",
        "is about meaning or use, not about what is seen",
        (
            r"concepts?|symboli[sz]\w*|symbol of|represent(?:s|ing)|refers? to|meanings?|means|definition|idea of"
            r"|associated with|known (?:for|as)|used (?:for|to|as|in|by)|invented|originat\w+|famous|popular|important"
            r"|expensive|invisible"
        ),
    ),
    (
        "no description",
        "is not a description",
        (r"i['’]m|i am|i can(?:no|['’])t|sorry|as an ai|language model|lorem ipsum|attributes?"),
    ),
)
# What small models fill a phrase with. A dictionary says some of it too ("a kind of car"), and means it.
_RAMBLING: tuple[tuple[Reason, str, str], ...] = (
    (
        "not visual",
        "is about meaning or use, not about what is seen",
        (r"very special|a type of|kind of|sort of|(?:can|may|could) be|possible|able to|process(?:es)? of|afraid"),
    ),
    (
        "no description",
        "is not a description",
        (r"json|sentences?|(?:it|that|this|there)['’]s|(?:they|you|we)['’](?:re|ve|ll)|you(?:rs?)?|my|our"),
    ),
)


def _compiled(rules: tuple[tuple[Reason, str, str], ...]) -> tuple[tuple[re.Pattern[str], Reason, str], ...]:
    return tuple((re.compile(rf"\b(?:{words})\b", re.IGNORECASE), reason, why) for reason, why, words in rules)


_ALWAYS, _OF_MODELS = _compiled(_REFUSED), _compiled(_RAMBLING)
_MARKUP = re.compile(r"https?:|www\.|[<>{}\[\]\\|`*#_~=^@]|&\w+;|\?$|;|\.\s+\S|^\W|,\s*,")
MIN_LETTERS = 0.7
_HANGING_WORDS = "a an and at by for from her his in into is its of or the their to was with"
_HANGING = frozenset(_HANGING_WORDS.split())


class Wording:
    """Looks at one attribute by itself.

    Args:
        vocabulary: all labels; none of the others may be copied into an attribute.
        templates: an attribute must fit the text tower inside each of them.
        limit: the text tower; None leaves lengths unchecked.
    """

    def __init__(self, vocabulary: Vocabulary, *, templates: Sequence[str], limit: TextLimit | None = None) -> None:
        self._limit = limit
        self._longest = max(templates, key=lambda template: _tokens(limit, apply(template, "")))
        self._owners: dict[str, tuple[str, ...]] = {}
        for label in vocabulary:
            for name in (label.name, *label.aliases):
                key = normalized(name)
                self._owners[key] = (*self._owners.get(key, ()), label.name)
        self._owners.pop("", None)
        self._longest_name = max((key.count(" ") + 1 for key in self._owners), default=0)

    def rejection(self, label: Label, text: str) -> Rejection | None:
        """Say why a tidied text is no attribute of a label; None if it is one."""
        try:
            clean_text(text, what="attribute", limit=MAX_ATTRIBUTE_CHARS)
        except VocabularyError:
            return Rejection("form", "is empty, too long or has control characters")
        words = count_words(text)
        if not MIN_WORDS <= words <= MAX_WORDS:
            return Rejection("length", f"has {words} words; {MIN_WORDS} to {MAX_WORDS} are allowed")
        letters = sum(char.isalpha() or char.isspace() for char in text)
        if _MARKUP.search(text) or letters < MIN_LETTERS * len(text):
            return Rejection("form", "is not a plain phrase")
        if rejection := _by_rules(label, text, _ALWAYS):
            return rejection
        if other := self._copied(label, text):
            return Rejection("other label", f'names another label, "{other}"')
        return self._too_long(text)

    def _copied(self, label: Label, text: str) -> str | None:
        """Return another label that stands in `text`.

        A label of one word counts only where it is the whole attribute: in a list of thousands, "person" or
        "red" is in every good description. A longer one counts anywhere, unless the label itself contains it.
        """
        words = normalized(text).split()
        own = [f" {normalized(name)} " for name in (label.name, *label.aliases)]
        for size in range(min(self._longest_name, len(words)), 0, -1):
            for start in range(len(words) - size + 1):
                if size == 1 and len(words) > 1:
                    return None
                key = " ".join(words[start : start + size])
                owners = self._owners.get(key)
                if owners and label.name not in owners and not any(f" {key} " in name for name in own):
                    return min(owners)
        return None

    def _too_long(self, text: str) -> Rejection | None:
        if self._limit is None:
            return None
        filled = apply(self._longest, text)
        # a token is at least one byte, so most texts need no counting
        if len(filled.encode()) + 2 <= self._limit.context_length:
            return None
        tokens = self._limit.token_counts([filled])[0]
        if tokens <= self._limit.context_length:
            return None
        return Rejection(
            "length", f"is too long for {self._limit.name}: {tokens} of {self._limit.context_length} tokens"
        )


def rambling(label: Label, text: str) -> Rejection | None:
    """Say what of an English text of a language model only fills it."""
    return _by_rules(label, text, _OF_MODELS)


def breaks_off(answer: str) -> Rejection | None:
    """Say whether a text, as it was answered, ends in the middle of a phrase."""
    text = answer.rstrip()
    last = text.rpartition(" ")[2].casefold()
    return Rejection("form", "breaks off") if text.endswith((",", "-")) or last in _HANGING else None


def _by_rules(label: Label, text: str, rules: tuple[tuple[re.Pattern[str], Reason, str], ...]) -> Rejection | None:
    """Apply rules of words; what stands in the label's own names is no fault."""
    own = " ".join((label.name, *label.aliases)).casefold()
    for pattern, reason, why in rules:
        match = pattern.search(text)
        if match and match[0].casefold() not in own:
            return Rejection(reason, f'{why} ("{match[0].lower()}")')
    return None


def _tokens(limit: TextLimit | None, text: str) -> int:
    return len(text) if limit is None else limit.token_counts([text])[0]
