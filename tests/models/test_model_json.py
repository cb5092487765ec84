"""Models whose files were written to break their reader: one line, at once, whatever they say."""

import json
from pathlib import Path
from typing import Any

import pytest

from olmv.errors import ModelError
from olmv.models.mini.network import MiniConfig
from olmv.models.registry import load_model, model_info
from olmv.models.storage.json import read_json, read_object
from olmv.models.storage.saving import save_pretrained
from tests.models.xclip_folders import hf_folder, tiny_xclip
from tests.support.tiny import tiny_model, write_open_clip_folder

DEEP = '{"a":' * 100_000 + "1" + "}" * 100_000


def change(path: Path, **values: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def refused(name: str | Path, message: str) -> None:
    """By what looks at a model and by what loads it."""
    for read in (model_info, load_model):
        with pytest.raises(ModelError, match=message) as caught:
            read(name)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["{", "\x00", DEEP, "[" * 990 + "]" * 990, "1" * 5000, '"\udcff"'])
def test_text_that_is_no_json(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.json").write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(ModelError, match=r"a\.json cannot be read: .*; ask for it"):
        read_json(tmp_path / "a.json", "ask for it")


def test_files_and_their_depth(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    with pytest.raises(ModelError, match=r"cannot be read: .*No such file.*; get it again"):
        read_json(path)
    path.write_text("[" * 100 + "]" * 100)
    with pytest.raises(ModelError, match="cannot be read: it is nested more than 64 deep; get it again"):
        read_json(path)
    path.write_text("[" * 60 + "]" * 60)
    assert isinstance(read_json(path), list)
    with pytest.raises(ModelError, match="holds a list in place of an object; get it again"):
        read_object(path)
    path.write_text('{"a": {"b": [1]}}')
    assert read_object(path) == {"a": {"b": [1]}}


@pytest.fixture
def mini(tmp_path: Path) -> Path:
    save_pretrained(tiny_model(), tmp_path / "mini")
    return tmp_path / "mini"


@pytest.mark.parametrize("name", ["config.json", "preprocess.json"])
def test_deep_nesting(mini: Path, name: str) -> None:
    (mini / name).write_text(DEEP)
    refused(mini, rf"{name} cannot be read: .*; save the model, or get it, again")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("vision_layers", 10**6), ("vision_width", 10**30), ("embed_dim", True), ("embed_dim", [1]),
        ("embed_dim", float("nan")), ("vocab_size", 10**12), ("context_length", "x"), ("memory_size", -1),
        ("image_size", 0), ("memory_strength", "x"), ("memory_temperature", 0),
    ],
)  # fmt: skip
def test_sizes_that_no_model_has(mini: Path, name: str, value: Any) -> None:
    sizes = json.loads((mini / "config.json").read_text())["architecture"]
    change(mini / "config.json", architecture=sizes | {name: value})
    refused(mini, f"an olmv-mini with {name} = .* cannot be; give a (whole )?number from .* to ")


def test_sizes_that_are_not_those_of_the_weights_take_no_memory(mini: Path) -> None:
    assert MiniConfig(vision_width=65536, vision_layers=200).vision_layers == 200
    sizes = json.loads((mini / "config.json").read_text())["architecture"]
    change(mini / "config.json", architecture=sizes | {"vision_width": 65536, "vision_layers": 200})
    with pytest.raises(ModelError, match=r"do not fit its config: 'towers\.visual\.positions' is \[.*\], not .*; save"):
        load_model(mini)
    change(mini / "config.json", architecture=sizes | {"vision_heads": 3})
    with pytest.raises(
        ModelError, match=r"cannot be loaded: embed_dim must be divisible .*; save the model, or get it"
    ):
        load_model(mini)
    change(mini / "config.json", architecture=sizes | {"paint": 3})
    refused(mini, "cannot be loaded: .*'paint'; save the model, or get it, again")
    change(mini / "config.json", architecture=sizes)
    (mini / "tokenizer.json").write_text("{")
    with pytest.raises(ModelError, match=r"tokenizer\.json cannot be read as a tokenizer .*; get it again"):
        load_model(mini)


@pytest.mark.parametrize("options", [{"width": 65536}, {"layers": 64}])
def test_a_temporal_module_that_is_not_that_of_the_weights(mini: Path, options: dict[str, int]) -> None:
    change(mini / "config.json", temporal="transformer", temporal_options=options)
    with pytest.raises(ModelError, match=r"do not fit its config: none are of width .* and \d+ layers; save the model"):
        load_model(mini)
    change(mini / "config.json", temporal_options={"width": 10**40})
    refused(mini, r"config\.json: width of the temporal transformer is 1000.*; give a whole number from 1 to 65536")


