"""Models by name: loaded, or described without their weights.

olmv-lite                      ships with olmv: sees real footage, things and scenes better than actions
olmv-mini                      ships with olmv: knows drawings, not footage
ARCH/PRETRAINED                any of open_clip's, such as ViT-B-32/openai
hf-hub:ORG/REPO                an open_clip model on the Hugging Face hub
local-dir:FOLDER               the same, in a folder
hf:ORG/REPO[@REVISION]         on the hub: a model that olmv saved, or an X-CLIP such as microsoft/xclip-base-patch32
FOLDER                         the same in a folder
"""

import logging
from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch

from olmv.arguments import named_options
from olmv.devices import DTYPES, Placement, choose
from olmv.errors import ModelError, UsageError
from olmv.labels.quality import TextLimit
from olmv.models.base import VideoModel
from olmv.models.clip.model import VideoCLIP
from olmv.models.clip.temporal import check_temporal
from olmv.models.default import DEFAULT_MODEL, LITE, MINI, SHIPPED, chosen_model
from olmv.models.export.runtimes import RUNTIMES
from olmv.models.families import find_family
from olmv.models.family import ModelInfo, TemporalChoice
from olmv.models.hub.download import PREFIX, download, parse
from olmv.models.open_clip import names as open_clip_names
from olmv.models.open_clip.loading import load_open_clip
from olmv.models.open_clip.names import OpenClipName
from olmv.models.storage.folder import is_model_folder, read_config

__all__ = [
    "DEFAULT_MODEL",
    "LITE",
    "MINI",
    "SHIPPED",
    "ModelInfo",
    "folder_of",
    "frames_for",
    "list_models",
    "load_model",
    "load_video_clip",
    "model_info",
    "placement_for",
    "text_limit",
]

log = logging.getLogger(__name__)
INT8 = "int8"


@named_options
def load_model(
    name: str | Path | None = None,
    *,
    device: str = "auto",
    dtype: str = "auto",
    temporal: str | None = None,
    temporal_options: Mapping[str, Any] | None = None,
    runtime: str = "torch",
) -> VideoModel:
    """Load a model by name or folder, ready for inference (see the module's docstring for names).

    Args:
        name: `olmv-lite`, `olmv-mini`, `ARCH/PRETRAINED`, `hf:...`, `hf-hub:...`, `local-dir:...` or a folder; None for
            the default, or `olmv-lite` where its weights cannot be had (a warning says so).
        device: `auto`, `cpu`, `cuda`, `cuda:1`, ...
        dtype: `auto`, `float32`, `float16`, `bfloat16` or `int8`, which ONNX Runtime computes on the CPU.
        temporal: `mean`, `transformer`, ... (see `olmv.models.clip.temporal`); default: what the model was saved with,
            else `mean`. A module other than the saved one, or with other options, starts from its first state.
        temporal_options: of that module (see `VideoCLIP`); default: the saved ones for the saved module.
        runtime: what encodes frames: `torch`, or `onnx` or `openvino`, which run on the CPU in float32; int8 is always
            `onnx`.

    Raises:
        ModelNotFoundError: no such name; close matches are named.
        WeightsUnavailableError: the weights are not here and cannot be fetched.
        ModelError: a folder that holds no usable model, an image tower that the temporal module does not fit, or a
            model that int8 changes too much.
        UsageError: unknown temporal module, option, device, dtype or runtime.
        MissingDependencyError: the runtime is not installed.
    """
    if temporal is not None:
        check_temporal(temporal, temporal_options)
    placement = placement_for(device, dtype, runtime)
    text, note = chosen_model(name)
    if note is not None:
        log.warning(note)
    model: VideoModel
    if (folder := folder_of(text)) is not None:
        config = read_config(folder)
        family = find_family(config["family"])
        model = family.load(config, folder, name=text, temporal=TemporalChoice(temporal, temporal_options))
    else:
        model = load_open_clip(_open_clip_name(text), temporal=temporal or "mean", options=temporal_options)
    log.info("%s on %s", model.name, placement)
    model.ready_on(placement)
    if placement.runtime == "torch":
        return model
    from olmv.models.export.runtime_model import with_runtime

    return with_runtime(model, placement.runtime, int8=placement.quantised)


def load_video_clip(name: str | Path, **options: Any) -> VideoCLIP:
    """Load as `load_model`, for what only a `VideoCLIP` can do: training, export, other temporal modules.

    Raises ModelError for a model of another family, and as `load_model`.
    """
    model = load_model(name, **options)
    if not isinstance(model, VideoCLIP):
        raise ModelError(f"'{name}' is an X-CLIP, which olmv predicts and evaluates with only; use a video CLIP")
    return model


