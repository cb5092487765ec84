"""Open-VCLIP: its checkpoints and the original become one model, weight by weight; every doubt is an error."""

from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from olmv.errors import ModelError, UsageError, WeightsUnavailableError
from olmv.models.clip.model import VideoCLIP
from olmv.models.convert import openvclip
from olmv.models.convert.convert import convert
from olmv.models.open_clip.loading import random_model
from olmv.models.open_clip.towers import OpenClipTowers
from olmv.models.registry import load_model, load_video_clip
from olmv.models.storage.checkpoints import sha256_of
from olmv.models.storage.saving import save_pretrained
from olmv.video.transforms import Preprocess
from tests.models.kinds import clips, towers_of
from tests.models.published import TINY_CLIP, clip_state, loaded, write_clip, write_epoch, write_swa
from tests.models.weights import equal
from tests.support.tiny import tiny_model

State = dict[str, Tensor]
CPU: dict[str, Any] = {"device": "cpu", "dtype": "float32"}


@pytest.fixture(scope="module")
def before() -> State:
    """Before fine-tuning."""
    return clip_state(seed=0)


@pytest.fixture(scope="module")
def after(before: State) -> State:
    """After it: the image tower and the scale have moved, the text tower has not."""
    moved = clip_state(seed=1)
    return {n: moved[n] if n.startswith(("visual.", "logit_scale")) else t for n, t in before.items()}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("published")


@pytest.fixture(scope="module")
def swa(folder: Path, after: State) -> Path:
    return write_swa(folder / "swa_2_22.pth", after)


@pytest.fixture(scope="module")
def original(folder: Path, before: State) -> str:
    return write_clip(folder / "original", before)


def weights_of(folder: Path) -> State:
    return dict(loaded(folder).towers.model.state_dict())


# --- Open-VCLIP


@pytest.mark.parametrize("write", [write_swa, write_epoch])
def test_ratio_0_gives_the_checkpoint_bit_for_bit(
    tmp_path: Path, after: State, write: Callable[[Path, State], Path]
) -> None:
    done = convert(write(tmp_path / "x.pyth", after), tmp_path / "out", ratio=0)
    assert equal(weights_of(tmp_path / "out"), after)
    assert (done.kind, done.tensors, done.ratio, done.original) == ("Open-VCLIP", len(after), 0, None)


def test_ratio_1_gives_the_original_bit_for_bit(tmp_path: Path, swa: Path, before: State, original: str) -> None:
    convert(swa, tmp_path / "out", ratio=1, original=original)
    assert equal(weights_of(tmp_path / "out"), before)


def test_an_original_in_half_precision_is_taken_in_float32(tmp_path: Path, swa: Path, before: State) -> None:
    """As OpenAI's files are."""
    halves = {name: tensor.half() for name, tensor in before.items()}
    convert(swa, tmp_path / "out", ratio=1, original=write_clip(tmp_path / "halves", halves))
    assert equal(weights_of(tmp_path / "out"), {name: tensor.float() for name, tensor in halves.items()})


def test_between_the_ends(tmp_path: Path, swa: Path, before: State, after: State, original: str) -> None:
    convert(swa, tmp_path / "out", ratio=0.3, original=original)
    for name, found in weights_of(tmp_path / "out").items():
        expected = 0.3 * before[name].double() + 0.7 * after[name].double()
        assert found.dtype == torch.float32
        assert torch.allclose(found.double(), expected, rtol=1e-6, atol=1e-7), name
        if name.startswith("visual."):
            assert not torch.equal(found, before[name])


@pytest.fixture(scope="module")
def converted(folder: Path, swa: Path, original: str) -> VideoCLIP:
    convert(swa, folder / "out", ratio=0.5, original=original)
    model = loaded(folder / "out")
    assert isinstance(model, VideoCLIP)
    return model


def test_the_model_runs_as_its_authors_run_it(converted: VideoCLIP) -> None:
    assert (converted.temporal, converted.temporal_options) == ("cross-frame", {"edges": "zero"})
    assert (converted.templates, converted.frame_pooling) == ("open-vclip", "logits")
    assert converted.preprocess == Preprocess(size=32, interpolation="bilinear", antialias=False)
    assert towers_of(converted, OpenClipTowers).config["quick_gelu"] is True
    assert converted.logit_bias is None


def test_it_encodes_as_a_model_built_by_hand(converted: VideoCLIP, before: State, after: State) -> None:
    from open_clip.model import CLIP

    clip = CLIP(**deepcopy(TINY_CLIP))
    clip.load_state_dict({name: torch.lerp(after[name], before[name], 0.5) for name in after})
    by_hand = VideoCLIP(
        OpenClipTowers(clip.eval(), converted.towers.tokenizer, TINY_CLIP), name="x", preprocess=converted.preprocess,
        temporal="cross-frame", temporal_options={"edges": "zero"},
    )  # fmt: skip
    for time in (1, 2, 8):
        frames = clips(2, time)
        with torch.inference_mode():
            assert torch.equal(converted.encode_video(frames), by_hand.encode_video(frames))


