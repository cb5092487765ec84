"""Model names, loading and saving.

olmv-lite                      ships with olmv: sees real footage, things and scenes better than actions
olmv-mini                      ships with olmv: knows drawings, not footage
ARCH/PRETRAINED                any of open_clip's, such as ViT-B-32/openai
hf-hub:ORG/REPO                an open_clip model on the Hugging Face hub
local-dir:FOLDER               the same, in a folder
hf:ORG/REPO[@REVISION]         on the hub: a model that olmv saved, or an X-CLIP such as microsoft/xclip-base-patch32
FOLDER                         the same in a folder
"""

import difflib
import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

from olmv.devices import Placement, choose
from olmv.errors import ModelError, ModelNotFoundError, UsageError, WeightsUnavailableError, reason
from olmv.io.network import fetching, quiet
from olmv.models.base import VideoModel
from olmv.models.clip.model import VideoCLIP
from olmv.models.clip.own_towers import OWN_FAMILIES
from olmv.models.clip.temporal import check_temporal
from olmv.models.clip.towers import OpenClipTowers
from olmv.models.default import DEFAULT_MODEL, LITE, chosen_model
from olmv.models.export.runtimes import RUNTIMES
from olmv.models.hub.download import download, parse, refuse_code
from olmv.models.storage.checkpoints import check_tensors
from olmv.models.storage.folder import (
    is_model_folder,
    load_folder,
    own_sizes,
    read_config,
    read_open_clip_config,
    read_preprocess,
    refuse_code_in,
    xclip_sizes,
)
from olmv.models.storage.tokenizer_check import check_hub_tokenizer, check_tokenizer_folder
from olmv.video.transforms import Preprocess

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
    "random_model",
]

log = logging.getLogger(__name__)
Model = TypeVar("Model", bound=VideoModel)
MINI = "olmv-mini"
SHIPPED = {name: Path(__file__).parent / name for name in (LITE, MINI)}
"""Models that come with olmv -> their folders."""


