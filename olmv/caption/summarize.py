"""One sentence for a video out of its frame captions, and the labels that the sentence names, by a language model.

The recipe is Open-VCLIP++'s (arXiv 2310.05010): captions of 16 sparse frames, merged by a chat model into one sentence
that begins "The video shows". Near-duplicate captions are merged before, which the paper does not do.
"""

import difflib
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from olmv.caption.captioner import FrameCaption, clean_caption
from olmv.caption.gate import Gate, without_doubles
from olmv.llm.answers import first_json
from olmv.llm.ask import Problem
from olmv.llm.prompts import Prompt
from olmv.llm.types import Message

__all__ = ["CaptionQuestion", "LabelsQuestion", "merge_captions", "normalize_label"]

# The paper primes the answer with these words; as a key of the answer they need no trust in the model.
OPENING = "The video shows "
ANSWER = "the_video_shows"
_OPENED = re.compile(r"^(?:the video shows\s*)+", re.IGNORECASE)
MIN_WORDS, MAX_WORDS = 3, 57
SAME = 0.85
MAX_LABEL_WORDS = 5
MAX_LABELS = 12
_ARTICLE = re.compile(r"^(?:an?|the|some|several|two|three|many)\s+")
_NO_LABELS = frozenset(
    ("a", "an", "the", "video", "scene", "frame", "image", "picture", "clip", "photo", "caption", "close-up")
)


def merge_captions(captions: Sequence[FrameCaption]) -> list[str]:
    """Return the captions in order of time, those that say nearly the same as an earlier one left out."""
    texts: list[str] = []
    for caption in sorted(captions, key=lambda item: item.time_s):
        text = caption.text.casefold()
        if not any(difflib.SequenceMatcher(None, text, other.casefold()).ratio() >= SAME for other in texts):
            texts.append(caption.text)
    return texts


def normalize_label(text: str) -> str | None:
    """Return a label as it goes into a vocabulary: lower case, no article, 1 to 5 words; None if it is none."""
    text = " ".join(unicodedata.normalize("NFKC", text).casefold().split()).strip("\"'.,;:- ")
    text = _ARTICLE.sub("", text)
    words = text.split()
    if not 1 <= len(words) <= MAX_LABEL_WORDS or len(text) > 60 or text in _NO_LABELS:
        return None
    if not text.isprintable() or sum(char.isalpha() or char.isspace() for char in text) < 0.7 * len(text):
        return None
    return text


@dataclass
class CaptionQuestion:
    """Asks for the sentence of one video (a `Question` of `olmv.llm.ask`).

    Args:
        row: of the video.
        captions: of its frames.
        prompt: how it is asked.
        gated: whether the captions must support what the sentence says.
        caption: the sentence; None until an answer can be used.
    """

    row: dict[str, Any]
    captions: Sequence[FrameCaption]
    prompt: Prompt
    gated: bool = True
    caption: str | None = None

    def conversation(self, advice: Sequence[str]) -> list[Message]:
        return self.prompt.conversation({"captions": merge_captions(self.captions)}, advice=advice)

    def take(self, text: str) -> list[Problem]:
        said = _field(text, ANSWER)
        if not isinstance(said, str):
            return [Problem(f'the answer had no text "{ANSWER}"', f'Answer with JSON that has one text, "{ANSWER}".')]
        rest = clean_caption(_OPENED.sub("", clean_caption(said))).rstrip(" ,;:")
        words = len(rest.split())
        if not MIN_WORDS <= words <= MAX_WORDS:
            return [Problem(f"{_shown(rest)} has {words} words", f"Write {MIN_WORDS} to 40 words.")]
        if re.search(r"[.!?]\s+\S", rest):
            return [Problem(f"{_shown(rest)} is more than one sentence", "Write one sentence.")]
        if self.gated and (problem := Gate.of(self.captions, self.prompt).problem(rest)) is not None:
            return [problem]
        sentence = OPENING + rest
        self.caption = sentence if sentence[-1] in ".!?" else sentence + "."
        return []


@dataclass
class LabelsQuestion:
    """Asks for the labels that one video's captions name (a `Question` of `olmv.llm.ask`).

    Args:
        row: of the video.
        caption: its sentence.
        captions: of its frames.
        prompt: how it is asked.
        gated: whether a frame caption must name a label; labels that none names are left out.
        labels: none until an answer can be used.
    """

    row: dict[str, Any]
    caption: str
    captions: Sequence[FrameCaption]
    prompt: Prompt
    gated: bool = True
    labels: list[str] = field(default_factory=list)

    def conversation(self, advice: Sequence[str]) -> list[Message]:
        question = {"caption": self.caption, "captions": merge_captions(self.captions)}
        return self.prompt.conversation(question, advice=advice)

    def take(self, text: str) -> list[Problem]:
        items = _field(text, "labels")
        if not isinstance(items, list):
            return [Problem('the answer had no list "labels"', 'Answer with JSON that has a list of texts, "labels".')]
        names = [normalize_label(item) for item in items[:100] if isinstance(item, str)]
        labels = list(dict.fromkeys(name for name in names if name))
        if not labels:
            return [Problem("none of the labels is 1 to 4 plain words", "Write labels of 1 to 4 plain words.")]
        if self.gated:
            gate = Gate.of(self.captions, self.prompt)
            inventions = [label for label in labels if not gate.names(label)]
            labels = without_doubles(label for label in labels if label not in inventions)
            if not labels:
                return [Problem(f"{_shown(inventions[0])} is in no caption", "List only what you have read.")]
        self.labels = labels[:MAX_LABELS]
        return []


def _field(text: str, key: str) -> object:
    """Return `key` of the JSON object in an answer; None if there is none."""
    try:
        tree = first_json(text)
    except ValueError:
        return None
    return tree.get(key) if isinstance(tree, dict) else None


def _shown(text: str) -> str:
    return f'"{text[:80]}"'
