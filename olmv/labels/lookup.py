"""Finding a label that somebody typed: as it is written, or else whatever the case and white space."""

from collections import Counter
from collections.abc import Iterable

from olmv.labels.lists import label_key

__all__ = ["LabelLookup", "check_known", "first_spellings"]

# Of the labels given. A typing error or a rare class more than the vocabulary has is no reason to stop; a label file
# of another data set is.
UNKNOWN_SHARE = 0.05
_SHOWN = 3  # spellings in a note


class LabelLookup:
    """The places of labels in a vocabulary.

    Args:
        labels: the vocabulary, in order.

    Attributes:
        forgiven: what was written otherwise -> the label it was taken for.
    """

    def __init__(self, labels: Iterable[str]) -> None:
        self.labels = tuple(labels)
        self._exact = {label: index for index, label in enumerate(self.labels)}
        keys = [label_key(label) for label in self.labels]
        counts = Counter(keys)
        # labels that differ by case alone are told apart by it
        self._loose = {key: index for index, key in enumerate(keys) if counts[key] == 1}
        self.forgiven: dict[str, str] = {}

    def ambiguous(self) -> list[tuple[str, str]]:
        """Return pairs of labels that differ by case or white space alone, and so are told apart by it."""
        first: dict[str, str] = {}
        return [
            (known, label) for label in self.labels if (known := first.setdefault(label_key(label), label)) != label
        ]

    def find(self, label: str) -> int | None:
        """Return the label's place, or None."""
        index = self._exact.get(label)
        if index is None:
            index = self._loose.get(label_key(label))
            if index is not None:
                self.forgiven[label] = self.labels[index]
        return index

    def notes(self) -> tuple[str, ...]:
        """Return what was forgiven, in one line; nothing if all labels were written alike."""
        if not self.forgiven:
            return ()
        pairs = [f"{written!r} as {label!r}" for written, label in self.forgiven.items()]
        noun = "label was" if len(pairs) == 1 else "labels were"
        shown = ", ".join(pairs[:_SHOWN]) + (f" and {len(pairs) - _SHOWN} more" if len(pairs) > _SHOWN else "")
        return (f"{len(pairs)} {noun} found though case or white space differ: {shown}",)


def first_spellings(labels: Iterable[str]) -> tuple[str, ...]:
    """Return the labels that occur, by first appearance; those that differ by case or white space alone are one."""
    spellings: dict[str, str] = {}
    for label in labels:
        spellings.setdefault(label_key(label), label)
    return tuple(spellings.values())


def check_known(unknown: "Counter[str]", given: int, *, known: str, where: str) -> str | None:
    """Say why labels that nobody knows are too many to go on; None where they are few.

    Args:
        unknown: label -> how often it is given.
        given: how often labels are given at all, the unknown ones included.
        known: a label that there is, as an example.
        where: what has the unknown ones ("the truth").
    """
    times = unknown.total()
    if times <= UNKNOWN_SHARE * given:
        return None
    label, _ = unknown.most_common(1)[0]
    return (
        f"{times} of the {given} labels that {where} gives are not among those to look for, {label!r} for one "
        f"({known!r} is); write them as they are there"
    )
