"""Make the dictionary that ships with olmv from the files of WordNet 3.0.

    python scripts/research/make_wordnet.py DICT_DIR      # writes olmv/labels/wordnet/wordnet.tsv.gz

DICT_DIR holds data.noun, index.noun and so on, as Debian's `wordnet-base` has them in /usr/share/wordnet. What no
label needs is left out: adverbs, single people and places ("Einstein", "Paris"), slurs, and most pointers.
"""

import gzip
import re
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from olmv.labels.wordnet.store import FILE
from olmv.labels.wordnet.words import content_words

FILES = {"n": "noun", "v": "verb", "a": "adj"}
SENSE_TYPES = {"n": 1, "v": 2, "a": 3}
PERSON, PLACE = "18", "15"
RELATIONS = (
    ("@", "@i"),  # hypernyms
    ("~",),  # hyponyms; single things are found by their names only
    ("%p", "%m", "%s"),  # parts, members, substances
    (";c",),  # topics
    ("-c",),  # members of a topic
    ("+",),  # derived
)
SLURS = ("disparagement", "ethnic_slur", "obscenity")
COMMON_FROM = 20  # definitions that have a word

_QUOTED = re.compile(r'"([^"]*)"?')
_SLUR = re.compile(r"\([^)]*\b(?:offensive|disparaging|derogatory|slur|obscene|vulgar)\b|\boffensive (?:term|name)\b")
_MARKER = re.compile(r"\((?:p|a|ip)\)$")


class Row:
    """A line of a data file."""

    def __init__(self, pos: str, line: str) -> None:
        head, _, gloss = line.partition(" | ")
        fields = head.split()
        self.pos, self.offset, self.subject = pos, fields[0], fields[1]
        end = 4 + 2 * int(fields[3], 16)
        self.lemmas = [_MARKER.sub("", lemma) for lemma in fields[4:end:2]]
        self.lexical_ids = [int(number, 16) for number in fields[5:end:2]]
        pointers = fields[end + 1 : end + 1 + 4 * int(fields[end])]
        self.pointers = [
            (symbol, (pos.replace("s", "a"), offset))
            for symbol, offset, pos in zip(pointers[::4], pointers[1::4], pointers[2::4], strict=True)
        ]
        definition, quote, rest = " ".join(gloss.split()).partition('"')
        self.definition = definition.strip(" ;")
        self.examples = [text.strip(" ;,.") for text in _QUOTED.findall(quote + rest)]


def lines_of(path: Path) -> Iterator[str]:
    """The lines of a WordNet file after its licence."""
    with path.open(encoding="utf-8") as file:
        yield from (line for line in file if not line.startswith(" "))


def read_rows(folder: Path) -> list[Row]:
    """What a label can mean."""
    rows = [Row(pos, line) for pos, file in FILES.items() for line in lines_of(folder / f"data.{file}")]
    slurs = {("n", row.offset) for row in rows if row.lemmas[0] in SLURS and row.pos == "n"}
    return [
        row
        for row in rows
        if not (row.subject in (PERSON, PLACE) and any(symbol == "@i" for symbol, _ in row.pointers))
        and not any(symbol == ";u" and target in slurs for symbol, target in row.pointers)
        and not _SLUR.search(row.definition)
    ]


def make_table(folder: Path) -> str:
    """The table of `olmv.labels.wordnet.store`."""
    rows = read_rows(folder)
    numbers = {(row.pos, row.offset): number for number, row in enumerate(rows)}
    ranks: dict[tuple[str, int], int] = {}
    for pos, file in FILES.items():
        for line in lines_of(folder / f"index.{file}"):
            lemma, _, count, *rest = line.split()
            synsets = [numbers[pos, offset] for offset in rest[-int(count) :] if (pos, offset) in numbers]
            ranks.update(((lemma, number), rank) for rank, number in enumerate(synsets))
    counts = {key: int(count) for key, _, count in map(str.split, lines_of(folder / "cntlist.rev"))}
    below = count_below(rows, numbers)

    def cells(number: int, row: Row) -> Iterator[str]:
        yield "|".join(lemma.replace("_", " ") for lemma in row.lemmas)
        yield " ".join(str(ranks[lemma.lower(), number]) for lemma in row.lemmas)
        keys = (
            f"{lemma.lower()}%{SENSE_TYPES[row.pos]}:{row.subject}:{lexical_id:02d}::"
            for lemma, lexical_id in zip(row.lemmas, row.lexical_ids, strict=True)
        )
        yield " ".join(str(counts.get(key, 0)) for key in keys)
        yield str(int(row.subject))
        yield str(below[number])
        for symbols in RELATIONS:
            targets = [target for wanted in symbols for symbol, target in row.pointers if symbol == wanted]
            yield " ".join(dict.fromkeys(str(numbers[target] - number) for target in targets if target in numbers))
        yield row.definition
        yield "|".join(row.examples)

    table = "\n".join("\t".join(cells(number, row)) for number, row in enumerate(rows))
    irregular = "\n".join(f"{pos} {line.strip()}" for pos in "nv" for line in lines_of(folder / f"{FILES[pos]}.exc"))
    common = Counter(word for row in rows for word in dict.fromkeys(content_words(row.definition)))
    words = "\n".join(f"{word} {count}" for word, count in sorted(common.items()) if count >= COMMON_FROM)
    return f"{table}\n\n{irregular}\n\n{words}\n"


def count_below(rows: list[Row], numbers: dict[tuple[str, str], int]) -> list[int]:
    """How many synsets are under each, each counted once."""
    above: dict[int, frozenset[int]] = {}

    def ancestors(number: int) -> frozenset[int]:
        if number not in above:
            above[number] = frozenset()  # the verbs have a circle
            direct = [numbers[t] for symbol, t in rows[number].pointers if symbol in ("@", "@i") and t in numbers]
            above[number] = frozenset(direct).union(*(ancestors(hypernym) for hypernym in direct))
        return above[number]

    below = Counter(hypernym for number in range(len(rows)) for hypernym in ancestors(number))
    return [below[number] for number in range(len(rows))]


def main() -> None:
    """Read the folder of the command line, write the file of the package."""
    if len(sys.argv) != 2:
        sys.exit("usage: python scripts/research/make_wordnet.py DICT_DIR")
    data = gzip.compress(make_table(Path(sys.argv[1])).encode("utf-8"), 9, mtime=0)
    FILE.write_bytes(data)
    print(f"{FILE.name}: {len(data)} bytes")


if __name__ == "__main__":
    main()
