"""X-CLIP as a model of the classifier: its own tokenizer and preprocessing, its fixed number of frames, its prompting.

A video that has fewer frames than the model is made for shows some of them twice, as its authors' sampling does.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from olmv.errors import ModelError, reason
from olmv.models.base import VideoEmbedding, VideoModel
from olmv.models.open_clip.towers import open_clip_token_counts
from olmv.models.storage.json import read_object
from olmv.models.xclip.network import XClip
from olmv.video.transforms import Preprocess

__all__ = ["XClipModel", "authors_preprocess", "hf_preprocess"]

_IMAGENET: dict[str, Any] = {
    "mean": (0.485, 0.456, 0.406),
    "std": (0.229, 0.224, 0.225),
    "interpolation": "bilinear",
}
_PROMPTED = 4096  # texts that are conditioned at a time
_RESAMPLE = {2: "bilinear", 3: "bicubic"}  # Pillow's numbers


class XClipModel(VideoModel):
    """An X-CLIP with what belongs to it.

    Args:
        xclip: the weights.
        name: as the user wrote it; goes into every prediction row.
        preprocess: with ImageNet's mean and deviation, see `authors_preprocess` and `hf_preprocess`.

    Raises:
        ModelError: CLIP's tokenizer does not fit.

    The published models were trained with bare class names, so that is the template.
    """

    def __init__(self, xclip: XClip, *, name: str, preprocess: Preprocess) -> None:
        super().__init__(name=name, preprocess=preprocess, templates="none", frames=xclip.config.frames)
        from open_clip.tokenizer import SimpleTokenizer

        self.xclip = xclip
        self.tokenizer: Any = SimpleTokenizer(context_length=xclip.config.context_length)
        if xclip.config.vocab_size != self.tokenizer.vocab_size:
            raise ModelError(
                f"'{name}' reads {xclip.config.vocab_size} tokens, and CLIP's tokenizer has "
                f"{self.tokenizer.vocab_size}; use an X-CLIP with CLIP's own text tower"
            )
        if preprocess.size != xclip.config.image_size:
            raise ModelError(
                f"'{name}' is made for {xclip.config.image_size} pixels, its preprocessing gives {preprocess.size}; "
                "correct its preprocess.json"
            )

    temporal = "x-clip"

    def save_parts(self, folder: Path) -> dict[str, Any]:
        return {"family": "xclip", "architecture": self.xclip.config.to_dict()}

    @property
    def embed_dim(self) -> int:
        return self.xclip.config.embed_dim

    @property
    def context_length(self) -> int:
        return self.xclip.config.context_length

    @property
    def logit_scale(self) -> float:
        return float(self.xclip.logit_scale.detach())

    @property
    def prompts_texts(self) -> bool:
        return True

    def encode_clips(self, frames: Tensor, mask: Tensor) -> list[VideoEmbedding]:
        """Encode clips as `VideoModel.encode_clips`; raise UsageError for more frames than the model is made for."""
        model_frames = self.xclip.config.frames
        if frames.shape[1] != model_frames or not bool(mask.all()):
            count = mask.sum(1, keepdim=True)
            self.check_frames(max(int(count.max()), model_frames))
            middles = (2 * torch.arange(model_frames, device=mask.device) + 1) * count // (2 * model_frames)  # [B, T]
            frames = frames[torch.arange(len(frames), device=frames.device)[:, None], middles.to(frames.device)]
        videos, contexts = self.xclip.encode_video(frames)
        return [VideoEmbedding(video, context) for video, context in zip(videos.float(), contexts, strict=True)]

    def encode_texts(self, texts: Sequence[str], *, batch_size: int = 256) -> Tensor:
        """Encode A texts -> [A, D] float32 on the CPU, not prompted nor normalised; see `XClip.encode_texts_ids`."""
        out = torch.empty(len(texts), self.embed_dim)
        with torch.inference_mode():
            for k in range(0, len(texts), batch_size):
                ids = self.tokenizer(list(texts[k : k + batch_size])).to(self.device)
                out[k : k + batch_size] = self.xclip.encode_texts_ids(ids).float().cpu()
        return out

    def condition(self, texts: Tensor, context: Tensor) -> Tensor:
        starts = range(0, len(texts), _PROMPTED)
        parts = [texts[k : k + _PROMPTED].to(context) for k in starts]
        return torch.cat([self.xclip.condition(part, context[None])[0].float() for part in parts])

    def token_counts(self, texts: Sequence[str]) -> list[int]:
        return open_clip_token_counts(self.tokenizer, texts)

    def text_parameters(self) -> list[tuple[str, Tensor]]:
        return [(f"xclip.textual.{name}", weight) for name, weight in self.xclip.textual.named_parameters()]


def authors_preprocess(size: int) -> Preprocess:
    """Return the preprocessing of the authors' tests: short side to 256/224 of the input, ImageNet's statistics.

    It does no antialiasing.
    """
    return Preprocess(size=size, crop_ratio=224 / 256, antialias=False, **_IMAGENET)


def hf_preprocess(path: Path, size: int) -> Preprocess:
    """Read `preprocessor_config.json`; without one, return Hugging Face's own: short side to the input.

    Raises:
        ModelError: it cannot be read, or asks for an input that the model does not have.
    """
    if not path.is_file():
        return Preprocess(size=size, **_IMAGENET)
    settings = read_object(path)
    try:
        resized, cropped = _side(settings.get("size"), size), _side(settings.get("crop_size"), size)
        if cropped != size or resized < size:
            raise ModelError(f"{path} makes frames of {cropped} pixels, and the model is made for {size}; correct it")
        return Preprocess.from_dict(
            {
                "size": size,
                "mean": settings.get("image_mean", _IMAGENET["mean"]),
                "std": settings.get("image_std", _IMAGENET["std"]),
                "interpolation": _RESAMPLE[settings.get("resample", 2)],
                "crop_ratio": size / resized,
            }
        )
    except (ValueError, TypeError, KeyError) as error:
        raise ModelError(f"{path} cannot be read as a preprocessing: {reason(error)}; get it again") from None


def _side(value: Any, default: int) -> int:
    """Return the pixels of the short side: from a number, {"shortest_edge": n} or {"height": n, "width": n}."""
    if value is None:
        return default
    side = (value.get("shortest_edge") or value["height"]) if isinstance(value, dict) else value
    if type(side) is not int:
        raise ValueError(f"a size is {side!r:.40} and no whole number")
    return side
