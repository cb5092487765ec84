"""What WordNet says of words and the 1,000 image classes: the lessons for olmv-lite's second key to its classes.

Every visible noun of WordNet gets a distribution over the image classes: a class itself its own place, a word above
classes ("dog") the same share of each below it, any other word by Lin's similarity (1998), with the information content
of a synset from the number of words below it (Seco et al. 2004).
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

__all__ = ["Lesson", "Taxonomy", "lessons"]

# lexicographer files of nouns that can be seen: animals, artifacts, bodies, food, places, objects, phenomena, plants,
# substances
VISIBLE = frozenset({"05", "06", "08", "13", "15", "17", "19", "20", "27"})
NEAR = 0.55  # a word is a lesson if some class is at least so similar
SHARPNESS = 0.08  # of the distribution over classes, in units of Lin's similarity


@dataclass(frozen=True)
class Synset:
    """A line of `data.noun`."""

    words: tuple[str, ...]
    gloss: str
    file: str
    above: tuple[str, ...]


@dataclass(frozen=True)
class Lesson:
    """Two texts and the distribution [K] over the image classes that both stand for."""

    name: str
    gloss: str
    target: NDArray[np.float64]
    weight: float


@dataclass(frozen=True)
class Taxonomy:
    """The nouns of WordNet and, among them, the image classes.

    Args:
        folder: WordNet's files, as Debian's wordnet-base has them.
        classes: K offsets of synsets.
    """

    folder: Path
    classes: Sequence[str]
    synsets: dict[str, Synset] = field(init=False)

    def __post_init__(self) -> None:
        lines = (self.folder / "data.noun").read_text(encoding="utf-8").splitlines()
        object.__setattr__(self, "synsets", dict(_parse(line) for line in lines if not line.startswith(" ")))

    def ancestors(self, offset: str) -> dict[str, None]:
        """The synset itself and everything above it, nearest first."""
        reached = {offset: None}
        for current in (queue := [offset]):
            for above in self.synsets[current].above:
                if above not in reached:
                    reached[above] = None
                    queue.append(above)
        return reached

    @cached_property
    def information(self) -> dict[str, float]:
        """Of every synset, 0 (everything is one) to 1 (nothing is below it)."""
        below = dict.fromkeys(self.synsets, 0)
        for offset in self.synsets:
            for ancestor in self.ancestors(offset):
                below[ancestor] += 1
        return {offset: 1 - math.log(count) / math.log(len(below)) for offset, count in below.items()}

    @cached_property
    def classes_under(self) -> dict[str, list[int]]:
        """Synset -> the image classes that it is, or is above."""
        under: dict[str, list[int]] = {}
        for index, offset in enumerate(self.classes):
            for ancestor in self.ancestors(offset):
                under.setdefault(ancestor, []).append(index)
        return under

    def target(self, offset: str) -> tuple[NDArray[np.float64], float]:
        """The distribution [K] over the image classes, and how near the nearest of them is."""
        target = np.zeros(len(self.classes))
        if offset in self.classes_under:
            target[self.classes_under[offset]] = 1 / len(self.classes_under[offset])
            return target, 1.0
        own = self.information[offset]
        theirs = np.array([self.information[name] for name in self.classes])
        for ancestor in self.ancestors(offset):
            if (under := self.classes_under.get(ancestor)) is not None:
                similarity = 2 * self.information[ancestor] / (own + theirs[under])
                target[under] = np.maximum(target[under], similarity)
        nearest = float(target.max())
        target = np.exp((target - nearest) / SHARPNESS)
        return target / target.sum(), nearest


def lessons(taxonomy: Taxonomy, *, most: int, seed: int = 0) -> list[Lesson]:
    """All words that are classes or above classes, and `most` others, drawn by lot."""
    known = [offset for offset in taxonomy.synsets if offset in taxonomy.classes_under]
    others = [offset for offset in taxonomy.synsets if offset not in taxonomy.classes_under]
    order = np.random.default_rng(seed).permutation(len(others))
    made = [lesson for lesson in _made(taxonomy, known) if lesson.weight >= NEAR]
    for lesson in _made(taxonomy, [others[index] for index in order]):
        if lesson.weight >= NEAR:
            made.append(lesson)
            most -= 1
        if most <= 0:
            break
    return made


def _made(taxonomy: Taxonomy, offsets: Sequence[str]) -> Iterator[Lesson]:
    for offset in offsets:
        synset = taxonomy.synsets[offset]
        if synset.file in VISIBLE:
            target, nearest = taxonomy.target(offset)
            yield Lesson(synset.words[0], synset.gloss, target, nearest)


def _parse(line: str) -> tuple[str, Synset]:
    head, _, gloss = line.partition(" | ")
    parts = head.split()
    count = int(parts[3], 16)
    words = tuple(parts[4 + 2 * k].replace("_", " ") for k in range(count))
    start = 5 + 2 * count
    pointers = [parts[start + 4 * k : start + 4 * k + 3] for k in range(int(parts[start - 1]))]
    above = tuple(offset for sign, offset, pos in pointers if pos == "n" and sign in ("@", "@i"))
    return parts[0], Synset(words, gloss.split('; "')[0].split(";")[0].strip(), parts[1], above)
