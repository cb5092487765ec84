"""Write attributes for a whole list of labels, from WordNet."""

from collections.abc import Generator, Sequence

from olmv.describe.questions import Answer
from olmv.labels.label import Label
from olmv.labels.quality import Gate
from olmv.labels.vocabulary import Vocabulary
from olmv.labels.wordnet.phrases import PhraseWriter
from olmv.labels.wordnet.readings import Reading, Term, read_label
from olmv.labels.wordnet.senses import choose_senses
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
    readings = {label.name: reading for label in vocabulary if (reading := read_label(label, dictionary)) is not None}
    chosen = dict(zip(readings, choose_senses(list(readings.values()), dictionary), strict=True))
    writer = PhraseWriter(vocabulary, dictionary)
    for label in labels:
        if (reading := readings.get(label.name)) is None:
            yield Answer(label, error="is not in WordNet")
            continue
        senses = chosen[label.name]
        attributes: list[str] = []
        for ways in writer.phrases(label, reading, senses):
            if len(attributes) == count:
                break
            for way in ways:
                good, _ = gate.accept(label, [way], attributes)
                if good:
                    attributes.extend(good)
                    break
        error = None if attributes else "WordNet says nothing of it that can be used"
        yield Answer(label, tuple(attributes), error=error, source=_source(reading, senses, dictionary))


def _source(reading: Reading, chosen: dict[Term, int], dictionary: WordNet) -> dict[str, object]:
    """Say which meanings the attributes are about, for the book."""
    terms = (reading.head, *reading.others)
    meanings = [f"{dictionary[chosen[term]].name}: {dictionary[chosen[term]].definition}" for term in terms]
    return {"sense": " + ".join(meanings), "senses_considered": sum(len(term.senses) for term in terms)}
