"""Loading frozen language models."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from olmv.errors import ModelError, WeightsUnavailableError
from olmv.models.soft_attributes.language_model import LanguageModel, load_language_model
from olmv.models.soft_attributes.module import SoftAttributes
from tests.support.tiny import tiny_model


def test_a_language_model_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(
        WeightsUnavailableError, match=r"cannot be had .*; get on line once, or name a folder"
    ) as caught:
        load_language_model(tmp_path / "none")
    assert "\n" not in str(caught.value)


def test_weights_that_are_no_safetensors_are_refused(lm_folders: dict[str, Path], tmp_path: Path) -> None:
    for file in lm_folders["bert"].iterdir():
        if file.suffix != ".safetensors":
            (tmp_path / file.name).write_bytes(file.read_bytes())
    torch.save(load_file(lm_folders["bert"] / "model.safetensors"), tmp_path / "pytorch_model.bin")
    with pytest.raises(WeightsUnavailableError, match="safetensors"):
        load_language_model(tmp_path)


def test_missing_weights_are_not_made_up(lm_folders: dict[str, Path], tmp_path: Path) -> None:
    for file in lm_folders["bert"].iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    weights = load_file(tmp_path / "model.safetensors")
    del weights["encoder.layer.1.output.dense.weight"]
    save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError, match=r"lacks weights such as encoder\.layer\.1\.output.*; download it again"):
        load_language_model(tmp_path)


def test_an_encoder_decoder_is_refused(lm_folders: dict[str, Path]) -> None:
    with pytest.raises(ModelError, match="is an encoder-decoder; use a decoder or an encoder"):
        load_language_model(lm_folders["t5"])


def test_too_many_prefixes_are_refused(llama: LanguageModel) -> None:
    with pytest.raises(
        ModelError, match=r"62 prefixes leave no room for a label in the 64 positions .* fewer prefixes"
    ):
        SoftAttributes(tiny_model().towers, llama, n_prefix=62)
