"""A model as a folder, read: what olmv saved, or an X-CLIP as Hugging Face has it.

config.json          the format, the family, the temporal module
model.safetensors    the weights
preprocess.json      how frames become input
tokenizer.json, ...  what the family needs besides
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from olmv.errors import ModelError, OlmvError, UsageError, reason
from olmv.io.network import no_remote_code, quiet
from olmv.models.base import VideoModel
from olmv.models.clip.model import VideoCLIP
from olmv.models.clip.own_towers import OWN_FAMILIES, NoRandomWeights
from olmv.models.clip.temporal import check_temporal, is_temporal_key
from olmv.models.clip.towers import OpenClipTowers
from olmv.models.hub.download import refuse_code
from olmv.models.storage.file_checks import check_folder
from olmv.models.storage.json import read_json, read_object
from olmv.models.storage.label_embeddings import load_label_embeddings, read_tensors
from olmv.models.storage.migrations import FORMAT, migrate
from olmv.models.storage.tokenizer_check import check_tokenizer_folder
from olmv.models.xclip.keys import from_hf_state
from olmv.models.xclip.model import XClipModel, hf_preprocess
from olmv.models.xclip.network import XClip, XClipConfig
from olmv.video.transforms import Preprocess

__all__ = [
    "is_model_folder",
    "load_folder",
    "own_sizes",
    "read_config",
    "read_open_clip_config",
    "read_preprocess",
    "refuse_code_in",
    "xclip_sizes",
]

_CURE = "save the model, or get it, again"
_FAMILIES = (*OWN_FAMILIES, "open_clip", "xclip")
# of what open_clip's configs say
_MOST = {"layers": 200, "image_size": 4096, "patch_size": 4096, "context_length": 8192}
_MAX_SIZE = 2**20
_WHOLE = ("embed_dim", "image_size", "context_length")


def is_model_folder(folder: Path) -> bool:
    """Whether something of this name claims to be a model, readable or not."""
    return (folder / "config.json").is_file()


def read_config(folder: Path) -> dict[str, Any]:
    """The checked `config.json` of a saved model, in the current format; of family `hf-xclip` as Hugging Face wrote it.

    Raises:
        ModelError: there is none, or it is not one that this version reads.
    """
    path = folder / "config.json"
    check_folder(folder)
    config = read_json(path, _CURE)
    if not isinstance(config, dict):
        raise ModelError(f"{path} is not a model's config; name a folder that olmv saved")
    if config.get("model_type") == "xclip":
        return {"format": FORMAT, "family": "hf-xclip", "architecture": config}
    config = migrate(config, source=path)
    if config["family"] not in _FAMILIES:
        raise ModelError(
            f"{path} is of a family {config['family']!r:.40}, which this olmv does not know; update it: "
            "pip install -U olmv"
        )
    if config["family"] != "xclip":
        try:
            check_temporal(config["temporal"], config["temporal_options"])
        except UsageError as error:
            raise ModelError(f"{path}: {error}") from None
    return config


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
    with _building(folder):
        return XClipConfig(**config["architecture"])


def own_sizes(config: Mapping[str, Any], folder: Path) -> Any:
    """Of a config of `read_config` of one of `OWN_FAMILIES`; raises ModelError as `xclip_sizes` does."""
    with _building(folder):
        return OWN_FAMILIES[config["family"]].config_class(**config["architecture"])


@contextmanager
def _building(folder: Path) -> Iterator[None]:
    """What a library says of sizes or files that cannot be, as ModelError: they raise anything."""
    try:
        yield
    except OlmvError:
        raise
    except Exception as error:
        raise ModelError(f"the model folder '{folder}' cannot be loaded: {reason(error)}; {_CURE}") from None


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
        preprocess = read_preprocess(folder)
        with torch.device("meta"):
            _check_shapes(XClip(sizes).state_dict(), state, folder)
    with _building(folder):
        xclip = XClip(sizes)
    _fill(xclip, state, folder)
    return XClipModel(xclip, name=name, preprocess=preprocess)


def _load_video_clip(
    config: dict[str, Any], folder: Path, *, name: str, temporal: str | None, options: Mapping[str, Any] | None
) -> VideoCLIP:
    preprocess = read_preprocess(folder)
    kept = check_temporal(config["temporal"], config["temporal_options"])
    saved, _ = read_tensors(folder / "model.safetensors")
    _check_claims(kept, {k: v for k, v in saved.items() if is_temporal_key(k)}, folder)
    with _building(folder):
        towers = _build_towers(config, folder, saved)
    if preprocess.size != towers.image_size:
        raise ModelError(
            f"{folder / 'preprocess.json'} makes frames of {preprocess.size} pixels, and the model is made for "
            f"{towers.image_size}; correct its size"
        )
    saved = {k: v.float() if v.is_floating_point() else v for k, v in saved.items()}
    wanted = temporal or config["temporal"]
    if options is None and wanted == config["temporal"]:
        options = kept
    fresh = (wanted, check_temporal(wanted, options)) != (config["temporal"], kept)
    if fresh:  # the towers first: the module's first state may be a copy of their weights
        _fill(towers, {k[7:]: v for k, v in saved.items() if not is_temporal_key(k)}, folder)
    with _building(folder):
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


def read_preprocess(folder: Path) -> Preprocess:
    """What `preprocess.json` says; raises ModelError where it cannot be read, or says what cannot be."""
    path = folder / "preprocess.json"
    told = read_object(path, _CURE)
    try:
        return Preprocess.from_dict(told)
    except ValueError as error:
        raise ModelError(f"{path} cannot be used: {reason(error)}; {_CURE}") from None


def _check_shapes(expected: Mapping[str, Tensor], found: Mapping[str, Tensor], folder: Path) -> None:
    """Raises ModelError where the weights are not those of the config; asked before it is given memory."""
    for name, tensor in expected.items():
        shape = list(found[name].shape) if name in found else None
        if shape != list(tensor.shape):
            raise ModelError(
                f"the weights in '{folder}' do not fit its config: '{name}' is {shape or 'missing'}, not "
                f"{list(tensor.shape)}; {_CURE}"
            )


def _check_claims(claimed: Mapping[str, Any], found: Mapping[str, Tensor], folder: Path) -> None:
    """The same where the module cannot be built without memory: a width is the size of some tensor."""
    shapes = {side for tensor in found.values() for side in tensor.shape}
    width, layers = claimed.get("width"), claimed.get("layers", 0)
    if (type(width) is int and width not in shapes) or (type(layers) is int and layers > len(found)):
        raise ModelError(
            f"the weights in '{folder}' do not fit its config: none are of width {width!r:.40} and {layers!r:.40} "
            f"layers; {_CURE}"
        )


def _fill(module: Any, state: Mapping[str, Tensor], folder: Path) -> None:
    try:
        module.load_state_dict(state)
    except RuntimeError as error:
        raise ModelError(f"the weights in '{folder}' do not fit its config: {reason(error)}; {_CURE}") from None


def refuse_code_in(folder: Path) -> None:
    """Raises ModelError where an open_clip folder would have code of its own run, or its files cannot be read."""
    for name in ("open_clip_config.json", "tokenizer_config.json"):
        if (folder / name).is_file():
            refuse_code(str(folder), read_json(folder / name))


def read_open_clip_config(folder: Path) -> dict[str, Any]:
    """The `model_cfg` of an open_clip folder.

    Raises:
        ModelError: it cannot be read, has not the parts of open_clip's, or says sizes that no model has.
    """
    path = folder / "open_clip_config.json"
    check_folder(folder)
    made: Any = read_object(path).get("model_cfg")
    parts: list[Any] = [made, made.get("vision_cfg"), made.get("text_cfg")] if isinstance(made, dict) else [made]
    if not all(isinstance(part, dict) for part in parts):
        raise ModelError(f"{path} has no model_cfg with vision_cfg and text_cfg; get it again")
    for name, value in (item for part in parts for item in part.items()):
        most = _MOST.get(name, _MAX_SIZE)
        sides = value if isinstance(value, list) else [value]
        whole = name in _WHOLE and (len(sides) > 2 or any(type(side) is not int for side in sides))
        if whole or not all(-most <= side <= most for side in sides if isinstance(side, int | float)):
            raise ModelError(f"{path} says {name!r:.40} = {value!r:.40}, which cannot be; get it again")
    told: dict[str, Any] = made
    return told


def _build_towers(config: dict[str, Any], folder: Path, saved: Mapping[str, Tensor]) -> Any:
    if (own := OWN_FAMILIES.get(config["family"])) is not None:
        sizes = own_sizes(config, folder)
        with torch.device("meta"), NoRandomWeights():
            for part, tower in (("visual", own.vision_class(sizes)), ("textual", own.text_class(sizes))):
                prefix = f"towers.{part}."
                _check_shapes({prefix + k: v for k, v in tower.state_dict().items()}, saved, folder)
        with NoRandomWeights():
            return own(sizes, folder / "tokenizer.json")
    import open_clip

    refuse_code_in(folder)
    made_of = read_open_clip_config(folder)
    for told in (made_of, made_of["vision_cfg"], made_of["text_cfg"]):
        claims = {"width": told.get("width", told.get("embed_dim")), "layers": told.get("layers", 0)}
        _check_claims(claims, saved, folder)
    source = f"local-dir:{folder}"
    if made_of["text_cfg"].get("hf_tokenizer_name"):
        check_tokenizer_folder(folder)
    with quiet(), no_remote_code():  # it warns that the weights are random
        made = open_clip.create_model(source, load_weights=False, pretrained_text=False)
        tokenizer = open_clip.get_tokenizer(source)
    return OpenClipTowers(made, tokenizer, open_clip.get_model_config(source) or {})
