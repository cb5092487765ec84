"""Parity with transformers' XCLIPModel carries these tests: the same random weights, none at its starting value."""

from dataclasses import replace
from functools import cache
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.functional import cross_entropy, normalize

from olmv.errors import ModelError
from olmv.models.xclip.keys import from_hf_state
from olmv.models.xclip.network import XClip, XClipConfig
from tests.models.xclips import TINY_XCLIP, XCLIP_SHAPES, hf_config, hf_xclip, moved_xclip, our_xclip, xclip_inputs


@pytest.mark.parametrize("name", XCLIP_SHAPES)
def test_logits_are_those_of_transformers(name: str) -> None:
    config = XCLIP_SHAPES[name]
    theirs, ours = hf_xclip(config), our_xclip(config)
    frames, ids = xclip_inputs(config, 2, 5)
    with torch.inference_mode():
        expected = theirs(pixel_values=frames, input_ids=ids).logits_per_video
        logits = ours.logits(frames, ids)
    assert logits.shape == (2, 5)
    assert (logits - expected).abs().max().item() <= 1e-4
    assert expected.std(dim=1).min() > 0.1, "logits that hardly differ would show nothing"
    assert (expected[0] - expected[1]).abs().max() > 1e-3


def test_every_step_is_that_of_transformers() -> None:
    theirs, ours = hf_xclip(TINY_XCLIP), our_xclip(TINY_XCLIP)
    frames, ids = xclip_inputs(TINY_XCLIP, 3, 4)
    with torch.inference_mode():
        video, context = ours.encode_video(frames)
        texts = ours.encode_texts_ids(ids)
        conditioned = ours.condition(texts, context)
        expected = theirs(pixel_values=frames, input_ids=ids)
        raw = theirs.get_text_features(input_ids=ids).pooler_output
    torch.testing.assert_close(video, expected.video_embeds, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(texts, raw, atol=1e-5, rtol=1e-4)  # not normalised
    torch.testing.assert_close(conditioned, expected.text_embeds, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(ours.logit_scale, theirs.logit_scale.exp())
    assert context.shape == (3, 16, 16)
    torch.testing.assert_close(video.norm(dim=-1), torch.ones(3))
    torch.testing.assert_close(conditioned.norm(dim=-1), torch.ones(3, 4))


@pytest.mark.parametrize("name", ["base/32", "base/16", "large/14"])
@pytest.mark.parametrize(("frames", "image_size"), [(8, 224), (16, 336)])
def test_presets_have_the_tensors_of_transformers(name: str, frames: int, image_size: int) -> None:
    if image_size % int(name[-2:]):
        image_size = 224
    config = XClipConfig.preset(name, frames=frames, image_size=image_size)
    described = hf_config(config)
    from transformers import XCLIPModel

    assert XClipConfig.from_hf(described.to_dict()) == config
    with torch.device("meta"):
        state = XCLIPModel(described).state_dict()
    ours = from_hf_state(state, config)
    assert sum(t.numel() for t in ours.values()) == sum(t.numel() for t in state.values())


def test_defaults_of_the_config_are_those_of_transformers() -> None:
    from transformers import XCLIPConfig

    assert XClipConfig.from_hf({"model_type": "xclip"}) == XClipConfig.from_hf(XCLIPConfig().to_dict()) == XClipConfig()


def test_old_files_say_the_towers_twice() -> None:
    config = {
        "model_type": "xclip",
        "vision_config": {"num_frames": 8},
        "vision_config_dict": {"num_frames": 32, "image_size": [224, 224]},
        "text_config_dict": None,
    }
    assert XClipConfig.from_hf(config) == XClipConfig(frames=32)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model_type": "clip"}, "not the config of an X-CLIP .its model_type is 'clip'"),
        ({"prompt_hidden_act": "gelu"}, "prompt_hidden_act = 'gelu' is not supported, only 'quick_gelu'; use"),
        ({"projection_dim": 768}, "mit_hidden_size = 512 is not supported, only 768"),
        ({"projection_dim": "512"}, "embed_dim = '512' cannot be; give a whole number from 1"),
        ({"vision_config": {"hidden_size": 1024, "num_attention_heads": 16}}, "intermediate_size of the image tower"),
        ({"vision_config": {"image_size": [224, 336]}}, r"image_size = \[224, 336\] cannot be"),
        ({"vision_config": [1]}, "vision_config in the config of an X-CLIP is a list; make it an object"),
        ({"prompt_layers": 0}, "prompt_layers = 0 cannot be"),
        ({"prompt_alpha": "0.1"}, "prompt_alpha = '0.1' cannot be; give a number"),
        ({"prompt_alpha": float("nan")}, r"prompt_alpha = nan cannot be; give a number from -1e\+06 to 1e\+06"),
        ({"prompt_alpha": 10**400}, "prompt_alpha = 1000.* cannot be; give a number"),
        ({"vision_config": {"num_hidden_layers": 10**7}}, "vision_layers = 10000000 cannot be; .* from 1 to 200"),
        ({"vision_config": {"num_frames": 10**12}}, "frames = 1000.* cannot be; give a whole number from 1 to 4096"),
        ({"vision_config": {"image_size": 32 * 30000}}, "image_size = 960000 cannot be"),
        ({"text_config": {"vocab_size": True}}, "vocab_size = True cannot be"),
        ({"text_config": {"num_attention_heads": 7}}, "text_width 512 is not a multiple of text_heads 7; correct"),
    ],
)
def test_configs_that_cannot_be_used(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        XClipConfig.from_hf({"model_type": "xclip"} | change)


def test_an_unknown_preset_names_the_known_ones() -> None:
    with pytest.raises(ModelError, match="no X-CLIP is called 'huge/14'; use one of base/32, base/16, large/14"):
        XClipConfig.preset("huge/14")


def test_the_config_survives_its_own_dictionary() -> None:
    config = XClipConfig.preset("large/14", frames=16, image_size=336)
    assert XClipConfig(**config.to_dict()) == config


@pytest.mark.parametrize("given_frames", [1, 3, 5, 8])
def test_another_number_of_frames_is_refused(given_frames: int) -> None:
    frames = torch.randn(2, given_frames, 3, 32, 32)  # 2 x 8 would even divide by 4
    with pytest.raises(ModelError, match=f"made for 4 frames, got {given_frames}; look at 4"):
        XClip(TINY_XCLIP).encode_video(frames)


def test_frames_of_another_size_are_refused() -> None:
    with pytest.raises(ModelError, match="made for frames of 3 x 32 x 32, got 3 x 40 x 32; use its own"):
        XClip(TINY_XCLIP).encode_video(torch.randn(1, 4, 3, 40, 32))


def test_texts_past_the_context_are_refused() -> None:
    with pytest.raises(ModelError, match="texts of 13 tokens do not fit the context of 12; cut them first"):
        XClip(TINY_XCLIP).encode_texts_ids(torch.ones(1, 13, dtype=torch.long))


@cache
def made() -> XClip:
    """Return the model of many examples, made when the first of them asks."""
    return moved_xclip(TINY_XCLIP)


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 4), st.integers(1, 5), st.integers(0, 3), st.integers(0, 98), st.integers(0, 1000))
def test_company_and_padding_change_nothing(videos: int, texts: int, longer: int, pad: int, seed: int) -> None:
    torch.manual_seed(seed)
    frames, ids = xclip_inputs(TINY_XCLIP, videos, texts)
    padded = torch.cat([ids, torch.full((texts, longer), pad)], dim=1)
    model = made()
    with torch.inference_mode():
        together = model.logits(frames, padded)
        for b in range(videos):
            for k in range(texts):
                alone = model.logits(frames[b : b + 1], ids[k : k + 1])
                torch.testing.assert_close(together[b, k], alone[0, 0], atol=2e-5, rtol=1e-4)


