"""`olmv describe-labels --prune`: a finished book without what does not help."""

import json
from pathlib import Path
from typing import Any

import pytest

from olmv.describe.draft import PARTIAL, attributes_sha256
from tests.cli.books import book, describe
from tests.support.llm_stub import StubServer, attributes

pytestmark = pytest.mark.usefixtures("word_tower")

GOOD = ("a brown dog on a lawn", "a wet dog in a river")
TEXTS = {
    "dog": (
        *("a brown dog on a lawn", "brown dogs on the lawn", "a wet dog in a river", "a dog that is not here"),
        *("a wooden guitar and a violin", "a dog chasing a dog chasing a dog"),
    ),
    "guitar": ("six strings of a guitar", "a brown guitar on a chair"),
    "rain": ("a cup on a table", "a red shirt and a hat"),
    "violin": ("something else that is here",),
    "of another list": ("nothing but noise",),
}
DROPPED = [
    ("dog", "brown dogs on the lawn", "near copy"),
    ("dog", "a dog that is not here", "absence"),
    ("dog", "a wooden guitar and a violin", "off topic"),
    ("dog", "a dog chasing a dog chasing a dog", "loop"),
    ("rain", "a cup on a table", "off topic"),
    ("rain", "a red shirt and a hat", "off topic"),
]


def write(by_hand: tuple[str, ...] = ("violin",), **extra: Any) -> None:
    labels = {}
    for name, texts in TEXTS.items():
        entry: dict[str, Any] = {"attributes": list(texts), "llm": "openai:x", "note": f"of {name}"}
        if name not in by_hand:
            entry["attributes_sha256"] = attributes_sha256(texts)
        labels[name] = entry
    document = {"format": "olmv-attributes/1", "owner": "me", **extra, "labels": labels}
    Path("book.json").write_text(json.dumps(document))


def prune(olmv: Any, *more: str) -> tuple[int, str, str]:
    result: tuple[int, str, str] = olmv(
        "describe-labels", "dog, guitar, rain, violin, snow", "-o", "book.json", "--prune", *more
    )
    return result


def test_what_goes_is_told_and_what_stays_is_as_it_was(olmv: Any, here: Path) -> None:
    write()
    before = json.loads(Path("book.json").read_text())
    code, out, _ = prune(olmv)
    assert code == 0
    lines = out.splitlines()
    told = {tuple(line.split("\t")[:2]): line.split("\t")[2].partition(":")[0] for line in lines if "\t" in line}
    assert told == {(label, text): reason for label, text, reason in DROPPED}
    assert lines[len(DROPPED) :] == [
        "6 of 12 attributes dropped: off topic 25%, near copy 8%, absence 8%, loop 8%",
        "1 label keeps none and is scored by its name",
        "1 label written or changed by hand: kept as they are",
        "labels whose attributes are nearer to another label's name than to their own: 0 before, 0 after",
        "wrote book.json",
    ]
    after = json.loads(Path("book.json").read_text())
    assert after["owner"] == "me"
    assert list(after["labels"]) == ["dog", "guitar", "violin", "of another list"]
    dog = after["labels"]["dog"]
    assert dog == before["labels"]["dog"] | {"attributes": list(GOOD), "attributes_sha256": attributes_sha256(GOOD)}
    for untouched in ("guitar", "violin", "of another list"):
        assert after["labels"][untouched] == before["labels"][untouched]


def test_a_second_time_there_is_nothing_to_drop(olmv: Any, here: Path) -> None:
    write()
    prune(olmv)
    pruned = Path("book.json").read_bytes()
    code, out, _ = prune(olmv)
    assert code == 0
    assert out.startswith("0 of 6 attributes dropped\n")
    assert "wrote" not in out
    assert Path("book.json").read_bytes() == pruned


def test_what_was_pruned_is_not_taken_for_the_work_of_a_hand(olmv: Any, here: Path) -> None:
    write()
    prune(olmv)
    with StubServer() as server:
        code, _, err = describe(olmv, server, "dog, guitar, rain, violin")
        assert server.labels == ["rain"]  # which keeps none
    assert code == 0
    assert "note: 1 label written or changed by hand: kept as they are" in err
    assert book()["rain"]["attributes"] == attributes("rain", 8)
    with StubServer() as server:
        describe(olmv, server, "dog, guitar, rain, violin", "--no-resume")
        assert sorted(server.labels) == ["dog", "guitar", "rain"]


