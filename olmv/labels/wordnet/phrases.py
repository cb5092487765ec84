"""From the chosen meanings of a label to phrases that may describe it.

Every phrase names the thing it speaks of ("cup, a small open container for drinking"), since a definition alone moves
a text encoder away from the label: on 100 nouns with photos the mean of name and "NAME, DEFINITION" found more than
the name, and the mean of name and bare definition less.
"""

import itertools
import math
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property

from olmv.labels.label import Label
from olmv.labels.quality import MAX_WORDS, MIN_WORDS, count_words, tidy
from olmv.labels.wordnet.fame import fame, has_name, known_lemma, well_known
from olmv.labels.wordnet.glosses import phrase
from olmv.labels.wordnet.meanings import Meaning, overlap
from olmv.labels.wordnet.readings import Reading, Term
from olmv.labels.wordnet.store import Synset, WordNet
from olmv.labels.wordnet.words import content_words, key_of, spelled_out

__all__ = ["PhraseWriter"]

SHORTER = (12, 8)
"""Words of a definition where the whole is refused: too long for a model, or with a clause that cannot be used."""
MAX_PARTS = 3
MAX_RELATED = 4
RELATED = 0.22
RELATED_TO_HEAD = 0.05
COMPOUND = 0.1
COMMON_STEM = 200
"""Stems that more artifacts have in their definition relate nothing to anything."""

_UNFIT = re.compile(r"\b(?:sex\w*|prostitut\w*|genital\w*|slang|slur|nud\w+|erotic\w*)\b")


