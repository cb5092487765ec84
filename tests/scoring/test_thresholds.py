import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from olmv.errors import OutputError, UsageError, VocabularyError
from olmv.labels.label import Label
from olmv.labels.vocabulary import Vocabulary
from olmv.scoring.run_settings import RunSettings
from olmv.scoring.scaling import Platt
from olmv.scoring.thresholds import (
    Guarantee,
    LabelThreshold,
    Provenance,
    Thresholds,
    thresholds_for,
    vocabulary_sha256,
    words_sha256,
)

VOCABULARY = Vocabulary([Label("dog", threshold=0.7), "cat", Label("rain", threshold=0.2), "snow"])

OTHER_WORDS = (
    "1 of 1 labels have other attributes or aliases than their thresholds were fitted with, 'dog' for one; "
    "calibrate again"
)


def write(folder: Path, labels: object, *, kind: object = "olmv-thresholds/1") -> Path:
    file = folder / "thresholds.json"
    file.write_text(json.dumps({"format": kind, "model": "olmv-mini", "labels": labels}), encoding="utf-8")
    return file


def test_what_decides() -> None:
    fitted = Thresholds({"dog": 0.9, "cat": 0.0})
    assert thresholds_for(VOCABULARY) == [0.7, 0.5, 0.2, 0.5]
    assert thresholds_for(VOCABULARY, default=0.4) == [0.7, 0.4, 0.2, 0.4]
    assert fitted.for_vocabulary(VOCABULARY) == [0.9, 0.0, 0.2, 0.5]
    assert fitted.for_vocabulary(VOCABULARY, default=0.4) == [0.9, 0.0, 0.2, 0.4]
    assert thresholds_for(VOCABULARY, thresholds={"snow": 0.1}) == [0.7, 0.5, 0.2, 0.1]
    assert fitted.for_vocabulary(VOCABULARY, threshold=0) == [0.0] * 4


@pytest.mark.parametrize("value", [-0.1, 1.1, float("nan")])
def test_numbers_out_of_range(value: float) -> None:
    with pytest.raises(UsageError, match=r"^threshold is .*; give a number from 0 to 1"):
        thresholds_for(VOCABULARY, threshold=value)
    with pytest.raises(UsageError, match=r"^default threshold is .*; give a number from 0 to 1"):
        thresholds_for(VOCABULARY, default=value)
    with pytest.raises(VocabularyError, match=r"threshold of 'dog' is .*; give a number from 0 to 1"):
        Thresholds({"dog": value})


@pytest.mark.parametrize("value", ["0.3", True, None])
def test_thresholds_that_are_no_numbers(tmp_path: Path, value: Any) -> None:
    with pytest.raises(VocabularyError, match=r"threshold of 'dog' is .*; give a number from 0 to 1"):
        Thresholds({"dog": value})
    with pytest.raises(VocabularyError, match=r"labels\.dog\.threshold.*; correct it there"):
        Thresholds.load(write(tmp_path, {"dog": {"threshold": value}}))


def test_numbers_of_numpy_are_thresholds() -> None:
    given: Any = {"dog": np.float32(0.25), "cat": np.int64(1)}
    assert dict(Thresholds(given)) == {"dog": 0.25, "cat": 1.0}


@given(labels=st.dictionaries(st.text(), st.floats(0, 1), max_size=5), model=st.none() | st.text())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_round_trip(tmp_path: Path, labels: dict[str, float], model: str | None) -> None:
    Thresholds(labels, model=model).save(tmp_path / "t.json")
    loaded = Thresholds.load(tmp_path / "t.json")
    assert dict(loaded) == labels
    assert loaded.model == model


def test_provenance_is_kept(tmp_path: Path) -> None:
    labels = {"dog": {"threshold": 0.31, "objective": "f1", "value": 0.8, "support": 12, "fold": 3}}
    thresholds = Thresholds.load(write(tmp_path, labels))
    assert thresholds.entry("dog").support == 12
    assert repr(thresholds) == "Thresholds(1 labels, model='olmv-mini')"
    thresholds.save(tmp_path / "again.json")
    assert json.loads((tmp_path / "again.json").read_text()) == json.loads((tmp_path / "thresholds.json").read_text())
    assert Thresholds({"a": LabelThreshold(threshold=1)})["a"] == 1.0