def test_texts_are_the_originals_and_single_frames_are_not(converted: VideoCLIP, original: str) -> None:
    """Two zero neighbours take their share of the attention."""
    plain = load_model(original, **CPU)
    texts = ["a dog", "playing guitar"]
    assert torch.equal(converted.encode_texts(texts), plain.encode_texts(texts))
    still = load_video_clip(converted.name, temporal="mean", **CPU)
    with torch.inference_mode():
        one = clips(1, 1)
        assert not torch.allclose(converted.encode_video(one), still.encode_video(one), atol=1e-4)


def test_what_holds_no_weights_is_passed_over(tmp_path: Path, after: State) -> None:
    extra = {"input_resolution": torch.tensor(32), "context_length": torch.tensor(77), "vocab_size": 49408}
    masks = {"transformer.resblocks.0.attn_mask": torch.full((77, 77), float("-inf")), "attn_mask": None}
    done = convert(write_swa(tmp_path / "x.pth", after | extra | masks), tmp_path / "out", ratio=0)
    assert done.tensors == len(after)


def test_the_card_and_the_description(folder: Path, swa: Path, converted: VideoCLIP) -> None:
    card = (folder / "out" / "README.md").read_text()
    assert f"Checkpoint: `swa_2_22.pth`, SHA-256 `{sha256_of(swa)}`" in card
    assert "ratio 0.5\n" in card
    assert "- Original: `original`\n" in card
    assert "arXiv 2302.00624" in card
    assert "--views openvclip" in card
    assert "authors" in card
    assert str(folder) not in card
    from olmv.models.registry import model_info

    told = model_info(folder / "out")
    assert told.description.startswith("Open-VCLIP, ViT of 128x2, patch 16, ratio 0.5; converted by olmv")
    assert told.temporal == "cross-frame"


def test_a_hostile_file_name_stays_on_its_line(tmp_path: Path, after: State) -> None:
    convert(write_swa(tmp_path / "x`\n# free", after), tmp_path / "out", ratio=0)
    assert "Checkpoint: `x'\\n# free`, SHA-256" in (tmp_path / "out" / "README.md").read_text()


def without(state: State, *names: str) -> State:
    return {name: tensor for name, tensor in state.items() if name not in names}


LN = "visual.ln_post.weight"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: without(s, LN, "ln_final.bias"), r"2 tensors are missing .*\(of \d+\): '.*', '.*'; give a check"),
        (
            lambda s: s | {"head.weight": s[LN]},
            r"1 tensors are unknown in the checkpoint \(of \d+\): 'head.weight'; gi",
        ),
        (
            lambda s: s | {LN: s[LN][:-1]},
            r"1 tensors have another shape.*: 'visual.ln_post.weight'.* \[127\], not \[128",
        ),
        (lambda s: {n: t.half() for n, t in s.items()}, r"\d+ tensors are float16, not float32: .* and \d+ more; half"),
        (lambda s: s | {LN: s[LN].long()}, r"1 tensors are int64, not float32: 'visual.ln_post.weight'; half"),
        (lambda s: s | {LN: "text"}, r"the checkpoint: 1 entries are no plain tensors: 'visual.ln_post.weight \(a str"),
        (lambda s: s | {LN: s[LN] / 0}, r"1 tensors have values that are no finite numbers: 'visual.ln_post.weight'"),
        (lambda s: s | {LN: s[LN][:1].clone().expand(128)}, r"1 tensors are larger than their data: 'visual.ln_post"),
        (
            lambda s: s | {"visual.conv1.weight": torch.zeros(1).expand(2**50, 3, 16, 16)},
            r"1 tensors are larger than their data: 'visual.conv1.weight'; give the file",
        ),
        (
            lambda s: s | {"text_projection": torch.zeros(1).expand(2**30, 2**30)},
            r"1 tensors are larger than their data: 'text_projection'; give the file",
        ),
        (
            lambda s: without(s, "token_embedding.weight"),
            r"has no tensor 'token_embedding.weight', so it is not of a V",
        ),
        (
            lambda s: s | {"visual.conv1.weight": s[LN]},
            r"'visual.conv1.weight' in the checkpoint is no tensor of 4 dim",
        ),
        (
            lambda s: {n: t for n, t in s.items() if "visual.transformer.resblocks.0." not in n},
            r"has no layer 0 under 'visual.transformer'; give a checkpoint of Open-VCLIP",
        ),
        (lambda s: s | {"text_projection": s["text_projection"][:50]}, r"widths of 128 and 50 are no multiples of 64"),
        (
            lambda s: s | {"token_embedding.weight": s["token_embedding.weight"][:99]},
            r"reads 99 tokens, and CLIP's tokenizer has 49408; use CLIP's",
        ),
    ],
)
def test_a_checkpoint_that_is_not_whole(
    tmp_path: Path, after: State, change: Callable[[State], State], message: str
) -> None:
    with pytest.raises(ModelError, match=message):
        convert(write_swa(tmp_path / "x.pth", change(after)), tmp_path / "out", ratio=0)
    assert not (tmp_path / "out").exists()


