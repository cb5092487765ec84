"""X-CLIP (Ni et al., ECCV 2022, arXiv 2208.02816): frames that exchange messages, and texts prompted by the video.

    frames [B, T, 3, S, S] -> VisionTower -> class features -> Integration -> video [B, D] ------------------.
                                         `-> patch tokens  -> mean over T -> context [B, N - 1, D] -.        |
    ids [A, L] ------------> TextTower --------------------> texts [A, D] ----------------------> Prompting -> cosine

The text embeddings depend on the video: of a label only the embedding before prompting can be kept.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from olmv.errors import ModelError
from olmv.models.storage.json import check_sizes
from olmv.models.xclip.layers import Integration, Prompting, TextTower, VisionTower

__all__ = ["XClip", "XClipConfig"]

_SIZES: dict[str, dict[str, int]] = {
    "base/32": {"patch_size": 32},
    "base/16": {"patch_size": 16},
    "large/14": {
        "patch_size": 14, "vision_width": 1024, "vision_layers": 24, "vision_heads": 16, "text_width": 768,
        "text_heads": 12, "embed_dim": 768, "mit_heads": 12, "prompt_heads": 12,
    },
}  # fmt: skip
_MOST = {
    "image_size": 4096, "patch_size": 4096, "vision_width": 65536, "vision_layers": 200, "vision_heads": 1024,
    "text_width": 65536, "text_layers": 200, "text_heads": 1024, "vocab_size": 2**20, "context_length": 8192,
    "embed_dim": 65536, "frames": 4096, "mit_layers": 200, "mit_heads": 1024, "prompt_layers": 200,
    "prompt_heads": 1024,
}  # fmt: skip


@dataclass(frozen=True)
class XClipConfig:
    """Sizes of an X-CLIP; the defaults are base/32 at 8 frames. MLPs are four times as wide, with QuickGELU.

    Raises ModelError where sizes are impossible.
    """

    image_size: int = 224  # S
    patch_size: int = 32
    vision_width: int = 768
    vision_layers: int = 12
    vision_heads: int = 12
    text_width: int = 512
    text_layers: int = 12
    text_heads: int = 8
    vocab_size: int = 49408
    context_length: int = 77
    embed_dim: int = 512  # D, also the width of integration and prompting
    frames: int = 8  # T, fixed: integration has learned a position for each
    mit_layers: int = 1
    mit_heads: int = 8
    prompt_layers: int = 2
    prompt_heads: int = 8
    prompt_alpha: float = 0.1  # before training

    def __post_init__(self) -> None:
        check_sizes(self, _MOST, "an X-CLIP")
        if type(self.prompt_alpha) not in (int, float) or not -1e6 <= self.prompt_alpha <= 1e6:
            raise ModelError(
                f"an X-CLIP with prompt_alpha = {self.prompt_alpha!r:.40} cannot be; give a number from -1e+06 to 1e+06"
            )
        for width, heads in (
            ("vision_width", "vision_heads"),
            ("text_width", "text_heads"),
            ("embed_dim", "mit_heads"),
            ("embed_dim", "prompt_heads"),
            ("image_size", "patch_size"),
        ):
            if getattr(self, width) % getattr(self, heads):
                raise ModelError(
                    f"{width} {getattr(self, width)} is not a multiple of {heads} {getattr(self, heads)}; "
                    "correct the sizes of this X-CLIP"
                )

    @classmethod
    def preset(cls, name: str, *, frames: int = 8, image_size: int = 224) -> "XClipConfig":
        """Return a published architecture: `base/32`, `base/16` or `large/14` (also made for 336 pixels).

        Raises ModelError for any other name.
        """
        if name not in _SIZES:
            raise ModelError(f"no X-CLIP is called '{name}'; use one of {', '.join(_SIZES)}")
        return cls(frames=frames, image_size=image_size, **_SIZES[name])

    @classmethod
    def from_hf(cls, config: Mapping[str, Any]) -> "XClipConfig":
        """Read the `config.json` of a Hugging Face X-CLIP (`microsoft/xclip-...`); absent entries have its defaults.

        Heads are those of the file, as transformers computes. The authors' code always has heads of 64 in
        integration and prompting, so that files of `large` that leave these at 8 were trained with 12.

        Raises ModelError where the file is of another model, or asks for what this implementation does not have.
        """
        if config.get("model_type") != "xclip":
            raise ModelError(
                f"not the config of an X-CLIP (its model_type is {config.get('model_type')!r:.40}); use one"
            )
        text, vision = (_part(config, name) for name in ("text_config", "vision_config"))
        sizes = cls(
            image_size=_side(vision.get("image_size", 224)),
            patch_size=_side(vision.get("patch_size", 32)),
            vision_width=vision.get("hidden_size", 768),
            vision_layers=vision.get("num_hidden_layers", 12),
            vision_heads=vision.get("num_attention_heads", 12),
            text_width=text.get("hidden_size", 512),
            text_layers=text.get("num_hidden_layers", 12),
            text_heads=text.get("num_attention_heads", 8),
            vocab_size=text.get("vocab_size", 49408),
            context_length=text.get("max_position_embeddings", 77),
            embed_dim=config.get("projection_dim", 512),
            frames=vision.get("num_frames", 8),
            mit_layers=vision.get("mit_num_hidden_layers", 1),
            mit_heads=vision.get("mit_num_attention_heads", 8),
            prompt_layers=config.get("prompt_layers", 2),
            prompt_heads=config.get("prompt_num_attention_heads", 8),
            prompt_alpha=config.get("prompt_alpha", 0.1),
        )
        for what, value, needed in (
            ("hidden_act of the text tower", text.get("hidden_act", "quick_gelu"), "quick_gelu"),
            ("hidden_act of the image tower", vision.get("hidden_act", "quick_gelu"), "quick_gelu"),
            ("prompt_hidden_act", config.get("prompt_hidden_act", "quick_gelu"), "quick_gelu"),
            ("layer_norm_eps of the text tower", text.get("layer_norm_eps", 1e-5), 1e-5),
            ("layer_norm_eps of the image tower", vision.get("layer_norm_eps", 1e-5), 1e-5),
            ("num_channels", vision.get("num_channels", 3), 3),
            ("intermediate_size of the text tower", text.get("intermediate_size", 2048), 4 * sizes.text_width),
            ("intermediate_size of the image tower", vision.get("intermediate_size", 3072), 4 * sizes.vision_width),
            ("mit_hidden_size", vision.get("mit_hidden_size", 512), sizes.embed_dim),
            ("mit_intermediate_size", vision.get("mit_intermediate_size", 2048), 4 * sizes.embed_dim),
        ):
            if value != needed:
                raise ModelError(
                    f"an X-CLIP with {what} = {value!r:.40} is not supported, only {needed!r}; use another"
                )
        return sizes

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def _part(config: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """Return a tower's own config; old files say it twice, and the one that ends in `_dict` holds."""
    part = config.get(f"{name}_dict") or config.get(name) or {}
    if not isinstance(part, Mapping):
        raise ModelError(f"{name} in the config of an X-CLIP is a {type(part).__name__}; make it an object")
    return part


