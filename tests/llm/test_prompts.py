"""Prompts as files: what ships, what is refused, and that data stays data."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from olmv.describe.ask import parse_answer
from olmv.describe.gate.gate import Gate
from olmv.describe.gate.wording import Wording
from olmv.describe.questions import Questions
from olmv.errors import UsageError
from olmv.labels.label import Label
from olmv.labels.vocabulary import Vocabulary
from olmv.llm.prompts import Prompt, load_prompt, shipped_prompts

GOOD = {
    "format": "olmv-prompt/1",
    "name": "mine",
    "version": 2,
    "system": "Be brief.",
    "user": "{{ label }}",
    "schema": {},
}


def write(folder: Path, **change: Any) -> Path:
    path = folder / "mine.yaml"
    path.write_text(json.dumps(GOOD | change), encoding="utf-8")  # JSON is YAML
    return path


FOR_LABELS = ("general", "actions", "objects", "contrast", "short", "domain")


def test_the_prompts_that_ship() -> None:
    assert set(shipped_prompts()) == {*FOR_LABELS, "summary", "entities"}


@pytest.mark.parametrize("name", FOR_LABELS)
def test_shipped_prompts_keep_their_own_rules(name: str) -> None:
    prompt = load_prompt(name)
    questions = Questions(prompt, count=8, domain="films" if name == "domain" else None)
    turns = questions.conversation([Label("dog")])
    assert turns[0].role == "system"
    assert turns[-1].content.splitlines()[0] == '<label>"dog"</label>'
    assert questions.schema["properties"]["attributes"]["maxItems"] == 8
    for example in prompt.document.examples:
        texts = parse_answer(json.dumps(example.answer))
        assert isinstance(texts, list)
        label = Label(str(example.input["label"]))
        verdict = Gate(Wording(Vocabulary([label]), templates=("{}",))).accept(label, texts)
        assert verdict.refused == []
        assert len(verdict.accepted) == example.input["count"]


@pytest.mark.parametrize("name", [name for name in FOR_LABELS if name != "short"])
def test_a_second_question_is_the_first_with_advice_at_its_end(name: str) -> None:
    questions = Questions(load_prompt(name), count=8, domain="films" if name == "domain" else None)
    first = questions.conversation([Label("dog")])
    assert first[-1].content == '<label>"dog"</label>\nWrite 8 attributes.'
    again = questions.conversation([Label("dog")], accepted={"dog": ["a wet dog"]}, advice=["Write short phrases."])
    assert again[:-1] == first[:-1]
    assert again[-1].content.startswith(first[-1].content)
    assert '- "Write short phrases."' in again[-1].content
    assert 'Write others than these: "a wet dog"' in again[-1].content


def test_a_small_model_is_told_little_and_shown_much() -> None:
    """What it is told to avoid it writes; of the second question it needs what it has said."""
    prompt = load_prompt("short")
    assert len(prompt.document.examples) > len(load_prompt("general").document.examples)
    assert len(prompt.document.system) < len(load_prompt("general").document.system) / 3
    questions = Questions(prompt, count=4)
    again = questions.conversation([Label("dog")], accepted={"dog": ["a wet dog"]}, advice=["Write short phrases."])
    assert again[-1].content == '<label>"dog"</label>\n\nOther phrases than "a wet dog"'


def test_actions_and_objects_are_asked_for_different_things() -> None:
    actions, objects = load_prompt("actions").document.system, load_prompt("objects").document.system
    for word in ("actors", "objects", "place", "motion"):
        assert f"the {word}" in actions
    for word in ("parts", "colours", "shape", "material", "surroundings"):
        assert f"its {word}" in objects


def test_own_prompt_by_path(tmp_path: Path) -> None:
    prompt = load_prompt(write(tmp_path))
    assert prompt.title == "mine/2"
    assert [turn.content for turn in prompt.conversation({"label": "a"})] == ["Be brief.", '"a"']


def test_the_hash_is_of_what_is_said(tmp_path: Path) -> None:
    first = load_prompt(write(tmp_path, about="one")).sha256
    assert load_prompt(write(tmp_path, about="two")).sha256 == first
    assert load_prompt(write(tmp_path, system="Be long.")).sha256 != first


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": "olmv-prompt/9"}, r"format 'olmv-prompt/9', needed 'olmv-prompt/1'"),
        ({"user": None}, r"user: Input should be a valid string; see prompts/README.md"),
        ({"sistem": "x"}, "sistem: Extra inputs are not permitted"),
        ({"examples": [{"input": {}}]}, r"examples.0.answer: Field required"),
        ({"user": "{{ label "}, "is not a valid jinja2 text"),
    ],
)
def test_malformed_prompts_say_where(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        load_prompt(write(tmp_path, **change))


@pytest.mark.parametrize(
    ("text", "message"), [("a: [", "is not valid YAML"), ("- 1", "is not a prompt"), ("", "is not a prompt")]
)
def test_other_files_are_no_prompts(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "p.yaml").write_text(text)
    with pytest.raises(UsageError, match=message):
        load_prompt(tmp_path / "p.yaml")


def test_missing_prompts(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no prompt is called 'poems'; there are actions,"):
        load_prompt("poems")
    with pytest.raises(UsageError, match="no such file"):
        load_prompt(tmp_path / "none.yaml")


def test_a_variable_that_is_not_given(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be filled in: 'mood' is undefined"):
        load_prompt(write(tmp_path, user="{{ mood }}")).conversation({"label": "a"})


@pytest.mark.parametrize("code", ["{{ ''.__class__.__mro__ }}", "{{ label.__init__.__globals__ }}"])
def test_prompts_run_in_a_sandbox(tmp_path: Path, code: str) -> None:
    with pytest.raises(UsageError, match="cannot be filled in"):
        load_prompt(write(tmp_path, user=code)).conversation({"label": "a"})


@given(st.text(max_size=60))
def test_no_label_leaves_its_fence(label: str) -> None:
    prompt: Prompt = load_prompt("general")
    question = {"label": label, "aliases": [], "meaning": ""}
    text = prompt.conversation(question, shared={"count": 1, "context": [], "several": False})[-1].content
    assert text.count("<") == text.count(">") == 2
    inner = text.removeprefix("<label>").partition("</label>")[0]
    assert json.loads(inner) == label
    assert "\n" not in inner
