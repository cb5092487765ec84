"""Tiny X-CLIPs as folders, as Hugging Face writes them and as olmv does."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from olmv.models.xclip.model import XClipModel, authors_preprocess
from olmv.models.xclip.network import XClipConfig
from tests.models.xclips import TINY_XCLIP, hf_xclip, moved_xclip

# CLIP's own tokenizer needs its whole vocabulary
SPOKEN = replace(TINY_XCLIP, vocab_size=49408, context_length=77)


def hf_folder(folder: Path, config: XClipConfig = SPOKEN, seed: int = 0) -> Any:
    """Writes what `XCLIPModel.save_pretrained` writes, and gives transformers' model."""
    model = hf_xclip(config, seed)
    model.save_pretrained(folder)
    return model


def tiny_xclip(config: XClipConfig = SPOKEN, seed: int = 0) -> XClipModel:
    model = XClipModel(moved_xclip(config, seed), name="x-clip", preprocess=authors_preprocess(config.image_size))
    return model.eval().requires_grad_(False)