def test_a_dry_run_writes_nothing(olmv: Any, here: Path) -> None:
    write()
    before = Path("book.json").read_bytes()
    code, out, _ = prune(olmv, "--dry-run")
    assert code == 0
    assert "6 of 12 attributes would go: off topic 25%" in out
    assert "wrote" not in out
    assert Path("book.json").read_bytes() == before
    assert sorted(path.name for path in here.iterdir()) == ["book.json", "clips"]


def test_a_book_by_hand_has_nothing_to_drop(olmv: Any, here: Path) -> None:
    Path("book.json").write_text(json.dumps({"dog": ["no dog at all", "not one dog"]}))
    before = Path("book.json").read_bytes()
    code, out, _ = prune(olmv)
    assert code == 0
    assert out.splitlines()[:2] == [
        "0 of 2 attributes dropped",
        "1 label written or changed by hand: kept as they are",
    ]
    assert Path("book.json").read_bytes() == before


def test_labels_that_a_book_moves_are_counted_before_and_after(olmv: Any, here: Path) -> None:
    texts = ("a guitar on a stage", "a guitar with strings", "a guitar in a case")
    entry = {"attributes": list(texts), "attributes_sha256": attributes_sha256(texts)}
    Path("book.json").write_text(json.dumps({"format": "olmv-attributes/1", "labels": {"dog": entry, "guitar": {
        "attributes": ["six strings of a guitar"]}}}))  # fmt: skip
    code, out, _ = prune(olmv)
    assert code == 0
    assert "labels whose attributes are nearer to another label's name than to their own: 1 before, 0 after" in out
    assert list(book()) == ["guitar"]


def test_the_real_encoder_knows_what_has_to_do_with_a_label(
    olmv: Any, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    monkeypatch.chdir(here)
    texts = ("a brown animal with a collar and a wagging tail", "six strings over a round hole in a wooden body")
    entry = {"attributes": list(texts), "attributes_sha256": attributes_sha256(texts)}
    Path("book.json").write_text(json.dumps({"format": "olmv-attributes/1", "labels": {"dog": entry}}))
    code, out, _ = olmv("describe-labels", "dog, guitar, rain", "-o", "book.json", "--prune")
    assert code == 0
    assert out.startswith("dog\tsix strings over a round hole in a wooden body\toff topic: is farther from its label")
    assert book()["dog"]["attributes"] == [texts[0]]


def test_a_run_that_is_half_way_is_finished_first(olmv: Any, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write()
    row = {"label": "snow", "entry": {"attributes": ["white snow on a roof"]}}
    Path("book.json" + PARTIAL).write_text(json.dumps(row) + "\n")
    code, out, err = prune(olmv)
    assert (code, out) == (2, "")
    assert "holds a run that was stopped; finish it first: the same command goes on" in err
    assert json.loads(Path("book.json" + PARTIAL).read_text()) == row
    assert list(book()) == list(TEXTS)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-o", "b.json"], "there is no book b.json to prune; describe the labels first"),
        ([], "the book to prune is needed"),
        (["-o", "b.json", "--llm", "openai:x@http://h/v1"], "--prune asks no language model; leave --llm out"),
        (["-o", "b.json", "--llm", "wordnet"], "--prune asks no language model; leave --llm out"),
        (["-o", "b.json", "--seed", "3"], "--seed is for a language model"),
        (["-o", "clips/0.mp4"], "is not"),
    ],
)
def test_wrong_usage_is_one_line(olmv: Any, here: Path, arguments: list[str], message: str) -> None:
    code, out, err = olmv("describe-labels", "dog, guitar", "--prune", *arguments)
    assert (code, out) == (2, "")
    assert message in err
    assert err.count("\n") == 1
    assert [path.name for path in here.iterdir()] == ["clips"]
