"""Saving a model: a disk that is full says so in one line, and no path of this machine is written."""

from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
from safetensors import SafetensorError

from olmv.errors import OutputError
from olmv.models.registry import load_model
from olmv.models.storage.saving import save_pretrained, short_name
from tests.support.tiny import tiny_model, write_open_clip_folder


@pytest.mark.parametrize("raised", [SafetensorError("I/O error: File too large"), OSError("File too large")])
def test_weights_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, raised: Exception) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise raised

    monkeypatch.setattr(safetensors.torch, "save_file", full)
    with pytest.raises(
        OutputError, match=r"model\.safetensors' \(.*File too large\); make room, or choose another folder"
    ):
        save_pretrained(tiny_model(), tmp_path / "m")
    assert not list((tmp_path / "m").glob(".*"))
    assert not (tmp_path / "m" / "config.json").exists()


def test_a_tokenizer_that_cannot_be_written(tmp_path: Path) -> None:
    class Tokenizer:
        def save_pretrained(self, _: str) -> None:
            raise Exception("No space left on device")

    source = write_open_clip_folder(tmp_path / "source")
    model: Any = load_model(f"local-dir:{source}", device="cpu", dtype="float32")
    model.towers.tokenizer.tokenizer = Tokenizer()
    with pytest.raises(
        OutputError, match=r"cannot write the tokenizer into '.*' \(No space left on device\); make room"
    ):
        save_pretrained(model, tmp_path / "m")
    assert not (tmp_path / "m" / "config.json").exists()


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match=r"cannot make the folder '.*/file/m': Not a directory; choose another"):
        save_pretrained(tiny_model(), tmp_path / "file" / "m")


def test_only_the_last_part_of_a_path_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "runs" / "pets").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "runs" / "pets")
    names = (".", str(tmp_path / "runs" / "pets"), f"local-dir:{tmp_path}/gone/pets", "../pets")
    assert {short_name(name) for name in names} == {"pets"}
    assert short_name("ViT-B-32/openai") == "ViT-B-32/openai"
    assert short_name("hf:a/b@v1") == "hf:a/b@v1"
    save_pretrained(tiny_model(), tmp_path / "m")
    save_pretrained(load_model(tmp_path / "m"), tmp_path / "n")
    assert (tmp_path / "n" / "README.md").read_text().startswith("# m\n")
