"""Read WordNet 3.0 from one compressed table (`scripts/research/make_wordnet.py` writes it; LICENSE is beside it).

Three parts, with an empty line between: synsets, irregular forms (that no rule finds) and in how many definitions
a stem is. A line of the first part is a synset, one meaning with all its lemmas, in these columns split by tabs:

    lemmas ranks counts subject below hypernyms hyponyms parts topics members derived definition examples

`Synset` says what they are. Texts are split by "|", numbers by spaces; other synsets are told as lines further down
or (negative) further up.
"""

import gzip
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

from olmv.labels.wordnet.words import base_forms, content_words, key_of

__all__ = ["FILE", "Sense", "Synset", "WordNet", "wordnet"]

FILE = Path(__file__).with_name("wordnet.tsv.gz")

SUBJECTS = (
    *("adj.all", "adj.pert", "adv.all", "noun.Tops", "noun.act", "noun.animal", "noun.artifact", "noun.attribute"),
    *("noun.body", "noun.cognition", "noun.communication", "noun.event", "noun.feeling", "noun.food", "noun.group"),
    *("noun.location", "noun.motive", "noun.object", "noun.person", "noun.phenomenon", "noun.plant"),
    *("noun.possession", "noun.process", "noun.quantity", "noun.relation", "noun.shape", "noun.state"),
    *("noun.substance", "noun.time", "verb.body", "verb.change", "verb.cognition", "verb.communication"),
    *("verb.competition", "verb.consumption", "verb.contact", "verb.creation", "verb.emotion", "verb.motion"),
    *("verb.perception", "verb.possession", "verb.social", "verb.stative", "verb.weather", "adj.ppl"),
)
"""WordNet's files by subject, in the order of their numbers."""


@dataclass(frozen=True)
class Synset:
    """One meaning.

    Args:
        number: its line in the table.
        lemmas: the words for it, the most usual first, as written ("hot dog").
        ranks: which sense of each lemma this is, from 0, the most common first.
        counts: how often each lemma was met in this sense, in texts that people tagged.
        subject: one of `SUBJECTS`.
        below: how many synsets are under it.
        hypernyms: what it is a kind of.
        hyponyms: its kinds.
        parts: parts, members and substances.
        topics: the fields it belongs to, such as the synset of "cricket".
        members: what belongs to it as a field.
        derived: synsets of words made from its words, "bowler" for "bowl".
        definition: without examples.
        examples: sentences or phrases.
    """

    number: int
    lemmas: tuple[str, ...]
    ranks: tuple[int, ...]
    counts: tuple[int, ...]
    subject: str
    below: int
    hypernyms: tuple[int, ...]
    hyponyms: tuple[int, ...]
    parts: tuple[int, ...]
    topics: tuple[int, ...]
    members: tuple[int, ...]
    derived: tuple[int, ...]
    definition: str
    examples: tuple[str, ...]

    @property
    def pos(self) -> str:
        """Return the part of speech: "n", "v" or "a"."""
        return self.subject[0]

    @property
    def name(self) -> str:
        """Return how it is cited: "mouse.n.04"."""
        return f"{self.lemmas[0].replace(' ', '_').lower()}.{self.pos}.{self.ranks[0] + 1:02d}"


@dataclass(frozen=True)
class Sense:
    """One of the things that a word can mean.

    Args:
        number: of the synset.
        lemma: the word as the dictionary has it.
        rank: which sense of the lemma it is, from 0.
        count: how often the lemma was met in this sense.
        exact: whether the lemma was written, not another form of it.
    """

    number: int
    lemma: str
    rank: int
    count: int
    exact: bool


