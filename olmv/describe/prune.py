"""Drop from a finished book what does not help: what is redundant, or nearer to other labels.

No language model is asked. Attributes that people wrote or changed stay, whatever they are.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from olmv.describe.draft import attributes_sha256, is_by_hand
from olmv.describe.gate.gate import Gate
from olmv.describe.gate.reasons import Reason, Rejection
from olmv.errors import UsageError
from olmv.labels.attributes import AttributeBook, BookEntry, write_book
from olmv.labels.vocabulary import Vocabulary

__all__ = ["Pruning", "prune", "write_pruned"]


@dataclass
class Pruning:
    """What would stay in a book, and what would go.

    Args:
        book: as it is.
        kept: the attributes that stay, by label; a label that keeps none is not in it.
        dropped: label, attribute and reason, in order.
        by_hand: labels written or changed by hand, whose attributes stay.
        moved: labels whose attributes are nearer to another label's name than to their own, before and after.
    """

    book: AttributeBook
    kept: dict[str, tuple[str, ...]] = field(default_factory=dict)
    dropped: list[tuple[str, str, Rejection]] = field(default_factory=list)
    by_hand: int = 0
    moved: tuple[int, int] = (0, 0)

    @property
    def reasons(self) -> Counter[Reason]:
        """Return how many attributes go for each reason."""
        return Counter(rejection.reason for _, _, rejection in self.dropped)

    @property
    def emptied(self) -> list[str]:
        """Return the labels that keep no attribute, and are scored by their names."""
        return [label for label in dict.fromkeys(label for label, _, _ in self.dropped) if label not in self.kept]


def prune(vocabulary: Vocabulary, path: Path, make_gate: Callable[[], Gate]) -> Pruning:
    """Look at every attribute of a book as if it had just been written. Writes nothing.

    Args:
        vocabulary: the labels that the book is used for; what stands in it of others stays.
        path: the book.
        make_gate: loads what says what goes, once there is a book to read.

    Raises:
        UsageError: there is no such book.
        VocabularyError: it cannot be read.
    """
    if not path.is_file():
        raise UsageError(f"there is no book {path} to prune; describe the labels first", option="output")
    pruning = Pruning(AttributeBook.load(path))
    gate, names = make_gate(), set(vocabulary.names)
    pruning.kept = {name: texts for name, texts in pruning.book.items() if name not in names}
    for label in vocabulary:
        if label.name not in pruning.book:
            continue
        texts = pruning.book[label.name]
        if is_by_hand(pruning.book.entry(label.name)):
            pruning.by_hand += 1
            pruning.kept[label.name] = texts
            continue
        verdict = gate.accept(label, texts)
        gate.copies.keep(label.name, verdict.accepted)
        if verdict.accepted:
            pruning.kept[label.name] = tuple(verdict.accepted)
        pruning.dropped += [(label.name, text, rejection) for text, rejection in verdict.refused]
    return pruning


def write_pruned(path: Path, pruning: Pruning) -> None:
    """Write what stays, in the order of the book.

    Raises:
        OutputError: it cannot be written.
    """
    write_book(path, _entries(pruning), extra=pruning.book.extra)


def _entries(pruning: Pruning) -> Iterator[tuple[str, BookEntry]]:
    for name in pruning.book:
        entry, kept = pruning.book.entry(name), pruning.kept.get(name)
        if kept is None:
            continue
        if kept != entry.attributes:
            changes = {"attributes": kept, "attributes_sha256": attributes_sha256(kept)}
            entry = BookEntry.model_validate({**entry.model_dump(), **changes})
        yield name, entry