def model_info(name: str | Path) -> ModelInfo:
    """Tell what is known of a model without loading weights.

    Raises:
        ModelNotFoundError: no such name; close matches are named.
        ModelError: a folder that holds no usable model.
    """
    text = str(name)
    if (folder := folder_of(text)) is None:
        return open_clip_names.info(_open_clip_name(text))
    config = read_config(folder)
    info = find_family(config["family"]).info(config, folder, name=text)
    return replace(info, ships_with_olmv=text in SHIPPED)


def text_limit(name: str | Path) -> TextLimit:
    """Tell how long a text a model's text tower reads, without loading its weights; names as for `load_model`.

    Raises:
        ModelNotFoundError: no such name; close matches are named.
        ModelError: a folder that holds no usable model.
        WeightsUnavailableError: its tokenizer is not here and cannot be fetched.
    """
    text = str(name)
    if (folder := folder_of(text)) is None:
        return open_clip_names.text_limit(_open_clip_name(text))
    config = read_config(folder)
    return find_family(config["family"]).text_limit(config, folder, name=text)


def list_models() -> list[ModelInfo]:
    """Describe those that ship with olmv first, then the default, then everything open_clip offers."""
    names = sorted(open_clip_names.known_names(), key=lambda name: name != DEFAULT_MODEL)
    return [model_info(name) for name in (*SHIPPED, *names)]


def folder_of(name: str) -> Path | None:
    """Return the folder of a model that is one (olmv's, the user's, or one fetched from the hub); None for open_clip's.

    Raises ModelError and its kin where the hub has no such model.
    """
    if name.startswith(PREFIX):
        return _fetched(name)
    if name in SHIPPED:
        return SHIPPED[name]
    return folder if is_model_folder(folder := Path(name)) else None


@lru_cache(maxsize=8)
def _fetched(name: str) -> Path:
    """Fetch once in the life of a process: a run does not change its model half-way."""
    return download(*parse(name))


def _open_clip_name(text: str) -> OpenClipName:
    """Parse a name of open_clip's; raise ModelNotFoundError unless there can be such a model."""
    name = OpenClipName.parse(text)
    open_clip_names.check_name(name, others=SHIPPED)
    return name


def placement_for(device: str, dtype: str, runtime: str = "torch") -> Placement:
    """Choose device, dtype and runtime: as `choose` does for torch; the others run on the CPU in float32.

    int8 is ONNX Runtime's, whose graph `olmv.models.export.int8` has checked: OpenVINO rounds more of it.

    Raises UsageError as `choose`, for an unknown runtime, or for another device or dtype than it has.
    """
    if runtime not in ("torch", *RUNTIMES):
        raise UsageError(f"unknown runtime '{runtime}'; choose from torch, {', '.join(RUNTIMES)}")
    if dtype == INT8:
        if device not in ("auto", "cpu"):
            raise UsageError(f"int8 runs on the CPU only, not on {device}; leave out the device, or choose bfloat16")
        if runtime not in ("torch", "onnx"):
            raise UsageError(f"int8 is computed by the runtime onnx, not by {runtime}; leave out the runtime")
        why = "asked for; computed by the runtime onnx"
        return Placement(torch.device("cpu"), torch.float32, "where int8 runs", why, "onnx", quantised=True)
    if dtype != "auto" and dtype not in DTYPES:  # `choose`, which other models use too, knows no int8
        raise UsageError(f"unknown dtype '{dtype}'; use auto, float32, float16, bfloat16 or int8")
    if runtime == "torch":
        return choose(device, dtype)
    if device not in ("auto", "cpu") or dtype not in ("auto", "float32", "fp32"):
        raise UsageError(f"runtime {runtime} encodes on the CPU in float32; leave out the device and the dtype")
    return replace(choose("cpu", "float32"), runtime=runtime)


def frames_for(name: str | Path, frames: int | None) -> int | None:
    """Choose how many frames to look at: `frames`, else what the model is made for; None where any number will do.

    Reads no weights.

    Raises:
        UsageError: the model is made for another number.
        ModelError: as `model_info`, for a folder or a model on the hub.
    """
    text = str(name)
    if not text.startswith(PREFIX) and not is_model_folder(Path(text)):
        return frames
    made_for = model_info(text).frames
    if None not in (made_for, frames) and made_for != frames:
        raise UsageError(f"{text} is made for {made_for} frames, got {frames}; look at {made_for}", option="frames")
    return frames or made_for
