"""The `labels:` captioner: a classifier's positive labels, told as one sentence by a template.

    penguin, evergreen tree, snow, gradient background
    -> "The video shows a penguin and an evergreen tree, in the snow, on a gradient background."

No captioning model is needed, so a caption says no more than the classifier knows, and is wrong where it is wrong.
"""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from olmv.labels.label import Label
from olmv.labels.vocabulary import Vocabulary
from olmv.moji.world import object_names, scene_labels
from olmv.predictions import VideoPrediction

if TYPE_CHECKING:
    from olmv.scoring.options import FramePooling

__all__ = [
    "CAPTION_FRAME_POOLING",
    "CAPTION_THRESHOLD",
    "MAX_OBJECTS",
    "SETTING_THRESHOLD",
    "LabelWords",
    "as_words",
    "caption_of",
    "caption_of_labels",
    "moji_vocabulary",
    "moji_words",
    "sentence",
    "with_article",
    "words_from",
]

CAPTION_THRESHOLD = 0.15
"""The probability from which olmv-mini's objects are told.

Captions then name every object in 82 % of 200 fresh clips, with 1.2 wrong names a caption
(`scripts/benchmarks/eval_captions.py`; `--tune` shows other thresholds).
"""

SETTING_THRESHOLD = 0.5
"""As `CAPTION_THRESHOLD` for backgrounds and weather, which olmv-mini hardly misses."""

CAPTION_FRAME_POOLING: "FramePooling" = "softmax"
"""What the thresholds were measured with. Under `mean` an object that shows in a few frames stays below them."""

MAX_OBJECTS = 5
"""At most so many labels of a kind are told. A clip of the Moji world holds three objects."""


@dataclass(frozen=True)
class LabelWords:
    """What a caption may name, by the place that it takes in the sentence.

    Args:
        objects: what is seen; told with an article.
        motions: what is done; told as they are ("playing guitar").
        settings: where it is, or in what weather; told with a preposition.
    """

    objects: tuple[str, ...] = ()
    motions: tuple[str, ...] = ()
    settings: tuple[str, ...] = ()

    @property
    def all(self) -> tuple[str, ...]:
        """Return every label once, objects first."""
        return tuple(dict.fromkeys((*self.objects, *self.motions, *self.settings)))


def moji_words() -> LabelWords:
    """Return what olmv-mini can tell of the Moji world."""
    # Objects it never saw drawn are left out: of clips that show them it names one in 25 rightly, and offering them
    # puts wrong names into the captions of the others. Motions are left out because this olmv-mini has not learned
    # them (`motion_map` of scripts/benchmarks/eval_mini.py is at chance).
    return LabelWords(objects=object_names("seen"), settings=scene_labels())


def moji_vocabulary() -> Vocabulary:
    """Return `moji_words` as labels, each with the threshold that captions want."""
    words = moji_words()
    settings = set(words.settings)
    return Vocabulary(
        Label(name, threshold=SETTING_THRESHOLD if name in settings else CAPTION_THRESHOLD) for name in words.all
    )


def words_from(vocabulary: Vocabulary) -> LabelWords:
    """Return the words of a user's own labels: those that begin with an "-ing" word are motions, all others objects.

    Nothing is a setting; a `LabelWords` made by hand says more.
    """
    motions = tuple(name for name in vocabulary.names if _begins_with_verb(name))
    motion_names = set(motions)
    return LabelWords(objects=tuple(name for name in vocabulary.names if name not in motion_names), motions=motions)


def sentence(objects: Sequence[str], motions: Sequence[str] = (), settings: Sequence[str] = ()) -> str:
    """Write one sentence that names every label as it is written, in the order given; "" if there is none."""
    if not (objects or motions or settings):
        return ""
    seen = [with_article(name) for name in objects]
    parts = [_listed(seen)] if seen else []
    if motions:
        parts.append(_listed(motions))
    if not parts:
        parts.append("a scene")
    parts += [_placed(name) for name in settings]
    text = f"The video shows {', '.join(parts)}"
    return text if text.endswith((".", "!", "?")) else f"{text}."


def caption_of(
    prediction: VideoPrediction, words: LabelWords, *, max_objects: int = MAX_OBJECTS
) -> tuple[str, list[str]]:
    """Return what a prediction says in one sentence, and the labels that it names, most probable first.

    Args:
        prediction: its positives are told, so its thresholds decide; see `moji_vocabulary`.
        words: labels outside these vocabularies are left out.
        max_objects: at most so many labels of each kind, the most probable.

    Returns:
        `("", [])` if nothing is positive, or if the video could not be read.
    """
    return caption_of_labels(prediction.positives, words, max_objects=max_objects)


def caption_of_labels(
    labels: Sequence[str], words: LabelWords, *, max_objects: int = MAX_OBJECTS
) -> tuple[str, list[str]]:
    """Return what `labels`, the most probable first, say in one sentence, and those that it names; as `caption_of`."""
    left = list(labels)
    chosen: list[list[str]] = []
    for kind in (words.objects, words.motions, words.settings):
        known = set(kind)
        chosen.append([name for name in left if name in known][:max_objects])
        left = [name for name in left if name not in known]  # a label of two kinds is told once
    mentions = {name for names in chosen for name in names}
    return sentence(*chosen), [name for name in labels if name in mentions]


