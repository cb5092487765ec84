"""A model as a folder, read: what olmv saved, or an X-CLIP as Hugging Face has it.

config.json          the format, the family, the temporal module
model.safetensors    the weights
preprocess.json      how frames become input
tokenizer.json, ...  what the family needs besides
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from olmv.errors import ModelError, reason
from olmv.models.label_embeddings import load_label_embeddings, read_tensors
from olmv.models.migrations import FORMAT, migrate
from olmv.models.mini import MiniConfig
from olmv.models.remote import refuse_code
from olmv.models.temporal import check_temporal, is_temporal_key
from olmv.models.towers import MiniTowers, OpenClipTowers
from olmv.models.video_clip import VideoCLIP
from olmv.models.video_model import VideoModel
from olmv.models.xclip import XClip, XClipConfig
from olmv.models.xclip_keys import from_hf_state
from olmv.models.xclip_model import XClipModel, hf_preprocess
from olmv.network import no_remote_code, quiet
from olmv.video.transforms import Preprocess

__all__ = ["is_model_folder", "load_folder", "read_config", "refuse_code_in", "xclip_sizes"]


def is_model_folder(folder: Path) -> bool:
    """Whether something of this name claims to be a model, readable or not."""
    return (folder / "config.json").is_file()


def read_config(folder: Path) -> dict[str, Any]:
    """The checked `config.json` of a saved model, in the current format; of family `hf-xclip` as Hugging Face wrote it.

    Raises:
        ModelError: there is none, or it is not one that this version reads.
    """
    path = folder / "config.json"
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"{path} cannot be read as a model's config: {reason(error)}") from None
    if not isinstance(config, dict):
        raise ModelError(f"{path} is not a model's config; is '{folder}' a folder that olmv saved?")
    if config.get("model_type") == "xclip":
        return {"format": FORMAT, "family": "hf-xclip", "architecture": config}
    return migrate(config, source=path)


def load_folder(
    folder: Path, *, name: str, temporal: str | None = None, options: Mapping[str, Any] | None = None
) -> VideoModel:
    """The model of this folder in float32 on the CPU; temporal and options as in `load_model`.

    Raises:
        ModelError: it is none that can be used, or an X-CLIP, which takes no temporal module.
        UsageError: unknown temporal module or option.
    """
    config = read_config(folder)
    if config["family"] in ("xclip", "hf-xclip"):
        if temporal is not None or options:
            raise ModelError(
                f"'{name}' is an X-CLIP, which takes no temporal module and is not trained by olmv; use a video CLIP"
            )
        return _load_xclip(config, folder, name=name)
    return _load_video_clip(config, folder, name=name, temporal=temporal, options=options)


def xclip_sizes(config: Mapping[str, Any], folder: Path) -> XClipConfig:
    """Of a config of `read_config` of either family of X-CLIP.

    Raises:
        ModelError: it says no sizes, or impossible ones.
    """
    if config["family"] == "hf-xclip":
        return XClipConfig.from_hf(config["architecture"])
    try:
        return XClipConfig(**config["architecture"])
    except (TypeError, KeyError) as error:
        raise ModelError(f"the model folder '{folder}' cannot be loaded: {reason(error)}") from None


def _load_xclip(config: dict[str, Any], folder: Path, *, name: str) -> XClipModel:
    weights = folder / "model.safetensors"
    if config["family"] == "hf-xclip" and not weights.is_file() and (folder / "pytorch_model.bin").is_file():
        raise ModelError(
            f"'{folder}' has its weights as a pickle only, which could hold code; "
            f"run olmv models convert {folder / 'pytorch_model.bin'} -o DIR once, then use DIR"
        )
    sizes = xclip_sizes(config, folder)
    saved, _ = read_tensors(weights)
    if config["family"] == "hf-xclip":
        state = from_hf_state(saved, sizes)
        preprocess = hf_preprocess(folder / "preprocessor_config.json", sizes.image_size)
    else:
        state = {key.removeprefix("xclip."): value.float() for key, value in saved.items()}
        preprocess = _preprocess(folder)
    xclip = XClip(sizes)
    _fill(xclip, state, folder)
    return XClipModel(xclip, name=name, preprocess=preprocess)


def _load_video_clip(
    config: dict[str, Any], folder: Path, *, name: str, temporal: str | None, options: Mapping[str, Any] | None
) -> VideoCLIP:
    preprocess = _preprocess(folder)
    saved, _ = read_tensors(folder / "model.safetensors")
    try:
        towers = _build_towers(config, folder)
    except (OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
        raise ModelError(f"the model folder '{folder}' cannot be loaded: {reason(error)}") from None
    saved = {k: v.float() if v.is_floating_point() else v for k, v in saved.items()}
    wanted = temporal or config["temporal"]
    kept = check_temporal(config["temporal"], config["temporal_options"])
    if options is None and wanted == config["temporal"]:
        options = kept
    fresh = (wanted, check_temporal(wanted, options)) != (config["temporal"], kept)
    if fresh:  # the towers first: the module's first state may be a copy of their weights
        _fill(towers, {k[7:]: v for k, v in saved.items() if not is_temporal_key(k)}, folder)
    model = VideoCLIP(
        towers,
        name=name,
        preprocess=preprocess,
        temporal=wanted,
        temporal_options=options,
        templates=config["templates"],
        frame_pooling=config["frame_pooling"],
    )
    if not fresh:
        _fill(model, saved, folder)
    model.label_embeddings = load_label_embeddings(folder)
    return model


def _preprocess(folder: Path) -> Preprocess:
    try:
        return Preprocess.from_dict(json.loads((folder / "preprocess.json").read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise ModelError(f"the model folder '{folder}' cannot be loaded: {reason(error)}") from None


def _fill(module: Any, state: Mapping[str, Tensor], folder: Path) -> None:
    try:
        module.load_state_dict(state)
    except RuntimeError as error:
        raise ModelError(f"the weights in '{folder}' do not fit its config: {reason(error)}") from None


def refuse_code_in(folder: Path) -> None:
    """Raises ModelError where an open_clip folder would have code of its own run, or its files cannot be read."""
    for name in ("open_clip_config.json", "tokenizer_config.json"):
        if (folder / name).is_file():
            try:
                told = json.loads((folder / name).read_text(encoding="utf-8"))
            except (OSError, ValueError, RecursionError) as error:
                raise ModelError(f"{folder / name} cannot be read: {reason(error)}; get it again") from None
            refuse_code(str(folder), told)


def _build_towers(config: dict[str, Any], folder: Path) -> Any:
    if config["family"] == "olmv-mini":
        return MiniTowers(MiniConfig(**config["architecture"]), folder / "tokenizer.json")
    import open_clip

    refuse_code_in(folder)
    source = f"local-dir:{folder}"
    with quiet(), no_remote_code():  # it warns that the weights are random
        made = open_clip.create_model(source, load_weights=False, pretrained_text=False)
        tokenizer = open_clip.get_tokenizer(source)
    return OpenClipTowers(made, tokenizer, open_clip.get_model_config(source) or {})
