"""Decoding that begins before the model is there."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from olmv.classifier import Classifier
from olmv.errors import UsageError
from olmv.labels.vocabulary import Vocabulary
from olmv.models.ahead import decode_ahead
from olmv.models.storage.saving import save_pretrained
from olmv.scoring.options import ScoreOptions
from olmv.video.options import DecodeOptions
from olmv.video.transforms import Preprocess
from olmv.video.workers.loader import FrameLoader
from tests.support.samples import write_clip
from tests.support.tiny import tiny_model

OPTIONS = DecodeOptions(frames=4, workers=1)


def complete(model_frames: int) -> DecodeOptions:
    """Decode four frames, whatever the model is made for."""
    return OPTIONS


@pytest.fixture
def model(tmp_path: Path) -> str:
    save_pretrained(tiny_model(), tmp_path / "model")
    return str(tmp_path / "model")


def test_a_run_uses_what_is_decoded_already(model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OLMV_CACHE", str(tmp_path / "cache"))
    clip = str(write_clip(tmp_path / "a.mp4"))
    classifier = Classifier.from_pretrained(model, device="cpu")
    plain = next(classifier.stream([clip], Vocabulary.from_names(["dog"]), decode=OPTIONS, score=ScoreOptions()))
    with decode_ahead(model, [clip], complete, unless=False) as loader:
        assert loader is not None
        assert loader.serves(classifier.model.preprocess, OPTIONS)
        (row,) = classifier.stream(
            [clip], Vocabulary.from_names(["dog"]), decode=OPTIONS, score=ScoreOptions(), loader=loader
        )
    assert row.labels == plain.labels


def test_a_loader_for_something_else_is_closed_and_not_used(model: str, tmp_path: Path) -> None:
    clip = str(write_clip(tmp_path / "a.mp4"))
    classifier = Classifier.from_pretrained(model, device="cpu")
    other = FrameLoader([clip], preprocess=Preprocess(size=8), options=OPTIONS).start()
    (row,) = classifier.stream(
        [clip], Vocabulary.from_names(["dog"]), decode=OPTIONS, score=ScoreOptions(), loader=other
    )
    assert row.error is None
    assert other._pool is None


@pytest.mark.parametrize(("name", "unless"), [("ViT-B-32/openai", False), ("absent/folder", False), ("", True)])
def test_nothing_is_decoded_where_too_little_is_known(model: str, name: str, unless: bool) -> None:
    with decode_ahead(name or model, ["a.mp4"], complete, unless=unless) as loader:
        assert loader is None


def test_nothing_is_decoded_for_a_model_of_a_number_of_frames(model: str) -> None:
    path = Path(model) / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"frames": 4}))
    with decode_ahead(model, ["a.mp4"], complete, unless=False) as loader:
        assert loader is None


def test_wrong_options_are_told_before_anything_is_decoded(model: str) -> None:
    with (
        pytest.raises(UsageError, match="every_s is 0; give a number of seconds"),
        decode_ahead(model, ["a.mp4"], lambda _: replace(OPTIONS, every_s=0.0), unless=False),
    ):
        pytest.fail("nothing to decode")


@pytest.mark.parametrize("content", ["{", '{"size": -1}', "[]"])
def test_a_broken_folder_is_for_loading_to_tell(model: str, content: str) -> None:
    (Path(model) / "preprocess.json").write_text(content)
    with decode_ahead(model, ["a.mp4"], complete, unless=False) as loader:
        assert loader is None


def test_it_needs_no_torch(model: str) -> None:
    code = (
        "import sys\nfrom olmv.models.ahead import decode_ahead\nfrom olmv.video.options import DecodeOptions\n"
        f"with decode_ahead({model!r}, ['a.mp4'], lambda frames: DecodeOptions(workers=1), unless=False) as loader:\n"
        "    assert loader is not None\n    (row,) = loader\n    assert row.error is not None\n"
        "print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
