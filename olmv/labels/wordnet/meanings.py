"""What two meanings are compared by: the kinds they are of, and the words around them."""

import math
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from typing import TypeVar

from olmv.labels.wordnet.store import Synset, WordNet
from olmv.labels.wordnet.words import content_words

__all__ = ["Meaning", "overlap"]

NARROWNESS = 1.5
TOPIC = 0.3
NEIGHBOURS = 12
"""So many hyponyms, members and parts say what a synset is about."""
RARE = 10
"""Stems that only few definitions have are counted as being in so many."""

_Key = TypeVar("_Key", int, str)


class Meaning:
    """A synset as two sparse vectors.

    Args:
        synset: the synset.
        dictionary: where its neighbours are.
    """

    def __init__(self, synset: Synset, dictionary: WordNet) -> None:
        self._synset, self._dictionary = synset, dictionary

    @property
    def is_action(self) -> bool:
        """Tell whether it is something done, not a thing."""
        synset = self._synset
        if synset.pos == "v" or synset.subject in ("noun.act", "noun.event"):
            return True
        made_of_verb = any(self._dictionary[number].pos == "v" for number in synset.derived)
        return made_of_verb and synset.subject in ("noun.cognition", "noun.process", "noun.state")

    @cached_property
    def kinds(self) -> dict[int, float]:
        """Weigh a synset and its hypernyms by how much narrower each is than the next above, its topics and parts.

        Summed over what two synsets share, this is how narrow the narrowest of it is.
        """
        size = math.log(len(self._dictionary))
        numbers = (self._synset.number, *self._dictionary.ancestors(self._synset.number))
        chain = sorted(((1 - math.log(1 + self._dictionary[n].below) / size) ** NARROWNESS, n) for n in numbers)
        above = (0.0, *(narrowness for narrowness, _ in chain))
        worth = {number: narrowness - wider for (narrowness, number), wider in zip(chain, above, strict=False)}
        return {**worth, **dict.fromkeys((*self._synset.topics, *self._synset.parts), TOPIC)}

    @cached_property
    def words(self) -> dict[str, float]:
        """Return the stems around the synset, its own and rare ones with more weight; of length 1."""
        synset = self._synset
        near = (*synset.topics, *synset.members[:NEIGHBOURS], *synset.parts[:NEIGHBOURS], *synset.derived)
        kinds = synset.hyponyms[:NEIGHBOURS]
        above = self._dictionary.ancestors(synset.number)[:4]
        far = (*self._defined(synset.hypernyms), *self._called(kinds), *self._defined(kinds))
        weights = dict.fromkeys(far, 0.3)
        examples = content_words(" ".join(synset.examples))
        weights.update(dict.fromkeys((*examples, *self._called(above), *self._called(near)), 0.5))
        weights.update(dict.fromkeys((*self._called((synset.number,)), *self._defined((synset.number,))), 1.0))
        size = math.log(len(self._dictionary))
        common = self._dictionary.definitions_with
        weights = {word: weight * (1 - math.log(common.get(word, RARE)) / size) for word, weight in weights.items()}
        length = math.sqrt(sum(weight * weight for weight in weights.values())) or 1.0
        return {word: weight / length for word, weight in weights.items()}

    def _called(self, numbers: Iterable[int]) -> Iterator[str]:
        return (word for number in numbers for word in self._dictionary.stems(number)[0])

    def _defined(self, numbers: Iterable[int]) -> Iterator[str]:
        return (word for number in numbers for word in self._dictionary.stems(number)[1])


def overlap(one: Mapping[_Key, float], other: Mapping[_Key, float]) -> float:
    """Return the dot product of two sparse vectors."""
    return sum(value * other[key] for key, value in one.items() if key in other)
