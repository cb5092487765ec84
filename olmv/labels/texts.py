"""From a vocabulary to the texts that a text tower encodes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from olmv.labels.templates import DEFAULT_TEMPLATES, apply, resolve
from olmv.labels.vocabulary import Vocabulary

__all__ = ["Kind", "LabelTexts", "build_texts"]

Kind = Literal["name", "alias", "attribute"]


@dataclass(frozen=True)
class LabelTexts:
    """The texts of every label, packed label after label; a text is template(phrase).

    Phrases (a label's name, an alias, an attribute) are what pooling and explanations speak of; the templates
    of a phrase only make its embedding steadier and are averaged (`TextBank.from_texts`).
    """

    labels: tuple[str, ...]
    phrases: tuple[str, ...]
    label_of_phrase: tuple[int, ...]
    kind_of_phrase: tuple[Kind, ...]
    texts: tuple[str, ...]
    phrase_of_text: tuple[int, ...]
    templates: tuple[str, ...]

    @property
    def label_of_text(self) -> tuple[int, ...]:
        """Return the label of every text, as an index into `labels`."""
        return tuple(self.label_of_phrase[phrase] for phrase in self.phrase_of_text)

    @property
    def kind_of_text(self) -> tuple[Kind, ...]:
        """Return what every text says of its label."""
        return tuple(self.kind_of_phrase[phrase] for phrase in self.phrase_of_text)

    def __repr__(self) -> str:
        return f"LabelTexts(labels={len(self.labels)}, phrases={len(self.phrases)}, texts={len(self.texts)})"


def build_texts(vocabulary: Vocabulary, templates: str | Sequence[str] = DEFAULT_TEMPLATES) -> LabelTexts:
    """Return the texts of every label: its name first, then aliases, then attributes, each in every template.

    What a label says twice (an alias equal to its name) is one phrase.

    Raises:
        VocabularyError: `templates` cannot be used (see `olmv.labels.templates.resolve`).
    """
    resolved = resolve(templates)
    phrases: list[str] = []
    label_of_phrase: list[int] = []
    kind_of_phrase: list[Kind] = []
    for index, label in enumerate(vocabulary):
        kinds: dict[str, Kind] = {label.name: "name"}
        for alias in label.aliases:
            kinds.setdefault(alias, "alias")
        for attribute in label.attributes:
            kinds.setdefault(attribute, "attribute")
        phrases.extend(kinds)
        kind_of_phrase.extend(kinds.values())
        label_of_phrase.extend([index] * len(kinds))
    return LabelTexts(
        labels=vocabulary.names,
        phrases=tuple(phrases),
        label_of_phrase=tuple(label_of_phrase),
        kind_of_phrase=tuple(kind_of_phrase),
        texts=tuple(apply(template, phrase) for phrase in phrases for template in resolved),
        phrase_of_text=tuple(index for index in range(len(phrases)) for _ in resolved),
        templates=resolved,
    )
