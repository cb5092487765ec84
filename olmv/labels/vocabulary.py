"""The ordered list of labels: what a person may write, and what is made of it."""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import overload

from olmv.errors import VocabularyError
from olmv.io.atomic import write_atomic

__all__ = ["MAX_ATTRIBUTE_CHARS", "MAX_LABEL_CHARS", "MAX_TEXTS", "Label", "Vocabulary", "check_count", "clean_text"]

MAX_LABEL_CHARS = 300
MAX_ATTRIBUTE_CHARS = 1000
MAX_TEXTS = 1000
"""Aliases or attributes of one label; a few tens are plenty, and each is encoded in every template."""

# C0 and C1 controls, line and paragraph separators, what reverses the reading direction, lone surrogates.
# Joiners (U+200D) stay: emoji and Indic scripts need them.
_REFUSED = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def clean_text(text: object, *, what: str, limit: int) -> str:
    """One line of text without surrounding white space, otherwise as written.

    Args:
        text: what stood in the file.
        what: how to call it in an error ("label", "attribute of 'dog'").
        limit: the most characters allowed.

    Raises:
        VocabularyError: not a text, empty, too long, or with control characters.
    """
    if not isinstance(text, str):
        raise VocabularyError(f"{what} {text!r} is {type(text).__name__}, not text; write it in quotes")
    text = text.strip()
    if not text:
        raise VocabularyError(f"{what} is empty; write it out or take the line away")
    if len(text) > limit:
        raise VocabularyError(f"{what} {text[:40]!r}... has {len(text)} characters; keep it under {limit + 1}")
    if found := _REFUSED.search(text):
        raise VocabularyError(
            f"{what} {text[:80]!r} has the control character U+{ord(found[0]):04X}; take it out of the file"
        )
    return text


def check_count(texts: Sequence[str], *, what: str, label: str) -> None:
    """Raise VocabularyError where a label has more aliases or attributes (`what`) than `MAX_TEXTS`."""
    if len(texts) > MAX_TEXTS:
        raise VocabularyError(f"{label!r} has {len(texts):,} {what}; keep at most {MAX_TEXTS:,}, a few tens are plenty")


@dataclass(frozen=True)
class Label:
    """One label and what is known of it. Texts are stripped and checked.

    Args:
        name: as the user wrote it; never rewritten in outputs.
        aliases: other names; each counts as a text of the label.
        attributes: short descriptions of what it looks like.
        threshold: the probability from which it is positive, in [0, 1]; None leaves it to others.

    Raises:
        VocabularyError: a text is empty, too long or has control characters; the threshold is out of range.
    """

    name: str
    aliases: tuple[str, ...] = ()
    attributes: tuple[str, ...] = ()
    threshold: float | None = None

    def __post_init__(self) -> None:
        name = clean_text(self.name, what="label", limit=MAX_LABEL_CHARS)
        object.__setattr__(self, "name", name)
        for field, limit in (("aliases", MAX_LABEL_CHARS), ("attributes", MAX_ATTRIBUTE_CHARS)):
            texts = getattr(self, field)
            if isinstance(texts, str):
                raise VocabularyError(f"{field} of {name!r} must be a list of texts, not one text")
            check_count(texts, what=field, label=name)
            what = f"{'alias' if field == 'aliases' else 'attribute'} of {name!r}"
            cleaned = dict.fromkeys(clean_text(text, what=what, limit=limit) for text in texts)
            object.__setattr__(self, field, tuple(cleaned))
        if self.threshold is not None:
            threshold = self.threshold
            if isinstance(threshold, bool) or not isinstance(threshold, int | float) or not 0 <= threshold <= 1:
                raise VocabularyError(f"threshold of {name!r} is {threshold!r}; give a number from 0 to 1")
            object.__setattr__(self, "threshold", float(threshold))


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
            raise VocabularyError(f"a list of labels is needed, not one text; use Vocabulary.load({labels[:40]!r})")
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
    def load(cls, source: str | Path) -> "Vocabulary":
        """Read a label file (txt, csv, tsv, json, yaml) or an inline list such as "dog, guitar, rain".

        An existing path wins over an inline list. The formats are told in `olmv.labels.formats`.

        Raises:
            VocabularyError: no such file, not UTF-8, malformed, or without labels.
        """
        from olmv.labels import formats  # it builds on the classes of this file

        labels, notes = formats.load(source)
        return cls(labels, notes=notes)

    def save(self, path: str | Path) -> None:
        """Write a label file in the format of its ending; reading it back gives an equal vocabulary.

        Raises:
            VocabularyError: the format is unknown or cannot hold what these labels carry.
            OutputError: it cannot be written there.
        """
        from olmv.labels import formats

        write_atomic(path, formats.dump(self._labels, Path(path).suffix.lower()))

    def with_attributes(self, book: Mapping[str, Sequence[str]]) -> "Vocabulary":
        """Return the same labels with the attributes of a book (`AttributeBook` or a plain dict) added to their own.

        Labels without attributes keep their names as their only text; a note tells which.

        Raises:
            VocabularyError: an attribute cannot be used.
        """
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