def test_notes() -> None:
    fitted = Thresholds({"dog": 0.9, "cat": 0.1}, model="olmv-mini")
    assert fitted.notes_for(VOCABULARY, model="ViT-B-32/openai") == [
        "these thresholds were fitted to olmv-mini, not to ViT-B-32/openai; calibrate again",
        "2 of 4 labels are not in the thresholds file, 'rain' for one",
    ]
    assert fitted.notes_for(VOCABULARY[:2], model="olmv-mini") == []


def test_how_they_came_about_is_kept(tmp_path: Path) -> None:
    about = Provenance(
        objective="recall=0.9",
        guarantee=Guarantee(target="recall=0.9", confidence=0.95),
        settings={"mode": "multi-label"},
        refused={"cat": "too few"},
        later="unknown to us",
    )
    Thresholds({"dog": 0.2}, model="m", provenance=about).save(tmp_path / "t.json")
    assert Thresholds.load(tmp_path / "t.json").provenance == about
    assert json.loads((tmp_path / "t.json").read_text())["guarantee"]["scope"] == "per label"


def test_scaled_thresholds(tmp_path: Path) -> None:
    scaling = Platt(slope=1, offset=2)
    Thresholds({"dog": LabelThreshold(threshold=0.1, scaling=scaling), "cat": 0.3}).save(tmp_path / "t.json")
    loaded = Thresholds.load(tmp_path / "t.json")
    assert loaded.entry("dog") == LabelThreshold(threshold=0.1, scaling=scaling)  # of the model's own probability
    assert loaded["dog"] == pytest.approx(0.450853, abs=1e-6)  # of what is shown
    assert loaded["cat"] == 0.3
    scaler = loaded.scaler(["cat", "dog", "rain"])
    assert scaler is not None
    assert scaler(np.array([0.1, 0.1, 0.1])) == pytest.approx([0.1, loaded["dog"], 0.1], abs=1e-6)
    assert loaded.scaler(["cat"]) is None


def test_notes_on_words_lists_and_settings() -> None:
    def fitted(mode: str) -> Thresholds:
        about = Provenance(
            vocabulary_sha256=vocabulary_sha256(["dog", "cat"]), settings={"mode": mode, "pooling": "max", "extra": 1}
        )
        words = words_sha256(["hound"], ["four legs"])
        return Thresholds({"dog": LabelThreshold(threshold=0.3, words_sha256=words), "cat": 0.5}, provenance=about)

    dog = Label("dog", aliases=("hound",), attributes=("four legs",))
    assert fitted("single-label").notes_for(Vocabulary(["cat", dog]), settings=RunSettings(pooling="max")) == []
    # in multi-label mode a label's probability is its own, whatever else is asked
    assert fitted("multi-label").notes_for(Vocabulary([dog])) == []
    assert fitted("single-label").notes_for(Vocabulary([dog])) == [
        "these thresholds were fitted with another list of labels, which share out 1; calibrate again"
    ]
    assert fitted("multi-label").notes_for(Vocabulary(["dog"]), settings=RunSettings(pooling="mean")) == [
        OTHER_WORDS,
        "these thresholds were fitted with other settings (pooling max then, mean now); calibrate again",
    ]


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ({"dog": {"threshold": 1.2}}, "labels.dog.threshold: .*less than or equal to 1; correct it there"),
        ({"dog": {"threshold": "NaN"}}, "labels.dog.threshold: "),
        ({"dog": {}}, "labels.dog.threshold: Field required"),
        ({"dog": 0.5}, "labels.dog: "),
        ({"dog": {"threshold": 0.5, "scaling": {"kind": "magic"}}}, "labels.dog.scaling: .*magic.*; correct it there"),
        (
            {"dog": {"threshold": 0.5, "scaling": {"kind": "platt", "slope": 0, "offset": 0}}},
            "labels.dog.scaling.platt.slope: .*greater than 0; correct it there",
        ),
        (["dog"], "labels: "),
    ],
)
def test_bad_content(tmp_path: Path, labels: object, message: str) -> None:
    with pytest.raises(VocabularyError, match=message) as caught:
        Thresholds.load(write(tmp_path, labels))
    assert "\n" not in str(caught.value)


def test_not_a_thresholds_file(tmp_path: Path) -> None:
    with pytest.raises(VocabularyError, match=r"is not an olmv thresholds file .*needed 'olmv-thresholds/1'"):
        Thresholds.load(write(tmp_path, {}, kind="olmv-attributes/1"))
    with pytest.raises(VocabularyError, match="no such file"):
        Thresholds.load(tmp_path / "nowhere.json")
    with pytest.raises(OutputError, match="its folder does not exist"):
        Thresholds({}).save(tmp_path / "missing" / "t.json")
