"""The gate that a language model's sentence passes before it becomes a caption: what it says, the captions must say.

A small model writes what it has read elsewhere (the prompt, its example), goes round in circles, or invents. English
only: the words that need no support are English, as are the endings that do not matter ("dogs" supports "a dog").
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence

from olmv.caption.captioner import FrameCaption
from olmv.llm.ask import Problem
from olmv.llm.prompts import Prompt

__all__ = ["LEAST_SUPPORT", "Gate", "content_words", "stem", "without_doubles"]

LEAST_SUPPORT = 0.75
"""The share of a sentence's content words that the captions must hold, see `support` of bench_caption_llm.py."""
LEAST_DISTINCT = 0.6
"""Of a sentence's words (function words apart) so many must be different ones, where there are `LOOP_WORDS`."""
LOOP_WORDS = 3
ECHO_WORDS = 5
"""So many words in a row that stand in the prompt, and not in the captions, are copied from there."""

_WORD = re.compile("[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff]|[^\\W_]+(?:['’-][^\\W_]+)*")
_MARKUP = re.compile(r"[<>{}\[\]\\|`*_#~]|https?:|www\.")
_DOUBLED = re.compile(r"([bdfglmnprt])\1\Z")


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_FUNCTION = _words("""
    a an the this that these those it its they their them he his him she her who which what where when while there here
    and or but as so than then both each all some any no not also only just very too more most other another such own
    of in on at by for from to into onto with without over under above below behind beside besides between among near
    inside outside through across along around against about up down out off after before during next front back top
    side middle left right together away
    is are was were be been being am has have having had do does doing did can could will would may might must should
""")
# what any video may be said to show
_GENERAL = _words("""
    person people someone somebody individual human scene video clip footage something thing item object various several
    different many multiple few lot pair couple group number one two three four five six seven
    eight nine ten 1 2 3 4 5 6 7 8 9 10 first second
    see seen show shown showing appear appearing visible include including contain containing feature featuring place
    placed use used using set surrounded
""")
# what no sentence ends with
_OPEN_ENDS = _words("a an the some of in on at by for from to with and or but as that which who is are")
_ABOUT = _words("caption captions frame frames image images picture pictures sentence sentences json text texts")
_IRREGULAR = {
    "men": "man", "women": "woman", "children": "child", "people": "person", "mice": "mouse", "geese": "goose",
    "feet": "foot", "skis": "ski", "teeth": "tooth", "leaves": "leaf", "knives": "knife", "shelves": "shelf",
    "ran": "run", "sat": "sit", "rode": "ride", "threw": "throw", "wore": "wear", "drove": "drive", "swam": "swim",
}  # fmt: skip


def stem(word: str) -> str:
    """Return what the forms of a word share: "dogs" and "dog", "running" and "runs"."""
    word = word.casefold().removesuffix("'s").removesuffix("’s")
    word = _IRREGULAR.get(word, word)
    if not word.isascii() or len(word) < 4:
        return word
    if word.endswith(("ies", "ied")) and len(word) > 4:
        return word[:-3] + "y"
    if word.endswith(("ches", "shes", "sses", "xes", "zes")):
        word = word[:-2]
    elif word.endswith("s") and not word.endswith(("ss", "us", "is")):
        word = word[:-1]
    for ending in ("ing", "ed"):
        rest = word.removesuffix(ending)
        if rest != word and len(rest) >= 3 and any(vowel in rest for vowel in "aeiouy"):
            word = _DOUBLED.sub(r"\1", rest)
            break
    return word.removesuffix("e") if len(word) > 3 else word


def split_words(text: str) -> list[str]:
    """Return the words of a text in lower case; a Chinese or Japanese character is a word by itself."""
    return [word.casefold() for word in _WORD.findall(unicodedata.normalize("NFKC", text))]


def content_words(text: str, *, general: bool = False) -> list[str]:
    """Return the words that say something of a video, in order.

    Args:
        text: any.
        general: whether words that fit any video ("person", "scene") are among them.
    """
    left_out = _FUNCTION if general else _FUNCTION | _GENERAL
    return [word for word in split_words(text) if word not in left_out and (general or stem(word) not in _GENERAL)]


