"""Soft tokens through the text towers."""

from typing import Any

import pytest
import torch

from olmv.errors import ModelError
from olmv.models.soft_attributes.language_model import LanguageModel
from olmv.models.soft_attributes.module import SoftAttributes
from olmv.models.soft_attributes.text import soft_text
from tests.models.text_towers import SiglipTokenizer, custom_text_clip, siglip, token_vectors
from tests.support.tiny import OPEN_CLIP_CONFIG, tiny_model

LABELS = ["dog", "rain", "a car", "striped cat"]


@torch.no_grad()
def test_without_soft_tokens_a_text_is_encoded_as_ever(towers: Any) -> None:
    width = token_vectors(towers, "a").shape[-1]
    without = soft_text(towers, LABELS, torch.zeros(len(LABELS), 0, width))
    torch.testing.assert_close(without, towers.text(LABELS), rtol=0, atol=1e-6)  # which leaves padding out


@torch.no_grad()
def test_soft_tokens_that_are_words_say_these_words(towers: Any) -> None:
    """So they stand behind the label, before EOS, and the pooling finds EOS behind them."""
    words = "cat" if hasattr(towers, "textual") or isinstance(towers.tokenizer, SiglipTokenizer) else "cat on a mat"
    whole = "dog" + words if isinstance(towers.tokenizer, SiglipTokenizer) else "dog " + words
    got = soft_text(towers, ["dog"], token_vectors(towers, words))
    torch.testing.assert_close(got, towers.text([whole]), rtol=0, atol=1e-6)


@torch.no_grad()
def test_a_label_past_the_context_makes_room_for_the_soft_tokens(towers: Any) -> None:
    long = "a car by the sea, " * 30
    soft = torch.randn(2, 3, token_vectors(towers, "a").shape[-1])
    one, other = soft_text(towers, [long, long], soft)
    assert one.isfinite().all()
    assert not torch.allclose(one, other)


def test_soft_text_leaves_no_trace_in_the_tower(towers: Any) -> None:
    before = towers.text(LABELS)
    soft_text(towers, LABELS, torch.randn(len(LABELS), 3, token_vectors(towers, "a").shape[-1]))
    assert torch.equal(towers.text(LABELS), before)


def test_soft_tokens_that_fill_the_context_are_refused(llama: LanguageModel) -> None:
    with pytest.raises(ModelError, match=r"15 soft tokens leave no room .* context of 16 tokens; use fewer queries"):
        SoftAttributes(tiny_model().towers, llama, n_query=15)


def test_text_towers_of_another_kind_are_refused(llama: LanguageModel) -> None:
    towers = custom_text_clip()
    towers.model.text.token_embedding = None  # as in open_clip's HFTextEncoder, which has none
    with pytest.raises(ModelError, match=r"cannot go into a text tower of class TextTransformer; use olmv-mini or"):
        soft_text(towers, ["dog"], torch.zeros(1, 2, 16))


def test_a_coca_text_tower_is_refused() -> None:
    import open_clip

    text = OPEN_CLIP_CONFIG["text_cfg"] | {"embed_cls": True}
    towers = custom_text_clip()
    towers.model = open_clip.CustomTextCLIP(16, OPEN_CLIP_CONFIG["vision_cfg"], text)
    with pytest.raises(ModelError, match="cannot go into a text tower"):
        soft_text(towers, ["dog"], torch.zeros(1, 2, 16))


def test_a_tokenizer_without_an_end_token_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    towers = siglip()
    monkeypatch.setattr(SiglipTokenizer, "eos_token_id", None)
    with pytest.raises(ModelError, match="without an end token; use another model"):
        soft_text(towers, ["dog"], torch.zeros(1, 2, 16))
