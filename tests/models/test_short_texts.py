"""Texts without the padding behind them, against open_clip's own encoding."""

from typing import Any

import pytest
import torch

from olmv.models.open_clip.short_texts import encode_short, reads_left_to_right
from olmv.models.open_clip.soft_places import end_places

TEXTS = ["dog", "", "a video of two people who play the guitar in the rain, seen from afar", "word " * 100]


@pytest.fixture(scope="module")
def open_clip() -> Any:
    import open_clip

    import olmv  # noqa: F401  # its guard comes before torchvision

    return open_clip


@pytest.fixture(scope="module")
def model(open_clip: Any) -> Any:
    torch.manual_seed(0)
    vision = {"image_size": 32, "layers": 1, "width": 32, "patch_size": 16, "head_width": 16}
    text = {"context_length": 77, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 3}
    return open_clip.CLIP(embed_dim=24, vision_cfg=vision, text_cfg=text).eval()


@torch.no_grad()
@pytest.mark.parametrize("texts", [TEXTS, TEXTS[:1], TEXTS[1:3]])
def test_embeddings_are_those_of_open_clip(open_clip: Any, model: Any, texts: list[str]) -> None:
    tokenizer = open_clip.get_tokenizer("ViT-B-32")
    ids = tokenizer(texts)
    assert reads_left_to_right(model)
    got = encode_short(model, ids, end_places(model, tokenizer, ids))
    torch.testing.assert_close(got, model.encode_text(ids), rtol=0, atol=1e-5)


@torch.no_grad()
def test_the_padding_is_left_out(open_clip: Any, model: Any) -> None:
    lengths: list[int] = []
    hook = model.transformer.register_forward_pre_hook(lambda _, inputs: lengths.append(inputs[0].shape[1]))
    tokenizer = open_clip.get_tokenizer("ViT-B-32")
    for texts in (["dog"], ["word " * 20], ["word " * 100]):
        ids = tokenizer(texts)
        encode_short(model, ids, end_places(model, tokenizer, ids))
    hook.remove()
    assert lengths == [8, 24, 77]


def test_other_text_towers_keep_their_padding(model: Any) -> None:
    class CustomTextCLIP:
        attn_mask = object()

    assert not reads_left_to_right(CustomTextCLIP())
    mask, model.attn_mask = model.attn_mask, None  # looks both ways
    assert not reads_left_to_right(model)
    model.attn_mask = mask
