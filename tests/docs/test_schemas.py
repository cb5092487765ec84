"""What olmv writes is what docs/schemas says, and what olmv refuses the schemas refuse."""

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from olmv.cli import main
from olmv.datasets.manifests import read_manifest
from olmv.io.prediction_fields import check_row
from olmv.labels.attributes import AttributeBook
from olmv.labels.vocabulary import Vocabulary
from olmv.models.storage.folder import read_config
from olmv.scoring.thresholds import Thresholds
from olmv.train.config import Data, Source
from olmv.train.continual.history import History, TrainedLabels, write_history
from olmv.train.run_folder import RunFolder
from olmv.video.transforms import Preprocess
from tests.support.samples import write_clip

ROOT = Path(__file__).resolve().parents[2]
SCHEMAS = {
    path.stem: Draft202012Validator(json.loads(path.read_text(encoding="utf-8")))
    for path in sorted((ROOT / "docs" / "schemas").glob("*.json"))
}
TRUTH = """\
{"video": "0.mp4", "labels": ["dog"]}
{"video": "1.mp4", "labels": []}
{"video": "2.mp4", "labels": ["dog", "car"]}
"""
LABEL = {"label": "dog", "similarity": 0.31, "logit": 2.1, "probability": 0.89, "threshold": 0.5, "positive": True}
ISOTONIC = {"kind": "isotonic", "logit": [0.1], "probability": [0.4]}
SOUND: dict[str, Any] = {
    "prediction-row": {
        "video": "a.mp4", "status": "ok", "error": None, "duration_s": 9.8,
        "frames": {"requested": 8, "decoded": 8, "corrupt": 0}, "model": "olmv-mini",
        "labels": [LABEL],
    },
    "watch-event": {
        "event": "0" * 32, "label": "dog", "state": "began", "at": "2026-01-31T12:00:01.744+00:00", "at_s": 12.5,
        "probability": 0.9, "peak": 0.9, "lag_s": 0.2, "frame": None, "source": "rtsp://cam/1",
    },
    "caption-row": {
        "video": "a.mp4", "status": "ok", "error": None, "duration_s": 9.8,
        "frames": {"requested": 16, "decoded": 16, "corrupt": 0}, "captioner": "blip2:...", "llm": "openai:...",
        "frame_captions": [{"time_s": 0.3, "text": "a dog"}], "caption": "The video shows a dog.", "similarity": 0.31,
        "labels": ["dog"], "kept": True,
    },
    "manifest-row": {"video": "a.mp4", "labels": ["dog"], "caption": None, "split": "train", "group": 3},
    "labels": ["dog", {"label": "cat", "aliases": ["kitten"], "attributes": "fur;whiskers", "threshold": 0.4}],
    "attribute-book": {"format": "olmv-attributes/1", "labels": {"dog": {"attributes": ["a wet nose"]}}},
    "thresholds": {
        "format": "olmv-thresholds/1", "labels": {"dog": {"threshold": 0.4, "leave": 0.2, "scaling": ISOTONIC}},
        "groups": 40,
        "guarantee": {"target": "recall=0.9", "confidence": 0.95, "scope": "all labels"},
    },
    "run": {"format": "olmv-run/1", "settings_sha256": "0" * 64, "settings": {}},
    "model-config": {"format": "olmv-model/1", "family": "olmv-mini", "temporal": "mean", "architecture": {}},
    "preprocess": {"size": 224},
    "result": {
        "format": "olmv-result/1", "protocol": "moji", "kind": "multi-label", "model": "m", "created": "2026",
        "labels": ["dog"], "metrics": {"macro_map": None},
    },
    "result-video": {"video": "a.mp4", "status": "ok", "truth": ["dog"], "group": ""},
    "train-history": {
        "format": "olmv-train-history/1", "model": "olmv-mini",
        "runs": [{"run": "runs/a", "seed": 0, "labels": ["dog"], "data": {"train": {"manifest": "a.csv"}}}],
        "figures": {"before": {"seen/map": 0.5}},
    },
}  # fmt: skip
SEGMENT = {"label": "dog", "start_s": 1.0, "end_s": 3.5, "peak": 0.9, "peak_s": 2.0, "mean": 0.7}
FRAMES = {"requested": 8, "decoded": 8, "corrupt": 0, "encoded": 8, "widest_gap_s": None, "capped": False}
TIMED = SOUND["prediction-row"] | {"frames": FRAMES, "segments": [SEGMENT], "shots_s": [1.5]}
WRONG: list[tuple[str, Callable[[Any], Any]]] = [
    ("prediction-row", lambda row: row | {"status": "fine"}),
    ("prediction-row", lambda row: row | {"status": "error"}),  # without the error
    ("prediction-row", lambda row: row | {"extra": 1}),
    ("prediction-row", lambda row: row | {"labels": [LABEL | {"probability": 1.5}]}),
    ("prediction-row", lambda row: row | {"frames": FRAMES | {"capped": 0}}),
    ("prediction-row", lambda row: row | {"frames": FRAMES | {"encoded": -1}}),
    ("prediction-row", lambda row: row | {"segments": [SEGMENT | {"peak": 2}]}),
    ("prediction-row", lambda row: row | {"segments": [{"label": "dog", "start_s": 1}]}),
    ("prediction-row", lambda row: row | {"shots_s": [None]}),
    ("prediction-row", lambda row: {key: value for key, value in row.items() if key != "frames"}),
    ("watch-event", lambda row: row | {"state": "on"}),
    ("watch-event", lambda row: row | {"event": "1"}),
    ("watch-event", lambda row: {key: value for key, value in row.items() if key != "frame"}),
    ("caption-row", lambda row: row | {"frame_captions": ["a dog"]}),
    ("caption-row", lambda row: {key: value for key, value in row.items() if key != "captioner"}),
    ("manifest-row", lambda row: {"labels": row["labels"]}),
    ("manifest-row", lambda row: row | {"labels": [1]}),
    ("manifest-row", lambda row: row | {"group": ["a"]}),
    ("labels", lambda labels: []),
    ("labels", lambda labels: [{"aliases": ["kitten"]}]),
    ("labels", lambda labels: [labels[1] | {"threshold": 2}]),
    ("attribute-book", lambda book: book | {"format": "olmv-attributes/2"}),
    ("attribute-book", lambda book: book | {"labels": {"dog": {"llm": "wordnet/3.0"}}}),
    ("attribute-book", lambda book: {"dog": "a wet nose"}),
    ("attribute-book", lambda book: book | {"gate": {"candidates": -1}}),
    ("attribute-book", lambda book: book | {"gate": {"refused": {"loop": "often"}}}),
    ("thresholds", lambda file: file | {"labels": {"dog": {"threshold": 50}}}),
    (
        "thresholds",
        lambda file: file | {"labels": {"dog": {"threshold": 0.5, "scaling": {"kind": "platt", "slope": 0}}}},
    ),
    ("thresholds", lambda file: file | {"labels": {"dog": {"threshold": 0.5, "leave": -0.1}}}),
    ("thresholds", lambda file: {"labels": file["labels"]}),
    ("thresholds", lambda file: file | {"groups": 0}),
    ("run", lambda run: run | {"settings_sha256": "?"}),
    ("model-config", lambda config: config | {"format": "olmv-model/3"}),
    ("model-config", lambda config: config | {"format": "olmv-model/2"}),  # which leaves nothing out
    ("model-config", lambda config: {"format": "olmv-model/1", "family": "olmv-mini", "temporal": "mean"}),
    ("preprocess", lambda config: config | {"size": 0}),
    ("preprocess", lambda config: config | {"sharpen": True}),
    ("result", lambda result: result | {"kind": "other"}),
    ("result", lambda result: result | {"metrics": {"macro_map": "good"}}),
    ("result-video", lambda row: row | {"group": 3}),
    ("result-video", lambda row: {"video": "a.mp4", "status": "ok"}),
    ("train-history", lambda history: history | {"runs": []}),
    ("train-history", lambda history: history | {"figures": {"after": {"seen/map": "good"}}}),
]


