"""Whether attributes have to do with their label, and leave it where it is.

A text is compared with the names of all labels of the list and with everyday words: it has to be nearer to its own
label than to nearly all of them. A label's own side is its name, its aliases and what a dictionary says of it, which of
them is nearest, because an encoder need not know the name itself: that is what attributes are for. This is asked of a
sentence encoder. Of the text tower that will read the attributes only this is asked, for it concerns that tower alone:
the mean of a label's name and attributes must still be nearest to its own name.
"""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from olmv.describe.gate.reasons import Rejection
from olmv.labels.background import BACKGROUND_WORDS
from olmv.labels.label import Label
from olmv.labels.vocabulary import Vocabulary

__all__ = ["TextTower", "Topic"]

Vectors = NDArray[np.float32]

MIN_NEARER = 0.98
"""Of all other labels and everyday words, the share that an attribute must be farther from than from its label."""
MIN_NEARER_UNKNOWN = 0.8
"""The same for a label that no dictionary knows: then the tower may not know it either."""
REMEMBERED = 4096
MAX_COSINE = 0.85
"""Two attributes of a label that are nearer than this say the same."""


class TextTower(Protocol):
    """Embeds phrases."""

    def embed(self, phrases: Sequence[str]) -> Vectors:
        """Return unit vectors [N, D] of N phrases; N may be 0."""


class _Memory:
    """Remembers the last vectors of a tower: a label that is asked for again brings most of its texts again."""

    def __init__(self, tower: TextTower) -> None:
        self._tower = tower
        self._vectors: OrderedDict[str, Vectors] = OrderedDict()
        self._none = tower.embed(["nothing"])[:0]

    def embed(self, phrases: Sequence[str]) -> Vectors:
        """Return unit vectors [N, D]; what is not remembered is embedded together."""
        if not phrases:
            return self._none
        known = {phrase: self._vectors[phrase] for phrase in phrases if phrase in self._vectors}
        if new := [phrase for phrase in dict.fromkeys(phrases) if phrase not in known]:
            known |= dict(zip(new, self._tower.embed(new), strict=True))
        for phrase, vector in known.items():
            self._vectors[phrase] = vector
            self._vectors.move_to_end(phrase)
        while len(self._vectors) > REMEMBERED:
            self._vectors.popitem(last=False)
        return np.stack([known[phrase] for phrase in phrases])


class Topic:
    """Compares attributes with labels.

    Args:
        encoder: embeds sentences.
        vocabulary: all labels.
        meanings: what a dictionary says of labels, by name.
        tower: the text tower that will read the attributes; None where the encoder stands for it.
        strict: whether every attribute by itself must be nearest to the name of its label, told by the tower. A book
            that is pruned loses what helps least; asked of a model's answers it would refuse what obscure names need.
    """

    def __init__(
        self,
        encoder: TextTower,
        vocabulary: Vocabulary,
        meanings: Mapping[str, str],
        tower: TextTower | None = None,
        *,
        strict: bool = False,
    ) -> None:
        self._encoder, self._meanings = _Memory(encoder), meanings
        self._labels = {label.name: index for index, label in enumerate(vocabulary)}
        self._names = encoder.embed(vocabulary.names)
        self._everyday = encoder.embed(BACKGROUND_WORDS)
        self._strict = strict
        self._tower = None if tower is None else _Memory(tower)
        self._tower_names = self._names if tower is None else tower.embed(vocabulary.names)

    def rejections(self, label: Label, texts: Sequence[str], earlier: Sequence[str]) -> list[Rejection | None]:
        """Say for each text why it does not belong to a label; None where it does.

        A text that passes counts as an earlier one for those behind it.

        Args:
            label: the label.
            texts: attributes, in order.
            earlier: attributes that the label has.
        """
        vectors, accepted = self._encoder.embed(texts), self._encoder.embed(earlier)
        if self._tower is None:
            of_tower, kept = vectors, accepted
        else:
            of_tower, kept = self._tower.embed(texts), self._tower.embed(earlier)
        shares = self._shares_nearer(label, vectors)
        result: list[Rejection | None] = []
        for row, share in enumerate(shares):
            rejection = self._rejection(label, vectors[row], float(share), accepted)
            if rejection is None and self._strict and (other := self._nearer_to(label, of_tower[row])):
                rejection = Rejection("off topic", f'is nearer to "{other}"')
            if rejection is None and (
                other := self._moved_towards(label, np.append(kept, of_tower[row, None], axis=0))
            ):
                rejection = Rejection("moves label", f'moves the label towards "{other}"')
            result.append(rejection)
            if rejection is None:
                accepted = np.append(accepted, vectors[row, None], axis=0)
                kept = np.append(kept, of_tower[row, None], axis=0)
        return result

    def all_neighbours(self, count: int) -> dict[str, list[str]]:
        """Return for every label those nearest to it, the nearest first, told by the tower that reads attributes."""
        names = list(self._labels)
        result = {}
        for index, name in enumerate(names):
            similarity = self._tower_names @ self._tower_names[index]
            similarity[index] = -np.inf
            result[name] = [names[other] for other in np.argsort(-similarity, kind="stable")[:count]][: len(names) - 1]
        return result

    def _moved_towards(self, label: Label, vectors: Vectors) -> str | None:
        """Return the label that the mean of a name and attributes [N, D] is nearest to, if that is another one."""
        return self._nearer_to(label, self._tower_names[self._labels[label.name]] + vectors.sum(axis=0))

    def _nearer_to(self, label: Label, vector: Vectors) -> str | None:
        """Return the label that a vector [D] is nearest to, if that is another one."""
        similarity = self._tower_names @ vector
        nearest = int(similarity.argmax())
        is_own = similarity[nearest] <= similarity[self._labels[label.name]]
        return None if is_own else list(self._labels)[nearest]

    def _rejection(self, label: Label, vector: Vectors, share: float, accepted: Vectors) -> Rejection | None:
        if share < (MIN_NEARER if label.name in self._meanings else MIN_NEARER_UNKNOWN):
            return Rejection("off topic", f"is farther from its label than from {1 - share:.0%} of other words")
        if len(accepted) and float((accepted @ vector).max()) > MAX_COSINE:
            return Rejection("near copy", "says what another says")
        return None

    def _shares_nearer(self, label: Label, vectors: Vectors) -> NDArray[np.float64]:
        """Return for each vector [N, D] the share of other labels and words that are farther than the label."""
        index = self._labels[label.name]
        own = (vectors @ self._references(label).T).max(axis=1, initial=-1.0)
        labels = vectors @ self._names.T
        farther = (labels < own[:, None]).sum(axis=1) - (labels[:, index] < own)
        # among everyday words is the label itself, or a word for it
        everyday = vectors @ self._everyday.T
        same = self._everyday @ self._names[index] > MAX_COSINE
        farther = farther + ((everyday < own[:, None]) & ~same).sum(axis=1)
        shares: NDArray[np.float64] = farther / max(1, len(self._labels) - 1 + int((~same).sum()))
        return shares

    def _references(self, label: Label) -> Vectors:
        """Return what is a label's own side [R, D]."""
        texts = [label.name, *label.aliases]
        if meaning := self._meanings.get(label.name):
            texts.append(f"{label.name}, {meaning}")
        return self._encoder.embed(texts)
