"""The settings of a run, as predict, evaluate and thresholds files spell them."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from olmv.labels.vocabulary import Vocabulary
from olmv.predict.settings import PredictSettings
from olmv.scoring.run_settings import RunSettings
from olmv.scoring.windows import TimelineOptions

# the `settings` of a .run.json that `olmv predict` left
OF_PREDICT: dict[str, Any] = {
    "labels": [["dog", [], []]],
    "thresholds": [0.5],
    "scalings": [],
    "model": "olmv-mini",
    "mode": "multi-label",
    "templates": ["{}", "a clip of {}."],
    "frames": 8,
    "every": 2.0,
    "window": None,
    "step": None,
    "max-frames": None,
    "sampling": "uniform",
    "pooling": "mean",
    "frame-pooling": "softmax",
    "top-k": None,
    "explain": False,
    "decoder": "auto",
    "device": "cpu",
    "dtype": "float32",
}
# the settings of a folder that `olmv evaluate` left
OF_EVALUATE: dict[str, Any] = {
    "protocol": "moji",
    "model": "olmv-mini",
    "templates": "video",
    "frames": 8,
    "views": "uniform",
    "pooling": "max",
    "frame pooling": "logits",
    "probabilities": "one sigmoid a label",
}

words = st.none() | st.text(max_size=5)
lengths = st.none() | st.floats(0.001, 60)
settings_of_any_run = st.builds(
    RunSettings,
    mode=words,
    templates=words | st.lists(st.text(max_size=5), max_size=3),
    frames=st.none() | st.integers(1, 64),
    every_s=lengths,
    window_s=lengths,
    step_s=lengths,
    sampling=words,
    pooling=words,
    frame_pooling=words,
)


def test_of_a_prediction_run() -> None:
    assert RunSettings.from_document(OF_PREDICT) == RunSettings(
        mode="multi-label",
        templates=["{}", "a clip of {}."],
        frames=8,
        every_s=2.0,
        sampling="uniform",
        pooling="mean",
        frame_pooling="softmax",
    )


def test_of_a_result_folder() -> None:
    assert RunSettings.from_document(OF_EVALUATE) == RunSettings(
        templates="video", frames=8, pooling="max", frame_pooling="logits"
    )


def test_this_version_spells_it_with_a_hyphen_and_its_own_spelling_wins() -> None:
    both = {"frame pooling": "max", "frame-pooling": "mean"}
    assert RunSettings.from_document(both).to_document()["frame-pooling"] == "mean"
    assert "frame pooling" not in RunSettings.from_document(OF_EVALUATE).to_document()


def test_a_file_that_says_nothing() -> None:
    assert RunSettings.from_document({}) == RunSettings()
    assert set(RunSettings().to_document().values()) == {None}


@given(settings=settings_of_any_run)
def test_round_trip(settings: RunSettings) -> None:
    document = settings.to_document()
    names = "mode templates frames every window step sampling pooling frame-pooling"
    assert list(document) == names.split()
    assert RunSettings.from_document(document) == settings


def test_templates_are_written_as_a_list_whatever_the_sequence() -> None:
    assert RunSettings(templates=("{}", "see {}")).to_document()["templates"] == ["{}", "see {}"]
    assert RunSettings(templates=("{}",)).differences(RunSettings(templates=["{}"])) == []


def test_differences_are_what_both_say_and_say_differently() -> None:
    earlier = RunSettings(mode="multi-label", frames=8, pooling="max", frame_pooling="mean")
    now = RunSettings(sampling="dense", frames=16, pooling="max", frame_pooling="softmax")
    assert earlier.differences(now) == [("frames", 8, 16), ("frame-pooling", "mean", "softmax")]
    assert earlier.differences(RunSettings()) == RunSettings().differences(earlier) == []


@given(settings=settings_of_any_run)
def test_a_run_does_not_differ_from_itself(settings: RunSettings) -> None:
    assert settings.differences(settings) == []


def test_the_settings_of_a_prediction_hold_those_of_its_run() -> None:
    run = RunSettings.from_document(OF_PREDICT)
    settings = PredictSettings(
        vocabulary=Vocabulary(["dog"]),
        thresholds=[0.5],
        model="olmv-mini",
        mode=run.mode,
        templates=run.templates,
        frames=run.frames,
        every_s=run.every_s,
        sampling=run.sampling,
        pooling=run.pooling,
        frame_pooling=run.frame_pooling,
    )
    assert settings.to_document() == OF_PREDICT
    assert run.differences(settings) == []


def test_a_timeline_adds_what_becomes_of_segments_and_parts_do_not_depend_on_it() -> None:
    timeline = TimelineOptions(window_s=2.0, step_s=1.0, join_s=0.5, least_s=0.25)
    settings = PredictSettings(
        vocabulary=Vocabulary(["dog"]), thresholds=[0.5], model="m", window_s=2.0, step_s=1.0, max_frames=64,
        timeline=timeline,
    )  # fmt: skip
    document = settings.to_document()
    told = {"window": 2.0, "step": 1.0, "join": 0.5, "least": 0.25, "max-frames": 64}
    assert document | told == document
    later = {"thresholds", "top-k", "explain", "join", "least"}
    assert settings.of_parts() == {name: value for name, value in document.items() if name not in later}
