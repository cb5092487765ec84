"""`olmv describe-labels` with models that do not do what they are told, and the counts of what the gate refused."""

import json
import re
import resource
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from olmv.cli.views.describe_view import FAILURES_SHOWN
from olmv.labels.quality import normalized
from tests.cli.books import book, describe, names
from tests.support.llm_stub import Respond, StubServer, answer, attributes, good, label_of

MIB = 300
"""What 5,000 labels may take more than two, the stub's memory among it; nearly all are the vectors of `WordTower`."""

pytestmark = pytest.mark.usefixtures("word_tower")

SAME = ["a person standing in a room with a table", "two people beside a red car"]
SPANISH = ("un {} marrón corriendo por el césped", "una foto de {} sobre la mesa")
OTHERS: dict[str, tuple[Callable[[str], list[str]], str]] = {
    "Spanish": (lambda name: [text.format(name) for text in SPANISH], "language"),
    "Chinese": (lambda _: ["棕色的狗在草地上奔跑", "一个人在房间里弹吉他"], "language"),
    "the label 50 times": (lambda name: [" ".join([name] * 50), ", ".join([name] * 8)], "length"),
    "the label and nothing": (lambda name: [f"a nice view of a {name}", f"the {name} is a {name}"], "label echo"),
    "HTML": (lambda name: [f"<p>a brown {name} on a lawn</p>", f"a&nbsp;wet {name} in a river"], "form"),
    "its own rules": (lambda _: ["only what a camera records", "say what a viewer sees in a video"], "prompt echo"),
    "its example": (lambda _: ["a tall white tower with red stripes on a rocky coast"], "prompt echo"),
    "a loop": (lambda name: [f"a {name} on grass on a {name} on grass", f"a {name} in big big boots"], "loop"),
    "a lecture": (lambda name: [f"a {name} is known for its meaning", f"I'm sorry, {name} is a concept"], "not visual"),
}  # fmt: skip


def prompts_of(server: StubServer) -> Iterator[tuple[str, int, str]]:
    """Label, try and everything that was said, of every request."""
    tries: Counter[str] = Counter()
    for body in server.requests:
        label = label_of(body["messages"])
        tries[label] += 1
        yield label, tries[label], "\n".join(turn["content"] for turn in body["messages"])


def gate_counts() -> dict[str, Any]:
    counts: dict[str, Any] = json.loads(Path("book.json").read_text("utf-8")).get("gate", {})
    return counts


@pytest.mark.parametrize("kind", OTHERS)
def test_what_is_no_description_is_refused_and_never_read_back(olmv: Any, here: Path, kind: str) -> None:
    texts_of, reason = OTHERS[kind]

    def respond(body: dict[str, Any], number: int) -> tuple[int, Any]:
        label = label_of(body["messages"])
        return (200, answer({"attributes": texts_of(label)})) if label != "rain" else good(body, number)

    with StubServer(respond) as server:
        code, _, err = describe(olmv, server, "dog, guitar, rain", "--retries", "2")
        asked = list(prompts_of(server))
    assert code == 1
    assert list(book()) == ["rain"]
    assert Counter(label for label, _, _ in asked) == {"dog": 3, "guitar": 3, "rain": 1}
    assert f": {reason} " in err
    first = {label: said for label, number, said in asked if number == 1}
    for label, number, said in asked:
        if number > 1:
            assert said.startswith(first[label])  # so nothing of the answers stands before the question
            advice = normalized(said.removeprefix(first[label]))
            assert not [text for text in texts_of(label) if normalized(text) in advice]
            assert "refused" not in advice
    for line in err.splitlines():
        assert len(line) < 250
    assert gate_counts()["refused"][reason] > 0