def test_names_that_begin_otherwise(tmp_path: Path, after: State) -> None:
    mixed = {"model_state": {f"model.{name}": t for name, t in after.items()} | {"head.weight": after[LN]}}
    torch.save(mixed, tmp_path / "x.pth")
    with pytest.raises(ModelError, match=r"1 of \d+ names in the checkpoint do not begin with 'model.': 'head.weight'"):
        convert(tmp_path / "x.pth", tmp_path / "out", ratio=0)


# --- ratio and original


def test_ratio_and_original_must_go_together(tmp_path: Path, swa: Path, original: str) -> None:
    out = tmp_path / "out"
    with pytest.raises(UsageError, match=r"no ratio is published for this architecture .*; say one, 0 to 1"):
        convert(swa, out)
    with pytest.raises(UsageError, match=r"ratio 0.5 needs the original; name it, or use ratio 0"):
        convert(swa, out, ratio=0.5)
    with pytest.raises(UsageError, match=r"ratio 0 takes nothing of the original; leave it out"):
        convert(swa, out, ratio=0, original=original)
    for wrong in (-0.1, 1.1, float("nan")):
        with pytest.raises(UsageError, match=r"ratio is .*; it is the weight of the original, from 0 to 1"):
            convert(swa, out, ratio=wrong, original=original)
    assert not out.exists()


def edited(**changes: Any) -> dict[str, Any]:
    config = deepcopy(TINY_CLIP)
    for key, value in changes.items():
        if isinstance(value, dict):
            config[key] |= value
        else:
            config[key] = value
    return config


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (edited(quick_gelu=False), "does not compute with QuickGELU, as OpenAI's CLIP and Open-VCLIP do; use the very"),
        (
            edited(embed_dim=16),
            r"of another architecture than the checkpoint \(\d+ tensors differ: .*\); use the very mo",
        ),
        (edited(vision_cfg={"layers": 1}), r"of another architecture than the checkpoint \(\d+ tensors differ"),
        (edited(vision_cfg={"head_width": 32}), "has other attention heads than the checkpoint; use the very model"),
        (edited(text_cfg={"heads": 2}), "has other attention heads than the checkpoint"),
    ],
)
def test_the_original_must_be_the_very_architecture(
    tmp_path: Path, swa: Path, config: dict[str, Any], message: str
) -> None:
    name = write_clip(tmp_path / "other", clip_state(config), config)
    with pytest.raises(ModelError, match=message):
        convert(swa, tmp_path / "out", ratio=0.5, original=name)


def test_a_config_alone_does_not_make_quick_gelu(
    tmp_path: Path, swa: Path, original: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ViT-B-16/openai: open_clip knows that the weights want it, and builds the plain activation."""
    model = load_model(original, **CPU)
    towers_of(model, OpenClipTowers).model.visual.transformer.resblocks[1].mlp.gelu = torch.nn.GELU()
    monkeypatch.setattr(openvclip, "load_model", lambda *_, **__: model)
    with pytest.raises(ModelError, match="does not compute with QuickGELU"):
        convert(swa, tmp_path / "out", ratio=0.5, original=original)


def test_models_that_are_no_clip_are_no_original(tmp_path: Path, swa: Path) -> None:
    save_pretrained(tiny_model(), tmp_path / "mini")
    with pytest.raises(ModelError, match=r"mini' is no CLIP of open_clip; use the very model that was fine-tuned"):
        convert(swa, tmp_path / "out", ratio=0.5, original=str(tmp_path / "mini"))


def test_an_original_that_cannot_be_had(tmp_path: Path, swa: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise WeightsUnavailableError("the weights of 'x' cannot be had (no network); use the model olmv-mini")

    monkeypatch.setattr(openvclip, "load_model", fail)
    with pytest.raises(WeightsUnavailableError, match=r"\(no network\); get on line once, name a folder .* ratio 0$"):
        convert(swa, tmp_path / "out", ratio=0.5, original="x")


@pytest.mark.slow
def test_the_published_shapes_of_b32(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its own defaults: ratio 0.5 of OpenAI's ViT-B-32-quickgelu; 302 tensors."""
    openai = random_model("ViT-B-32-quickgelu", device="cpu")
    asked = []

    def load(name: str, **_: Any) -> VideoCLIP:
        asked.append(name)
        return openai

    monkeypatch.setattr(openvclip, "load_model", load)
    start = dict(towers_of(openai, OpenClipTowers).model.state_dict())
    tuned = {name: tensor * 0.9 + 0.001 for name, tensor in start.items()}
    done = convert(write_swa(tmp_path / "swa_2_22.pth", tuned), tmp_path / "out")
    assert (done.tensors, done.architecture, done.ratio) == (302, "ViT-B-32-quickgelu", 0.5)
    assert done.published_ratio
    assert asked == ["ViT-B-32-quickgelu/openai"]
    saved = load_file(tmp_path / "out" / "model.safetensors")
    assert equal(saved, {f"towers.model.{n}": torch.lerp(tuned[n], start[n], 0.5) for n in tuned})
    assert "ratio 0.5 (the published one)" in (tmp_path / "out" / "README.md").read_text()
