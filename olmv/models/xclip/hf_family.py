"""The family of X-CLIP as Hugging Face has it: read as it is, under Hugging Face's own names."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from olmv.errors import ModelError
from olmv.models.family import TemporalChoice
from olmv.models.storage.label_embeddings import read_tensors
from olmv.models.xclip.family import XClipFamily
from olmv.models.xclip.keys import from_hf_state
from olmv.models.xclip.model import XClipModel, hf_preprocess
from olmv.models.xclip.network import XClipConfig
from olmv.video.transforms import Preprocess

__all__ = ["FAMILY"]


class HfXClipFamily(XClipFamily):
    """`transformers` wrote the folder, so only what it holds is another."""

    required_files = None

    def check(self, config: Mapping[str, Any], source: Path) -> None:
        """Accept any config; its sizes are checked where they are read."""

    def load(self, config: Mapping[str, Any], folder: Path, *, name: str, temporal: TemporalChoice) -> XClipModel:
        weights, pickle = folder / "model.safetensors", folder / "pytorch_model.bin"
        if temporal.empty and not weights.is_file() and pickle.is_file():
            raise ModelError(
                f"'{folder}' has its weights as a pickle only, which could hold code; "
                f"run olmv models convert {pickle} -o DIR once, then use DIR"
            )
        return super().load(config, folder, name=name, temporal=temporal)

    def sizes(self, config: Mapping[str, Any], folder: Path) -> XClipConfig:
        return XClipConfig.from_hf(config["architecture"])

    def read_parts(self, folder: Path, sizes: XClipConfig) -> tuple[dict[str, Tensor], Preprocess]:
        saved, _ = read_tensors(folder / "model.safetensors")
        return from_hf_state(saved, sizes), hf_preprocess(folder / "preprocessor_config.json", sizes.image_size)


FAMILY = HfXClipFamily()
