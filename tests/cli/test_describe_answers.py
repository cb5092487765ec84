"""What `olmv describe-labels` makes of bad answers and of servers that fail."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.cli.books import book, describe, names
from tests.support.llm_stub import StubServer, answer, attributes, good, label_of

pytestmark = pytest.mark.usefixtures("word_tower")


@pytest.mark.parametrize("status", [429, 500, 503])
def test_bursts_of_errors_are_waited_out(olmv: Any, here: Path, status: int) -> None:
    def burst(body: dict[str, Any], number: int) -> tuple[int, Any]:
        return (status, {"error": {"message": "busy"}}) if number % 3 else good(body, number)

    with StubServer(burst) as server:
        code, _, err = describe(olmv, server, names(6), "--concurrency", "1")
    assert code == 0, err
    assert len(book()) == 6


def test_one_label_that_always_fails_costs_only_itself(olmv: Any, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("olmv.llm.backends.openai.RETRIES", 0)

    def fails(body: dict[str, Any], number: int) -> tuple[int, Any]:
        return (
            (500, {"error": {"message": "kernel panic"}}) if "thing bd" in label_of(body["messages"]) else good(body, 0)
        )

    with StubServer(fails) as server:
        code, _, err = describe(olmv, server, names(6), "--retries", "1")
    assert code == 1
    assert "5 labels described" in err
    assert "1 failed" in err
    assert "failed: thing bd: the server answered 500" in err
    assert "thing bd" not in book()
    with StubServer() as server:  # the same command asks for what is missing
        code, _, err = describe(olmv, server, names(6))
        assert server.labels == ["thing bd"]
    assert code == 0
    assert list(book()) == names(6).split(", ")


BAD = {
    "not JSON": (200, answer("Sure! A dog has four legs.")),
    "broken JSON": (200, answer('{"attributes": ["a dog wi')),
    "cut off": (200, answer('{"attributes": ["a dog wi', finish="length")),
    "a refusal": (200, answer("", refusal="I cannot help with that.")),
    "a filter": (200, answer("", finish="content_filter")),
    "an empty list": (200, answer({"attributes": []})),
    "an empty answer": (200, answer("")),
    "another object": (200, answer({"labels": ["a dog on a green lawn"]})),
    "numbers": (200, answer({"attributes": [1, 2, None]})),
    "bad attributes": (200, answer({"attributes": ["dog", "it sounds like a loud dog", "a guitar", "no dog is here"]})),
    "no choices": (200, {"id": "1", "object": "chat.completion", "choices": []}),
    "no JSON at all": (200, "<html>502</html>"),
}


TOLD = {
    "not JSON": "the answer was not JSON: 'Sure! A dog has four legs.'",
    "broken JSON": "the answer was not valid JSON",
    "cut off": "the answer was cut off at 384 tokens; allow longer answers",
    "a refusal": "the answer was a refusal (I cannot help with that.)",
    "a filter": "the answer was a refusal (stopped by the server's content filter)",
    "an empty list": "the list of attributes was empty",
    "an empty answer": "the answer was empty",
    "another object": 'the answer had no list "attributes"',
    "numbers": "the attributes were not texts",
    "bad attributes": '4 refused, such as "dog" has 1 words; 3 to 20 are allowed',
    "no choices": "the server's answer cannot be read",
    "no JSON at all": "the server's answer cannot be read",
}


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_answer_is_asked_for_again(olmv: Any, here: Path, kind: str) -> None:
    with StubServer(lambda body, number: BAD[kind] if number == 0 else good(body, number)) as server:
        code, _, err = describe(olmv, server, "dog,")
    assert code == 0, err
    assert book()["dog"]["attributes"] == attributes("dog", 8)
    assert book()["dog"]["asked"] == 2


@pytest.mark.parametrize("kind", BAD)
def test_only_bad_answers_never_become_an_empty_ensemble(olmv: Any, here: Path, kind: str) -> None:
    def only_dog(body: dict[str, Any], number: int) -> tuple[int, Any]:
        return BAD[kind] if label_of(body["messages"]) == "dog" else good(body, number)

    with StubServer(only_dog) as server:
        code, _, err = describe(olmv, server, "dog, guitar", "--retries", "2")
        assert Counter(server.labels) == {"dog": 3, "guitar": 1}
    assert code == 1
    assert f"failed: dog: {TOLD[kind]}" in err
    assert list(book()) == ["guitar"]


def test_the_model_hears_rules_and_good_attributes_are_kept(olmv: Any, here: Path) -> None:
    first = {"attributes": ["a brown dog on a lawn", "dog", "a guitar on wall"]}

    def respond(body: dict[str, Any], number: int) -> tuple[int, Any]:
        return (200, answer(first)) if number == 0 else good(body, number)

    with StubServer(respond) as server:
        code, _, _ = describe(olmv, server, "dog, playing, guitar on wall", "--concurrency", "1", "-q")
        asked, again = (body["messages"] for body in server.requests[:2])
    assert code == 0
    assert again[:-1] == asked[:-1]
    question = '<label>"dog"</label>\nA dictionary says: '
    assert again[-1]["content"].startswith(asked[-1]["content"])
    assert asked[-1]["content"].startswith(question)
    advice = again[-1]["content"].removeprefix(asked[-1]["content"])
    assert advice == (
        '\n\nMind this time:\n- "Use 4 to 12 words in every attribute."\n- "Leave other labels of the list out."\n'
        '- "Write 8 attributes."\nWrite others than these: "a brown dog on a lawn"\n\nTry 2.'
    )
    assert book()["dog"]["attributes"] == ["a brown dog on a lawn", *attributes("dog", 7)]


def test_forty_attributes_where_eight_were_asked(olmv: Any, here: Path) -> None:
    def many(body: dict[str, Any], _: int) -> tuple[int, Any]:
        return 200, answer({"attributes": attributes(label_of(body["messages"]), 40)})

    with StubServer(many) as server:
        assert describe(olmv, server, "dog,")[0] == 0
    assert book()["dog"]["attributes"] == attributes("dog", 8)


def test_fewer_good_attributes_than_asked_are_kept_and_told(olmv: Any, here: Path) -> None:
    def few(body: dict[str, Any], _: int) -> tuple[int, Any]:
        return 200, answer({"attributes": ["a brown dog on a lawn", "a wet dog up close"]})

    with StubServer(few) as server:
        code, _, err = describe(olmv, server, "dog,")
    assert code == 0
    assert "1 with fewer attributes than asked for" in err
    assert len(book()["dog"]["attributes"]) == 2


def test_a_server_without_json_schema_is_asked_otherwise(olmv: Any, here: Path) -> None:
    """llama.cpp, old servers and some hosted models refuse fields that others need."""

    def picky(body: dict[str, Any], _: int) -> tuple[int, Any]:
        for field in ("max_completion_tokens", "seed"):
            if field in body:
                return 400, {"error": {"message": f"Unsupported parameter: '{field}'", "param": field}}
        if body.get("response_format", {}).get("type") == "json_schema":
            return 400, {"error": {"message": "response_format json_schema is not supported"}}
        text = json.dumps({"attributes": attributes(label_of(body["messages"]), 8)})
        return 200, answer(f"<think>maybe {{}}?</think>Here you are:\n```json\n{text}\n```")

    with StubServer(picky) as server:
        code, _, err = describe(olmv, server, names(5), "--concurrency", "3")
    assert code == 0, err
    assert len(book()) == 5
    assert server.requests[-1]["max_tokens"] == 384


def test_server_down(olmv: Any, here: Path) -> None:
    with StubServer() as server:
        pass
    code, _, err = describe(olmv, server, "dog,")
    assert code == 2
    assert f"no server answers at {server.url}" in err
    assert err.count("\n") == 1
    assert [path.name for path in here.iterdir()] == ["clips"]


def test_the_wrong_model_and_the_wrong_key(olmv: Any, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    missing = (404, {"error": {"message": "The model does not exist"}})
    with StubServer(lambda *_: missing, models=("llama",)) as server:
        code, _, err = describe(olmv, server, "dog,")
    assert code == 2
    assert "has no model 'stub'; it serves llama" in err
    with StubServer(lambda *_: (401, {"error": {"message": "bad key"}})) as server:
        monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
        code, _, err = describe(olmv, server, "dog,")
        assert server.keys == ["Bearer sk-secret"]
    assert code == 2
    assert "refuses the key; set OPENAI_API_KEY" in err
    assert "sk-secret" not in err