@dataclass(frozen=True)
class ModelInfo:
    """What is known of a model before its weights are loaded."""

    name: str
    family: str  # "olmv", "open_clip" or "xclip"
    architecture: str
    image_size: int | None
    embed_dim: int | None
    context_length: int | None
    ships_with_olmv: bool
    description: str
    temporal: str = "mean"  # as saved
    frames: int | None = None  # that it is made for; None where any number will do


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
        dtype: `auto`, `float32`, `float16` or `bfloat16`.
        temporal: `mean`, `transformer`, ... (see `olmv.models.clip.temporal`); default: what the model was saved with,
            else `mean`. A module other than the saved one, or with other options, starts from its first state.
        temporal_options: of that module (see `VideoCLIP`); default: the saved ones for the saved module.
        runtime: what encodes frames: `torch`, or `onnx` or `openvino`, which run on the CPU in float32.

    Raises:
        ModelNotFoundError: no such name; close matches are named.
        WeightsUnavailableError: the weights are not here and cannot be fetched.
        ModelError: a folder that holds no usable model, or an image tower that the temporal module does not fit.
        UsageError: unknown temporal module, option, device, dtype or runtime.
        MissingDependencyError: the runtime is not installed.
    """
    if temporal is not None:
        check_temporal(temporal, temporal_options)
    placement = placement_for(device, dtype, runtime)
    text, note = chosen_model(name)
    if note is not None:
        log.warning(note)
    folder = folder_of(text)
    model: VideoModel
    if folder is not None:
        model = load_folder(folder, name=text, temporal=temporal, options=temporal_options)
    else:
        model = _load_open_clip(text, temporal=temporal or "mean", options=temporal_options)
    log.info("%s on %s", model.name, placement)
    _put(model, placement)
    if runtime == "torch":
        return model
    from olmv.models.export.runtime_model import with_runtime

    return with_runtime(model, runtime)


def placement_for(device: str, dtype: str, runtime: str = "torch") -> Placement:
    """`choose`, and what a runtime other than torch leaves of it: the CPU, float32.

    Raises UsageError as `choose`, for an unknown runtime, or for another device or dtype than it has.
    """
    if runtime == "torch":
        return choose(device, dtype)
    if runtime not in RUNTIMES:
        raise UsageError(f"unknown runtime '{runtime}'; choose from torch, {', '.join(RUNTIMES)}")
    if device not in ("auto", "cpu") or dtype not in ("auto", "float32", "fp32"):
        raise UsageError(f"runtime {runtime} encodes on the CPU in float32; leave out the device and the dtype")
    return choose("cpu", "float32")


def load_video_clip(name: str | Path, **options: Any) -> VideoCLIP:
    """As `load_model`, for what only a `VideoCLIP` can do: training, export, other temporal modules.

    Raises ModelError for a model of another family, and as `load_model`.
    """
    model = load_model(name, **options)
    if not isinstance(model, VideoCLIP):
        raise ModelError(f"'{name}' is an X-CLIP, which olmv predicts and evaluates with only; use a video CLIP")
    return model


def folder_of(name: str) -> Path | None:
    """The folder of a model that is one (olmv's, the user's, or one fetched from the hub); None for open_clip's.

    Raises ModelError and its kin where the hub has no such model.
    """
    if name.startswith("hf:"):
        return _fetched(name)
    if name in SHIPPED:
        return SHIPPED[name]
    return folder if is_model_folder(folder := Path(name)) else None


@lru_cache(maxsize=8)
def _fetched(name: str) -> Path:
    """Asked once in the life of a process: a run does not change its model half-way."""
    return download(*parse(name))


def frames_for(name: str | Path, asked: int | None) -> int | None:
    """The frames to look at: what was asked, else what the model is made for; None where any number will do.

    Reads no weights.

    Raises:
        UsageError: the model is made for another number.
        ModelError: as `model_info`, for a folder or a model on the hub.
    """
    text = str(name)
    if not text.startswith("hf:") and not is_model_folder(Path(text)):
        return asked
    made = model_info(text).frames
    if None not in (made, asked) and made != asked:
        raise UsageError(f"{text} is made for {made} frames, got {asked}; use --frames {made}")
    return asked or made


def random_model(
    architecture: str,
    *,
    device: str = "auto",
    temporal: str | None = None,
    temporal_options: Mapping[str, Any] | None = None,
) -> VideoCLIP:
    """An architecture of open_clip in float32 without its weights: for speed, parity and smoke runs. Needs no network.

    Args:
        architecture: such as `ViT-B-32-quickgelu`; `ARCH/PRETRAINED` is cut to its first part.
        device, temporal, temporal_options: as in `load_model`.

    Raises:
        ModelNotFoundError: open_clip knows no such architecture; close matches are named.
        WeightsUnavailableError: its tokenizer is not here and cannot be fetched.
        ModelError, UsageError: as `load_model`.
    """
    import open_clip

    name = architecture.partition("/")[0]
    config = open_clip.get_model_config(name)
    if config is None:
        close = difflib.get_close_matches(name, open_clip.list_models(), n=4, cutoff=0.5)
        hint = f"did you mean {', '.join(close)}?" if close else "`olmv models list` names them"
        raise ModelNotFoundError(f"open_clip has no architecture '{name}'; {hint}")
    try:
        with quiet(), fetching():  # it warns that the weights are random
            made = open_clip.create_model(name, pretrained_text=False)
            tokenizer = open_clip.get_tokenizer(name)
    except Exception as error:  # hub, network and file errors have no common class
        raise WeightsUnavailableError(
            f"the tokenizer of '{name}' cannot be had ({reason(error)}); get on line once, or use an architecture with "
            "CLIP's own tokenizer, such as ViT-B-32-quickgelu"
        ) from None
    model = VideoCLIP(
        OpenClipTowers(made, tokenizer, config),
        name=f"{name}/random",
        preprocess=Preprocess.from_open_clip(made.visual.preprocess_cfg | _published_preprocess(name)),
        temporal=temporal or "mean",
        temporal_options=temporal_options,
    )
    return _put(model, choose(device, "float32"))


def _published_preprocess(architecture: str) -> dict[str, Any]:
    """That of the first weights published for it, as open_clip tells it; the architecture alone does not say."""
    import open_clip

    tags = open_clip.list_pretrained_tags_by_model(architecture)
    told = open_clip.get_pretrained_cfg(architecture, tags[0]) if tags else {}
    return {key: told[key] for key in ("mean", "std", "interpolation", "resize_mode") if told.get(key)}


def _put(model: Model, placement: Placement) -> Model:
    return model.to(device=placement.device, dtype=placement.dtype).eval().requires_grad_(False)


def _load_open_clip(name: str, *, temporal: str, options: Mapping[str, Any] | None) -> VideoCLIP:
    schema = name.startswith(("hf-hub:", "local-dir:"))
    if name.startswith("local-dir:") and not (Path(name[10:]) / "open_clip_config.json").is_file():
        raise ModelNotFoundError(f"no open_clip model in '{name[10:]}': open_clip_config.json is missing")
    if name.startswith("local-dir:"):
        told = read_open_clip_config(folder := Path(name[10:]))
        refuse_code_in(folder)
        if told["text_cfg"].get("hf_tokenizer_name"):
            check_tokenizer_folder(folder)
    if not schema:
        _check_open_clip_name(name)
    import open_clip

    architecture, _, pretrained = name.partition("/")
    quick_gelu = not schema and _quick_gelu(architecture, pretrained)
    try:
        with fetching():
            source = name if schema else architecture
            config = open_clip.get_model_config(source) or {}
            refuse_code(name, config)
            model = open_clip.create_model(
                source, pretrained=None if schema else pretrained, force_quick_gelu=quick_gelu
            )
            check_tensors(dict(model.named_parameters()), f"the weights of '{name}'")
            if name.startswith("hf-hub:"):
                check_hub_tokenizer(name.removeprefix("hf-hub:"), config)
            tokenizer = open_clip.get_tokenizer(source)
            config["quick_gelu"] = quick_gelu or config.get("quick_gelu", False)
    except ModelError:
        raise
    except Exception as error:  # hub, network, file and format errors have no common class
        if name.startswith("local-dir:"):
            raise ModelError(
                f"the model folder '{name[10:]}' cannot be loaded ({reason(error)}); get its files again, or get on "
                "line once if its tokenizer is one of the Hub"
            ) from None
        raise WeightsUnavailableError(
            f"the weights of '{name}' cannot be had ({reason(error)}); "
            f"get on line once, or use --model {LITE}, which ships with olmv, or --model local-dir:FOLDER"
        ) from None
    try:
        preprocess = Preprocess.from_open_clip(model.visual.preprocess_cfg)
    except (ValueError, TypeError, KeyError, IndexError) as error:
        raise ModelError(f"the preprocessing of '{name}' cannot be used: {reason(error)}; use another model") from None
    towers = OpenClipTowers(model, tokenizer, config)
    return VideoCLIP(towers, name=name, preprocess=preprocess, temporal=temporal, temporal_options=options)


def _quick_gelu(architecture: str, pretrained: str) -> bool:
    """Whether these weights were trained with the fast GELU (OpenAI's were); their architecture does not say."""
    import open_clip

    return bool((open_clip.get_pretrained_cfg(architecture, pretrained) or {}).get("quick_gelu"))


def _check_open_clip_name(name: str) -> None:
    """Raises ModelNotFoundError with close matches unless open_clip knows ARCH/PRETRAINED."""
    known = _open_clip_names()
    if name in known:
        return
    if Path(name).is_dir():
        raise ModelNotFoundError(f"the folder '{name}' holds no config.json; is it a model that olmv saved?")
    plain = {re.sub(r"[^a-z0-9]", "", k.lower()): k for k in (*known, *SHIPPED)}
    wanted = re.sub(r"[^a-z0-9]", "", name.lower())
    close = [plain[k] for k in difflib.get_close_matches(wanted, plain, n=4, cutoff=0.5)]
    hint = f"did you mean {', '.join(close)}?" if close else "`olmv models list` names them all"
    if re.fullmatch(r"[\w.-]+/[\w.-]+", name):
        hint = f"{hint.rstrip(chr(63))}; one on the Hub is hf:{name}"
    raise ModelNotFoundError(f"no model is called '{name}'; {hint}")


@lru_cache(maxsize=1)
def _open_clip_names() -> tuple[str, ...]:
    import open_clip

    return tuple(f"{architecture}/{pretrained}" for architecture, pretrained in open_clip.list_pretrained())


def list_models() -> list[ModelInfo]:
    """Those that ship with olmv first, then the default, then everything open_clip offers."""
    names = list(_open_clip_names())
    names.sort(key=lambda n: n != DEFAULT_MODEL)
    return [model_info(name) for name in (*SHIPPED, *names)]


def model_info(name: str | Path) -> ModelInfo:
    """What is known of a model without loading weights.

    Raises:
        ModelNotFoundError: no such name; close matches are named.
        ModelError: a folder that holds no usable model.
    """
    text = str(name)
    if (folder := folder_of(text)) is not None:
        return _folder_info(text, folder)
    if text.startswith("hf-hub:"):
        return ModelInfo(text, "open_clip", text[7:], None, None, None, False, "an open_clip model on the hub")
    if text.startswith("local-dir:"):
        path = Path(text[10:]) / "open_clip_config.json"
        if not path.is_file():
            raise ModelNotFoundError(f"no open_clip model in '{text[10:]}': open_clip_config.json is missing")
        return _open_clip_info(text, text[10:], read_open_clip_config(path.parent))
    _check_open_clip_name(text)
    import open_clip

    architecture = text.partition("/")[0]
    return _open_clip_info(text, architecture, open_clip.get_model_config(architecture) or {})


def _folder_info(name: str, folder: Path) -> ModelInfo:
    config = read_config(folder)
    if config["family"] in ("xclip", "hf-xclip"):
        sizes = xclip_sizes(config, folder)
        return ModelInfo(
            name, "xclip", "x-clip", sizes.image_size, sizes.embed_dim, sizes.context_length, False,
            config.get("description") or "X-CLIP: frames exchange messages, texts are prompted by the video",
            "x-clip", sizes.frames,
        )  # fmt: skip
    size = read_preprocess(folder).size
    if config["family"] in OWN_FAMILIES:
        sizes = own_sizes(config, folder)
        family, dim, context = "olmv", sizes.embed_dim, sizes.context_length
    else:
        made = read_open_clip_config(folder)
        family, dim, context = "open_clip", made.get("embed_dim", 0), made["text_cfg"].get("context_length", 77)
    return ModelInfo(
        name, family, config["family"], size, dim or None, context, name in SHIPPED, config["description"],
        config["temporal"],
    )  # fmt: skip


def _open_clip_info(name: str, architecture: str, config: dict[str, Any]) -> ModelInfo:
    size = config.get("vision_cfg", {}).get("image_size")
    told = (
        "sigmoid-trained: probabilities of its own"
        if "init_logit_bias" in config
        else "softmax-trained: scored against everyday words"
    )
    return ModelInfo(
        name, "open_clip", architecture, size[0] if isinstance(size, list) else size, config.get("embed_dim"),
        config.get("text_cfg", {}).get("context_length", 77), False,
        told + ("; the default" if name == DEFAULT_MODEL else ""),
    )  # fmt: skip