def _side(size: Any) -> Any:
    """Return one number for what may be written as [height, width]."""
    return size[0] if isinstance(size, list | tuple) and len(size) == 2 and size[0] == size[1] else size


class XClip(nn.Module):
    """Videos of exactly T frames and texts to unit vectors in one space; the texts' depend on the video.

    Weights are random until a state dict is loaded (see `olmv.models.xclip.keys`). Pixels are expected normalised
    with ImageNet's mean and deviation, not CLIP's.

    Shapes: B videos, T frames, N tokens a frame, A texts, K labels, L tokens a text, D embedding, S pixels a side.
    """

    def __init__(self, config: XClipConfig) -> None:
        super().__init__()
        c = self.config = config
        self.visual = VisionTower(
            image_size=c.image_size, patch_size=c.patch_size, width=c.vision_width, layers=c.vision_layers,
            heads=c.vision_heads, embed_dim=c.embed_dim,
        )  # fmt: skip
        self.textual = TextTower(
            vocab_size=c.vocab_size, context_length=c.context_length, width=c.text_width, layers=c.text_layers,
            heads=c.text_heads, embed_dim=c.embed_dim,
        )  # fmt: skip
        self.integration = Integration(width=c.embed_dim, layers=c.mit_layers, heads=c.mit_heads, frames=c.frames)
        self.prompting = Prompting(
            vision_width=c.vision_width, width=c.embed_dim, layers=c.prompt_layers, heads=c.prompt_heads,
            alpha=c.prompt_alpha,
        )  # fmt: skip
        self.log_scale = nn.Parameter(torch.tensor(1 / 0.07).log())

    @property
    def logit_scale(self) -> Tensor:
        """Return the factor on a cosine (already exponentiated), a scalar in float32."""
        return self.log_scale.float().exp()

    def encode_video(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        """Encode frames [B, T, 3, S, S], normalised pixels -> video [B, D] and context [B, N - 1, D].

        The video is float32, L2-normalised. The context is what `condition` reads: patch tokens, mean over frames,
        neither normed nor normalised.

        Raises:
            ModelError: another number or size of frames than the model is made for.
        """
        count, side = self.config.frames, self.config.image_size
        if frames.shape[1] != count:
            raise ModelError(
                f"this X-CLIP is made for {count} frames, got {frames.shape[1]}; look at {count}", option="frames"
            )
        if frames.shape[2:] != (3, side, side):
            raise ModelError(
                f"this X-CLIP is made for frames of 3 x {side} x {side}, got {' x '.join(map(str, frames.shape[2:]))}; "
                "use its own preprocessing"
            )
        features, patches = self.visual(frames.flatten(0, 1).to(self.visual.positions.dtype), count)
        video = self.integration(features.unflatten(0, (-1, count)))
        return _unit(video), self.prompting.context(patches, count)

    def encode_texts_ids(self, ids: Tensor) -> Tensor:
        """Encode ids [A, L], tokens of CLIP with start and end -> [A, D], NOT normalised.

        Neither the authors' code nor transformers normalises before prompting, which minds the length.

        Raises:
            ModelError: L is more than the context.
        """
        out: Tensor = self.textual(ids)
        return out

    def condition(self, texts: Tensor, context: Tensor) -> Tensor:
        """Prompt texts [K, D] of `encode_texts_ids`, context [B, N - 1, D] -> float32 [B, K, D], L2-normalised.

        No label minds the others, so that many can be done in parts.
        """
        return _unit(self.prompting(texts, context))

    def logits(self, frames: Tensor, ids: Tensor) -> Tensor:
        """Score frames [B, T, 3, S, S], ids [K, L] -> float32 [B, K], scaled cosines; for a softmax over labels.

        Raises ModelError as `encode_video` and `encode_texts_ids` do.
        """
        video, context = self.encode_video(frames)
        texts = self.condition(self.encode_texts_ids(ids), context)
        return self.logit_scale * (texts.float() @ video.float()[..., None]).squeeze(-1)


def _unit(x: Tensor) -> Tensor:
    """L2-normalise, in float32 whatever came: in bfloat16 lengths, and cosines, are a fraction of a per cent off."""
    return normalize(x.float(), dim=-1)
