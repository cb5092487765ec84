"""Decoding that begins before the model is there."""

import subprocess
import sys
from pathlib import Path

import pytest

from olmv.classifier import Classifier
from olmv.labels.vocabulary import Vocabulary
from olmv.models.storage.saving import save_pretrained
from olmv.predict.ahead import decode_ahead
from olmv.scoring.options import ScoreOptions
from olmv.video.options import DecodeOptions
from olmv.video.transforms import Preprocess
from olmv.video.workers.loader import FrameLoader
from tests.support.samples import write_clip
from tests.support.tiny import tiny_model

OPTIONS = DecodeOptions(frames=4, workers=1)


@pytest.fixture
def model(tmp_path: Path) -> str:
    save_pretrained(tiny_model(), tmp_path / "model")
    return str(tmp_path / "model")


def test_a_run_uses_what_is_decoded_already(model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OLMV_CACHE", str(tmp_path / "cache"))
    clip = str(write_clip(tmp_path / "a.mp4"))
    classifier = Classifier.from_pretrained(model, device="cpu")
    plain = next(classifier.stream([clip], Vocabulary.from_names(["dog"]), decode=OPTIONS, score=ScoreOptions()))
    with decode_ahead(model, [clip], None, OPTIONS, unless=False) as loader:
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


@pytest.mark.parametrize(
    ("name", "frames", "unless"), [("ViT-B-32/openai", None, False), ("absent/folder", None, False), ("", None, True)]
)
def test_nothing_is_decoded_where_too_little_is_known(
    model: str, name: str, frames: int | None, unless: bool, tmp_path: Path
) -> None:
    with decode_ahead(name or model, ["a.mp4"], frames, OPTIONS, unless=unless) as loader:
        assert loader is None


@pytest.mark.parametrize("content", ["{", '{"size": -1}', "[]"])
def test_a_broken_folder_is_for_loading_to_tell(model: str, content: str) -> None:
    (Path(model) / "preprocess.json").write_text(content)
    with decode_ahead(model, ["a.mp4"], None, OPTIONS, unless=False) as loader:
        assert loader is None


def test_it_needs_no_torch(model: str) -> None:
    code = (
        "import sys\nfrom olmv.predict.ahead import decode_ahead\nfrom olmv.video.options import DecodeOptions\n"
        f"with decode_ahead({model!r}, ['a.mp4'], None, DecodeOptions(workers=1), unless=False) as loader:\n"
        "    assert loader is not None\n    (row,) = loader\n    assert row.error is not None\n"
        "print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
