"""Whether an attribute is about another thing of the label's kind: a lion is no elephant, an oven no refrigerator."""

from collections.abc import Mapping

from olmv.describe.gate.reasons import Rejection
from olmv.describe.senses import LabelSense
from olmv.labels.label import Label
from olmv.labels.quality import normalized
from olmv.labels.wordnet.store import Synset, wordnet
from olmv.labels.wordnet.words import FUNCTION_WORDS, stem

__all__ = ["Kin"]

NARROW = 7
"""Steps from the root of WordNet's nouns down to what two things have in common: fewer, and one may stand beside or in
the other (a shirt and its sleeve are artifacts); more, and they are of one kind (placentals, musical instruments)."""
MAX_SENSES = 3
_THINGS = ("noun.animal", "noun.artifact", "noun.food", "noun.plant")


class Kin:
    """Looks up what an attribute begins with.

    Args:
        senses: what WordNet takes the labels for.
    """

    def __init__(self, senses: Mapping[str, LabelSense]) -> None:
        self._dictionary = wordnet()
        self._synsets = {name: sense.synset for name, sense in senses.items() if sense.synset is not None}

    def rejection(self, label: Label, text: str) -> Rejection | None:
        """Say what else of the same kind an attribute describes; None where that cannot be told."""
        number = self._synsets.get(label.name)
        if number is None or self._dictionary[number].subject not in _THINGS:
            return None
        words = _first_phrase(text)
        own = {stem(word) for name in (label.name, *label.aliases) for word in normalized(name).split()}
        if not words or own & {stem(word) for word in words}:
            return None
        synsets = [self._dictionary[sense.number] for sense in self._dictionary.senses(words[-1:])[:MAX_SENSES]]
        things = [synset for synset in synsets if synset.pos == "n"]
        # of a word with several meanings it is the first that is most often meant, and none may fit the label
        if not things or not self._beside(number, things[0]) or any(self._fits(number, thing) for thing in things):
            return None
        return Rejection("other thing", f'is about another thing, "{words[-1]}"')

    def _fits(self, number: int, thing: Synset) -> bool:
        return number in self._line(thing.number) or thing.number in self._line(number)

    def _beside(self, number: int, thing: Synset) -> bool:
        """Tell whether two things have a narrow kind in common."""
        others = set(self._line(thing.number))
        common = [kind for kind in self._line(number) if kind in others]
        return any(len(self._dictionary.ancestors(kind)) >= NARROW for kind in common)

    def _line(self, number: int) -> tuple[int, ...]:
        return (number, *self._dictionary.ancestors(number))


def _first_phrase(text: str) -> list[str]:
    """Return the words before the first preposition, verb or the like: of "a small bear with soft fur", small bear."""
    words: list[str] = []
    for word in normalized(text.split(",")[0]).split():
        if word in FUNCTION_WORDS or (words and word.endswith("ing")):
            break
        words.append(word)
    return words