def content_stems(text: str) -> list[str]:
    """Return the stems of the words that say something, those that fit any video among them."""
    return [stem(word) for word in content_words(text, general=True)]


class Gate:
    """Tells of a text what is wrong with it as a caption of one video.

    Args:
        captions: what is known of the video.
        prompt: texts that the model has read and must not copy.
    """

    def __init__(self, captions: Sequence[str], prompt: Iterable[str] = ()) -> None:
        parts = [part for text in captions for part in re.split("[,;.]", text)]
        self._phrases = [content_stems(part) for part in parts]
        self._stems = {item for phrase in self._phrases for item in phrase}
        runs = {run for text in captions for run in _runs(text)}
        self._prompt = {run for text in prompt for run in _runs(text)} - runs
        self._words = {word for text in captions for word in split_words(text)}

    @classmethod
    def of(cls, captions: Sequence[FrameCaption], prompt: Prompt) -> "Gate":
        """Make the gate of a video's frame captions and the prompt that asks about them."""
        document = prompt.document
        texts = [document.system, document.user, document.retry]
        texts += [text for example in document.examples for text in _texts((example.input, example.answer))]
        return cls([caption.text for caption in captions], texts)

    def unsupported(self, text: str) -> list[str]:
        """Return the words that no caption has in any form; words that fit any video need no support."""
        return [word for word in content_words(text) if stem(word) not in self._stems]

    def support(self, text: str) -> float:
        """Return the share of content words that the captions hold, 0..1; 0 where there is none."""
        words = content_words(text)
        return 1 - len(self.unsupported(text)) / len(words) if words else 0.0

    def names(self, label: str) -> bool:
        """Tell whether a caption says the label: its words side by side, in whatever order and form."""
        stems = sorted(content_stems(label))
        return bool(stems) and any(
            sorted(phrase[at : at + len(stems)]) == stems for phrase in self._phrases for at in range(len(phrase))
        )

    def problem(self, text: str) -> Problem | None:
        """Say what is wrong with a sentence; None if nothing is."""
        shown = f'"{text[:80]}"'
        if _MARKUP.search(text):
            return Problem(f"{shown} has markup", "Write plain words.")
        words = split_words(text)
        if not words or words[-1] in _OPEN_ENDS:
            return Problem(f"{shown} breaks off", "Write a short sentence, and end it.")
        if about := sorted(_ABOUT.intersection(words) - self._words):
            return Problem(f"{shown} speaks of {about[0]}, not of the video", "Say what happens in the video.")
        stems = content_stems(text)
        if len(stems) >= LOOP_WORDS and len(set(stems)) < LEAST_DISTINCT * len(stems):
            return Problem(f"{shown} repeats itself", "Say everything once.")
        if any(run in self._prompt for run in _runs(text)):
            return Problem(f"{shown} copies the prompt", "Say what is new in this question.")
        if not content_words(text):
            return Problem(f"{shown} names nothing of the video", "Name what is there.")
        if self.support(text) < LEAST_SUPPORT:
            inventions = ", ".join(dict.fromkeys(self.unsupported(text)))
            return Problem(f"{shown} says what no caption does: {inventions[:80]}", "Say only what you have read.")
        return None


def without_doubles(labels: Iterable[str]) -> list[str]:
    """Return the labels without those that differ from an earlier one in form or order of words alone.

    Of "dog" and "dogs" the shorter one stays, in the place of the first.
    """
    chosen: dict[tuple[str, ...], str] = {}
    for label in labels:
        key = tuple(sorted(content_stems(label)))
        chosen[key] = min(chosen.get(key, label), label, key=len)
    return list(chosen.values())


def _texts(tree: object) -> Iterator[str]:
    """Yield every text in lists and the values of mappings."""
    if isinstance(tree, str):
        yield tree
    elif isinstance(tree, Mapping):
        yield from _texts(tuple(tree.values()))
    elif isinstance(tree, Sequence):
        for part in tree:
            yield from _texts(part)


def _runs(text: str) -> list[tuple[str, ...]]:
    words = split_words(text)
    return [tuple(words[at : at + ECHO_WORDS]) for at in range(len(words) - ECHO_WORDS + 1)]
