"""What the labels of a list mean, by WordNet: for prompts, for the gate, and for books without a language model."""

from collections.abc import Mapping
from dataclasses import dataclass

from olmv.labels.vocabulary import Vocabulary
from olmv.labels.wordnet.glosses import phrase
from olmv.labels.wordnet.readings import Reading, Term, read_label
from olmv.labels.wordnet.senses import choose_senses
from olmv.labels.wordnet.store import WordNet, wordnet

__all__ = ["LabelSense", "read_senses", "short_meanings"]

MAX_WORDS = 24
"""Of a meaning in a prompt."""


@dataclass(frozen=True)
class LabelSense:
    """What WordNet takes a label for.

    Args:
        reading: the words of the label that carry it.
        chosen: the synset of each of its terms, chosen in the light of the whole list.
    """

    reading: Reading
    chosen: Mapping[Term, int]

    @property
    def terms(self) -> tuple[Term, ...]:
        """Return the head, then the others."""
        return (self.reading.head, *self.reading.others)

    @property
    def synset(self) -> int | None:
        """Return what the label as a whole is; None where the dictionary knows only its parts."""
        return None if self.reading.others else self.chosen[self.reading.head]

    def definition(self, dictionary: WordNet) -> str:
        """Return the definitions of all terms."""
        return "; ".join(dictionary[self.chosen[term]].definition for term in self.terms)


def read_senses(vocabulary: Vocabulary) -> dict[str, LabelSense]:
    """Return what the labels mean, by name; those that WordNet does not know are left out."""
    dictionary = wordnet()
    readings = {label.name: reading for label in vocabulary if (reading := read_label(label, dictionary)) is not None}
    chosen = choose_senses(list(readings.values()), dictionary)
    return {
        name: LabelSense(reading, of_label) for (name, reading), of_label in zip(readings.items(), chosen, strict=True)
    }


def short_meanings(senses: Mapping[str, LabelSense]) -> dict[str, str]:
    """Return what stands in a prompt: the meanings of labels that the dictionary knows whole, shortened."""
    dictionary = wordnet()
    known = {name: sense.synset for name, sense in senses.items() if sense.synset is not None}
    texts = {name: phrase(dictionary[number].definition, MAX_WORDS) for name, number in known.items()}
    return {name: text for name, text in texts.items() if text}