def test_frames_hear_of_each_other_through_messages_only() -> None:
    config = replace(TINY_XCLIP, vision_layers=3)
    model = our_xclip(config)
    frames, _ = xclip_inputs(config, 2, 1)
    other = frames.clone()
    other[0, 3] = torch.randn(3, 32, 32)

    def change() -> Tensor:
        with torch.inference_mode():
            first, second = (model.visual(f.flatten(0, 1), 4)[0].view(2, 4, -1) for f in (frames, other))
        difference: Tensor = (first - second).abs().amax(-1)
        return difference

    moved = change()
    assert (moved[0] > 1e-4).all()
    assert (moved[1] == 0).all(), "another video's frames are none of its business"
    with torch.no_grad():
        for name, parameter in model.visual.named_parameters():
            if "message_attn.qkv" in name:
                parameter.zero_()[2 * 48 :].zero_()
    still = change()
    assert (still[0, :3] < 1e-6).all()
    assert still[0, 3] > 1e-4


def test_prompting_with_no_alpha_leaves_the_texts() -> None:
    model = our_xclip(TINY_XCLIP)
    with torch.inference_mode():
        model.prompting.alpha.zero_()
        texts, context = torch.randn(5, 16), torch.randn(2, 16, 16)
        torch.testing.assert_close(model.condition(texts, context), normalize(texts, dim=-1).expand(2, 5, 16))


def test_gradients_reach_every_weight_and_are_those_of_transformers() -> None:
    theirs, ours = hf_xclip(TINY_XCLIP).double().train(), our_xclip(TINY_XCLIP).double().train()
    frames, ids = xclip_inputs(TINY_XCLIP, 2, 3)
    frames = frames.double()
    target = torch.tensor([0, 2])
    for logits in (ours.logits(frames, ids), theirs(pixel_values=frames, input_ids=ids).logits_per_video):
        torch.autograd.backward(cross_entropy(logits, target))
    without = [name for name, p in ours.named_parameters() if p.grad is None or not p.grad.any()]
    assert without == []
    expected = from_hf_state({name: p.grad for name, p in theirs.named_parameters()}, TINY_XCLIP)
    for name, parameter in ours.named_parameters():
        assert parameter.grad is not None
        difference = (parameter.grad - expected[name]).abs().max()
        assert difference <= 1e-5 * expected[name].abs().max(), name


def test_bfloat16_is_close() -> None:
    model = our_xclip(TINY_XCLIP)
    frames, ids = xclip_inputs(TINY_XCLIP, 4, 6)
    with torch.inference_mode():
        full = model.logits(frames, ids)
        model.bfloat16()
        half = model.logits(frames, ids)
        video, context = model.encode_video(frames)
    assert (video.dtype, context.dtype) == (torch.float32, torch.bfloat16)
    assert half.dtype == torch.float32
    assert (half - full).abs().max() < 0.03 * model.logit_scale
    assert torch.corrcoef(torch.stack([half.flatten(), full.flatten()]))[0, 1] > 0.99
