import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from olmv.errors import ModelError, ModelNotFoundError, OutputError, UsageError, WeightsUnavailableError
from olmv.io import network
from olmv.models.base import VideoModel
from olmv.models.clip.model import VideoCLIP
from olmv.models.open_clip.loading import random_model
from olmv.models.open_clip.towers import OpenClipTowers
from olmv.models.registry import DEFAULT_MODEL, list_models, load_model, model_info
from olmv.models.storage.saving import save_pretrained
from tests.models.kinds import towers_of
from tests.support.tiny import tiny_model, write_open_clip_folder

TEXTS = ["dog", "a video of rain."]


def outputs(model: VideoModel) -> tuple[torch.Tensor, torch.Tensor]:
    """What a model makes of fixed frames and texts."""
    assert isinstance(model, VideoCLIP)
    size = model.preprocess.size
    pixels = torch.linspace(-1, 1, 2 * 3 * 3 * size * size).view(2, 3, 3, size, size)
    return model.encode_video(pixels), model.encode_texts(TEXTS)


@pytest.mark.parametrize("temporal", ["mean", "attention"])
def test_a_saved_model_loads_the_same(tmp_path: Path, temporal: str) -> None:
    model = tiny_model(temporal=temporal)
    save_pretrained(model, tmp_path / "m", description="for a test")
    again = load_model(tmp_path / "m", device="cpu", dtype="float32")
    assert again.temporal == temporal
    for mine, theirs in zip(outputs(model), outputs(again), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=0, atol=0)
    assert again.fingerprint == model.fingerprint
    assert model_info(tmp_path / "m").description == "for a test"


@pytest.mark.parametrize("siglip", [False, True])
def test_open_clip_folder_loads_saves_and_loads_again(tmp_path: Path, siglip: bool) -> None:
    source = write_open_clip_folder(tmp_path / "oc", siglip=siglip)
    model = load_model(f"local-dir:{source}", device="cpu", dtype="float32")
    assert (model.logit_bias is not None) == siglip
    save_pretrained(model, tmp_path / "saved")
    again = load_model(tmp_path / "saved", device="cpu", dtype="float32")
    for mine, theirs in zip(outputs(model), outputs(again), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=0, atol=0)
    assert again.preprocess == model.preprocess
    assert again.logit_bias == model.logit_bias
    info = model_info(tmp_path / "saved")
    assert (info.family, info.embed_dim, info.context_length) == ("open_clip", model.embed_dim, model.context_length)
    (tmp_path / "saved" / "open_clip_config.json").write_text("[]")
    with pytest.raises(ModelError, match=r"holds a list in place of an object; get it again"):
        model_info(tmp_path / "saved")


def test_another_temporal_module_starts_at_frame_averaging(tmp_path: Path) -> None:
    model = tiny_model()
    save_pretrained(model, tmp_path / "m")
    attention = load_model(tmp_path / "m", device="cpu", dtype="float32", temporal="attention")
    assert attention.yields_video_embedding
    torch.testing.assert_close(outputs(attention)[0], outputs(model)[0])


def test_texts_past_the_context_are_cut_and_counted() -> None:
    model = tiny_model()
    long = "a very long label " * 20
    assert model.token_counts(["dog", long])[0] == 5
    assert model.token_counts([long])[0] > model.context_length
    assert model.encode_texts([long]).shape == (1, model.embed_dim)
    assert model.encode_texts([]).shape == (0, model.embed_dim)


def test_fingerprint_follows_the_text_tower() -> None:
    assert tiny_model(seed=0).fingerprint == tiny_model(seed=0).fingerprint
    assert tiny_model(seed=0).fingerprint != tiny_model(seed=1).fingerprint


def test_unknown_names_name_close_matches() -> None:
    with pytest.raises(
        ModelNotFoundError, match=r"no model is called 'ViT-B-32/open_ai'; did you mean .*ViT-B-32/openai"
    ):
        load_model("ViT-B-32/open_ai")
    with pytest.raises(ModelNotFoundError, match="did you mean olmv-mini"):
        model_info("olmv-mini2")
    with pytest.raises(ModelNotFoundError, match="`olmv models list` names them all"):
        load_model("zzzzzz")