def check(name: str, *documents: Any) -> None:
    """Hold documents against a schema."""
    assert documents
    for document in documents:
        assert not [f"{error.json_path}: {error.message}" for error in SCHEMAS[name].iter_errors(document)]


def lines(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def test_the_schemas_are_schemas_and_formats_names_them_all() -> None:
    page = (ROOT / "docs" / "formats.md").read_text(encoding="utf-8")
    for name, validator in SCHEMAS.items():
        Draft202012Validator.check_schema(validator.schema)
        assert f"(schemas/{name}.json)" in page
    assert set(SOUND) == set(SCHEMAS) == {name for name, _ in WRONG}


@pytest.mark.parametrize("name", SOUND)
def test_a_sound_document(name: str) -> None:
    check(name, SOUND[name])


def test_a_sound_row_of_a_timeline() -> None:
    check("prediction-row", TIMED)
    check_row(TIMED)


@pytest.mark.parametrize(("name", "change"), WRONG)
def test_a_wrong_document_is_refused(name: str, change: Callable[[Any], Any]) -> None:
    assert not SCHEMAS[name].is_valid(change(copy.deepcopy(SOUND[name])))


def test_sound_files_are_read(tmp_path: Path) -> None:
    """The documents above are not only shapes: olmv takes them."""

    def file(name: str, ending: str = ".json") -> Path:
        path = tmp_path / f"{name}{ending}"
        path.write_text(json.dumps(SOUND[name]) + "\n", encoding="utf-8")
        return path

    assert Vocabulary.load(file("labels")).names == ("dog", "cat")
    assert AttributeBook.load(file("attribute-book"))["dog"] == ("a wet nose",)
    assert Thresholds.load(file("thresholds")).entry("dog").threshold == 0.4
    assert read_manifest(file("manifest-row", ".jsonl"))[0].labels == ("dog",)
    assert Preprocess.from_dict(SOUND["preprocess"]).size == 224
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text(json.dumps(SOUND["model-config"]), encoding="utf-8")
    assert read_config(tmp_path / "model")["family"] == "olmv-mini"


def test_the_files_that_ship() -> None:
    models = ROOT / "olmv" / "models"
    check("model-config", *map(read, models.glob("olmv-*/config.json")))
    check("preprocess", *map(read, models.glob("olmv-*/preprocess.json")))
    check("attribute-book", *map(read, (ROOT / "scripts" / "benchmarks" / "books").glob("*.json")))


def test_the_history_of_a_run(tmp_path: Path) -> None:
    data = Data(train=Source(manifest=Path("a.csv")))
    history = History("olmv-mini", (TrainedLabels("runs/a", 0, ("dog",), data),))
    for figures in ({}, {"before": {"seen/map": 0.5}}, {"before": {"seen/map": 0.5}, "after": {"seen/map": 0.6}}):
        write_history(RunFolder(tmp_path), history, **figures)
        check("train-history", read(tmp_path / "history.json"))


@pytest.mark.slow
def test_the_files_that_the_commands_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for number in range(3):
        write_clip(tmp_path / "clips" / f"{number}.mp4", seed=number)
    (tmp_path / "clips" / "bad.mp4").write_bytes(b"no video")
    (tmp_path / "clips" / "truth.jsonl").write_text(TRUTH)
    check("manifest-row", *lines(Path("clips/truth.jsonl")))
    predict = ["predict", "clips/bad.mp4", "clips", "-l", "dog, car", "-m", "olmv-mini", "--explain", "--workers", "0"]
    assert main([*predict, "-o", "rows.jsonl", "-q"]) == 1
    rows = lines(Path("rows.jsonl"))
    assert {row["status"] for row in rows} == {"ok", "error"}
    check("prediction-row", *rows)
    check("run", read(Path("rows.jsonl.run.json")))
    timed = [*predict[:-3], "--timeline", "--threshold", "0", "--workers", "0"]
    assert main([*timed, "-o", "timed.jsonl", "-q"]) == 1
    assert any(row.get("segments") for row in lines(Path("timed.jsonl")))
    check("prediction-row", *lines(Path("timed.jsonl")))
    check("run", read(Path("timed.jsonl.run.json")))

    calibrate = ["calibrate", "rows.jsonl", "-t", "clips/truth.jsonl", "--scaling", "platt", "--folds", "2"]
    assert main([*calibrate, "-o", "thresholds.json", "-q"]) == 0
    check("thresholds", read(Path("thresholds.json")))
    assert main(["describe-labels", "mouse, keyboard", "-o", "book.json", "-q"]) == 0
    check("attribute-book", read(Path("book.json")))
    caption = ["caption", "clips", "-o", "captions.jsonl", "--captioner", "labels:olmv-mini", "--workers", "0", "-q"]
    assert main(caption) == 1
    check("caption-row", *lines(Path("captions.jsonl")))
    check("run", read(Path("captions.jsonl.run.json")))
    evaluate = ["evaluate", "predictions", "-d", "rows.jsonl", "--truth", "clips/truth.jsonl", "-o", "result", "-q"]
    assert main(evaluate) == 0
    check("result", read(Path("result/result.json")))
    check("result-video", *lines(Path("result/videos.jsonl")))


def test_what_saving_writes(tmp_path: Path) -> None:
    from olmv import save_pretrained
    from tests.support.tiny import tiny_model

    save_pretrained(tiny_model(), tmp_path)
    check("model-config", read(tmp_path / "config.json"))
    check("preprocess", read(tmp_path / "preprocess.json"))
    Vocabulary.from_names(["dog"]).save(tmp_path / "labels.json")
    check("labels", read(tmp_path / "labels.json"))
    Thresholds({"dog": 0.5}).save(tmp_path / "thresholds.json")
    check("thresholds", read(tmp_path / "thresholds.json"))
    AttributeBook({"dog": ["a wet nose"]}).save(tmp_path / "book.json")
    check("attribute-book", read(tmp_path / "book.json"))
