from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from olmv.errors import ModelError
from olmv.models.xclip.keys import config_of_authors, from_authors_state, from_hf_state
from olmv.models.xclip.network import XClip, XClipConfig
from tests.models.xclips import TINY_XCLIP, WIDE, as_the_authors_write, hf_xclip, random_xclip, xclip_inputs


def test_the_authors_weights_come_back_exactly() -> None:
    model = random_xclip(WIDE)
    authors = as_the_authors_write(model)
    config = config_of_authors(authors)
    assert config == WIDE
    back, expected = from_authors_state(authors, config), model.state_dict()
    assert back.keys() == expected.keys()
    for name, tensor in expected.items():
        assert torch.equal(back[name], tensor), name
        assert back[name].is_contiguous()


@pytest.mark.parametrize("name", ["base/32", "base/16", "large/14"])
def test_presets_are_told_from_the_authors_shapes(name: str) -> None:
    config = XClipConfig.preset(name, frames=16, image_size=336 if name == "large/14" else 224)
    with torch.device("meta"):
        authors = as_the_authors_write(XClip(config))
    assert config_of_authors(authors) == config


def test_the_authors_files_and_hugging_faces_make_the_same_model() -> None:
    """Through transformers' names for the same weights, and its forward pass."""
    theirs = hf_xclip(WIDE)
    model = XClip(WIDE).eval()
    model.load_state_dict(from_hf_state(theirs.state_dict(), WIDE))
    again = XClip(WIDE).eval()
    again.load_state_dict(from_authors_state(as_the_authors_write(model), WIDE))
    frames, ids = xclip_inputs(WIDE, 2, 3)
    with torch.inference_mode():
        expected = theirs(pixel_values=frames, input_ids=ids).logits_per_video
        assert (again.logits(frames, ids) - expected).abs().max() <= 1e-4


Reader = Callable[[dict[str, Any], XClipConfig], dict[str, Tensor]]


@pytest.fixture(params=["hf", "authors"])
def side(request: pytest.FixtureRequest) -> tuple[Reader, dict[str, Any], XClipConfig]:
    if request.param == "hf":
        return from_hf_state, dict(hf_xclip(TINY_XCLIP).state_dict()), TINY_XCLIP
    return from_authors_state, dict(as_the_authors_write(random_xclip(WIDE))), WIDE


def test_half_precision_becomes_float32(side: tuple[Reader, dict[str, Any], XClipConfig]) -> None:
    read, state, config = side
    whole = read(state, config)
    half = read({name: tensor.half() for name, tensor in state.items()}, config)
    for name, tensor in half.items():
        assert tensor.dtype == torch.float32
        assert torch.equal(tensor, whole[name].half().float()), name


def test_the_result_shares_no_memory(side: tuple[Reader, dict[str, Any], XClipConfig]) -> None:
    read, state, config = side
    given = {tensor.data_ptr() for tensor in state.values()}
    assert not given & {tensor.data_ptr() for tensor in read(state, config).values()}


def test_a_missing_tensor_is_named(side: tuple[Reader, dict[str, Any], XClipConfig]) -> None:
    read, state, config = side
    for name in list(state)[::9]:
        with pytest.raises(ModelError, match=r"do not fit this X-CLIP: missing '[^']*'; check that file") as caught:
            read({other: tensor for other, tensor in state.items() if other != name}, config)
        assert f"missing '{name}'" in str(caught.value)


def test_unknown_tensors_are_refused(side: tuple[Reader, dict[str, Any], XClipConfig]) -> None:
    read, state, config = side
    extra = {f"head.{i}\n": torch.zeros(1) for i in range(5)}
    with pytest.raises(ModelError, match=r"unknown 'head.0\\n', 'head.1\\n', 'head.2\\n' and 2 more; check") as caught:
        read(state | extra, config)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda t: t[:-1], r"misfitting 'prompts_generator.alpha' is \[{less}\], not \[{dim}\]; check"),
        (lambda t: t.to(torch.int8), r"'prompts_generator.alpha' is \[{dim}\] of int8, not \[{dim}\]"),
        (lambda t: "text", r"'prompts_generator.alpha' is a str, not \[{dim}\]"),
    ],
)
def test_misfitting_tensors_are_named(
    side: tuple[Reader, dict[str, Any], XClipConfig], wrong: Callable[[Tensor], Any], message: str
) -> None:
    read, state, config = side
    state["prompts_generator.alpha"] = wrong(state["prompts_generator.alpha"])
    with pytest.raises(ModelError, match=message.format(dim=config.embed_dim, less=config.embed_dim - 1)):
        read(state, config)


def test_parts_and_transposed_tensors_are_measured_as_the_file_has_them() -> None:
    state = dict(hf_xclip(TINY_XCLIP).state_dict())
    state["mit.encoder.layers.0.self_attn.k_proj.weight"] = torch.zeros(16, 8)
    state["prompts_visual_projection"] = torch.zeros(16, 48)
    with pytest.raises(ModelError, match=r"k_proj.weight' is \[16, 8\], not \[16, 16\]") as caught:
        from_hf_state(state, TINY_XCLIP)
    assert "'prompts_visual_projection' is [16, 48], not [48, 16]" in str(caught.value)


def test_another_frame_count_does_not_fit() -> None:
    with pytest.raises(ModelError, match=r"'mit.position_embedding' is \[1, 4, 16\], not \[1, 8, 16\]"):
        from_hf_state(hf_xclip(TINY_XCLIP).state_dict(), replace(TINY_XCLIP, frames=8))


def test_buffers_of_older_transformers_are_passed_over() -> None:
    state = dict(hf_xclip(TINY_XCLIP).state_dict())
    state["text_model.embeddings.position_ids"] = torch.arange(12)[None]
    state["vision_model.embeddings.position_ids"] = torch.arange(17)[None]
    assert from_hf_state(state, TINY_XCLIP).keys() == XClip(TINY_XCLIP).state_dict().keys()


@pytest.mark.parametrize("state", [{}, {"visual.conv1.weight": torch.zeros(3)}, {"visual.conv1.weight": "no"}])
def test_other_files_are_no_x_clip(state: dict[str, Any]) -> None:
    with pytest.raises(ModelError, match=r"no tensor 'visual.conv1.weight' of 4 dimensions; give such a file"):
        config_of_authors(state)


def test_an_empty_tensor_says_no_sizes() -> None:
    state = {"visual.conv1.weight": torch.zeros(64, 3, 8, 8), "visual.positional_embedding": torch.zeros(0, 64)}
    with pytest.raises(ModelError, match=r"no tensor 'visual.positional_embedding' of 2 dimensions; give such a file"):
        config_of_authors(state)
