"""What a language model is asked: senses, the list, neighbours, several labels; and that all of it is data."""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from olmv.describe.checks import NEIGHBOURS, ListChecks
from olmv.describe.questions import MAX_CONTEXT, Questions, answer_tokens, list_context
from olmv.errors import UsageError
from olmv.labels.label import Label
from olmv.labels.vocabulary import Vocabulary
from olmv.llm.prompts import load_prompt
from olmv.llm.types import Message
from olmv.progress import JobListener
from tests.support.towers import WordTower

LABELS = Vocabulary.from_names(["bat", "crane", "baseball glove", "helmet"])
SHIPPED = ("general", "actions", "objects", "contrast", "short", "domain")


def text_of(turns: Sequence[Message]) -> str:
    return "".join(f"[{turn.role}]{turn.content}" for turn in turns)


def checks(labels: Vocabulary = LABELS) -> ListChecks:
    return ListChecks(labels, model=None, templates=None, device="cpu", listener=JobListener())


def questions(name: str, labels: Vocabulary = LABELS, *, labels_per_prompt: int = 1, count: int = 4) -> Questions:
    domain = "sports" if name == "domain" else None
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("olmv.describe.towers.SentenceEncoder", WordTower)
        return checks(labels).questions(
            load_prompt(name), count=count, domain=domain, labels_per_prompt=labels_per_prompt
        )


@pytest.mark.parametrize("name", ["general", "actions", "objects", "domain"])
def test_the_list_and_the_dictionary_say_in_which_sense(name: str) -> None:
    turns = questions(name).conversation([LABELS[0]])
    assert 'in which sense a label is meant: "bat", "crane", "baseball glove", "helmet"' in turns[0].content
    assert re.search(r'A dictionary says: ".*(?:ball|club)', turns[-1].content), turns[-1].content
    assert "dictionary" not in "".join(turn.content for turn in turns[:-1])


@pytest.mark.parametrize("name", SHIPPED)
def test_nothing_of_a_label_leaks_into_the_examples(name: str) -> None:
    asked = questions(name)
    first, second = asked.conversation([LABELS[0]]), asked.conversation([LABELS[1]])
    assert first[:-1] == second[:-1]
    again = asked.conversation([LABELS[0]], accepted={"bat": ["a wooden bat"]}, advice=["Write English."])
    assert again[:-1] == first[:-1]
    assert "a wooden bat" in again[-1].content


@pytest.mark.parametrize("name", SHIPPED)
@pytest.mark.parametrize("together", [1, 2])
def test_what_all_questions_share_stands_first(name: str, together: int) -> None:
    """A server that keeps the beginning of a prompt reads it once."""
    asked = questions(name, labels_per_prompt=together)
    labels = list(LABELS)
    first, second = (text_of(asked.conversation(labels[start : start + together])) for start in (0, 1))
    shared = next(place for place, (a, b) in enumerate(zip(first, second, strict=False)) if a != b)
    assert first[:shared].endswith('<label>"')
    assert shared > 0.75 * len(first)


def test_the_context_is_spread_over_the_list_and_the_same_for_all() -> None:
    assert list_context(Vocabulary.from_names(["bat", "ball"])) == ()
    assert list_context(LABELS) == LABELS.names
    many = Vocabulary.from_names([f"thing {number}" for number in range(1000)])
    context = list_context(many)
    assert len(context) == len(set(context)) == MAX_CONTEXT
    assert (context[0], context[12]) == ("thing 0", "thing 500")


def test_contrast_names_the_nearest_labels() -> None:
    labels = Vocabulary.from_names(["red car", "red bus", "red van", "blue car", "red bike", "dog"])
    asked = questions("contrast", labels)
    turns = asked.conversation([labels[0]])
    others = re.search(r"<others>(.*)</others>", turns[-1].content)
    assert others is not None
    names = json.loads(f"[{others[1]}]")
    assert len(names) == NEIGHBOURS
    assert "dog" not in names
    assert "red car" not in names
    assert turns[1].content.count("<others>") == 1  # the examples have neighbours of their own
    assert "red bus" not in text_of(turns[:-1])


def test_contrast_needs_two_labels() -> None:
    with pytest.raises(UsageError, match="prompt 'contrast' tells labels apart: give at least two") as failure:
        questions("contrast", Vocabulary.from_names(["dog"]))
    assert failure.value.options == ("prompt",)


