"""The ordered list of labels: what a person may write, and what is made of it."""

import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import overload

from olmv.arguments import check_path, kind_of
from olmv.errors import VocabularyError
from olmv.io.atomic import write_atomic
from olmv.labels import formats
from olmv.labels.attributes import AttributeBook
from olmv.labels.label import Label

__all__ = ["Vocabulary"]


class Vocabulary(Sequence[Label]):
    """The ordered, immutable list of labels, each only once.

    Args:
        labels: labels or bare names. Of labels with the same name the first stays.
        notes: remarks for the user collected so far; the command line prints them.

    Raises:
        VocabularyError: there is no label, or one cannot be used.
    """

    def __init__(self, labels: Iterable[Label | str], *, notes: Iterable[str] = ()) -> None:
        if isinstance(labels, str):
            text = labels[:40]
            raise VocabularyError(
                f"a list of labels is needed, not one text; write [{text!r}] for one label, or use "
                f"Vocabulary.load({text!r}) for a file, or names with commas between"
            )
        if not isinstance(labels, Iterable):
            raise VocabularyError(f"the labels are {kind_of(labels)}; give a list of their names")
        first: dict[str, Label] = {}
        dropped: list[str] = []
        for item in labels:
            label = item if isinstance(item, Label) else Label(item)
            # the same letters composed differently look the same to the reader, so they are the same label
            key = unicodedata.normalize("NFC", label.name)
            if first.setdefault(key, label) is not label:
                dropped.append(label.name)
        if not first:
            raise VocabularyError("there are no labels; give at least one, as in 'dog, guitar, rain'")
        self._labels = tuple(first.values())
        self._names = tuple(label.name for label in self._labels)
        self._notes = tuple(notes)
        if dropped:
            self._notes += (f"{_count(len(dropped), 'repeated label')} dropped: {_some(dropped)}",)

    @classmethod
    def from_names(cls, names: Iterable[str]) -> "Vocabulary":
        """Return a vocabulary of bare names.

        Raises:
            VocabularyError: as the class.
        """
        return cls(names)

    @classmethod
    def of(
        cls, labels: "Vocabulary | Iterable[str]", attributes: Mapping[str, Sequence[str]] | None = None
    ) -> "Vocabulary":
        """Return labels, or what is given as only their names, with the attributes of a book or a dict, if there are.

        Raises:
            VocabularyError: as the class.
            UsageError: a dict of attributes has another label; a book may have more than these.
        """
        words = labels if isinstance(labels, Vocabulary) else cls.from_names(labels)
        return words if attributes is None else words.with_attributes(AttributeBook.of(attributes, words.names))

    @classmethod
    def load(cls, source: str | Path) -> "Vocabulary":
        """Read a label file (txt, csv, tsv, json, yaml) or an inline list such as "dog, guitar, rain".

        An existing path wins over an inline list. The formats are told in `olmv.labels.formats`.

        Raises:
            VocabularyError: no such file, not UTF-8, malformed, or without labels.
        """
        if source != "":  # an empty list of labels
            check_path("a label file", source, error=VocabularyError)
        labels, notes = formats.load(source)
        return cls(labels, notes=notes)

    @classmethod
    def parse(cls, text: str) -> "Vocabulary":
        """Read labels that somebody typed: one a line, or an inline list; never the name of a file.

        Raises:
            VocabularyError: malformed, or without labels.
        """
        if not isinstance(text, str):
            raise VocabularyError(f"the labels are {kind_of(text)}; give a text, or Vocabulary(...) a list")
        return cls(formats.parse(text))

    def save(self, path: str | Path) -> None:
        """Write a label file in the format of its ending; reading it back gives an equal vocabulary.

        Raises:
            VocabularyError: the format is unknown or cannot hold what these labels carry.
            OutputError: it cannot be written there.
        """
        write_atomic(path, formats.dump(self._labels, Path(path).suffix.lower()))

    def with_attributes(self, book: Mapping[str, Sequence[str]]) -> "Vocabulary":
        """Return the same labels with the attributes of a book (`AttributeBook` or a plain dict) added to their own.

        Labels without attributes keep their names as their only text; a note tells which.

        Raises:
            VocabularyError: an attribute cannot be used.
        """
        book = book if isinstance(book, AttributeBook) else AttributeBook(book)
        labels = [replace(label, attributes=(*label.attributes, *book.get(label.name, ()))) for label in self._labels]
        bare = [label.name for label in labels if not label.attributes]
        notes = self._notes
        if bare:
            notes += (f"{_count(len(bare), 'label')} without attributes, scored by name alone: {_some(bare)}",)
        return Vocabulary(labels, notes=notes)

    @property
    def names(self) -> tuple[str, ...]:
        """Return the label names in order."""
        return self._names

    @property
    def notes(self) -> tuple[str, ...]:
        """Return remarks for the user, a line each: repeated labels, unknown columns, no attributes."""
        return self._notes

    def __len__(self) -> int:
        return len(self._labels)

    def __iter__(self) -> Iterator[Label]:
        return iter(self._labels)

    @overload
    def __getitem__(self, index: int) -> Label: ...
    @overload
    def __getitem__(self, index: slice) -> "Vocabulary": ...
    def __getitem__(self, index: int | slice) -> "Label | Vocabulary":
        if isinstance(index, slice):
            return Vocabulary(self._labels[index])
        return self._labels[index]

    def __contains__(self, label: object) -> bool:
        """Tell whether there is such a label, or one of this name."""
        return label in (self._names if isinstance(label, str) else self._labels)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Vocabulary) and self._labels == other._labels

    def __hash__(self) -> int:
        return hash(self._labels)

    def __repr__(self) -> str:
        return f"Vocabulary({len(self)} labels: {_some(self._names)})"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _some(names: Sequence[str], *, most: int = 3) -> str:
    shown = ", ".join(repr(name) for name in names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"
