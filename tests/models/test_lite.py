"""olmv-lite's two networks against the libraries that they are made from, its folder, and what it says of pictures."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import olmv
from olmv.errors import ModelError
from olmv.models.clip.model import VideoCLIP
from olmv.models.export.onnx import export_onnx
from olmv.models.lite.config import LiteConfig
from olmv.models.lite.network import LiteTextTower, LiteVisionTower
from olmv.models.lite.towers import LiteTowers
from olmv.models.registry import SHIPPED, list_models, load_video_clip, model_info, text_limit
from olmv.models.storage.saving import save_pretrained
from olmv.video.transforms import Preprocess
from scripts.research.make_lite import text_state, vision_state
from tests.models.kinds import towers_of
from tests.support.tiny import write_tokenizer

TINY = LiteConfig(
    image_size=32, width=0.25, depth=0.5, embed_dim=16, vocab_size=64, text_width=16, text_layers=1, text_heads=2,
    text_hidden=32, context_length=16, anchors=12,
)  # fmt: skip


def tiny_lite(folder: Path, config: LiteConfig = TINY, seed: int = 0) -> VideoCLIP:
    """olmv-lite's classes with random weights."""
    torch.manual_seed(seed)
    towers = LiteTowers(config, write_tokenizer(folder / "letters.json"))
    preprocess = Preprocess(size=config.image_size, mean=(0.5,) * 3, std=(0.5,) * 3)
    return VideoCLIP(towers, name="tiny-lite", preprocess=preprocess, templates="none").eval().requires_grad_(False)


@pytest.mark.parametrize("size", [(0, 1.0, 1.0, 224), (1, 1.0, 1.1, 240), (2, 1.1, 1.2, 260)])
def test_the_image_tower_is_timms_with_its_normalisation_folded_in(size: Any, tmp_path: Path) -> None:
    import timm

    version, width, depth, pixels = size
    torch.manual_seed(version)
    theirs = timm.create_model(f"tf_efficientnet_lite{version}").eval()
    for module in theirs.modules():
        if isinstance(module, nn.BatchNorm2d):  # fresh ones change nothing
            assert module.running_mean is not None
            assert module.running_var is not None
            module.running_mean.uniform_(-0.1, 0.1)
            module.running_var.uniform_(0.5, 2)
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.uniform_(module.bias, -0.5, 0.5)
    torch.save(theirs.state_dict(), tmp_path / "published.pth")
    ours = LiteVisionTower(LiteConfig(image_size=pixels, width=width, depth=depth)).eval()
    state, classifier = vision_state(tmp_path / "published.pth", ours)
    ours.load_state_dict(state)
    pictures = torch.randn(2, 3, pixels, pixels)
    with torch.inference_mode():
        expected = theirs.forward_features(pictures).mean((2, 3))
        assert torch.allclose(ours(pictures), expected, atol=1e-4, rtol=1e-4)
    assert torch.equal(classifier, theirs.classifier.weight)


def test_a_file_of_another_size_is_refused(tmp_path: Path) -> None:
    import timm

    torch.save(timm.create_model("tf_efficientnet_lite0").state_dict(), tmp_path / "small.pth")
    with pytest.raises(SystemExit, match="not"):
        vision_state(tmp_path / "small.pth", LiteVisionTower(LiteConfig()))


def test_the_sentence_encoder_is_transformers_bert(tmp_path: Path) -> None:
    from transformers import BertConfig, BertModel

    config = replace(TINY, text_layers=2)
    torch.manual_seed(0)
    theirs = BertModel(
        BertConfig(
            vocab_size=64, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32,
            max_position_embeddings=40,
        )
    ).eval()  # fmt: skip
    theirs.save_pretrained(tmp_path)
    ours = LiteTextTower(config).eval()
    missing, unexpected = ours.load_state_dict(text_state(tmp_path, config), strict=False)
    assert set(missing) == {"keys", "values", "queries"}
    assert not unexpected
    ids = torch.randint(1, 64, (3, 9))
    mask = torch.tensor([[True] * 9, [True] * 4 + [False] * 5, [True] + [False] * 8])
    with torch.inference_mode():
        hidden = theirs(input_ids=ids, attention_mask=mask.long()).last_hidden_state
        mean = (hidden * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)
        assert torch.allclose(ours.meaning(ids, mask), nn.functional.normalize(mean, dim=-1), atol=1e-5)


def test_padding_changes_no_text(tmp_path: Path) -> None:
    model = tiny_lite(tmp_path)
    alone = model.encode_texts(["a dog"])
    assert torch.allclose(model.encode_texts(["a dog", "a guitar, played"])[0], alone[0], atol=1e-6)