class WordNet:
    """The whole dictionary; synsets are read when they are asked for.

    Args:
        text: the table.
    """

    def __init__(self, text: str) -> None:
        synsets, self._irregular, self._words = text.split("\n\n")
        self._lines = synsets.split("\n")
        self._synsets: dict[int, Synset] = {}
        self._ancestors: dict[int, tuple[int, ...]] = {}
        self._stems: dict[int, tuple[tuple[str, ...], tuple[str, ...]]] = {}
        # lemma -> its synsets; a text of all of them is made small at once, which a loop over words is slow at
        self._numbers: dict[str, tuple[int, ...]] = {}
        keys = key_of("\n".join([line[: line.index("\t")] for line in self._lines])).split("\n")
        numbers = self._numbers
        for number, line in enumerate(keys):
            for key in line.split("|"):
                numbers[key] = (*numbers[key], number) if key in numbers else (number,)

    def __len__(self) -> int:
        return len(self._lines)

    def __getitem__(self, number: int) -> Synset:
        """Return the synset of a line."""
        synset = self._synsets.get(number)
        if synset is None:
            synset = self._synsets[number] = _parse(number, self._lines[number])
        return synset

    def counts(self) -> dict[str, int]:
        """Return how often each noun and verb was met in texts that people tagged, in its most usual sense."""
        counts: dict[str, int] = {}
        for line in self._lines:
            lemmas, _, often, subject, _ = line.split("\t", 4)
            if SUBJECTS[int(subject)][0] in "nv":
                for lemma, count in zip(lemmas.split("|"), often.split(), strict=True):
                    counts[lemma] = max(counts.get(lemma, 0), int(count))
        return counts

    def senses(self, words: Sequence[str]) -> list[Sense]:
        """Return what the words can mean together: as a lemma however spaced and hyphened, then as a form of one.

        Nouns come first, then verbs, then adjectives; the most common sense first.
        """
        by_number = {sense.number: sense for sense in self._senses_of(key_of("".join(words)), exact=True)}
        for pos, at in (("n", len(words) - 1), ("v", 0)):
            for base in base_forms(words[at], pos, self.irregular[pos]):
                key = key_of("".join((*words[:at], base, *words[at + 1 :])))
                for sense in self._senses_of(key, exact=False):
                    if self[sense.number].pos == pos:
                        by_number.setdefault(sense.number, sense)
        return list(by_number.values())

    def _senses_of(self, key: str, *, exact: bool) -> list[Sense]:
        senses = []
        for number in dict.fromkeys(self._numbers.get(key, ())):  # "hotdog" and "hot dog" may be in one synset
            synset = self[number]
            at = next(at for at, lemma in enumerate(synset.lemmas) if key_of(lemma) == key)
            senses.append(Sense(number, synset.lemmas[at], synset.ranks[at], synset.counts[at], exact))
        return sorted(senses, key=lambda sense: ("nva".index(self[sense.number].pos), sense.rank, sense.number))

    def stems(self, number: int) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Return what carries meaning in the lemmas of a synset, and in its definition; see `content_words`."""
        known = self._stems.get(number)
        if known is None:
            synset = self[number]
            lemmas, definition = content_words(" ".join(synset.lemmas)), content_words(synset.definition)
            known = self._stems[number] = (tuple(lemmas), tuple(definition))
        return known

    def on(self, subject: str) -> Iterator[Synset]:
        """Yield all synsets that are filed under a subject."""
        number = str(SUBJECTS.index(subject))
        yield from (self[at] for at, line in enumerate(self._lines) if line.split("\t", 4)[3] == number)

    def ancestors(self, number: int) -> tuple[int, ...]:
        """Return all hypernyms up to the root, nearest first; not the synset itself."""
        known = self._ancestors.get(number)
        if known is None:
            hypernyms = self[number].hypernyms
            above = dict.fromkeys(hypernyms)
            for hypernym in hypernyms:
                above.update(dict.fromkeys(self.ancestors(hypernym)))
            known = self._ancestors[number] = tuple(above)
        return known

    @cached_property
    def irregular(self) -> Mapping[str, Mapping[str, tuple[str, ...]]]:
        """Return the irregular forms: part of speech -> form -> lemmas."""
        table: dict[str, dict[str, tuple[str, ...]]] = {"n": {}, "v": {}}
        for line in self._irregular.splitlines():
            pos, form, *lemmas = line.split(" ")
            table[pos][form] = tuple(lemmas)
        return table

    @cached_property
    def definitions_with(self) -> Mapping[str, int]:
        """Return in how many definitions a stem is; those in only a few are left out."""
        pairs = (line.split(" ") for line in self._words.splitlines())
        return {word: int(count) for word, count in pairs}


@cache
def wordnet() -> WordNet:
    """Return the shipped dictionary, read once."""
    return WordNet(gzip.decompress(FILE.read_bytes()).decode("utf-8"))


def _parse(number: int, line: str) -> Synset:
    lemmas, ranks, counts, subject, below, *relations, definition, examples = line.split("\t")
    links = [tuple([number + int(step) for step in steps.split(" ")]) if steps else () for steps in relations]
    hypernyms, hyponyms, parts, topics, members, derived = links
    return Synset(
        number=number,
        lemmas=tuple(lemmas.split("|")),
        ranks=tuple(map(int, ranks.split(" "))),
        counts=tuple(map(int, counts.split(" "))),
        subject=SUBJECTS[int(subject)],
        below=int(below),
        hypernyms=hypernyms,
        hyponyms=hyponyms,
        parts=parts,
        topics=topics,
        members=members,
        derived=derived,
        definition=definition,
        examples=tuple(examples.split("|")) if examples else (),
    )
