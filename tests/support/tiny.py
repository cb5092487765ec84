"""Tiny models of the real classes with random weights: for plumbing and parity, never for meaning."""

import json
import tempfile
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

import olmv  # noqa: F401  (the torchvision guard, before open_clip)
from olmv.models.clip.model import VideoCLIP
from olmv.models.mini.network import MiniConfig
from olmv.models.mini.towers import MiniTowers
from olmv.video.transforms import Preprocess

CONFIG = MiniConfig(
    image_size=32, vision_width=32, vision_layers=1, vision_heads=2, pooled_width=32, embed_dim=16, vocab_size=64,
    token_dim=8, text_width=16, text_layers=1, text_heads=2, context_length=16,
)  # fmt: skip
OPEN_CLIP_CONFIG: dict[str, Any] = {
    "embed_dim": 16,
    "vision_cfg": {"image_size": 32, "layers": 1, "width": 32, "head_width": 16, "patch_size": 16},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1},
}


def write_tokenizer(path: Path) -> Path:
    """A tokenizer of letters: every English text has its own tokens."""
    vocabulary = {"[PAD]": 0, "[UNK]": 1, "[CLS]": 2, "[SEP]": 3}
    for letter in "abcdefghijklmnopqrstuvwxyz0123456789.,-'":
        vocabulary.setdefault(letter, len(vocabulary))
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Split("", "isolated")]
    )
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    path.write_text(tokenizer.to_str(), encoding="utf-8")
    return path


def tiny_model(
    *,
    seed: int = 0,
    temporal: str = "mean",
    temporal_options: dict[str, Any] | None = None,
    name: str = "tiny",
    templates: str = "none",
) -> VideoCLIP:
    """olmv-mini's classes, a few kilobytes; the same weights for the same seed."""
    with tempfile.NamedTemporaryFile(suffix=".json", delete=False) as file:
        tokenizer = write_tokenizer(Path(file.name))
    torch.manual_seed(seed)
    towers = MiniTowers(CONFIG, tokenizer)
    preprocess = Preprocess(
        size=CONFIG.image_size,
        mean=(0.5, 0.5, 0.5),
        std=(0.5, 0.5, 0.5),
        interpolation="bilinear",
        resize_mode="shortest",
    )
    model = VideoCLIP(
        towers,
        name=name,
        preprocess=preprocess,
        temporal=temporal,
        temporal_options=temporal_options,
        templates=templates,
    )
    return model.eval().requires_grad_(False)


def write_open_clip_folder(
    folder: Path, *, siglip: bool = False, vision: dict[str, Any] | None = None, seed: int = 0
) -> Path:
    """A folder that `local-dir:` reads: a tiny CLIP with OpenAI's tokenizer and random weights.

    `vision` is the `vision_cfg` of another image tower.
    """
    import open_clip
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    config = dict(OPEN_CLIP_CONFIG)
    if siglip:
        config |= {"init_logit_bias": -10.0}
    if vision is not None:
        config |= {"vision_cfg": vision}
    described = {
        "model_cfg": config,
        "preprocess_cfg": {"mean": [0.48, 0.46, 0.41], "std": [0.27, 0.26, 0.28]},
    }
    (folder / "open_clip_config.json").write_text(json.dumps(described), encoding="utf-8")
    torch.manual_seed(seed)
    model = open_clip.create_model(f"local-dir:{folder}", load_weights=False)
    save_file({k: v.contiguous() for k, v in model.state_dict().items()}, folder / "open_clip_model.safetensors")
    return folder