def test_weights_that_cannot_be_fetched_name_the_way_out(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(network, "is_online", lambda: False)
    with pytest.raises(WeightsUnavailableError, match=r"cannot be had .* use the model olmv-lite"):
        load_model("hf-hub:nobody/has-this-model-0000")


def test_folders_without_a_usable_model(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFoundError, match=r"holds no config\.json"):
        load_model(tmp_path)
    with pytest.raises(ModelNotFoundError, match=r"open_clip_config\.json is missing"):
        load_model(f"local-dir:{tmp_path}")
    with pytest.raises(ModelNotFoundError, match=r"open_clip_config\.json is missing"):
        model_info(f"local-dir:{tmp_path}")
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(ModelError, match=r"config\.json cannot be read: .*; save the model, or get it, again"):
        load_model(tmp_path)
    (tmp_path / "config.json").write_text("[]")
    with pytest.raises(ModelError, match="is not a model's config; name a folder that olmv saved"):
        load_model(tmp_path)
    (tmp_path / "config.json").write_text('{"format": "other/9"}')
    with pytest.raises(ModelError, match="is not of a model that olmv saved"):
        load_model(tmp_path)


def test_a_torn_or_foreign_weight_file_is_one_line(tmp_path: Path) -> None:
    save_pretrained(tiny_model(), tmp_path)
    weights = (tmp_path / "model.safetensors").read_bytes()
    (tmp_path / "model.safetensors").write_bytes(weights[: len(weights) // 2])
    with pytest.raises(ModelError, match="cannot be read") as caught:
        load_model(tmp_path)
    assert "\n" not in str(caught.value)
    (tmp_path / "model.safetensors").write_bytes(weights)
    config = json.loads((tmp_path / "config.json").read_text())
    config["architecture"]["text_width"] = 32
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(ModelError, match=r"do not fit its config: .* is \[.*\], not \[.*\]; save the model"):
        load_model(tmp_path)


def test_bad_options_are_refused() -> None:
    with pytest.raises(UsageError, match="unknown temporal module 'lstm'; choose from mean, attention"):
        load_model("olmv-mini", temporal="lstm")


def test_saving_where_one_cannot_is_an_output_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot make the folder"):
        save_pretrained(tiny_model(), tmp_path / "file" / "m")


def test_weights_can_be_saved_in_half_precision(tmp_path: Path) -> None:
    save_pretrained(tiny_model(), tmp_path, dtype=torch.float16)
    saved = load_file(tmp_path / "model.safetensors").values()
    assert {t.dtype for t in saved if t.ndim} == {torch.float16}
    assert {t.dtype for t in saved if not t.ndim} == {torch.float32}
    assert load_model(tmp_path, device="cpu", dtype="float32").dtype == torch.float32


def test_the_list_starts_with_what_works_at_once_and_the_default() -> None:
    names = [m.name for m in list_models()]
    assert names[:3] == ["olmv-lite", "olmv-mini", DEFAULT_MODEL]
    assert "ViT-B-32/openai" in names
    assert model_info("ViT-B-16-SigLIP/webli").description.startswith("sigmoid-trained")
    assert model_info("ViT-B-32/openai").context_length == 77


def test_random_weights_need_a_known_architecture_and_its_tokenizer(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ModelNotFoundError, match="open_clip has no architecture 'ViT-B-23'; did you mean ViT-B-32"):
        random_model("ViT-B-23")

    def refuse(_: str) -> None:
        raise OSError("no such host")

    monkeypatch.setattr("open_clip.create_model", lambda _, **__: None)
    monkeypatch.setattr("open_clip.get_tokenizer", refuse)
    message = r"the tokenizer of 'ViT-B-32' cannot be had \(no such host\); get on line once, or use an architecture"
    with pytest.raises(WeightsUnavailableError, match=message):
        random_model("ViT-B-32/openai")


def test_openai_weights_get_the_activation_they_were_trained_with(monkeypatch: pytest.MonkeyPatch) -> None:
    import open_clip

    real, asked = open_clip.create_model, []

    def create(source: str, *, pretrained: str | None = None, **options: Any) -> Any:
        asked.append((source, pretrained))
        return real(source, **options)  # without the weights, which are not here

    monkeypatch.setattr(open_clip, "create_model", create)
    model = load_model("RN50/openai", device="cpu", dtype="float32")
    assert asked == [("RN50", "openai")]
    towers = towers_of(model, OpenClipTowers)
    assert towers.config["quick_gelu"]
    assert type(towers.model.transformer.resblocks[0].mlp.gelu).__name__ == "QuickGELU"
    plain = random_model("RN50", device="cpu")
    assert type(towers_of(plain, OpenClipTowers).model.transformer.resblocks[0].mlp.gelu).__name__ == "GELU"
    plain.load_state_dict(model.state_dict())
    assert plain.fingerprint != model.fingerprint, "the same weights, and other embeddings"


def test_a_model_that_would_run_code_of_its_own_is_refused(tmp_path: Path) -> None:
    folder = write_open_clip_folder(tmp_path / "m")
    config = json.loads((folder / "open_clip_config.json").read_text())
    save_pretrained(load_model(f"local-dir:{folder}", device="cpu"), tmp_path / "saved")
    config["model_cfg"]["text_cfg"]["tokenizer_kwargs"] = {"trust_remote_code": True}
    for where in (folder, tmp_path / "saved"):
        (where / "open_clip_config.json").write_text(json.dumps(config))
        with pytest.raises(ModelError, match="asks for code of its own to be run"):
            load_model(f"local-dir:{where}" if where == folder else where)
    del config["model_cfg"]["text_cfg"]["tokenizer_kwargs"]
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    (folder / "tokenizer_config.json").write_text('{"auto_map": {"AutoTokenizer": ["evil.Evil", null]}}')
    with pytest.raises(ModelError, match="asks for code of its own to be run"):
        load_model(f"local-dir:{folder}")
    (folder / "tokenizer_config.json").write_text("{")
    with pytest.raises(ModelError, match=r"tokenizer_config\.json cannot be read"):
        load_model(f"local-dir:{folder}")


def test_a_tokenizer_that_is_none_of_the_models_is_refused(tmp_path: Path) -> None:
    save_pretrained(tiny_model(), tmp_path)
    words = json.loads((tmp_path / "tokenizer.json").read_text())
    words["model"]["vocab"]["dog"] = 10**6
    for content, message in (("{", "cannot be read as a tokenizer"), (json.dumps(words), "has more words than")):
        (tmp_path / "tokenizer.json").write_text(content)
        with pytest.raises(ModelError, match=message):
            load_model(tmp_path)