def test_a_model_that_always_says_the_same(olmv: Any, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the real encoder: what fits no label is nobody's, and what fits one is no other's."""
    monkeypatch.undo()
    monkeypatch.chdir(here)
    labels = "guitar, rain, elephant, piano, bread, castle, drum, kite"
    same = [*SAME, "a grey animal with a long trunk and large ears"]
    with StubServer(lambda *_: (200, answer({"attributes": same}))) as server:
        code, _, err = describe(olmv, server, labels, "--retries", "1")
    assert code == 1
    assert {name: entry["attributes"] for name, entry in book().items()} == {"elephant": same[2:]}
    assert "7 failed" in err
    assert set(gate_counts()["refused"]) >= {"off topic"}


def test_of_half_good_answers_nothing_refused_is_read_back(olmv: Any, here: Path) -> None:
    """Good attributes are shown, so that others are written; bad ones are not."""
    bad = ["a {} beside a cup, not on it", "a loud {} on a stage", "a {} that means a lot", "a {} <b>on</b> a chair"]

    def respond(body: dict[str, Any], number: int) -> tuple[int, Any]:
        label = label_of(body["messages"])
        return 200, answer({"attributes": [text.format(label) for text in bad] + attributes(label, 3)})

    with StubServer(respond) as server:
        code, _, err = describe(olmv, server, names(12))
        asked = list(prompts_of(server))
    assert code == 0
    assert "12 with fewer attributes than asked for" in err
    assert len(asked) == 48
    for label, number, said in asked:
        question = said.rpartition(f"<label>{json.dumps(label)}</label>")[2]
        assert not [text for text in bad if text.format(label) in said]
        assert [text in question for text in attributes(label, 3)] == [number > 1] * 3
        assert not [word for word in ("cup", "stage", "means a lot") if word in question]


def test_thinking_and_markdown_are_read_past(olmv: Any, here: Path) -> None:
    def respond(body: dict[str, Any], _: int) -> tuple[int, Any]:
        texts = [f"{number}. **{text}**." for number, text in enumerate(attributes(label_of(body["messages"]), 8))]
        draft = '<think>Maybe {"attributes": ["a draft of a dog on paper"]}? No.</think>\n'
        block = f"```json\n{json.dumps({'attributes': texts})}\n```"
        return 200, answer(f"{draft}# Attributes\n\n{block}\nI hope it helps!")

    with StubServer(respond) as server:
        code, _, err = describe(olmv, server, "dog, guitar")
        assert len(server.requests) == 2
    assert code == 0, err
    assert {name: entry["attributes"] for name, entry in book().items()} == {
        name: attributes(name, 8) for name in ("dog", "guitar")
    }
    assert "16 of 16 attributes passed the gate (16 of 16 in first answers)\n" in err


@pytest.mark.parametrize("text", ["<think>on and on it goes", "- a brown dog\n- a wet dog", "<html><body>busy</body>"])
def test_answers_without_json(olmv: Any, here: Path, text: str) -> None:
    with StubServer(lambda *_: (200, answer(text))) as server:
        code, _, err = describe(olmv, server, "dog, guitar", "--retries", "1")
        asked = list(prompts_of(server))
    assert code == 1
    assert err.count("failed: ") == 2
    assert not Path("book.json").exists()
    assert not [said for _, _, said in asked if "brown dog" in said or "busy" in said or "on it goes" in said]


def some_bad(bad: list[str]) -> Respond:
    """A server that for every second label writes bad attributes with its good ones."""

    def respond(body: dict[str, Any], number: int) -> tuple[int, Any]:
        label = label_of(body["messages"])
        odd = label.endswith(("c", "f"))
        return 200, answer({"attributes": (bad if odd else []) + attributes(label, 2)})

    return respond


def test_what_the_gate_did_is_told_and_stands_in_the_book(olmv: Any, here: Path) -> None:
    bad = ["a loud thing", "the smell of thing", "thing thing thing"]
    with StubServer(some_bad(bad)) as server:
        arguments = ("--attributes-per-label", "2")
        code, _, err = describe(olmv, server, names(4), *arguments)  # bb, bc, bd, bf
        assert code == 0
        assert "8 of 14 attributes passed the gate (8 of 14 in first answers): not visual 29%, " in err
        first = gate_counts()
        assert first == {
            "candidates": 14, "accepted": 8, "first_candidates": 14, "first_accepted": 8,
            "refused": {"not visual": 4, "label echo": 2},
        }  # fmt: skip
        assert [entry.get("refused") for entry in book().values()] == [
            None, {"not visual": 2, "label echo": 1}, None, {"not visual": 2, "label echo": 1},
        ]  # fmt: skip
        # a run that goes on adds to it
        code, _, err = describe(olmv, server, names(6), *arguments)
        assert code == 0
        assert "4 of 4 attributes passed the gate" in err
        assert gate_counts() == first | {
            "candidates": 18, "accepted": 12, "first_candidates": 18, "first_accepted": 12
        }  # fmt: skip
        # one that starts over begins anew
        code, _, _ = describe(olmv, server, names(4), *arguments, "--no-resume")
        assert code == 0
        assert gate_counts() == first


def test_counts_of_a_run_that_was_cut_short_are_not_lost(
    olmv: Any, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("olmv.llm.backends.openai.RETRIES", 0)
    respond = some_bad(["a loud thing"])
    with StubServer(lambda body, n: respond(body, n) if n < 3 else (0, None)) as server:
        describe(olmv, server, names(6), "--attributes-per-label", "2", "--concurrency", "1")
    with StubServer(respond) as server:
        code, _, _ = describe(olmv, server, names(6), "--attributes-per-label", "2")
    assert code == 0
    assert (gate_counts()["candidates"], gate_counts()["accepted"]) == (14, 12)


@pytest.mark.parametrize("nonsense", ["many", 7, None, [], {"candidates": "x", "refused": 3}, {"refused": {"?": 1}}])
def test_counts_that_a_person_changed_to_nonsense_are_read(olmv: Any, here: Path, nonsense: Any) -> None:
    labels = {"guitar": {"attributes": ["six strings of a guitar"]}}
    Path("book.json").write_text(json.dumps({"format": "olmv-attributes/1", "gate": nonsense, "labels": labels}))
    with StubServer() as server:
        code, _, _ = describe(olmv, server, "dog, guitar")
    assert code == 0
    assert gate_counts() == {
        "candidates": 8, "accepted": 8, "first_candidates": 8, "first_accepted": 8, "refused": {},
    }  # fmt: skip


def test_several_labels_in_one_prompt(olmv: Any, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("olmv.llm.backends.openai.RETRIES", 0)
    more = ("--labels-per-prompt", "4", "--concurrency", "1")
    with StubServer(lambda body, n: good(body, n) if n < 2 else (0, None)) as server:
        code, _, err = describe(olmv, server, names(10), *more)
    assert code == 1
    assert "8 labels described, 64 attributes" in err
    assert "stopped: " in err
    with StubServer() as server:  # the last two are a question of their own
        code, _, err = describe(olmv, server, names(10), *more)
        [body] = server.requests
    assert code == 0, err
    assert re.findall(r'<label>"(.*?)"</label>', body["messages"][-1]["content"]) == names(10).split(", ")[8:]
    assert body["max_completion_tokens"] == 4 * (40 * 8 + 64)
    assert list(book()) == names(10).split(", ")
    assert all(entry["attributes"] == attributes(name, 8) for name, entry in book().items())


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_five_thousand_labels_of_which_many_fail(olmv: Any, here: Path) -> None:
    """Measured: 90 to 160 s for the first run on two busy cores, 7,000 questions; 202 to 207 MiB."""
    letters = "bcdfghjklmnpqrtvwxz"
    labels = [f"thing {letters[i % 19]}{letters[i // 19 % 19]}{letters[i // 361]}" for i in range(5000)]
    Path("labels.txt").write_text("\n".join(labels))
    fail = {label for number, label in enumerate(labels) if number % 5 in (1, 3)}
    asked: list[str] = []

    def respond(body: dict[str, Any], _: int) -> tuple[int, Any]:
        label = label_of(body["messages"])
        asked.append(label)
        body.clear()  # the stub remembers it, and memory is measured
        if label in fail:
            return 200, answer("no" if label < "thing m" else {"attributes": [f"the loud noise of {label}"] * 8})
        return 200, answer({"attributes": attributes(label, 2)})

    def run(names: str = "labels.txt") -> tuple[int, str]:
        asked.clear()
        with StubServer(respond) as server:
            arguments = ("--attributes-per-label", "2", "--retries", "1", "--concurrency", "64")
            code, _, err = describe(olmv, server, names, *arguments)
        return code, err

    assert run("dog, guitar")[0] == 0
    Path("book.json").unlink()
    before, begun = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.monotonic()
    code, err = run()
    assert code == 1
    assert Counter(asked) == {label: 2 if label in fail else 1 for label in labels}
    assert "3000 labels described, 6000 attributes, 2000 failed" in err
    assert err.count("failed: ") == FAILURES_SHOWN
    assert f"and {2000 - FAILURES_SHOWN} more" in err
    assert not [line for line in err.splitlines() if len(line) >= 250]
    assert time.monotonic() - begun < 400
    growth = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    assert growth < MIB
    assert set(book()) == set(labels) - fail
    code, err = run()
    assert code == 1
    assert Counter(asked) == dict.fromkeys(fail, 2)
    assert "3000 from before, 2000 failed" in err
