"""Asking for labels, without a server."""

import json
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from olmv.describe.ask import Answer, ask
from olmv.describe.book import describe_labels, waiting_labels
from olmv.describe.gate.echoes import Echoes
from olmv.describe.gate.gate import Gate
from olmv.describe.gate.wording import Wording
from olmv.describe.preview import preview
from olmv.describe.questions import Questions
from olmv.errors import LLMUnavailableError, UsageError, VocabularyError
from olmv.labels.label import Label
from olmv.labels.vocabulary import Vocabulary
from olmv.llm.ask import ERRORS_IN_A_ROW
from olmv.llm.prompts import load_prompt
from olmv.llm.types import Completion, Generation
from tests.support.llm_stub import StubChat, attributes, completion, label_of

QUESTIONS = Questions(load_prompt("general"), count=4)


def gate_for(vocabulary: Vocabulary) -> Gate:
    return Gate(Wording(vocabulary, templates=("a video of {}.",)))


def answers(chat: StubChat, vocabulary: Vocabulary, retries: int = 2) -> dict[str, Answer]:
    found = list(
        ask(vocabulary, chat, questions=QUESTIONS, gate=gate_for(vocabulary), generation=Generation(), retries=retries)
    )
    assert len({answer.label.name for answer in found}) == len(found) == len(vocabulary)
    return {answer.label.name: answer for answer in found}


def well(conversation: list[dict[str, str]], _: int) -> Completion:
    return completion({"attributes": attributes(label_of(conversation), 4)})


NAMES = [f"thing {a}{b}" for a in "bcdfghjklm" for b in "bcdfghjklm"]


def test_every_label_is_answered_once_in_any_order() -> None:
    chat = StubChat(lambda turns, n: completion("") if n % 3 == 0 else well(turns, n), ahead=7)
    found = answers(chat, Vocabulary.from_names(NAMES), retries=9)
    assert all(answer.attributes == tuple(attributes(name, 4)) for name, answer in found.items())
    assert sum(answer.asked for answer in found.values()) == len(chat.conversations)
    assert sum(answer.prompt_tokens for answer in found.values()) == 10 * len(chat.conversations)


def test_what_a_label_has_no_room_for_is_free_for_others() -> None:
    vocabulary = Vocabulary.from_names(["thing bb", "thing bc"])
    texts = ["a red cup by a tree", "two men at the sea", "blue sky over sand", "a cat on straw", "tall grass in wind"]
    gate = replace(gate_for(vocabulary), echoes=Echoes((), {}))  # compares labels with each other
    chat = StubChat(lambda turns, _: completion({"attributes": texts if label_of(turns) == "thing bb" else texts[4:]}))
    run = ask(vocabulary, chat, questions=QUESTIONS, gate=gate, generation=Generation(), retries=0)
    by_name = {answer.label.name: answer.attributes for answer in run}
    assert by_name == {"thing bb": tuple(texts[:4]), "thing bc": (texts[4],)}


def test_labels_are_read_as_they_are_needed() -> None:
    read: list[str] = []

    def labels() -> Any:
        for name in NAMES:
            read.append(name)
            yield Label(name)

    chat = StubChat(well, ahead=5)
    vocabulary = Vocabulary.from_names(NAMES)
    run = ask(labels(), chat, questions=QUESTIONS, gate=gate_for(vocabulary), generation=Generation())
    next(run)
    assert len(read) == 5
    run.close()
    assert len(read) == 5


def test_the_schema_says_how_many() -> None:
    chat = StubChat(well)
    answers(chat, Vocabulary.from_names(["dog"]))
    assert chat.schemas[0] is not None
    array = chat.schemas[0]["properties"]["attributes"]
    assert (array["minItems"], array["maxItems"]) == (1, 4)
    assert "minItems" not in QUESTIONS.prompt.schema["properties"]["attributes"]


def test_examples_and_aliases_are_told() -> None:
    chat = StubChat(well)
    answers(chat, Vocabulary([Label("dog", aliases=("hound", "cur <b>"))]))
    turns = chat.conversations[0]
    assert [turn["role"] for turn in turns] == ["system", "user", "assistant", "user", "assistant", "user"]
    assert turns[-1]["content"].splitlines()[1] == 'Also called: "hound", "cur \\u003cb\\u003e"'
    assert "Also called" not in turns[1]["content"]


def test_a_model_that_only_fails_is_given_up() -> None:
    chat = StubChat(lambda *_: completion("", finish_reason="error", error="out of memory"))
    with pytest.raises(LLMUnavailableError, match=r"20 answers in a row failed, the last with: out of memory"):
        answers(chat, Vocabulary.from_names(NAMES))
    assert len(chat.conversations) == ERRORS_IN_A_ROW


def test_a_few_failures_cost_only_their_labels() -> None:
    def odd(turns: list[dict[str, str]], number: int) -> Completion:
        if label_of(turns) == "thing bd":
            return completion("", finish_reason="error", error="prompt too long")
        return well(turns, number)

    found = answers(StubChat(odd), Vocabulary.from_names(NAMES), retries=1)
    assert (found["thing bd"].error, found["thing bd"].asked) == ("prompt too long", 2)
    assert Counter(bool(answer.error) for answer in found.values()) == {False: 99, True: 1}


