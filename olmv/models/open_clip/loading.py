"""open_clip's models made by name: with their weights, or with random ones."""

import difflib
from collections.abc import Mapping
from typing import Any

from olmv.devices import choose
from olmv.errors import ModelError, ModelNotFoundError, WeightsUnavailableError, reason
from olmv.io.network import fetching, quiet
from olmv.models.clip.model import VideoCLIP
from olmv.models.default import LITE
from olmv.models.hub.download import refuse_code
from olmv.models.open_clip.config import check_open_clip_tokenizer, read_open_clip_config, refuse_code_in
from olmv.models.open_clip.names import OpenClipName
from olmv.models.open_clip.towers import OpenClipTowers
from olmv.models.storage.checkpoints import check_tensors
from olmv.models.storage.tokenizer_check import check_hub_tokenizer
from olmv.video.transforms import Preprocess

__all__ = ["load_open_clip", "random_model"]


def load_open_clip(name: OpenClipName, *, temporal: str, options: Mapping[str, Any] | None) -> VideoCLIP:
    """Load the model of a checked name in float32 on the CPU; `temporal` and `options` as in `load_model`.

    Raises:
        WeightsUnavailableError: the weights are not here and cannot be fetched.
        ModelError: a folder that holds no usable model, or an image tower that the temporal module does not fit.
        UsageError: unknown temporal module or option.
    """
    if name.folder is not None:
        config = read_open_clip_config(name.folder)
        refuse_code_in(name.folder)
        check_open_clip_tokenizer(name.folder, config)
    try:
        with fetching():
            towers = _load_towers(name)
    except ModelError:
        raise
    except Exception as error:  # hub, network, file and format errors have no common class
        raise _unavailable(name, error) from None
    try:
        preprocess = Preprocess.from_open_clip(towers.model.visual.preprocess_cfg)
    except (ValueError, TypeError, KeyError, IndexError) as error:
        raise ModelError(
            f"the preprocessing of '{name.text}' cannot be used: {reason(error)}; use another model"
        ) from None
    return VideoCLIP(towers, name=name.text, preprocess=preprocess, temporal=temporal, temporal_options=options)


def _load_towers(name: OpenClipName) -> OpenClipTowers:
    import open_clip

    quick_gelu = name.pretrained is not None and _quick_gelu(name.architecture, name.pretrained)
    config = open_clip.get_model_config(name.source) or {}
    refuse_code(name.text, config)
    model = open_clip.create_model(name.source, pretrained=name.pretrained, force_quick_gelu=quick_gelu)
    check_tensors(dict(model.named_parameters()), f"the weights of '{name.text}'")
    if name.repo is not None:
        check_hub_tokenizer(name.repo, config)
    tokenizer = open_clip.get_tokenizer(name.source)
    config["quick_gelu"] = quick_gelu or config.get("quick_gelu", False)
    return OpenClipTowers(model, tokenizer, config)


def _quick_gelu(architecture: str, pretrained: str) -> bool:
    """Tell whether these weights were trained with the fast GELU (OpenAI's were); their architecture does not say."""
    import open_clip

    return bool((open_clip.get_pretrained_cfg(architecture, pretrained) or {}).get("quick_gelu"))


def _unavailable(name: OpenClipName, error: Exception) -> ModelError:
    if name.folder is not None:
        return ModelError(
            f"the model folder '{name.folder}' cannot be loaded ({reason(error)}); get its files again, or get on line "
            "once if its tokenizer is one of the Hub"
        )
    return WeightsUnavailableError(
        f"the weights of '{name.text}' cannot be had ({reason(error)}); get on line once, or use the model {LITE}, "
        "which ships with olmv, or local-dir:FOLDER",
        option="model",
    )


def random_model(
    architecture: str,
    *,
    device: str = "auto",
    temporal: str | None = None,
    temporal_options: Mapping[str, Any] | None = None,
) -> VideoCLIP:
    """Make a model of open_clip in float32 without its weights: for speed, parity and smoke runs. Needs no network.

    Args:
        architecture: such as `ViT-B-32-quickgelu`; `ARCH/PRETRAINED` is cut to its first part.
        device, temporal, temporal_options: as in `load_model`.

    Raises:
        ModelNotFoundError: open_clip knows no such architecture; close matches are named.
        WeightsUnavailableError: its tokenizer is not here and cannot be fetched.
        ModelError, UsageError: as `load_model`.
    """
    import open_clip

    name = OpenClipName.parse(architecture).architecture
    config = open_clip.get_model_config(name)
    if config is None:
        close = difflib.get_close_matches(name, open_clip.list_models(), n=4, cutoff=0.5)
        hint = f"did you mean {', '.join(close)}?" if close else "`olmv models list` names them"
        raise ModelNotFoundError(f"open_clip has no architecture '{name}'; {hint}")
    try:
        with quiet(), fetching():  # it warns that the weights are random
            clip = open_clip.create_model(name, pretrained_text=False)
            tokenizer = open_clip.get_tokenizer(name)
    except Exception as error:  # hub, network and file errors have no common class
        raise WeightsUnavailableError(
            f"the tokenizer of '{name}' cannot be had ({reason(error)}); get on line once, or use an architecture with "
            "CLIP's own tokenizer, such as ViT-B-32-quickgelu"
        ) from None
    model = VideoCLIP(
        OpenClipTowers(clip, tokenizer, config),
        name=f"{name}/random",
        preprocess=Preprocess.from_open_clip(clip.visual.preprocess_cfg | _published_preprocess(name)),
        temporal=temporal or "mean",
        temporal_options=temporal_options,
    )
    return model.ready_on(choose(device, "float32"))


def _published_preprocess(architecture: str) -> dict[str, Any]:
    """Return that of the first weights published for an architecture, which does not say it itself."""
    import open_clip

    tags = open_clip.list_pretrained_tags_by_model(architecture)
    config = open_clip.get_pretrained_cfg(architecture, tags[0]) if tags else {}
    return {key: config[key] for key in ("mean", "std", "interpolation", "resize_mode") if config.get(key)}
