"""The gate, with what SmolLM2-135M-Instruct wrote of frame words of real clips."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from olmv.caption.captioner import FrameCaption
from olmv.caption.gate import Gate, content_words, stem, without_doubles
from olmv.caption.summarize import CaptionQuestion, LabelsQuestion
from olmv.llm.prompts import load_prompt

EXAMPLE = "a man on a beach throwing a frisbee that a dog jumps for and carries away."
SPORT = ["a sports ball, bowling, a tennis racket", "a sports ball, a volleyball"]


def frames(*texts: str) -> list[FrameCaption]:
    return [FrameCaption(float(time), text) for time, text in enumerate(texts)]


def sentence_question(*texts: str) -> CaptionQuestion:
    return CaptionQuestion({"video": "a.mp4"}, frames(*texts), load_prompt("summary"))


def labels_question(*texts: str) -> LabelsQuestion:
    return LabelsQuestion({"video": "a.mp4"}, "The video shows a thing.", frames(*texts), load_prompt("entities"))


@pytest.mark.parametrize(
    ("captions", "said", "problem"),
    [
        # of the prompt's example
        (["a sink"], EXAMPLE, "copies the prompt"),
        (["a clock"], "a clock that a dog jumps for and carries away.", "copies the prompt"),
        (["a book", "a tie"], "a book that a tie that a dog jumps for and carries away.", "copies the prompt"),
        (["a tv or monitor"], "a tv with a dog on it", "says what no caption does: dog"),
        (["a neck brace", "shaving beard"], "a man shaving a neck brace that a dog carries away.", "man, dog, carries"),
        # loops, as what is cut of an answer leaves them
        (["a tv, a traffic light"], "a tv on a traffic light, a tv on a traffic light", "repeats itself"),
        (["punching bag, a punch"], "punching a punch that a punch that a punch that a punch.", "repeats itself"),
        (SPORT, "a sports ball, a tennis racket, a sports ball, a sports ball, a tennis racket", "repeats itself"),
        (["broccoli, a carrot"], "a carrot that a broccoli is a vegetable that is a vegetable.", "caption does: veget"),
        # cut off by the schema's longest text
        (["a tv, a table, a tv or monitor"], "a tv, a table, a tv or a", "breaks off"),
        (["a toilet, a washer, a sink"], "a toilet, a washer, a sink, a car, a dog,a", "breaks off"),
        # what else is asked for in vain
        (["a dog"], "several captions of a dog", "speaks of captions"),
        (["a dog"], "the frames show a dog", "speaks of frames"),
        (["a dog"], "ein Hund läuft über eine Wiese", "says what no caption does: ein, hund"),
        (["a dog"], "一只狗在草地上跑 步 了", "says what no caption does"),
        (["a dog"], "<b>a dog</b> runs there", "has markup"),
        (["a dog"], "**a dog** is running", "has markup"),
        (["a dog"], "1, 2, 3, 4, 5, 6", "names nothing"),
        (["a dog"], "a person in a scene", "names nothing"),
        (["a dog"], "dog, dogs and other dogs", "repeats itself"),
        (["a dog"], "-- --- ---", "breaks off"),
    ],
)
def test_bad_sentences_are_refused(captions: list[str], said: str, problem: str) -> None:
    asked = sentence_question(*captions)
    [found] = asked.take(json.dumps({"the_video_shows": said}))
    assert problem in found.message
    assert found.advice
    assert asked.caption is None
    for word in content_words(said):
        assert word not in found.advice.casefold().split()  # what it wrote does not go back to it


@pytest.mark.parametrize(
    ("captions", "said"),
    [
        (["a banana, a carrot, a donut"], "a banana, a carrot, a donut"),
        (["a skateboard, a tv", "a snowboard, a clock"], "a skateboard, a tv, a snowboard, a clock"),
        (["a man throwing a frisbee", "a dog on a beach"], EXAMPLE.replace(" that a dog jumps for", " with a dog")),
        (["a dog runs on a lawn", "two dogs"], "two people and three dogs running on the lawns."),
        (["the words of captions on a screen"], "captions and other words on a screen"),
        (["a woman rides a bike"], "someone is riding a bike, seen from behind"),
        (["一只狗在草地上"], "一 只 狗 在 草 地 上"),
    ],
)
def test_good_sentences_pass(captions: list[str], said: str) -> None:
    assert Gate(captions).problem(said) is None


def test_what_the_captions_say_is_no_copy_of_the_prompt() -> None:
    asked = sentence_question(EXAMPLE)
    assert asked.take(json.dumps({"the_video_shows": EXAMPLE})) == []


def test_an_ungated_question_takes_what_has_the_form() -> None:
    asked = sentence_question("a sink")
    asked.gated = False
    assert asked.take(json.dumps({"the_video_shows": EXAMPLE})) == []
    assert asked.caption == f"The video shows {EXAMPLE}"
    labels = labels_question("a sink")
    labels.gated = False
    assert labels.take('{"labels": ["frisbee", "dogs", "dog"]}') == []
    assert labels.labels == ["frisbee", "dogs", "dog"]


@pytest.mark.parametrize(
    ("captions", "said", "labels"),
    [
        (["a horizontal bar"], ["a horizontal bar", "a horizontal bar, a plate rack", "rack"], ["horizontal bar"]),
        (["a tv or monitor", "a table"], ["table", "tv", "TV", "monitor", "TV"], ["table", "tv", "monitor"]),
        (["a bed, a table"], ["dog", "man", "frisbee", "bed", "frisbee_dog_bed"], ["bed"]),
        (["a toilet, a sink"], ["dog", "sinks", "sink", "bathroom"], ["sink"]),
        (["a sports ball, a baseball bat"], ["ball bat", "some", "baseball bat"], ["baseball bat"]),
        (["a man plays the guitar"], ["playing guitar", "guitar player", "men", "person"], ["playing guitar", "men"]),
        (["a running dog"], ["dog running", "the dog is running"], ["dog running"]),
    ],
)
def test_labels_that_no_caption_names_are_left_out(captions: list[str], said: list[str], labels: list[str]) -> None:
    asked = labels_question(*captions)
    assert asked.take(json.dumps({"labels": said})) == []
    assert asked.labels == labels


def test_labels_of_the_example_alone_are_asked_for_again() -> None:
    asked = labels_question("a clock")
    [problem] = asked.take('{"labels": ["dog", "man", "frisbee", "beach", "throwing a frisbee", "running"]}')
    assert problem.message == '"dog" is in no caption'
    assert problem.advice == "List only what you have read."
    assert asked.labels == []


@pytest.mark.parametrize(
    "forms",
    [
        "dog dogs", "run runs running", "carry carries carried", "bowl bowls bowling", "glass glasses", "bus buses",
        "dance dancing danced", "ski skis skiing", "man men man's", "box boxes", "knife knives", "beach beaches",
        "ride riding rode",
    ],
)  # fmt: skip
def test_forms_of_a_word_have_one_stem(forms: str) -> None:
    assert len({stem(word) for word in forms.split()}) == 1


def test_words_that_only_look_alike_have_two() -> None:
    for one, other in [("ring", "r"), ("bed", "b"), ("bus", "bu"), ("string", "strong"), ("glass", "glas")]:
        assert stem(one) != stem(other)


def test_the_shorter_of_two_forms_stays_in_its_place() -> None:
    assert without_doubles(["dogs", "cat", "dog", "cats"]) == ["dog", "cat"]


words = st.sampled_from(["dog", "cat", "guitar", "beach", "runs", "playing", "the", "of", "person", "scene", "7", "犬"])
texts = st.lists(words, min_size=1, max_size=8).map(" ".join)


@given(st.lists(texts, min_size=1, max_size=4), texts)
def test_what_passes_is_supported(captions: list[str], said: str) -> None:
    gate = Gate(captions)
    if gate.problem(said) is None:
        assert gate.support(said) >= 0.75
        assert content_words(said)
    assert gate.support(" ".join(captions)) in (0.0, 1.0)


@given(st.text(max_size=300), st.text(max_size=300))
def test_any_text_can_be_read(caption: str, said: str) -> None:
    gate = Gate([caption], [said])
    assert 0 <= gate.support(said) <= 1
    problem = gate.problem(said)
    assert problem is None or (problem.message and problem.advice)
    assert (
        gate.names(caption)
        or "," in caption
        or not content_words(caption, general=True)
        or ";" in caption
        or "." in caption
    )