def test_unknown_families_and_other_preprocessing(mini: Path) -> None:
    change(mini / "preprocess.json", size=64)
    with pytest.raises(ModelError, match=r"makes frames of 64 pixels, and the model is made for 32; correct its size"):
        load_model(mini)
    change(mini / "preprocess.json", size=32, std=[0, 0, 0])
    refused(mini, r"preprocess\.json cannot be used: std is .*; save the model, or get it, again")
    change(mini / "config.json", family="\x1b[31m")
    refused(mini, r"is of a family '\\x1b\[31m', which this olmv does not know; update it: pip")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"{", "cannot be read: .*; get it again"),
        (b"\xff", "cannot be read: .*; get it again"),
        (DEEP.encode(), "cannot be read: .*; get it again"),
        (b"[]", "holds a list in place of an object; get it again"),
        (b"{}", "has no model_cfg with vision_cfg and text_cfg; get it again"),
        (b'{"model_cfg": []}', "has no model_cfg with"),
        (b'{"model_cfg": {"vision_cfg": 5}}', "has no model_cfg with"),
        (b'{"model_cfg": {"vision_cfg": {}, "text_cfg": []}}', "has no model_cfg with"),
        (b'{"model_cfg": {"vision_cfg": {}, "text_cfg": {}, "embed_dim": "\\u001b"}}', r"'embed_dim' = '\\x1b', which"),
        (b'{"model_cfg": {"vision_cfg": {"layers": 1000000}, "text_cfg": {}}}', "'layers' = 1000000, which cannot be"),
        (b'{"model_cfg": {"vision_cfg": {"width": 1e400}, "text_cfg": {}}}', "'width' = inf, which cannot be; get"),
        (b'{"model_cfg": {"vision_cfg": {"image_size": [8, NaN]}, "text_cfg": {}}}', r"'image_size' = \[8, nan\]"),
    ],
)
def test_configs_of_open_clip(tmp_path: Path, text: bytes, message: str) -> None:
    (tmp_path / "open_clip_config.json").write_bytes(text)
    refused(f"local-dir:{tmp_path}", message)


def test_what_open_clip_cannot_build(tmp_path: Path) -> None:
    folder = write_open_clip_folder(tmp_path / "m")
    path = folder / "open_clip_config.json"
    model = load_model(f"local-dir:{folder}", device="cpu", dtype="float32")
    save_pretrained(model, tmp_path / "saved")
    told = json.loads(path.read_text())
    path.write_text(json.dumps(told | {"model_cfg": told["model_cfg"] | {"embed_dim": 24}}))
    with pytest.raises(ModelError, match=r"cannot be loaded \(.*\); get its files again, or get on line once if its"):
        load_model(f"local-dir:{folder}")
    path.write_text(json.dumps(told | {"preprocess_cfg": {"std": [0, 0, 0]}}))
    with pytest.raises(ModelError, match=r"the preprocessing of 'local-dir:.*' cannot be used: std is .*; use another"):
        load_model(f"local-dir:{folder}")
    vision = told["model_cfg"]["vision_cfg"]
    path = tmp_path / "saved" / "open_clip_config.json"
    for wrong in ({"width": 65536}, {"layers": 200}):
        path.write_text(json.dumps(told | {"model_cfg": told["model_cfg"] | {"vision_cfg": vision | wrong}}))
        with pytest.raises(ModelError, match=r"do not fit its config: none are of width .* layers; save the model"):
            load_model(tmp_path / "saved")


def test_x_clips_larger_than_their_weights(tmp_path: Path) -> None:
    hf_folder(tmp_path / "hf")
    path = tmp_path / "hf" / "config.json"
    told = json.loads(path.read_text())
    path.write_text(json.dumps(told | {"vision_config": told["vision_config"] | {"num_hidden_layers": 10**7}}))
    refused(tmp_path / "hf", "vision_layers = 10000000 cannot be; give a whole number from 1 to 200")
    save_pretrained(tiny_xclip(), tmp_path / "ours")
    path = tmp_path / "ours" / "config.json"
    told = json.loads(path.read_text())
    path.write_text(json.dumps(told | {"architecture": told["architecture"] | {"text_width": 65536}}))
    with pytest.raises(ModelError, match=r"do not fit its config: .* is \[.*\], not \[.*\]; save the model"):
        load_model(tmp_path / "ours")
