"""Reading what a model answered about one label, or about several."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from olmv.describe.ask import Counts, parse_answer, parse_answers
from olmv.describe.gate.reasons import ADVICE
from olmv.labels.label import Label

LABELS = [Label("Dog", aliases=("hound",)), Label("guitar"), Label("rain")]


@pytest.mark.parametrize(
    ("text", "texts"),
    [
        ('{"attributes": ["a", "b"]}', ["a", "b"]),
        ('Sure:\n```json\n{"attributes": ["a"]}\n```\nBye', ["a"]),
        ('["a", 3, "b"]', ["a", "b"]),
        ('<think>{"attributes": ["no"]}</think>{"attributes": ["a"]}', ["a"]),
        ('{"attributes": ["a"], "more": 1} {"attributes": ["b"]}', ["a"]),
        ("", "the answer was empty"),
        ("<think>for ever", "the answer was empty"),
        ("no", "the answer was not JSON"),
        ('{"attributes": ["a"', "the answer was not valid JSON"),
        ('{"attributes": "a"}', 'the answer had no list "attributes"'),
        ('{"attributes": []}', "the list of attributes was empty"),
        ('{"attributes": [{}]}', "the attributes were not texts"),
        ("[" * 100_000, "the answer was not valid JSON"),
    ],
)
def test_parse_answer(text: str, texts: list[str] | str) -> None:
    assert parse_answer(text) == texts


def test_an_endless_answer_is_not_read_to_its_end() -> None:
    assert len(parse_answer(json.dumps({"attributes": ["dog"] * 10_000}))) == 200
    assert parse_answer('{"attributes": ["' + "x" * 200_000 + '"]}') == "the answer was not valid JSON"


@given(st.text(max_size=300))
def test_any_answer_is_read_or_explained(text: str) -> None:
    texts = parse_answer(text)
    assert texts
    assert isinstance(texts, str) or all(isinstance(item, str) for item in texts)


def item(label: object, *texts: object) -> dict[str, object]:
    return {"label": label, "attributes": list(texts)}


@pytest.mark.parametrize(
    ("answers", "by_label"),
    [
        # by name, in any order, whatever the name's dress
        (
            [item("rain", "r"), item("dog", "d"), item("The Guitar", "g")],
            {"rain": ["r"], "Dog": ["d"], "guitar": ["g"]},
        ),
        ([item("hound", "d")], {"Dog": ["d"]}),
        ([item("guitar", "g")], {"guitar": ["g"]}),
        ([item("cat", "c"), item("dog", "d")], {"Dog": ["d"]}),
        ([item("cat", "c")] * 3, {}),
        # the first counts, and of more answers than labels as many as there are labels
        ([item("dog", "d"), item("dog", "e")], {"Dog": ["d"]}),
        ([item("cat", "c")] * 3 + [item("dog", "d")], {}),
        # without names by place, where there are as many as labels
        ([["d"], ["g"], ["r"]], {"Dog": ["d"], "guitar": ["g"], "rain": ["r"]}),
        ([{"attributes": ["d"]}, item("guitar", "g"), item(7, "r")], {"Dog": ["d"], "guitar": ["g"], "rain": ["r"]}),
        ([["d"], ["g"]], {}),
        ([["d"], ["g"], ["r"], ["s"]], {}),
        # one that cannot be used costs the others nothing
        ([item("dog"), item("guitar", 7), item("rain", "r")], {"rain": ["r"]}),
        (["d", None, item("rain", "r")], {"rain": ["r"]}),
        ([], {}),
    ],
)
def test_several_answers(answers: list[Any], by_label: dict[str, list[str]]) -> None:
    assert parse_answers(json.dumps({"answers": answers}), LABELS) == by_label
    assert parse_answers(f"Here: {json.dumps(answers)}", LABELS) == by_label


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "the answer was empty"),
        ("dogs and cats", "the answer was not JSON"),
        ('{"answers": {', "the answer was not valid JSON"),
        ('{"attributes": ["a"]}', 'the answer had no list "answers"'),
        ('{"answers": {"dog": ["a"]}}', 'the answer had no list "answers"'),
    ],
)
def test_several_answers_that_cannot_be_read(text: str, why: str) -> None:
    assert parse_answers(text, LABELS) == why


@given(
    st.recursive(
        st.none() | st.integers() | st.text(max_size=8) | st.sampled_from(["label", "attributes", "dog"]),
        lambda inner: (
            st.lists(inner, max_size=4)
            | st.dictionaries(st.sampled_from(["answers", "label", "attributes"]), inner, max_size=3)
        ),
        max_leaves=12,
    )
)
def test_any_answer_about_several_is_read_or_explained(tree: Any) -> None:
    by_label = parse_answers(json.dumps(tree), LABELS)
    if isinstance(by_label, str):
        assert by_label
    else:
        assert set(by_label) <= {label.name for label in LABELS}
        assert all(texts and all(isinstance(text, str) for text in texts) for texts in by_label.values())


@pytest.mark.parametrize(
    "row",
    [
        None, 7, "gate", [], {}, {"candidates": "many", "refused": ["loop"]}, {"candidates": -3, "accepted": True},
        {"candidates": 1.5, "refused": {"loop": "x", "form": -1, "unheard of": 4}}, {"refused": None},
    ],
)  # fmt: skip
def test_counts_that_people_changed_to_nonsense_count_as_none(row: object) -> None:
    counts = Counts.of(row)
    assert (counts.candidates, counts.accepted, counts.first_candidates, counts.first_accepted) == (0, 0, 0, 0)
    assert counts.refused.total() == 0


numbers = st.integers(0, 10**6)


@given(numbers, numbers, numbers, numbers, st.dictionaries(st.sampled_from(list(ADVICE)), st.integers(1, 10**6)))
def test_counts_come_back_as_they_were_written(a: int, b: int, c: int, d: int, refused: dict[Any, int]) -> None:
    row = {"candidates": a, "accepted": b, "first_candidates": c, "first_accepted": d, "refused": refused}
    written = json.loads(json.dumps(Counts.of(row).to_dict()))
    assert written == row
    assert list(written["refused"].values()) == sorted(refused.values(), reverse=True)
    both = Counts.of(row)
    both.add(Counts.of(written))
    assert both.to_dict() == {
        **{name: 2 * value for name, value in row.items() if isinstance(value, int)},
        "refused": {reason: 2 * count for reason, count in refused.items()},
    }