class PhraseWriter:
    """Writes phrases about labels.

    Args:
        labels: all of them; none is called a kind of another.
        dictionary: where the phrases are from.
    """

    def __init__(self, labels: Iterable[Label], dictionary: WordNet) -> None:
        self._dictionary = dictionary
        self._taken = frozenset(key for label in labels for key in _keys(label))
        self._meanings: dict[int, Meaning] = {}

    def phrases(self, label: Label, reading: Reading, chosen: Mapping[Term, int]) -> Iterator[Iterable[str]]:
        """Yield phrases, the most telling first; of each the ways to say it, from long to short.

        Args:
            label: what they are about.
            reading: what it is made of.
            chosen: the synset of every term.
        """
        name = _plain(label.name) or " ".join(reading.head.words)
        own = _keys(label)
        head = self._dictionary[chosen[reading.head]]
        acts = reading.action or self._meaning(head.number).is_action
        objects = [term for term in reading.others if acts and self._dictionary[chosen[term]].pos == "n"]
        yield itertools.chain(self._defined(name, head), self._kind(name, head))
        yield from (self._defined(" ".join(term.words), self._dictionary[chosen[term]]) for term in objects)
        if acts:
            for synset in self._related((reading.head, *objects), chosen):
                if self._is_free(synset, own):
                    yield self._defined(known_lemma(synset), synset)
        elif not reading.others:
            yield from self._parts(name, head)
        if not reading.others:
            yield from self._synonym(head, name, own)
        # kinds of plant say nothing of a potted plant
        for term in objects if reading.action else [reading.head] if acts or not reading.others else []:
            for synset in well_known(self._dictionary[chosen[term]], self._dictionary):
                if self._is_free(synset, own):
                    yield (f"{known_lemma(synset)}, {_kind_of(synset)} {_spoken(term, chosen[term])}",)
        if head.pos == "a":
            yield from ((example,) for example in head.examples if example.islower())

    def _defined(self, name: str, synset: Synset) -> Iterator[str]:
        room = MAX_WORDS - count_words(name)
        if room < MIN_WORDS:
            return
        first = synset.definition.partition(";")[0]
        tried = ((synset.definition, room), (first, room), *((first, min(most, room)) for most in SHORTER))
        texts = (phrase(definition, most) for definition, most in tried)
        yield from (f"{name}, {text}" for text in texts if text)

    def _kind(self, name: str, synset: Synset) -> Iterator[str]:
        """Yield what stands in for a definition that cannot be used; beside one, it would only blur it."""
        for number in synset.hypernyms[:1]:
            yield f"{name}, {_kind_of(synset)} {known_lemma(self._dictionary[number])}"

    def _synonym(self, synset: Synset, name: str, own: frozenset[str]) -> Iterator[tuple[str, ...]]:
        known = own | {key_of(name)}
        for lemma, rank in zip(synset.lemmas, synset.ranks, strict=True):
            if rank == 0 and lemma[0].islower() and key_of(lemma) not in known and not self._is_taken(lemma, own):
                yield (f"{name}, also called {lemma}",)
                return

    def _parts(self, name: str, synset: Synset) -> Iterator[tuple[str, ...]]:
        parts = [part for part in map(self._dictionary.__getitem__, synset.parts) if has_name(part, rank=1)]
        parts = [part for part in parts if known_lemma(part) not in synset.lemmas]  # carrots are parts of carrots
        parts.sort(key=lambda part: fame(part, self._dictionary), reverse=True)
        if parts:
            yield (f"{name} with {' and '.join(known_lemma(part) for part in parts[:MAX_PARTS])}",)

    def _related(self, terms: Sequence[Term], chosen: Mapping[Term, int]) -> Iterator[Synset]:
        """Yield what is used for an action: artifacts whose definition or name speaks of it, the closest first."""
        meanings = [self._meaning(chosen[term]) for term in terms]
        about: defaultdict[str, float] = defaultdict(float)
        for meaning in meanings:
            for word, weight in meaning.words.items():
                about[word] += weight
        length = math.sqrt(sum(weight * weight for weight in about.values()))
        stems = {word for term in terms for word in content_words(" ".join(term.words))}
        themselves = {number for term in terms for number in (chosen[term], *self._dictionary.ancestors(chosen[term]))}
        rated = []
        for number in {n for word in stems for n in self._artifacts.get(word, ())} - themselves:
            words = self._meaning(number).words
            closeness = overlap(words, about) / length
            if any(
                " " in lemma and stems.intersection(content_words(lemma.split()[0]))
                for lemma in self._dictionary[number].lemmas
            ):
                closeness += COMPOUND
            if closeness >= RELATED and overlap(words, meanings[0].words) >= RELATED_TO_HEAD:
                rated.append((-closeness, number))
        yield from (self._dictionary[number] for _, number in sorted(rated)[:MAX_RELATED])

    def _is_free(self, synset: Synset, own: frozenset[str]) -> bool:
        """Tell whether a thing may be spoken of: it is not another label, and decent."""
        return not any(self._is_taken(lemma, own) for lemma in synset.lemmas) and not _UNFIT.search(synset.definition)

    def _is_taken(self, lemma: str, own: frozenset[str]) -> bool:
        return (key := key_of(lemma)) in self._taken and key not in own

    def _meaning(self, number: int) -> Meaning:
        if number not in self._meanings:
            self._meanings[number] = Meaning(self._dictionary[number], self._dictionary)
        return self._meanings[number]

    @cached_property
    def _artifacts(self) -> Mapping[str, Sequence[int]]:
        """Return stem -> the artifacts with it in their name or definition; without those stems that too many have."""
        artifacts: defaultdict[str, list[int]] = defaultdict(list)
        for synset in self._dictionary.on("noun.artifact"):
            for word in dict.fromkeys(itertools.chain(*self._dictionary.stems(synset.number))):
                artifacts[word].append(synset.number)
        return {word: numbers for word, numbers in artifacts.items() if len(numbers) <= COMMON_STEM}


def _plain(name: str) -> str:
    """Return a label as the gate leaves it, so that what begins with it stays as it is."""
    name = spelled_out(name)
    while (plain := tidy(name)) != name:
        name = plain
    return name


def _keys(label: Label) -> frozenset[str]:
    return frozenset(map(key_of, (label.name, *label.aliases)))


def _spoken(term: Term, number: int) -> str:
    """Return the word for a term, not the form that the label has it in."""
    return next(sense.lemma for sense in term.senses if sense.number == number)


def _kind_of(synset: Synset) -> str:
    return "a way to" if synset.pos == "v" else "a kind of"
