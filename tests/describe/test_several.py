"""Several labels in one question, asked of a model in this process."""

import json
from collections.abc import Callable
from typing import Any

from olmv.describe.ask import Answer, ask
from olmv.describe.gate.gate import Gate
from olmv.describe.gate.wording import Wording
from olmv.describe.questions import Questions
from olmv.labels.vocabulary import Vocabulary
from olmv.llm.prompts import load_prompt
from olmv.llm.types import Completion, Generation
from tests.support.llm_stub import StubChat, attributes, completion, labels_of

Turns = list[dict[str, str]]
NAMES = ["dog", "guitar", "rain", "crane", "violin", "snow", "lamp"]
VOCABULARY = Vocabulary.from_names(NAMES)


def item(label: str, texts: list[str]) -> dict[str, Any]:
    return {"label": label, "attributes": texts}


def run(respond: Callable[[Turns, int], Completion], size: int = 3, retries: int = 2) -> tuple[StubChat, list[Answer]]:
    chat = StubChat(respond, ahead=1)
    questions = Questions(load_prompt("general"), count=4, labels_per_prompt=size)
    gate = Gate(Wording(VOCABULARY, templates=("{}",)))
    answers = list(ask(VOCABULARY, chat, questions=questions, gate=gate, generation=Generation(), retries=retries))
    assert sorted(answer.label.name for answer in answers) == sorted(NAMES)
    return chat, answers


def well(turns: Turns, _: int) -> Completion:
    return completion({"answers": [item(name, attributes(name, 4)) for name in reversed(labels_of(turns))]})


def test_answers_go_to_the_label_that_they_name_and_the_last_question_may_be_of_one() -> None:
    chat, answers = run(well)
    assert [labels_of(turns) for turns in chat.conversations] == [NAMES[:3], NAMES[3:6], NAMES[6:]]
    assert [answer.label.name for answer in answers] == NAMES
    assert all(answer.attributes == tuple(attributes(answer.label.name, 4)) for answer in answers)
    # an answer and its tokens count once, for three labels
    assert [answer.answers for answer in answers] == [1, 0, 0, 1, 0, 0, 1]
    assert [answer.asked for answer in answers] == [1] * 7
    assert sum(answer.prompt_tokens for answer in answers) == 10 * len(chat.conversations)
    assert all(answer.counts is not None and answer.counts.first_accepted == 4 for answer in answers)


def test_a_second_question_is_only_about_those_that_are_short() -> None:
    def respond(turns: Turns, number: int) -> Completion:
        if number == 0:
            return completion({"answers": [item("dog", attributes("dog", 4)), item("guitar", attributes("guitar", 2))]})
        return well(turns, number)

    chat, answers = run(respond)
    assert labels_of(chat.conversations[1]) == ["guitar", "rain"]
    question = chat.conversations[1][-1]["content"]
    assert '"a blue guitar near a bench"' in question
    assert '- "Answer for every label."' in question
    assert '- "Write 4 attributes."' in question
    assert "near a wall" not in question.replace("a red guitar near a wall", "")
    by_name = {answer.label.name: answer for answer in answers}
    assert by_name["dog"].attributes == tuple(attributes("dog", 4))
    assert by_name["guitar"].attributes == tuple(attributes("guitar", 4))
    assert by_name["rain"].attributes == tuple(attributes("rain", 4))
    assert by_name["guitar"].counts is not None
    assert (by_name["guitar"].counts.candidates, by_name["guitar"].counts.first_candidates) == (6, 2)


def test_a_label_that_is_always_left_out_says_so_and_costs_no_other() -> None:
    def respond(turns: Turns, number: int) -> Completion:
        extra = item("a cat that nobody asked for", attributes("cat", 4))
        names = [name for name in labels_of(turns) if name != "guitar"]
        return completion({"answers": [item(name, attributes(name, 4)) for name in names] + [extra]})

    chat, answers = run(respond)
    assert {answer.label.name: answer.error for answer in answers if answer.error} == {
        "guitar": "the model left it out"
    }
    assert [labels_of(turns) for turns in chat.conversations].count(["guitar"]) == 2
    assert not any("cat" in text for answer in answers for text in answer.attributes)


def test_an_answer_that_cannot_be_read_is_asked_for_again_for_all() -> None:
    chat, answers = run(lambda turns, n: completion("Sure!") if n == 0 else well(turns, n))
    assert [labels_of(turns) for turns in chat.conversations[:2]] == [NAMES[:3], NAMES[:3]]
    assert (
        '- "Answer with JSON that has a list \\"answers\\", one for every label."'
        in (chat.conversations[1][-1]["content"])
    )
    assert not any(answer.error for answer in answers)


def test_labels_of_one_failed_question_all_say_why() -> None:
    def respond(turns: Turns, number: int) -> Completion:
        if "dog" in labels_of(turns):
            return completion("", finish_reason="error", error="prompt too long")
        return well(turns, number)

    _, answers = run(respond, retries=1)
    failed = {answer.label.name: answer.error for answer in answers if answer.error}
    assert failed == dict.fromkeys(NAMES[:3], "prompt too long")


def test_what_is_refused_of_one_label_says_so_of_that_one() -> None:
    def respond(turns: Turns, number: int) -> Completion:
        each = [
            item(name, ["the loud noise of it"] if name == "rain" else attributes(name, 4)) for name in labels_of(turns)
        ]
        return completion({"answers": each})

    chat, answers = run(respond)
    failed = {answer.label.name: answer.error for answer in answers if answer.error}
    assert failed == {"rain": '1 refused, such as "the loud noise of it" is about sound ("loud")'}
    assert not any("noise" in turns[-1]["content"] for turns in chat.conversations)


def test_by_place_where_a_model_names_no_label() -> None:
    def respond(turns: Turns, _: int) -> Completion:
        return completion(json.dumps([attributes(name, 4) for name in labels_of(turns)]))

    _, answers = run(respond)
    assert all(answer.attributes == tuple(attributes(answer.label.name, 4)) for answer in answers)
