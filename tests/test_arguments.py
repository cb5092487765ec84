"""What a caller gives wrongly: one line, with the word that was meant or what mends it."""

import inspect
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import olmv
from olmv import (
    AttributeBook,
    Classifier,
    Client,
    InputError,
    Library,
    OutputError,
    Thresholds,
    TimelineOptions,
    UsageError,
    VideoPrediction,
    Vocabulary,
    VocabularyError,
)
from olmv.arguments import check_count, check_labelled, check_number, check_path, check_probability, named_options
from olmv.predictions import Failure, FrameCounts, LabelPrediction
from tests.support.tiny import tiny_model


@pytest.fixture(scope="module")
def classifier() -> Classifier:
    return Classifier(tiny_model())


@named_options
def greet(name: str, *, greeting: str = "hello", times: int = 1) -> str:
    """Greet somebody."""
    return " ".join([greeting] * times + [name])


def test_an_option_that_there_is_not() -> None:
    assert greet("you", times=2) == greet(name="you", greeting="hello hello")
    with pytest.raises(UsageError, match=r"^no option 'greetin'; did you mean 'greeting'\?$"):
        greet("you", greetin="ho")  # type: ignore[call-arg]
    with pytest.raises(UsageError, match=r"^no option 'zzz'; there are name, greeting, times$"):
        greet("you", zzz=1)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'name'"):
        greet()  # type: ignore[call-arg]


@pytest.mark.parametrize(
    "function",
    [Classifier.predict, Classifier.from_pretrained, olmv.load_model, olmv.read_frames, Library.search, Client.search],
)
def test_a_public_call_shows_its_options(function: Callable[..., Any]) -> None:
    parameters = inspect.signature(function).parameters.values()
    assert any(parameter.kind is parameter.KEYWORD_ONLY for parameter in parameters)
    assert not any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters)
    assert function.__doc__
    with pytest.raises(UsageError, match="no option 'optoin'"):
        function(optoin=3)


def test_counts_and_numbers() -> None:
    check_count("frames", np.int64(3))
    check_number("fps", np.float32(2.5))
    check_probability("threshold", 1)
    for value in (1.5, "3", True, None):
        with pytest.raises(UsageError, match=r"frames is .*; give a whole number, 1 or more"):
            check_count("frames", value)
    with pytest.raises(UsageError, match="workers is -1; it must be at least 0"):
        check_count("workers", -1, least=0)
    with pytest.raises(UsageError, match="fps is '25'; give a number"):
        check_number("fps", "25")
    for value in (-0.1, 2, float("nan")):
        with pytest.raises(UsageError, match=r"threshold is .*; give a number from 0 to 1"):
            check_probability("threshold", value)
    with pytest.raises(UsageError) as caught:
        check_number("every", "2", option="every_s")
    assert caught.value.options == ("every_s",)


