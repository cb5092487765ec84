"""Texts without the padding behind them, against open_clip's own encoding."""

from typing import Any

import pytest
import torch

from olmv.models.open_clip.short_texts import causal_transformer, encode_short
from olmv.models.open_clip.soft_places import end_places
from olmv.models.open_clip.towers import OpenClipTowers
from tests.models.text_towers import siglip

TEXTS = ["dog", "", "a video of two people who play the guitar in the rain, seen from afar", "word " * 100]
TEXT = {"context_length": 77, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 3}
VISION = {"image_size": 32, "layers": 1, "width": 32, "patch_size": 16, "head_width": 16}


@pytest.fixture(scope="module")
def open_clip() -> Any:
    import open_clip

    import olmv  # noqa: F401  # its guard comes before torchvision

    return open_clip


@pytest.fixture(scope="module", params=["CLIP", "CustomTextCLIP", "CustomTextCLIP, 32 tokens, end by its id"])
def model(request: pytest.FixtureRequest, open_clip: Any) -> Any:
    torch.manual_seed(0)
    kind, *special = request.param.split(", ")
    text = TEXT | {"context_length": 32, "pool_type": "eos", "eos_id": 49407, "proj_bias": True} if special else TEXT
    return getattr(open_clip, kind)(embed_dim=24, vision_cfg=VISION, text_cfg=text).eval()


@pytest.fixture(scope="module")
def towers(model: Any, open_clip: Any) -> OpenClipTowers:
    context = getattr(model, "text", model).context_length
    return OpenClipTowers(model, open_clip.SimpleTokenizer(context_length=context), {})


def lengths_read(text: Any, lengths: list[tuple[int, ...]]) -> Any:
    """Note the shape of what the transformer reads; the hook to remove."""
    return text.transformer.register_forward_pre_hook(lambda _, inputs: lengths.append(tuple(inputs[0].shape[:2])))


@torch.no_grad()
@pytest.mark.parametrize(
    "texts", [TEXTS, TEXTS[:1], TEXTS[1:3], [*(f"number {n} " + "word " * (n % 40) for n in range(90)), *TEXTS]]
)
def test_embeddings_are_those_of_open_clip(towers: OpenClipTowers, texts: list[str]) -> None:
    whole = towers.model.encode_text(towers.tokenizer(texts))
    torch.testing.assert_close(towers.text(texts), whole, rtol=0, atol=1e-5)


@torch.no_grad()
def test_the_padding_is_left_out(towers: OpenClipTowers) -> None:
    text, read = causal_transformer(towers.model), list[tuple[int, ...]]()
    hook = lengths_read(text, read)
    for texts in (["dog"], ["word " * 20], ["word " * 100], ["dog"] * 64 + ["word " * 20]):
        towers.text(texts)
    hook.remove()
    assert read == [(1, 8), (1, 24), (1, towers.context_length), (64, 8), (1, 24)]


@torch.no_grad()
def test_few_texts_stay_together(towers: OpenClipTowers) -> None:
    text, read = causal_transformer(towers.model), list[tuple[int, ...]]()
    ids = towers.tokenizer(["word " * 20, "dog"])
    hook = lengths_read(text, read)
    encode_short(text, ids, end_places(towers.model, towers.tokenizer, ids))
    hook.remove()
    assert read == [(2, 24)]


@pytest.mark.parametrize(
    ("kind", "changes"),
    [
        ("CLIP", {"no_causal_mask": True}),
        ("CLIP", {"pool_type": "last"}),
        ("CustomTextCLIP", {"no_causal_mask": True}),
        ("CustomTextCLIP", {"pool_type": "last"}),
        ("CustomTextCLIP", {"embed_cls": True}),
        ("CoCa", {"embed_cls": True}),
    ],
)
def test_other_text_towers_keep_their_padding(open_clip: Any, kind: str, changes: dict[str, Any]) -> None:
    others = {"multimodal_cfg": {"width": 32, "heads": 2, "layers": 1}} if kind == "CoCa" else {}
    made = getattr(open_clip, kind)(embed_dim=32, vision_cfg=VISION, text_cfg=TEXT | changes, **others)
    assert causal_transformer(made) is None


def test_the_text_tower_of_siglip_keeps_its_padding() -> None:
    assert causal_transformer(siglip().model) is None
