"""Write attributes for a whole list of labels, from WordNet."""

from collections.abc import Generator, Sequence

from olmv.describe.ask import Answer
from olmv.describe.gate.gate import Gate
from olmv.describe.senses import LabelSense, read_senses
from olmv.labels.label import Label
from olmv.labels.vocabulary import Vocabulary
from olmv.labels.wordnet.phrases import PhraseWriter
from olmv.labels.wordnet.store import WordNet, wordnet

__all__ = ["NAME", "write_attributes"]

NAME = "wordnet/3.0"
"""Who wrote the attributes, for the book."""


def write_attributes(labels: Sequence[Label], vocabulary: Vocabulary, *, count: int, gate: Gate) -> Generator[Answer]:
    """Describe labels; every label gives exactly one `Answer`, in order.

    Args:
        labels: the labels to describe.
        vocabulary: all labels; what a word means is decided by the others.
        count: attributes of a label; of many the dictionary has fewer.
        gate: what an attribute must be.
    """
    dictionary = wordnet()
    senses = read_senses(vocabulary)
    writer = PhraseWriter(vocabulary, dictionary)
    for label in labels:
        if (sense := senses.get(label.name)) is None:
            yield Answer(label, error="is not in WordNet")
            continue
        attributes: list[str] = []
        for ways in writer.phrases(label, sense.reading, sense.chosen):
            if len(attributes) == count:
                break
            for way in ways:
                good = gate.accept(label, [way], attributes).accepted
                if good:
                    attributes.extend(good)
                    break
        error = None if attributes else "WordNet says nothing of it that can be used"
        yield Answer(label, tuple(attributes), error=error, source=_source(sense, dictionary))


def _source(sense: LabelSense, dictionary: WordNet) -> dict[str, object]:
    """Say which meanings the attributes are about, for the book."""
    synsets = [dictionary[sense.chosen[term]] for term in sense.terms]
    meanings = [f"{synset.name}: {synset.definition}" for synset in synsets]
    return {"sense": " + ".join(meanings), "senses_considered": sum(len(term.senses) for term in sense.terms)}
