"""The gate every attribute of a language model passes before it may score a video."""

import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from olmv.errors import VocabularyError
from olmv.labels.label import MAX_ATTRIBUTE_CHARS, Label, clean_text
from olmv.labels.templates import apply
from olmv.labels.vocabulary import Vocabulary
from olmv.llm.answers import first_json

__all__ = ["MAX_WORDS", "MIN_WORDS", "Gate", "TextLimit", "normalized", "parse_answer", "tidy"]

MIN_WORDS = 3
MAX_WORDS = 20
MAX_CANDIDATES = 200
"""Of one answer no more attributes are looked at."""


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
_LEAD = re.compile(r"^(?:an?|the)\s+(?:photo|picture|image|video|clip|footage|shot)\s+(?:of|showing)\s+", re.IGNORECASE)
_ARTICLES = frozenset(("a", "an", "the"))

# What a camera cannot record, and what CLIP cannot read. English only: the prompts ask for English, and in another
# language the remaining checks still hold. A false alarm costs one more question, never the label.
_NOT_VISUAL = {
    "says what is absent": r"not|no|without|never|neither|nor|lacks?|lacking|\w+n['’]t|absence of",
    "is about sound": r"sounds? (?:of|like)|noises?|noisy|loud(?:ly)?|audible|(?:is|are|be) heard|silence"
    r"|silent(?:ly)?",
    "is about smell or taste": r"smell(?:s|ing|y)?|scents?|odou?rs?|aromas?|fragran\w+|tast(?:e|es|y|ing)|delicious"
    r"|flavou?rs?",
    "is about what is felt": r"feels?|feelings?|emotions?|soft to the touch",
    "is about meaning or use, not about what is seen": r"concepts?|symboli[sz]\w*|symbol of|represent(?:s|ing)"
    r"|refers? to|meanings?|means|definition|idea of|associated with|known (?:for|as)|used (?:for|to|as|in|by)"
    r"|invented|originat\w+|famous|popular|important|expensive|invisible",
    "is not a description": r"i['’]m|i am|i can(?:no|['’])t|sorry|as an ai|language model|lorem ipsum|attributes?",
}
_REASONS = tuple((re.compile(rf"\b(?:{words})\b", re.IGNORECASE), why) for why, words in _NOT_VISUAL.items())
_MARKUP = re.compile(r"https?:|www\.|[<>{}\[\]\\|`]|\?$")


def parse_answer(text: str) -> list[str] | str:
    """Return the attributes in an answer, or in one line why there are none.

    A server without constrained decoding may wrap its JSON in prose or a code block, or leave out the object
    around the list; both are read.
    """
    try:
        tree = first_json(text)
    except ValueError as failure:
        return str(failure)
    items = tree.get("attributes") if isinstance(tree, dict) else tree
    if not isinstance(items, list):
        return 'the answer had no list "attributes"'
    if not items:
        return "the list of attributes was empty"
    texts = [item for item in items if isinstance(item, str)]
    return texts[:MAX_CANDIDATES] if texts else "the attributes were not texts"


def tidy(text: str) -> str:
    """Return one attribute without list marks, quotes, a lead such as "a photo of", a full stop and odd white space."""
    text = " ".join(text[: 4 * MAX_ATTRIBUTE_CHARS].split())
    text = _BULLET.sub("", text).strip("\"'“”‘’ ")
    text = _LEAD.sub("", text)
    return text.rstrip(".,;: ").strip("\"'“”‘’ ")


def normalized(text: str) -> str:
    """Return what makes two attributes the same: words without case, composed accents, punctuation, articles."""
    words = _WORD.findall(unicodedata.normalize("NFKC", text).casefold())
    return " ".join(word for word in words if word not in _ARTICLES)


def count_words(text: str) -> int:
    """Count words; Chinese, Japanese and Korean are written without spaces and count as a word per two characters."""
    run_words = sum((len(run) + 1) // 2 for run in _CJK.findall(text))
    return run_words + len(_WORD.findall(_CJK.sub(" ", text)))


class Gate:
    """Says of an attribute why it cannot be used, in words that the language model is told.

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

    def accept(self, label: Label, candidates: Sequence[str], accepted: Sequence[str]) -> tuple[list[str], list[str]]:
        """Return those of `candidates` that can be used beside `accepted`, tidied, and for the others the reason."""
        seen = {normalized(text) for text in accepted}
        good: list[str] = []
        problems: list[str] = []
        for candidate in candidates:
            text = tidy(candidate)
            reason = self.problem(label, text)
            if reason is None and normalized(text) in seen:
                reason = "is there twice"
            if reason is None:
                seen.add(normalized(text))
                good.append(text)
            else:
                problems.append(f"{_shown(text)} {reason}")
        return good, problems

    def problem(self, label: Label, text: str) -> str | None:
        """Say why `text` is no attribute of `label`, as the end of a sentence; None if it is one."""
        try:
            clean_text(text, what="attribute", limit=MAX_ATTRIBUTE_CHARS)
        except VocabularyError:
            return "is empty, too long or has control characters"
        words = count_words(text)
        if words < MIN_WORDS:
            return f"has {words} words; write {MIN_WORDS} to {MAX_WORDS}"
        if words > MAX_WORDS:
            return f"has {words} words; write at most {MAX_WORDS}"
        if _MARKUP.search(text) or sum(char.isalpha() or char.isspace() for char in text) < 0.7 * len(text):
            return "is not a plain phrase"
        for pattern, reason in _REASONS:
            if match := pattern.search(text):
                return f'{reason} ("{match[0].lower()}")'
        if other := self._copied(label, text):
            return f"names another label, {_shown(other)}"
        if normalized(text) in {normalized(name) for name in (label.name, *label.aliases)}:
            return "only repeats the label"
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

    def _too_long(self, text: str) -> str | None:
        if self._limit is None:
            return None
        filled = apply(self._longest, text)
        # a token is at least one byte, so most texts need no counting
        if len(filled.encode()) + 2 <= self._limit.context_length:
            return None
        tokens = self._limit.token_counts([filled])[0]
        if tokens <= self._limit.context_length:
            return None
        room = self._limit.context_length - _tokens(self._limit, apply(self._longest, ""))
        return f"is too long for {self._limit.name}; write at most {max(MIN_WORDS, int(room / 1.5))} words"


def _tokens(limit: TextLimit | None, text: str) -> int:
    return len(text) if limit is None else limit.token_counts([text])[0]


def _shown(text: str) -> str:
    return f'"{text}"' if len(text) <= 80 else f'"{text[:80]}..."'
