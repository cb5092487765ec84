"""The dictionary that ships with olmv, and the script that makes it."""

import gzip
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from olmv.labels.wordnet.store import FILE, WordNet, wordnet


def test_it_is_small_and_its_licence_lies_beside_it() -> None:
    assert FILE.stat().st_size < 5e6
    licence = FILE.with_name("LICENSE").read_text("utf-8")
    assert "WordNet 3.0 Copyright 2006 by Princeton University.  All rights reserved." in licence
    assert "the same appear on ALL copies" in licence


def test_it_is_read_quickly() -> None:
    """It costs little more than to take its text apart, whatever else the machine does."""

    def seconds(read: Callable[[str], object]) -> float:
        begun = time.process_time()
        read(gzip.decompress(FILE.read_bytes()).decode("utf-8"))
        return time.process_time() - begun

    pairs = [
        (seconds(WordNet), seconds(lambda text: [line.split("\t") for line in text.split("\n")])) for _ in range(3)
    ]
    assert min(shown / floor for shown, floor in pairs) < 2.5  # measured: 1.3


def test_a_synset_is_whole() -> None:
    dictionary = wordnet()
    sense = dictionary.senses(["elephant"])[0]
    synset = dictionary[sense.number]
    assert (synset.name, synset.subject, synset.pos) == ("elephant.n.01", "noun.animal", "n")
    assert (sense.lemma, sense.rank, sense.count, sense.exact) == ("elephant", 0, 3, True)
    assert synset.definition == "five-toed pachyderm"

    def lemmas(numbers: Iterable[int]) -> set[str]:
        return {dictionary[number].lemmas[0] for number in numbers}

    assert lemmas(synset.hypernyms) == {"proboscidean", "pachyderm"}
    assert {"African elephant", "Indian elephant"} <= lemmas(synset.hyponyms)
    assert "tusk" in lemmas(synset.parts)
    assert synset.below == 9
    assert "animal" in lemmas(dictionary.ancestors(synset.number))
    cricket = next(dictionary[s.number] for s in dictionary.senses(["cricket"]) if dictionary[s.number].members)
    assert "stump" in lemmas(cricket.members)


def test_links_lead_somewhere_and_back() -> None:
    dictionary = wordnet()
    for number in range(0, len(dictionary), 97):
        synset = dictionary[number]
        assert len(synset.lemmas) == len(synset.ranks) == len(synset.counts)
        assert synset.definition
        for hyponym in synset.hyponyms:
            assert number in dictionary[hyponym].hypernyms
        assert number not in dictionary.ancestors(number)
        for lemma in synset.lemmas:
            assert number in {sense.number for sense in dictionary.senses([lemma])}


def test_single_people_and_places_are_left_out() -> None:
    dictionary = wordnet()
    subjects = {
        dictionary[sense.number].subject for word in ("Einstein", "Paris") for sense in dictionary.senses([word])
    }
    assert "noun.location" not in subjects
    assert not any("physicist" in dictionary[sense.number].definition for sense in dictionary.senses(["Einstein"]))


DATA = {
    "noun": (
        '00000100 05 n 02 dog 0 hound 0 003 @ 00000300 n 0000 ~ 00000200 n 0000 %p 00000400 n 0000 | barks; "it barks"',
        "00000200 05 n 01 poodle 0 001 @ 00000100 n 0000 | a curly dog",
        "00000300 05 n 01 animal 0 001 ~ 00000100 n 0000 | a living thing",
        "00000400 08 n 01 tail 0 001 #p 00000100 n 0000 | the back end",
        "00000500 18 n 01 Lassie 0 001 @i 00000100 n 0000 | a famous dog",
        "00000600 18 n 01 cur 1 001 @ 00000300 n 0000 | (offensive) a bad man",
    ),
    "verb": ("00000100 38 v 01 dog 1 001 + 00000100 n 0101 01 + 08 00 | go after",),
    "adj": ("00000100 00 s 01 curly(p) 0 000 | not straight",),
}
INDEX = {
    "noun": ("dog n 1 3 @ ~ %p 1 1 00000100", "hound n 1 1 @ 1 0 00000100", "poodle n 1 1 @ 1 0 00000200",
             "animal n 1 1 ~ 1 0 00000300", "tail n 1 1 #p 1 0 00000400", "lassie n 1 1 @i 1 0 00000500",
             "cur n 1 1 @ 1 0 00000600"),
    "verb": ("dog v 1 1 + 1 0 00000100",),
    "adj": ("curly a 1 0 1 0 00000100",),
}  # fmt: skip


def test_the_script_reads_the_files_of_wordnet(tmp_path: Path) -> None:
    from scripts.research import make_wordnet as script

    for pos in ("noun", "verb", "adj"):
        licence = "  1 This software and database is being provided to you"
        (tmp_path / f"data.{pos}").write_text("\n".join((licence, *DATA[pos])) + "\n")
        (tmp_path / f"index.{pos}").write_text("\n".join((licence, *INDEX[pos])) + "\n")
        (tmp_path / f"{pos}.exc").write_text("dogges dog\n")
    (tmp_path / "cntlist.rev").write_text("dog%1:05:00:: 1 42\n")
    dictionary = WordNet(script.make_table(tmp_path))
    assert [dictionary[number].name for number in range(len(dictionary))] == [
        "dog.n.01", "poodle.n.01", "animal.n.01", "tail.n.01", "dog.v.01", "curly.a.01",
    ]  # fmt: skip
    dog = dictionary[0]
    assert (dog.lemmas, dog.counts, dog.below) == (("dog", "hound"), (42, 0), 1)
    assert (dog.definition, dog.examples) == ("barks", ("it barks",))
    assert (dog.hypernyms, dog.hyponyms, dog.parts) == ((2,), (1,), (3,))
    assert dictionary[4].derived == (0,)
    assert dictionary[2].below == 2
    assert [sense.number for sense in dictionary.senses(["dogges"])] == [0, 4]