def as_words(labels: Sequence[str], words: LabelWords) -> str:
    """List labels as they stand in a sentence, in the order given: "a laptop, playing guitar, in the rain"."""
    motions, settings = set(words.motions), set(words.settings) - set(words.objects)
    return ", ".join(
        name if name in motions else _placed(name) if name in settings else with_article(name) for name in labels
    )


def with_article(name: str) -> str:
    """Return a label as it stands in a sentence: "an owl", "a unicorn", "some skis", "bread", "the moon".

    Rules for English with lists of common exceptions; a label in another script stays as it is.
    """
    plain = unicodedata.normalize("NFKD", name).casefold()
    first, *others = plain.split()
    if not (first[0].isascii() and first[0].isalnum()) or (first in _DETERMINERS and others):
        return name
    head = _head(plain)
    if head in _UNCOUNTED or (not others and _begins_with_verb(plain)):
        return name
    if _is_plural(head):
        return name if first in _NUMBERS or first.isdigit() else f"some {name}"
    return f"{'an' if _AN.match(plain) else 'a'} {name}"


def _head(plain: str) -> str:
    """Return the noun that decides on the article: of "nest with eggs" nest, of "clinking beer mugs" mugs."""
    words = plain.split()
    for index, word in enumerate(words[1:], start=1):
        if word in _PREPOSITIONS or (index < len(words) - 1 and _begins_with_verb(word)) or word == "wrestling":
            return words[index - 1]
    return words[-1]


def _is_plural(word: str) -> bool:
    if word in _PLURALS:
        return True
    return (
        word.endswith("s") and len(word) > 2 and not word.endswith(("ss", "us", "is", "'s", "’s", *_SINGULAR_ENDINGS))
    )


def _begins_with_verb(name: str) -> bool:
    """Tell whether the first word is the "-ing" form of a verb: "playing guitar", but not "ring" or "ceiling fan"."""
    plain = " ".join(name.casefold().split())
    first = plain.split()[0]
    if plain in _ING_THINGS:
        return False
    stem = first.removesuffix("ing")
    return stem != first and any(vowel in stem for vowel in "aeiouy") and first not in _ING_NOUNS


def _placed(name: str) -> str:
    """Return a setting as it stands in a sentence: "in the rain", "on a striped background", "at night"."""
    plain = name.casefold()
    first = plain.split()[0]
    if first in _PREPOSITIONS or plain in _ADVERBS:
        return name
    if plain in _WEATHER:
        return f"in the {name}"
    return f"{'on' if plain.split()[-1] in _SURFACES else 'in'} {with_article(name)}"


def _listed(parts: Sequence[str]) -> str:
    """List names as in "a", "a and b", "a, b and c"."""
    return " and ".join(part for part in (", ".join(parts[:-1]), parts[-1]) if part)


# what is said with a vowel at its front; a lone letter ("x-ray") is said by its name
_AN = re.compile(
    r"(?!uni(?![nm])|unite|unif|us[aeiu]|ut[ei]|uk|ufo|usb|u\b|eu|ewe|one\b|once\b|one-)[aeiou]"
    r"|hour|heir|honest|hono|[fhlmnrsx]\b|8|11\b|18\b"
)


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_DETERMINERS = _words("a an the some any no many several my your his her its our their")
_NUMBERS = _words("two three four five six seven eight nine ten twelve")
_PREPOSITIONS = _words(
    "with without of in on at by for from under over behind beside near inside outside through between above"
)
_ADVERBS = _words("indoors outdoors underwater")
_WEATHER = _words("rain snow fog mist wind sun sunshine dark hail storm water")
_SURFACES = _words("background beach stage street road bridge island roof field court track")
_PLURALS = _words("people men women children mice geese feet teeth police cattle skis")
_SINGULAR_ENDINGS = ("lens", "gas", "atlas", "canvas", "christmas", "pancreas", "bias", "rhinoceros")
# nouns that take no "a", names, and the adjectives among the names of emoji
_UNCOUNTED = _words("""
    bread flatbread rice hair water fire ice wood money soap salt butter garlic spaghetti sushi broccoli popcorn bacon
    food meat milk music grass luggage furniture clothing traffic rain snow fog smoke sand liquid dna corn ginger
    tennis soccer lacrosse hockey pong polo handball claus foggy locked
""")
_ING_NOUNS = _words("""
    building ceiling painting morning evening wedding clothing lightning pudding railing dwelling earring herring
    duckling seedling dumpling sibling darling sterling during nothing something anything everything sapling gosling
    fledgling inkling icing awning stocking viking
""")
# an "-ing" word that only says what a thing is for
_ING_THINGS = frozenset((
    "baking sheet", "boxing glove", "chopping board", "cutting board", "dining room", "dining table", "drinking glass",
    "drinking straw", "filing cabinet", "fishing rod", "frying pan", "ironing board", "knitting needle", "living room",
    "mixing bowl", "parking lot", "parking meter", "punching bag", "rocking chair", "rolling pin", "running shoe",
    "sewing machine", "shopping bag", "shopping basket", "shopping cart", "sleeping bag", "steering wheel",
    "swimming pool", "swimming trunks", "walking stick", "washing machine", "watering can",
))  # fmt: skip
