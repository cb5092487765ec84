"""Text towers of several kinds with random weights."""

from typing import Any

import torch
from torch import Tensor

from olmv.models.open_clip.towers import OpenClipTowers
from tests.support.tiny import OPEN_CLIP_CONFIG


def custom_text_clip() -> OpenClipTowers:
    """A text tower of its own module, pooled at the EOS that its config names."""
    import open_clip

    torch.manual_seed(3)
    text = OPEN_CLIP_CONFIG["text_cfg"] | {"pool_type": "eos", "eos_id": 49407}
    model = open_clip.CustomTextCLIP(16, OPEN_CLIP_CONFIG["vision_cfg"], text)
    return OpenClipTowers(model.eval().requires_grad_(False), open_clip.SimpleTokenizer(), {})


class SiglipTokenizer:
    """Ends in EOS and pads with it, without SOS; characters are tokens."""

    context_length = 20
    eos_token_id = 1

    def __call__(self, texts: list[str]) -> Tensor:
        rows = [[2 + ord(letter) % 60 for letter in text[:19]] for text in texts]
        return torch.tensor([row + [1] * (20 - len(row)) for row in rows])


def siglip() -> OpenClipTowers:
    """No causal mask, pooled at the last place."""
    import open_clip

    torch.manual_seed(4)
    text = OPEN_CLIP_CONFIG["text_cfg"] | {
        "pool_type": "last", "no_causal_mask": True, "proj_bias": True, "context_length": 20, "vocab_size": 64,
    }  # fmt: skip
    model = open_clip.CustomTextCLIP(16, OPEN_CLIP_CONFIG["vision_cfg"], text, init_logit_bias=-10.0)
    return OpenClipTowers(model.eval().requires_grad_(False), SiglipTokenizer(), {})


def token_vectors(towers: Any, text: str) -> Tensor:
    """What the text tower's first layer reads of a text without special tokens, [1, Q, W]."""
    vectors: Tensor
    if hasattr(towers, "textual"):
        ids = torch.tensor([towers.tokenizer.encode(text).ids[1:-1]])
        vectors = towers.textual.widen(towers.textual.tokens(ids))
        return vectors
    body = getattr(towers.model, "text", towers.model)
    if isinstance(towers.tokenizer, SiglipTokenizer):
        ids = towers.tokenizer([text])[:, : len(text)]
    else:
        ids = torch.tensor([towers.tokenizer.encode(text)])
    vectors = body.token_embedding(ids)
    return vectors
