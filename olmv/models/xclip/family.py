"""The family of X-CLIP, in a folder that olmv saved."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from olmv.errors import ModelError
from olmv.labels.quality import TextLimit
from olmv.models.family import ModelInfo, TemporalChoice
from olmv.models.open_clip.towers import open_clip_token_counts
from olmv.models.storage.folder import read_preprocess, reading
from olmv.models.storage.label_embeddings import read_tensors
from olmv.models.storage.migrations import check_architecture
from olmv.models.storage.weights import check_shapes, fill
from olmv.models.xclip.model import XClipModel
from olmv.models.xclip.network import XClip, XClipConfig
from olmv.video.transforms import Preprocess

__all__ = ["FAMILY", "XClipFamily"]


class XClipFamily:
    """An X-CLIP has its own way over time, so it takes no temporal module."""

    required_files: tuple[str, ...] | None = ()

    def check(self, config: Mapping[str, Any], source: Path) -> None:
        """Raise ModelError where config.json does not say the sizes."""
        check_architecture(config, source)

    def info(self, config: Mapping[str, Any], folder: Path, *, name: str) -> ModelInfo:
        """Tell what is known of the model without loading weights; see `Family`."""
        sizes = self.sizes(config, folder)
        return ModelInfo(
            name, "xclip", "x-clip", sizes.image_size, sizes.embed_dim, sizes.context_length, False,
            config.get("description") or "X-CLIP: frames exchange messages, texts are prompted by the video",
            "x-clip", sizes.frames,
        )  # fmt: skip

    def load(self, config: Mapping[str, Any], folder: Path, *, name: str, temporal: TemporalChoice) -> XClipModel:
        """Load the model in float32 on the CPU; see `Family`."""
        if not temporal.empty:
            raise ModelError(
                f"'{name}' is an X-CLIP, which takes no temporal module and is not trained by olmv; use a video CLIP"
            )
        sizes = self.sizes(config, folder)
        state, preprocess = self.read_parts(folder, sizes)
        with reading(folder):
            xclip = XClip(sizes)
        fill(xclip, state, folder)
        return XClipModel(xclip, name=name, preprocess=preprocess)

    def text_limit(self, config: Mapping[str, Any], folder: Path, *, name: str) -> TextLimit:
        """Tell how long a text the model reads; see `Family`."""
        from open_clip.tokenizer import SimpleTokenizer

        tokenizer = SimpleTokenizer()
        context = self.sizes(config, folder).context_length or tokenizer.context_length
        return TextLimit(name, context, "none", lambda texts: open_clip_token_counts(tokenizer, texts))

    def sizes(self, config: Mapping[str, Any], folder: Path) -> XClipConfig:
        """Read the sizes from config.json; raises ModelError where there are none, or impossible ones."""
        with reading(folder):
            return XClipConfig(**config["architecture"])

    def read_parts(self, folder: Path, sizes: XClipConfig) -> tuple[dict[str, Tensor], Preprocess]:
        """Read the state dict of `XClip`, and the preprocessing.

        Raises:
            ModelError: a file cannot be used, or the weights are not of these sizes.
        """
        saved, _ = read_tensors(folder / "model.safetensors")
        state = {key.removeprefix("xclip."): value.float() for key, value in saved.items()}
        preprocess = read_preprocess(folder)
        with torch.device("meta"):
            check_shapes(XClip(sizes).state_dict(), state, folder)
        return state, preprocess


FAMILY = XClipFamily()