def test_paths_and_dicts_by_label() -> None:
    with pytest.raises(InputError, match="the library is None; give its path"):
        check_path("the library", None, error=InputError)
    with pytest.raises(UsageError, match="the video is an empty text; give its path"):
        check_path("the video", "")
    check_labelled("thresholds", {"dog": 1}, ["dog"], loader="load")
    with pytest.raises(UsageError, match=r"thresholds are a str; give a dict by label, or load\(FILE\)"):
        check_labelled("thresholds", "a.json", ["dog"], loader="load")
    with pytest.raises(
        UsageError, match=r"thresholds are given for 'dgo', which is no label here; did you mean 'dog'\?"
    ):
        check_labelled("thresholds", {"dgo": 1}, ["cat", "dog"], loader="load")
    with pytest.raises(UsageError, match="given for 'sea', which is no label here; ask it, too, or leave it out"):
        check_labelled("thresholds", {"sea": 1}, ["cat", "dog"], loader="load")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sampleing": "dense"}, "no option 'sampleing'; did you mean 'sampling'"),
        ({"sampling": ""}, "unknown sampling ''; choose uniform"),
        ({"frames": "8"}, "frames is '8'; give a whole number, 1 or more"),
        ({"top_k": 1.5}, "top_k is 1.5; give a whole number"),
        ({"batch_size": "3"}, "batch_size is '3'; give a whole number"),
        ({"workers": -1}, "workers is -1; it must be at least 0"),
        ({"timeout_s": 0}, "timeout_s is 0; give a number of seconds above 0"),
        ({"every_s": "2"}, "every is '2'; give a number of seconds"),
        ({"max_frames": "5"}, "max_frames is '5'; give a whole number"),
        ({"fps": "25"}, "fps is '25'; give the frames per second"),
        ({"threshold": "0.5"}, "threshold is '0.5'; give a number from 0 to 1"),
        ({"thresholds": {"dgo": 0.3}}, "thresholds are given for 'dgo', which is no label here; did you mean 'dog'"),
        ({"thresholds": {"dog": "0.3"}}, "threshold of 'dog' is '0.3'; give a number from 0 to 1"),
        ({"thresholds": {"dog": True}}, "threshold of 'dog' is True; give a number from 0 to 1"),
        ({"thresholds": "t.json"}, r"thresholds are a str; give a dict by label, or Thresholds.load\(FILE\)"),
        ({"attributes": {"dgo": ["a"]}}, "attributes are given for 'dgo'"),
        ({"attributes": "book.json"}, r"attributes are a str; give a dict by label, or AttributeBook.load\(FILE\)"),
        ({"attributes": {"dog": "barks"}}, "attributes of 'dog' must be a list of texts, not one text"),
        ({"timeline": "yes"}, r"timeline is a str; give True or TimelineOptions\(...\)"),
        ({"timeline": TimelineOptions(window_s="4")}, "window is '4'; give a number of seconds"),  # type: ignore[arg-type]
        ({"timeline": TimelineOptions(join_s=None)}, "join is None; give a number of seconds"),  # type: ignore[arg-type]
        ({"templates": []}, "templates are empty; use 'none' for the bare label, or leave them out"),
        ({"templates": 3}, "the templates are an int; give the name of a set"),
        ({"templates": [3]}, "template 3 must have exactly one {}"),
    ],
)
def test_a_wrong_option_of_predict(classifier: Classifier, options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        classifier.predict(["a.mp4"], ["dog", "cat"], **options)


def test_a_dict_of_thresholds_and_of_attributes(classifier: Classifier) -> None:
    frames = np.zeros((2, 8, 8, 3), np.uint8)
    ask = classifier.predict
    (plain,) = ask(frames, ["dog", "cat"], thresholds={"cat": 0.25}, attributes={"cat": ["it meows"]}, workers=0)
    fitted, book = Thresholds({"cat": 0.25, "sea": 0.1}), AttributeBook({"cat": ["it meows"], "sea": ["waves"]})
    (files,) = ask(frames, ["dog", "cat"], thresholds=fitted, attributes=book, workers=0)
    assert plain == files
    assert [label.threshold for label in plain.labels] == [0.5, 0.25]


def test_what_is_no_list_of_labels() -> None:
    with pytest.raises(VocabularyError, match="the labels are None; give a list of their names"):
        Vocabulary(None)  # type: ignore[arg-type]
    with pytest.raises(VocabularyError, match=r"the labels are a list; give a text, or Vocabulary\(...\) a list"):
        Vocabulary.parse(["dog"])  # type: ignore[arg-type]
    with pytest.raises(VocabularyError, match="a label file is None; give its path"):
        Vocabulary.load(None)  # type: ignore[arg-type]
    words = Vocabulary(["dog", "rain"])
    assert "dog" in words  # type: ignore[comparison-overlap]
    assert words[0] in words
    assert "dgo" not in words  # type: ignore[comparison-overlap]


def test_what_is_no_book_and_no_thresholds() -> None:
    with pytest.raises(VocabularyError, match=r"attributes are a list; give a dict, or AttributeBook.load\(FILE\)"):
        AttributeBook(["dog"])  # type: ignore[arg-type]
    with pytest.raises(VocabularyError, match="attributes of 'dog' are None; give a list of texts"):
        AttributeBook({"dog": None})  # type: ignore[dict-item]
    with pytest.raises(VocabularyError, match="attribute of 'dog' 3 is int, not text"):
        AttributeBook({"dog": [3]})  # type: ignore[list-item]
    with pytest.raises(
        VocabularyError, match=r"thresholds are a list; give a dict by label, or Thresholds.load\(FILE\)"
    ):
        Thresholds(["dog"])  # type: ignore[arg-type]
    with pytest.raises(VocabularyError, match="an olmv thresholds file is an empty text; give its path"):
        Thresholds.load("")
    with pytest.raises(VocabularyError, match="an attribute book is an int; give its path"):
        AttributeBook.load(3)  # type: ignore[arg-type]


def test_a_model_that_is_not_loaded_and_a_folder_that_is_none(
    classifier: Classifier, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(
        UsageError, match=r"the model is a str, not loaded; load it with olmv.load_model\('olmv-lite'\)"
    ):
        Classifier("olmv-lite")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match=r"the model is None, not loaded; load it with olmv.load_model\(NAME\)"):
        Classifier(None)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="unknown device 'None'; use auto, cpu"):
        olmv.load_model("olmv-mini", device=None)  # type: ignore[arg-type]
    monkeypatch.chdir(tmp_path)
    (tmp_path / "README.md").write_text("mine")
    with pytest.raises(OutputError, match="the folder is an empty text; give its path"):
        classifier.save_pretrained("")
    assert [path.read_text() for path in tmp_path.iterdir()] == ["mine"]
    with pytest.raises(InputError, match="the library is an empty text; give its path"):
        Library.open("")


def test_values_show_themselves_in_a_line(classifier: Classifier) -> None:
    assert repr(classifier).startswith("Classifier(VideoCLIP('tiny'")
    assert repr(Client("http://me:secret@127.0.0.1:1/#token=abc")) == "Client('http://127.0.0.1:1')"
    dog = LabelPrediction("dog", 0.2, 1.0, 0.7, 0.5, positive=True)
    good = VideoPrediction("a.mp4", "ok", None, 2.0, FrameCounts(8), "tiny", labels=(dog,), segments=())
    assert repr(good) == "VideoPrediction('a.mp4', positives=['dog'] of 1 labels, 0 segments)"
    bad = VideoPrediction("b.mp4", "error", Failure("DecodeError", "b.mp4: is odd"), None, FrameCounts(8), "tiny")
    assert repr(bad) == "VideoPrediction('b.mp4', DecodeError: b.mp4: is odd)"
    assert pickle.loads(pickle.dumps([good, bad])) == [good, bad]
