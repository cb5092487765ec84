"""The family of open_clip's models in a folder that olmv saved."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from olmv.io.network import no_remote_code, quiet
from olmv.labels.quality import TextLimit
from olmv.models.clip.clip_family import VideoClipFamily
from olmv.models.family import ModelInfo
from olmv.models.open_clip.config import (
    CONFIG_NAME,
    check_open_clip_tokenizer,
    read_open_clip_config,
    refuse_code_in,
)
from olmv.models.open_clip.names import OpenClipName, tokenizer_limit
from olmv.models.open_clip.towers import OpenClipTowers
from olmv.models.storage.folder import read_preprocess
from olmv.models.storage.weights import NoRandomWeights, check_claims

__all__ = ["FAMILY"]


class OpenClipFamily(VideoClipFamily):
    """Any model of open_clip, with its own config and tokenizer beside olmv's."""

    required_files = (CONFIG_NAME,)

    def info(self, config: Mapping[str, Any], folder: Path, *, name: str) -> ModelInfo:
        image_size, sizes = read_preprocess(folder).size, read_open_clip_config(folder)
        return ModelInfo(
            name, "open_clip", "open_clip", image_size, sizes.get("embed_dim", 0) or None,
            sizes["text_cfg"].get("context_length", 77), False, config["description"], config["temporal"],
        )  # fmt: skip

    def text_limit(self, config: Mapping[str, Any], folder: Path, *, name: str) -> TextLimit:
        return tokenizer_limit(OpenClipName.in_folder(folder), title=name, templates=config["templates"])

    def build_towers(self, config: Mapping[str, Any], folder: Path, saved: Mapping[str, Tensor]) -> OpenClipTowers:
        import open_clip

        refuse_code_in(folder)
        sizes = read_open_clip_config(folder)
        for part in (sizes, sizes["vision_cfg"], sizes["text_cfg"]):
            check_claims(
                {"width": part.get("width", part.get("embed_dim")), "layers": part.get("layers", 0)}, saved, folder
            )
        check_open_clip_tokenizer(folder, sizes)
        source = OpenClipName.in_folder(folder).source
        with quiet(), no_remote_code(), NoRandomWeights():  # it warns that the weights are random
            model = open_clip.create_model(source, load_weights=False, pretrained_text=False)
            tokenizer = open_clip.get_tokenizer(source)
        return OpenClipTowers(model, tokenizer, open_clip.get_model_config(source) or {})


FAMILY = OpenClipFamily()
