"""Model folders that stall, lie or hold no numbers: refused in one line before they are used."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer

import olmv
from olmv.errors import ModelError
from olmv.models.registry import SHIPPED, load_model, load_video_clip, model_info, text_limit
from olmv.models.soft_attributes.language_model import load_language_model
from olmv.models.storage.checkpoints import is_finite, read_checkpoint
from olmv.models.storage.file_checks import check_file
from olmv.models.storage.label_embeddings import read_tensors, write_tensors
from olmv.models.storage.saving import save_pretrained
from olmv.models.storage.tokenizer_check import check_tokenizer_folder, read_tokenizer
from tests.support.tiny import tiny_model, write_open_clip_folder, write_tokenizer


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    save_pretrained(tiny_model(), tmp_path / "made")
    return tmp_path / "made"


def change_weight(path: Path, name: str, value: float) -> None:
    tensors, about = read_tensors(path)
    tensors[name].view(-1)[0] = value
    write_tensors(path, tensors, about)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers_are_refused(saved: Path, value: float) -> None:
    change_weight(saved / "model.safetensors", "towers.visual.proj.weight", value)
    message = r"1 tensors have values that are no finite numbers: 'towers.visual.proj.weight'; give the file"
    with pytest.raises(ModelError, match=message):
        load_model(saved)


def test_the_same_of_open_clips_folders(tmp_path: Path) -> None:
    folder = write_open_clip_folder(tmp_path / "clip")
    change_weight(folder / "open_clip_model.safetensors", "visual.proj", float("nan"))
    with pytest.raises(
        ModelError, match=r"the weights of 'local-dir:.*': 1 tensors .* no finite numbers: 'visual.proj'"
    ):
        load_model(f"local-dir:{folder}")


@given(st.lists(st.floats(width=32), max_size=5))
def test_is_finite_is_that_of_every_number(values: list[float]) -> None:
    tensor = torch.tensor(values, dtype=torch.float32)
    for made in (tensor, tensor.bfloat16(), tensor.double()):
        assert is_finite(made) == bool(made.isfinite().all())
    assert is_finite(torch.tensor([2**40, -1]))


def test_finite_weights_that_make_no_numbers_fail_at_the_first_text(
    saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OLMV_CACHE", str(tmp_path / "cache"))
    change_weight(saved / "model.safetensors", "towers.textual.proj.bias", 3e38)
    change_weight(saved / "model.safetensors", "towers.textual.ln_final.bias", 3e38)
    classifier = olmv.Classifier(load_model(saved, dtype="float32"))
    with pytest.raises(ModelError, match=r"makes no finite numbers of 'dog': .*; use float32 or another model"):
        list(classifier.predict([tmp_path / "none.mp4"], ["dog"]))


@pytest.mark.parametrize("name", ["model.safetensors", "tokenizer.json", "preprocess.json", "labels.json"])
def test_a_pipe_in_a_folder_is_refused_and_never_opened(saved: Path, name: str) -> None:
    (saved / name).unlink(missing_ok=True)
    os.mkfifo(saved / name)
    with pytest.raises(ModelError, match=f"{name} is a pipe and no regular file; get it again"):
        load_model(saved)
    with pytest.raises(ModelError, match="is a pipe"):
        model_info(saved)


def test_a_pipe_among_other_weights(tmp_path: Path) -> None:
    folder = write_open_clip_folder(tmp_path / "clip")
    (folder / "open_clip_model.safetensors").unlink()
    os.mkfifo(folder / "open_clip_model.safetensors")
    with pytest.raises(ModelError, match="is a pipe and no regular file"):
        load_model(f"local-dir:{folder}")
    with pytest.raises(ModelError, match="is a pipe and no regular file"):
        read_checkpoint(folder / "open_clip_model.safetensors")
    with pytest.raises(ModelError, match="is a pipe and no regular file"):
        load_language_model(folder)


def test_devices_and_sizes(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="/dev/zero is a device and no regular file"):
        check_file(Path("/dev/zero"))
    with pytest.raises(ModelError, match="is a folder and no regular file"):
        check_file(tmp_path)
    huge = tmp_path / "tokenizer.json"
    with huge.open("wb") as file:
        file.truncate(2**40)  # takes no room
    with pytest.raises(ModelError, match="has 1,099,512 MB, and at most 268 MB can be read here; get it again"):
        read_tokenizer(huge)


def padded_tokenizer(path: Path, length: int) -> Path:
    told = json.loads(write_tokenizer(path).read_text(encoding="utf-8"))
    told["padding"] = {
        "strategy": {"Fixed": length}, "direction": "Right", "pad_to_multiple_of": None, "pad_id": 0,
        "pad_type_id": 0, "pad_token": "[PAD]",
    }  # fmt: skip
    path.write_text(json.dumps(told), encoding="utf-8")
    return path


def test_a_tokenizer_that_takes_all_memory_ends_its_own_process_only(saved: Path) -> None:
    padded_tokenizer(saved / "tokenizer.json", 10**9)
    message = r"tokenizer.json cannot be read as a tokenizer \((it takes more memory|.*process was ended)"
    with pytest.raises(ModelError, match=message):
        load_model(saved)
    with pytest.raises(ModelError, match=message):
        text_limit(saved)


def test_padding_that_is_merely_odd(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="it makes 100,000 tokens of a text of 0 letters"):
        read_tokenizer(padded_tokenizer(tmp_path / "much.json", 100_000))
    # padding of the file's own would be counted as text
    assert len(read_tokenizer(padded_tokenizer(tmp_path / "some.json", 50)).encode("ab").ids) == 4


def test_a_tokenizer_for_transformers_is_tried_the_same_way(lm_folders: dict[str, Path], tmp_path: Path) -> None:
    check_tokenizer_folder(lm_folders["llama"])
    padded_tokenizer(tmp_path / "tokenizer.json", 10**9)
    with pytest.raises(ModelError, match="cannot be read as a tokenizer"):
        check_tokenizer_folder(tmp_path)


@pytest.mark.slow
def test_a_vocabulary_without_tokenizer_json_is_tried_with_transformers(tmp_path: Path) -> None:
    (tmp_path / "tokenizer_config.json").write_text('{"tokenizer_class": "BertTokenizer"}')
    (tmp_path / "vocab.txt").write_text("[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\ndog\n")
    check_tokenizer_folder(tmp_path)
    (tmp_path / "vocab.txt").unlink()
    (tmp_path / "tokenizer_config.json").write_text('{"tokenizer_class": "Nothing"}')
    with pytest.raises(ModelError, match=r"the tokenizer in .* cannot be used: .*; get it again"):
        check_tokenizer_folder(tmp_path)


def test_what_ships_and_what_was_made_of_it_needs_no_process(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def never(*arguments: Any, **options: Any) -> None:
        raise AssertionError("a process was started")

    save_pretrained(load_video_clip("olmv-mini"), tmp_path / "tuned")
    monkeypatch.setattr(subprocess, "run", never)
    for folder in (*SHIPPED.values(), tmp_path / "tuned"):
        assert isinstance(read_tokenizer(folder / "tokenizer.json"), Tokenizer)


def test_a_tokenizer_is_tried_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    started: list[Any] = []
    run = subprocess.run

    def counted(*arguments: Any, **options: Any) -> Any:
        started.append(arguments)
        return run(*arguments, **options)

    monkeypatch.setattr(subprocess, "run", counted)
    file = padded_tokenizer(tmp_path / "once.json", 7)
    read_tokenizer(file)
    read_tokenizer(file)
    assert len(started) == 1
    assert started[0][0][:2] == [sys.executable, "-P"]
