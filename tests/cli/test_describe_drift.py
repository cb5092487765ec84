"""A book that makes a list worse does not do so unnoticed."""

import json
from pathlib import Path
from typing import Any

import pytest

from olmv.classifier import Classifier
from olmv.labels.texts import build_texts
from olmv.labels.vocabulary import Vocabulary
from olmv.scoring.drift import bank_note
from tests.cli.books import describe
from tests.support.llm_stub import StubServer, answer, attributes, label_of

MOVING = ["a guitar", "one guitar", "two guitars", "a big guitar", "an old guitar", "a guitar on stage"]
NOTE = (
    "the attributes of 1 of 2 labels (50%) are nearer to another label's name than to their own, such as those of "
    "'dog' to 'guitar': such a book can make a list worse; evaluate with and without "
    "it, or prune it"
)


def write(texts: list[str]) -> None:
    Path("moving.json").write_text(json.dumps({"dog": texts}))


@pytest.mark.parametrize("command", ["predict", "evaluate"])
def test_scoring_says_when_attributes_move_labels(olmv: Any, here: Path, command: str) -> None:
    write(MOVING)
    if command == "predict":
        arguments = ["predict", "clips/0.mp4", "-l", "dog, guitar", "-o", "rows.jsonl"]
    else:
        Path("truth.jsonl").write_text('{"video": "clips/0.mp4", "labels": ["dog"]}\n')
        arguments = ["evaluate", "manifest", "-d", "truth.jsonl", "-l", "dog, guitar", "-o", "result"]
    arguments += ["-m", "olmv-mini", "--workers", "0"]
    code, _, err = olmv(*arguments, "--attributes", "moving.json")
    assert code == 0, err
    assert NOTE in err
    write(["a brown dog"])
    for more in (["--attributes", "moving.json"], []):
        code, _, err = olmv(*arguments, *more, "--no-resume")
        assert code == 0, err
        assert "nearer to another label" not in err


def test_a_bank_tells_them() -> None:
    classifier = Classifier.from_pretrained("olmv-mini", device="cpu")
    texts = build_texts(Vocabulary.load("dog, guitar").with_attributes({"dog": MOVING}), "none")
    assert bank_note(texts, classifier.text_bank(texts)) == NOTE
    bare = build_texts(Vocabulary.load("dog, guitar"), "none")
    assert bank_note(bare, classifier.text_bank(bare)) is None


@pytest.mark.usefixtures("word_tower")
def test_the_end_of_a_run_says_so_of_what_is_in_the_book(olmv: Any, here: Path) -> None:
    """What a hand wrote counts as well: the gate has not seen it."""

    def respond(body: dict[str, Any], _: int) -> tuple[int, Any]:
        return 200, answer({"attributes": attributes(label_of(body["messages"]), 8)})

    Path("book.json").write_text(json.dumps({"dog": MOVING}))
    with StubServer(respond) as server:
        code, _, err = describe(olmv, server, "dog, guitar")
        assert server.labels == ["guitar"]
        assert code == 0
        assert f"warning: {NOTE}" in err
        code, _, err = describe(olmv, server, "dog, guitar")
    assert "warning: " not in err  # nothing was asked, nothing is new