@pytest.mark.parametrize(
    ("prompt", "domain", "message"),
    [
        ("domain", None, "prompt 'domain' needs a domain"),
        ("objects", "films", "prompt 'objects' has no place for a domain"),
        ("domain", "a\nb", r"has the control character U\+000A"),
        ("domain", "", "domain is empty"),
    ],
)
def test_domain_and_prompt_must_fit(prompt: str, domain: str | None, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Questions(load_prompt(prompt), count=1, domain=domain)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"user": "Write."}, r"is not one for labels: its text needs \{\{ label \}\}"),
        ({"schema": {"type": "object"}}, "its schema an array `attributes`"),
        ({"user": "{{ label }} {{ mood }}"}, "mentions mood; labels have label, aliases, count, domain, context"),
    ],
)
def test_a_prompt_for_something_else_is_refused(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    array = {"type": "object", "properties": {"attributes": {"type": "array"}}}
    document = {
        "format": "olmv-prompt/1",
        "name": "x",
        "version": 1,
        "system": "",
        "user": "{{ label }}",
        "schema": array,
    }
    (tmp_path / "p.yaml").write_text(json.dumps(document | change))
    with pytest.raises(UsageError, match=message):
        Questions(load_prompt(tmp_path / "p.yaml"), count=1)


def test_numbers_that_make_no_sense(tmp_path: Path) -> None:
    vocabulary = Vocabulary.from_names(["dog"])
    for questions, retries in ((Questions(load_prompt("general"), count=0), 1), (QUESTIONS, -1)):
        with pytest.raises(UsageError, match="at least 1 attribute per label and 0 retries"):
            describe_labels(
                vocabulary, tmp_path / "b.json", chat=StubChat(well), questions=questions,
                gate=gate_for(vocabulary), retries=retries,
            )  # fmt: skip


def test_a_file_that_is_no_book_is_left_alone(tmp_path: Path) -> None:
    vocabulary = Vocabulary.from_names(["dog"])
    (tmp_path / "b.json").write_text('{"dog": 1}')
    with pytest.raises(VocabularyError, match="is not an attribute book that this version reads"):
        describe_labels(
            vocabulary, tmp_path / "b.json", chat=StubChat(well), questions=QUESTIONS, gate=gate_for(vocabulary)
        )
    assert [path.name for path in tmp_path.iterdir()] == ["b.json"]


def test_looking_does_not_touch_a_row_that_is_being_written(tmp_path: Path) -> None:
    row = '{"label": "dog", "entry": {"attributes": ["a b c"]}}\n{"label": "ca'
    (tmp_path / "b.json.partial.jsonl").write_text(row)
    vocabulary = Vocabulary.from_names(["dog", "cat"])
    assert [label.name for label in waiting_labels(vocabulary, tmp_path / "b.json")] == ["cat"]
    assert (tmp_path / "b.json.partial.jsonl").read_text() == row


def test_a_preview_counts_some_of_many() -> None:
    names = Vocabulary.from_names([f"thing {number}" for number in range(1000)])
    found = preview(list(names), StubChat(well), questions=QUESTIONS, generation=Generation(max_tokens=10))
    assert found is not None
    assert len(found.counted) == 200
    assert found.prompt_tokens == 1000 * found.counted[0][1]
    assert found.answer_tokens == 10_000
    assert not found.exact
    together = replace(QUESTIONS, labels_per_prompt=8)
    many = preview(list(names), StubChat(well), questions=together, generation=Generation(max_tokens=10))
    assert many is not None
    assert len(many.counted) == 125
    assert many.counted[1][0] == tuple(f"thing {number}" for number in range(8, 16))
    assert many.conversation[-1].content.count("<label>") == 8
    assert many.prompt_tokens == 125 * many.counted[0][1]
    assert many.answer_tokens == 1250
    few = preview(list(names)[:3], StubChat(well), questions=QUESTIONS, generation=Generation())
    assert few is not None
    assert few.exact
    assert preview([], None, questions=QUESTIONS, generation=Generation()) is None


MEMORY = """
import resource, sys
from pathlib import Path
from olmv.describe.book import describe_labels
from olmv.labels.vocabulary import Vocabulary
from olmv.io.journal import JsonlJournal
from tests.describe.test_book import QUESTIONS, gate_for, well
from tests.support.llm_stub import StubChat

def letters(number):
    return "".join("bcdfghjklmnpqrtvwxz"[number // 19**k % 19] for k in range(5))

class Forgetful(StubChat):
    def _answers(self, waiting):
        for found in super()._answers(waiting):
            yield found
        self.conversations.clear()

JsonlJournal.__init__.__kwdefaults__["durable"] = False  # the disk's speed is not the point
vocabulary = Vocabulary.from_names([f"thing {letters(i)}" for i in range(int(sys.argv[1]))])
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
summary = describe_labels(vocabulary, sys.argv[2], chat=Forgetful(well), questions=QUESTIONS, gate=gate_for(vocabulary))
assert summary.described == len(vocabulary), summary
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.mark.slow
def test_twenty_thousand_labels_in_flat_memory(tmp_path: Path) -> None:
    """Rows go to the disk and from there into the book; what stays is where each row begins. Measured: 10 MiB."""
    command = [sys.executable, "-c", MEMORY, "20000", str(tmp_path / "b.json")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert int(done.stdout) / 1024 < 40
    assert len(json.loads((tmp_path / "b.json").read_text())["labels"]) == 20_000
