"""`olmv describe-labels` without a language model."""

import json
import time
from pathlib import Path
from typing import Any

import pytest

from olmv.describe.draft import PARTIAL
from tests.cli.books import book

DEFAULT = "note: no language model is named: WordNet, a dictionary that ships with olmv, describes the labels"


def describe(olmv: Any, labels: str, *more: str) -> tuple[int, str, str]:
    result: tuple[int, str, str] = olmv("describe-labels", labels, "-o", "book.json", *more)
    return result


def test_it_is_the_default_and_says_so(olmv: Any, here: Path) -> None:
    code, out, err = describe(olmv, "mouse, keyboard, laptop")
    assert (code, out) == (0, "")
    assert err.splitlines()[0] == DEFAULT
    assert "3 labels described, " in err
    assert "wrote book.json" in err
    entry = book()["mouse"]
    assert list(book()) == ["mouse", "keyboard", "laptop"]
    assert entry["attributes"][0].startswith("mouse, a hand-operated electronic device")
    assert entry["llm"] == "wordnet/3.0"
    assert entry["sense"].startswith("mouse.n.04: a hand-operated electronic device that controls")
    assert entry["senses_considered"] == 6
    assert not {"asked", "prompt_sha256", "sampling"} & set(entry)
    assert not Path("book.json" + PARTIAL).exists()
    before = entry["attributes"]
    code, _, err = describe(olmv, "mouse, keyboard, laptop", "--llm", "wordnet", "--no-resume")
    assert code == 0
    assert "note:" not in err
    assert book()["mouse"]["attributes"] == before


def test_labels_that_it_does_not_know(olmv: Any, here: Path) -> None:
    code, _, err = describe(olmv, "dog, 狗, cardioversion, one very big old green flurbon")
    assert code == 1
    assert list(book()) == ["dog"]
    assert "1 label described" in err
    assert "3 failed" in err
    assert "failed: 狗: is not in WordNet" in err
    assert (
        "labels that failed are not in the book; name a language model with --llm, or write them by hand"
        in err.splitlines()
    )
    code, _, err = describe(olmv, "狗,")
    assert code == 1
    assert "unchanged: book.json" in err
    assert list(book()) == ["dog"]


def test_what_a_person_wrote_stays(olmv: Any, here: Path) -> None:
    describe(olmv, "dog, guitar, 狗")
    document = json.loads(Path("book.json").read_text("utf-8"))
    document["labels"]["dog"]["attributes"][0] = "my own old dog on its blanket"
    document["labels"]["狗"] = {"attributes": ["棕色的狗在草地上奔跑"]}
    Path("book.json").write_text(json.dumps(document))
    for more in ((), ("--no-resume",)):
        code, _, err = describe(olmv, "dog, guitar, 狗, violin", *more)
        assert code == 0
        assert "note: 2 labels written or changed by hand: kept as they are" in err
        assert book()["dog"] == document["labels"]["dog"]
        assert book()["狗"] == document["labels"]["狗"]
        assert book()["guitar"]["attributes"] == document["labels"]["guitar"]["attributes"]
        assert list(book()) == ["dog", "guitar", "狗", "violin"]


def test_a_book_of_a_language_model_is_filled_up(olmv: Any, here: Path) -> None:
    entry = {"attributes": ["a brown dog on a lawn"], "llm": "openai:x", "prompt_sha256": "0" * 64}
    entry["attributes_sha256"] = "c4a8e4b3a1d9f1c2"  # not theirs: by hand
    Path("book.json").write_text(json.dumps({"format": "olmv-attributes/1", "labels": {"dog": entry}}))
    code, _, _ = describe(olmv, "dog, guitar")
    assert code == 0
    assert [book()[label]["llm"] for label in ("dog", "guitar")] == ["openai:x", "wordnet/3.0"]


def test_a_dry_run_shows_meanings_and_attributes(olmv: Any, here: Path) -> None:
    describe(olmv, "cat,")
    code, out, err = olmv("describe-labels", "cat, crane, stork, 狗", "--dry-run", "-o", "book.json")
    assert code == 0, err
    lines = out.splitlines()
    assert (
        lines[0] == "crane\tcrane.n.03: large long-necked wading bird of marshes and plains in many parts of the world"
    )
    assert lines[1] == "\tcrane, large long-necked wading bird of marshes and plains in many parts of the world"
    assert "狗\tis not in WordNet" in lines
    assert lines[-1].startswith("3 labels, ")
    assert lines[-1].endswith(" attributes, 1 without")
    assert list(book()) == ["cat"]
    assert olmv("describe-labels", "cat,", "--dry-run", "-o", "book.json")[1].startswith("every label is described")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-o", "b.json", "--temperature", "0.7"], "--temperature is for a language model; name one with --llm"),
        (["-o", "b.json", "--llm", "wordnet", "--domain", "films"], "or leave --domain out"),
        (["--llm", "wordnet", "--dry-run", "--prompt", "objects"], "--prompt is for a language model"),
        (["--llm", "wordnet", "--dry-run", "--llm-option", "a=b"], "--llm-option is for a language model"),
        (["-o", "no/b.json"], "its folder does not exist"),
        (["-o", "b.json", "-m", "olmv-mni"], "did you mean olmv-mini"),
    ],
)
def test_wrong_usage_is_one_line(olmv: Any, here: Path, arguments: list[str], message: str) -> None:
    code, out, err = olmv("describe-labels", "dog,", "-q", *arguments)
    assert (code, out) == (2, "")
    assert message in err
    assert err.count("\n") == 1
    assert [path.name for path in here.iterdir()] == ["clips"]


def test_attributes_fit_the_model_that_is_named(olmv: Any, here: Path) -> None:
    assert describe(olmv, "car, guitar", "-m", "olmv-mini", "--attributes-per-label", "3")[0] == 0
    assert all(1 <= len(entry["attributes"]) <= 3 for entry in book().values())


def test_a_thousand_labels_in_seconds(olmv: Any, here: Path) -> None:
    from olmv.labels.wordnet.store import wordnet

    dictionary = wordnet()
    names = {dictionary[number].lemmas[0] for number in range(0, 80_000, 80)}
    Path("labels.txt").write_text("\n".join(sorted(names)))
    begun = time.process_time()
    assert describe(olmv, "labels.txt", "-q")[0] in (0, 1)
    assert time.process_time() - begun < 10  # measured: 2
    assert len(book()) > 0.98 * len(names)