def test_a_text_is_a_mixture_of_the_classifiers_weights(tmp_path: Path) -> None:
    towers = towers_of(tiny_lite(tmp_path), LiteTowers)
    meaning = nn.functional.normalize(torch.randn(5, 16), dim=-1)
    attention = towers.textual.attention(meaning)
    assert attention.shape == (5, 12)
    assert torch.allclose(attention.sum(-1), torch.ones(5))
    towers.textual.queries.data[:] = torch.eye(16)
    towers.textual.keys.data[:] = nn.functional.normalize(torch.randn(12, 16), dim=-1)
    sure = towers.textual.attention(towers.textual.keys[0])  # each class asked for by its own key
    assert sure.argmax(-1).tolist() == list(range(12))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"image_size": 0}, "image_size = 0"),
        ({"anchors": 2**21}, "anchors = 2097152"),
        ({"width": 100.0}, "width = 100.0 cannot be; give a number from 0.1 to 10"),
        ({"temperature": float("nan")}, "temperature = nan"),
        ({"depth": "2"}, "depth = '2'"),
        ({"sigmoid": 1}, "sigmoid = 1 cannot be; it is true or false"),
        ({"text_heads": 5}, "the width must be a multiple of the heads"),
    ],
)
def test_sizes_that_cannot_be(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        replace(TINY, **change)


def test_a_folder_round_trip_with_and_without_a_bias(tmp_path: Path) -> None:
    model = tiny_lite(tmp_path)
    assert model.logit_bias is None
    save_pretrained(model, tmp_path / "plain")
    model.towers.add_bias(-2.0)
    save_pretrained(model, tmp_path / "tuned")
    plain, tuned = (load_video_clip(tmp_path / name, dtype="float32") for name in ("plain", "tuned"))
    assert plain.logit_bias is None
    assert tuned.logit_bias == -2.0
    frames = torch.randn(2, 3, 3, 32, 32)
    assert torch.allclose(plain.encode_frames(frames), model.encode_frames(frames), atol=1e-5)
    assert torch.equal(plain.encode_texts(["a dog"]), tuned.encode_texts(["a dog"]))


def test_weights_of_other_sizes_are_refused_before_memory_is_given(tmp_path: Path) -> None:
    save_pretrained(tiny_lite(tmp_path), tmp_path / "made")
    path = tmp_path / "made" / "config.json"
    config = json.loads(path.read_text())
    config["architecture"]["anchors"] = 2**20
    path.write_text(json.dumps(config))
    with pytest.raises(ModelError, match=r"do not fit its config: 'towers.textual.keys'"):
        olmv.load_model(tmp_path / "made")


def test_temporal_modules_that_need_a_transformer_say_so(tmp_path: Path) -> None:
    save_pretrained(tiny_lite(tmp_path), tmp_path / "made")
    for temporal in ("cross-frame", "divided"):
        with pytest.raises(ModelError, match="olmv-lite"):
            olmv.load_model(tmp_path / "made", temporal=temporal)
    assert load_video_clip(tmp_path / "made", temporal="transformer").temporal == "transformer"


@pytest.mark.slow
def test_both_towers_export(tmp_path: Path) -> None:
    made = export_onnx(tiny_lite(tmp_path), tmp_path / "graphs")
    assert max(made.video_difference, made.text_difference) < 1e-4
    told = json.loads((tmp_path / "graphs" / "export.json").read_text())
    assert told["text.onnx"]["inputs"]["ids"]["shape"] == ["A", "L"]
    assert told["tokenizer"]["kind"] == "tokenizer.json"


def test_it_ships_and_its_texts_are_not_cut_at_a_few_words() -> None:
    assert list_models()[0].name == "olmv-lite"
    info = model_info("olmv-lite")
    assert (info.family, info.image_size, info.ships_with_olmv) == ("olmv", 260, True)
    limit = text_limit("olmv-lite")
    assert limit.context_length == 128
    assert limit.token_counts(["a dog"]) == [4]


@pytest.fixture(scope="module")
def lite() -> VideoCLIP:
    return load_video_clip("olmv-lite", dtype="float32")


def test_words_of_a_kind_are_near_and_unknown_scripts_do_not_fail(lite: VideoCLIP) -> None:
    names = ["a puppy", "a dog", "a violin", "a cello", "吉他", "x" * 3000, ""]
    dog, fiddle = (lite.encode_texts(names)[first : first + 2] for first in (0, 2))
    assert float(dog[0] @ dog[1]) > float(dog[0] @ fiddle[0]) + 0.3
    assert float(fiddle[0] @ fiddle[1]) > float(fiddle[0] @ dog[0]) + 0.3
    assert bool(lite.encode_texts(names).isfinite().all())


def test_what_ships_is_small_and_whole() -> None:
    shipped = [path for folder in SHIPPED.values() for path in folder.iterdir()]
    assert sum(path.stat().st_size for path in shipped) < 90e6
    for folder in SHIPPED.values():
        assert (folder / "README.md").read_text(encoding="utf-8").count("\n") > 20


@pytest.mark.parametrize("name", SHIPPED)
def test_loading_what_ships_imports_none_of_the_slow_libraries(name: str) -> None:
    code = (
        f"import sys, olmv; olmv.load_model('{name}').encode_texts(['a dog']);"
        "print({'timm', 'transformers', 'open_clip', 'torchvision', 'torch._dynamo'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
