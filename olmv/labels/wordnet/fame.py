"""How well known a meaning is, and which kinds of a thing people think of first: a taxi before a brougham."""

import math
import re
from collections import Counter
from collections.abc import Iterator

from olmv.labels.wordnet.store import Synset, WordNet
from olmv.labels.wordnet.words import stem

__all__ = ["fame", "has_name", "known_lemma", "well_known"]

MAX_DEPTH = 3
MAX_LOOKED_AT = 2000
MAX_KINDS = 3
"""More of them put the label itself in the shade: 8 kinds found photos of 80 things no better than 3."""
DEPTH_COST = 0.3
BRANCH_COST = 0.4
UNCOUNTED_MENTIONS = 5
_OF_A_PERSON = re.compile(r"[A-Z]\w+['’]s\b")


def known_lemma(synset: Synset) -> str:
    """Return the word for a meaning that means little else: "taxi" before "hack". Latin names come last."""

    def rating(at: int) -> tuple[bool, int, int, int]:
        return synset.lemmas[at][0].isupper(), synset.ranks[at], -synset.counts[at], at

    return synset.lemmas[min(range(len(synset.lemmas)), key=rating)]


def has_name(synset: Synset, *, rank: int = 0) -> bool:
    """Tell whether a word means this first, or up to `rank` other things before: "mount" is no name for a horse."""
    at = synset.lemmas.index(known_lemma(synset))
    return synset.ranks[at] <= rank and not _OF_A_PERSON.search(synset.lemmas[at])


def fame(synset: Synset, dictionary: WordNet) -> float:
    """Measure roughly how well known it is, by the traces that a well-known thing leaves in a dictionary.

    It was met in texts, has kinds and parts and words made from it, and stands in the definitions of other things.
    """
    lemma = known_lemma(synset)
    mentions = dictionary.definitions_with.get(stem(lemma.lower()), UNCOUNTED_MENTIONS) if lemma.isalpha() else 2
    return (
        math.log1p(3 * max(synset.counts))
        + 0.5 * math.log1p(synset.below)
        + 0.4 * math.log1p(len(synset.derived) + len(synset.parts))
        + 0.3 * math.log1p(mentions)
    )


def well_known(synset: Synset, dictionary: WordNet) -> Iterator[Synset]:
    """Yield the kinds of a thing, the best known first and from different branches."""
    rated = []
    for depth, branch, number in _below(synset, dictionary):
        kind = dictionary[number]
        if not has_name(kind):
            continue
        rated.append((fame(kind, dictionary) - DEPTH_COST * depth, -number, branch, kind))
    rated.sort(reverse=True, key=lambda entry: entry[:2])
    taken: Counter[int] = Counter()
    for _ in range(min(len(rated), MAX_KINDS)):
        best = max(range(len(rated)), key=lambda at: (rated[at][0] - BRANCH_COST * taken[rated[at][2]], -at))
        _, _, branch, kind = rated.pop(best)
        taken[branch] += 1
        yield kind


def _below(synset: Synset, dictionary: WordNet) -> list[tuple[int, int, int]]:
    """Return depth, the first step on the way there, and number of the hyponyms down to `MAX_DEPTH`."""
    places: dict[int, tuple[int, int]] = {}
    layer = [(number, number) for number in synset.hyponyms]
    for depth in range(1, MAX_DEPTH + 1):
        new = [(number, branch) for number, branch in layer if number not in places]
        places.update((number, (depth, branch)) for number, branch in new if number not in places)
        layer = [(below, branch) for number, branch in new for below in dictionary[number].hyponyms]
        if len(places) > MAX_LOOKED_AT:
            break
    return [(depth, branch, number) for number, (depth, branch) in places.items()]