@pytest.mark.parametrize("name", SHIPPED)
def test_several_labels_in_one_question(name: str) -> None:
    asked = questions(name, labels_per_prompt=3)
    labels = [LABELS[0], Label("crane", aliases=("tower crane",)), LABELS[3]]
    turns = asked.conversation(labels, accepted={"crane": ["a yellow crane"]}, advice=["Answer for every label."])
    assert '{"answers": [{"label": "...", "attributes": ["...", "..."]}, ...]}' in turns[0].content
    if asked.prompt.document.examples:
        assert [turn.role for turn in turns] == ["system", "user", "assistant", "user"]
        examples = json.loads(turns[2].content)["answers"]
        assert [example["label"] for example in examples] == re.findall(r'<label>"(.*?)"</label>', turns[1].content)
    assert re.findall(r"<label>(.*?)</label>", turns[-1].content) == ['"bat"', '"crane"', '"helmet"']
    assert "a yellow crane" not in text_of(turns[:-1])
    if name != "short":
        assert 'Write others than these: "a yellow crane"' in turns[-1].content
        assert "Write 4 attributes of every label." in turns[-1].content
        assert turns[-1].content.endswith('- "Answer for every label."')


def test_the_schema_of_several_answers() -> None:
    schema = questions("general", labels_per_prompt=3).schema
    answers = schema["properties"]["answers"]
    assert (schema["required"], answers["minItems"], answers["maxItems"]) == (["answers"], 1, 3)
    one = answers["items"]
    assert one["required"] == ["label", "attributes"]
    assert (one["properties"]["attributes"]["minItems"], one["properties"]["attributes"]["maxItems"]) == (1, 4)
    assert one["properties"]["label"]["type"] == "string"
    assert answer_tokens(4, 3) == 3 * answer_tokens(4)


def test_a_prompt_without_a_text_for_several_is_refused(tmp_path: Path) -> None:
    document: dict[str, Any] = {
        "format": "olmv-prompt/1", "name": "mine", "version": 1, "system": "", "user": "{{ label }}",
        "schema": {"type": "object", "properties": {"attributes": {"type": "array"}}},
    }  # fmt: skip
    (tmp_path / "p.yaml").write_text(json.dumps(document))
    prompt = load_prompt(tmp_path / "p.yaml")
    assert Questions(prompt, count=1).conversation([Label("dog")])[-1].content == '"dog"'
    for number, message in ((2, "prompt 'mine' has no text for several labels; ask for one"), (0, "at least 1 label")):
        with pytest.raises(UsageError, match=message) as failure:
            Questions(prompt, count=1, labels_per_prompt=number)
        assert failure.value.options == ("labels_per_prompt",)
    (tmp_path / "q.yaml").write_text(json.dumps(document | {"several": "{{ labels }}"}))
    assert load_prompt(tmp_path / "q.yaml").sha256 != prompt.sha256


NASTY = ["</label>", '"', "{{ 7 * 7 }}", "{% for x in y %}", "\\", "<others>", "<|im_end|>", "\u2028"]
texts = st.lists(st.text(max_size=12) | st.sampled_from(NASTY), min_size=1, max_size=4).map("".join)


@given(texts, texts, texts, texts, st.sampled_from(SHIPPED), st.integers(1, 2))
def test_labels_meanings_and_neighbours_are_data(
    label: str, meaning: str, neighbour: str, earlier: str, name: str, together: int
) -> None:
    """No `</label>`, no quote and no brace of jinja2 gets out of its JSON string."""
    plain = Questions(
        load_prompt(name), count=2, domain="films" if name == "domain" else None, context=("a", "b", neighbour),
        meanings={"dog": meaning}, neighbours={"dog": [neighbour, "cat"]}, labels_per_prompt=together,
    )  # fmt: skip
    dog = Label("dog", aliases=("hound",))
    object.__setattr__(dog, "aliases", (label,))  # what a label may be called is checked elsewhere
    turns = plain.conversation([dog] * together, accepted={"dog": [earlier]})
    last = turns[-1].content
    neighbours = name == "contrast"
    assert last.count("<") == last.count(">") == (4 if neighbours else 2) * together
    assert last.count("<label>") == together
    assert not {"49", "{% for"} & {last} or "49" in label + meaning + neighbour + earlier
    quoted = re.findall(r'"(?:[^"\\]|\\.)*"', last)
    said = [json.loads(text) for text in quoted]
    assert meaning in said or not meaning
    if neighbours:
        assert neighbour in said
    if name not in ("short", "contrast"):
        assert json.dumps(neighbour, ensure_ascii=False).replace("<", "\\u003c").replace(">", "\\u003e") in (
            turns[0].content
        )
