"""Open-VCLIP (arXiv 2302.00624): its checkpoints, checked against the CLIP that they are, patched with the original.

A checkpoint holds OpenAI's CLIP under OpenAI's names after "model."; cross-frame attention has no weights of its own.
At test time the weights are ratio * original + (1 - ratio) * tuned (equation 6).
"""

import json
import re
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from olmv.errors import ModelError, UsageError, WeightsUnavailableError
from olmv.io.network import quiet
from olmv.models.clip.interpolation import interpolate
from olmv.models.clip.model import VideoCLIP
from olmv.models.open_clip.towers import OpenClipTowers
from olmv.models.registry import load_model
from olmv.models.storage.checkpoints import check_tensors, named
from olmv.video.transforms import Preprocess

__all__ = ["PREFIX", "RATIOS", "architecture_of", "build", "check_state", "config_of", "patch", "strip_prefix"]

PREFIX = "model."
RATIOS: Mapping[str, float] = {"ViT-B-32-quickgelu": 0.5, "ViT-B-16-quickgelu": 0.5, "ViT-L-14-quickgelu": 0.6}
"""The published weight of the original."""
_HEAD_WIDTH = 64
_VOCABULARY = 49408
# of OpenAI's TorchScript files, and of attention masks that are made anew
_NO_WEIGHTS = ("input_resolution", "context_length", "vocab_size", "attn_mask")
# CLIP's, except that its authors resize bilinearly
_PREPROCESS = {
    "mean": list(Preprocess.mean),
    "std": list(Preprocess.std),
    "interpolation": "bilinear",
    "resize_mode": "shortest",
}
_AS_PUBLISHED = "give a checkpoint of Open-VCLIP as its authors saved it"


def strip_prefix(state: Mapping[Any, Any]) -> dict[str, Any]:
    """Return what is under `model_state`, by OpenAI's names; what holds no weights is left out.

    Raises:
        ModelError: a name does not begin with "model.".
    """
    if foreign := [str(name) for name in state if not str(name).startswith(PREFIX)]:
        raise ModelError(
            f"{len(foreign)} of {len(state)} names in the checkpoint do not begin with '{PREFIX}': {named(foreign)}; "
            f"{_AS_PUBLISHED}"
        )
    weights = {str(name).removeprefix(PREFIX): value for name, value in state.items()}
    return {name: value for name, value in weights.items() if name.rpartition(".")[2] not in _NO_WEIGHTS}


def config_of(state: Mapping[str, Any]) -> dict[str, Any]:
    """Read the architecture, in the form of open_clip's configs, from names and shapes; heads are 64 wide.

    Raises:
        ModelError: these are not the weights of a CLIP with a vision transformer.
    """

    def shape(name: str, dims: int) -> list[int]:
        if name not in state:
            raise ModelError(f"the checkpoint has no tensor '{name}', so it is not of a ViT CLIP; {_AS_PUBLISHED}")
        tensor = state[name]
        if not isinstance(tensor, Tensor) or tensor.ndim != dims or not tensor.numel():
            raise ModelError(f"'{name}' in the checkpoint is no tensor of {dims} dimensions; {_AS_PUBLISHED}")
        return list(tensor.shape)

    def layers(prefix: str) -> int:
        pattern = re.compile(re.escape(prefix) + r"\.resblocks\.(\d{1,4})\.")
        numbers = {int(m[1]) for name in state if (m := pattern.match(name))}
        if lacking := sorted(set(range(max(numbers, default=0) + 1)) - numbers):
            raise ModelError(f"the checkpoint has no layer {lacking[0]} under '{prefix}'; {_AS_PUBLISHED}")
        return len(numbers)

    width, _, patch_size, _ = shape("visual.conv1.weight", 4)
    tokens, _ = shape("visual.positional_embedding", 2)
    text_width, embed_dim = shape("text_projection", 2)
    vocabulary, _ = shape("token_embedding.weight", 2)
    if width % _HEAD_WIDTH or text_width % _HEAD_WIDTH:
        raise ModelError(f"widths of {width} and {text_width} are no multiples of {_HEAD_WIDTH}; {_AS_PUBLISHED}")
    if vocabulary != _VOCABULARY:
        raise ModelError(
            f"the text tower reads {vocabulary} tokens, and CLIP's tokenizer has {_VOCABULARY}; use CLIP's"
        )
    return {
        "embed_dim": embed_dim,
        "quick_gelu": True,
        "vision_cfg": {
            "image_size": round((tokens - 1) ** 0.5) * patch_size,
            "layers": layers("visual.transformer"),
            "width": width,
            "patch_size": patch_size,
        },
        "text_cfg": {
            "context_length": shape("positional_embedding", 2)[0],
            "vocab_size": vocabulary,
            "width": text_width,
            "heads": text_width // _HEAD_WIDTH,
            "layers": layers("transformer"),
        },
    }


def architecture_of(config: Mapping[str, Any]) -> str | None:
    """Return open_clip's name for an architecture, such as `ViT-B-16-quickgelu`; None where it has none."""
    import open_clip

    names = (name for name in open_clip.list_models() if name.endswith("-quickgelu"))
    return next((name for name in names if open_clip.get_model_config(name) == config), None)


def check_state(state: Mapping[str, Any], config: Mapping[str, Any]) -> dict[str, Tensor]:
    """Return the same weights, once every name, shape, dtype and value is what this architecture has.

    Raises:
        ModelError: tensors are missing, unknown, of another shape, not float32, no tensors, or not finite; the
            message counts them and names the first few.
    """
    from open_clip.model import CLIP

    check_tensors(state, "the checkpoint")  # first: sizes that no data stands behind would overflow even without memory
    with torch.device("meta"):  # shapes without their memory: the sizes are the file's word
        expected = {name: tensor.shape for name, tensor in CLIP(**config).state_dict().items()}
    for names, what in (
        ([name for name in expected if name not in state], "missing"),
        ([name for name in state if name not in expected], "unknown"),
    ):
        if names:
            raise ModelError(
                f"{len(names)} tensors are {what} in the checkpoint (of {len(expected)}): {named(names)}; "
                f"{_AS_PUBLISHED}"
            )
    if wrong := [name for name, shape in expected.items() if state[name].shape != shape]:
        first = wrong[0]
        raise ModelError(
            f"{len(wrong)} tensors have another shape than the architecture: {named(wrong)}; the first is "
            f"{list(state[first].shape)}, not {list(expected[first])}; {_AS_PUBLISHED}"
        )
    if other := [name for name in expected if state[name].dtype != torch.float32]:
        kind = str(state[other[0]].dtype).removeprefix("torch.")
        raise ModelError(
            f"{len(other)} tensors are {kind}, not float32: {named(other)}; half of their digits are gone, so "
            f"{_AS_PUBLISHED}"
        )
    return {name: state[name] for name in expected}


def patch(
    tuned: Mapping[str, Tensor], config: Mapping[str, Any], ratio: float, original: str | None
) -> dict[str, Tensor]:
    """Compute ratio * original + (1 - ratio) * tuned, in float32; copies, exact at both ends.

    Args:
        tuned: what `check_state` gave.
        config: what `config_of` gave.
        ratio: weight of the original, 0 to 1.
        original: a model's name or folder; None at ratio 0.

    Raises:
        UsageError: no original.
        WeightsUnavailableError: the original's weights are not here and cannot be fetched.
        ModelError: the original cannot be loaded, is of another architecture, or computes with another activation.
    """
    if ratio == 0:
        return interpolate(tuned, tuned, 0)
    if original is None:
        raise UsageError(f"ratio {ratio:g} needs the original; name it, or use ratio 0", option=("original", "ratio"))
    try:
        model = load_model(original, device="cpu", dtype="float32")
    except WeightsUnavailableError as error:
        raise WeightsUnavailableError(
            f"{str(error).partition('; ')[0]}; get on line once, name a folder that has the original, or take the "
            "fine-tuned weights alone with ratio 0",
            option=("original", "ratio"),
        ) from None
    if not isinstance(model, VideoCLIP) or not isinstance(towers := model.towers, OpenClipTowers):
        raise ModelError(f"'{original}' is no CLIP of open_clip; {_original_hint(config)}")
    _check_original(towers, config, original)
    weights = {name: weight.detach() for name, weight in towers.model.state_dict().items()}
    different = sorted(set(weights) ^ set(tuned)) or [n for n in tuned if weights[n].shape != tuned[n].shape]
    if different:
        raise ModelError(
            f"'{original}' is of another architecture than the checkpoint ({len(different)} tensors differ: "
            f"{named(different)}); {_original_hint(config)}"
        )
    return interpolate(weights, tuned, ratio)


def _check_original(towers: OpenClipTowers, config: Mapping[str, Any], name: str) -> None:
    """Raise ModelError where the original has another activation or other heads, which shapes do not tell."""
    from open_clip.transformer import QuickGELU

    clip = towers.model
    blocks = [*towers.image_blocks(), *getattr(getattr(clip, "transformer", None), "resblocks", [])]
    activations = [getattr(getattr(block, "mlp", None), "gelu", None) for block in blocks]
    if not towers.config.get("quick_gelu") or not all(isinstance(activation, QuickGELU) for activation in activations):
        raise ModelError(
            f"'{name}' does not compute with QuickGELU, as OpenAI's CLIP and Open-VCLIP do; {_original_hint(config)}"
        )
    vision, text = config["vision_cfg"], config["text_cfg"]
    heads = [vision["width"] // _HEAD_WIDTH] * vision["layers"] + [text["heads"]] * text["layers"]
    if len(blocks) == len(heads) and [block.attn.num_heads for block in blocks] != heads:
        raise ModelError(f"'{name}' has other attention heads than the checkpoint; {_original_hint(config)}")


def _original_hint(config: Mapping[str, Any]) -> str:
    architecture = architecture_of(config)
    return f"use the original {architecture}/openai" if architecture else "use the very model that was fine-tuned"


def build(state: Mapping[str, Tensor], config: Mapping[str, Any], *, name: str) -> VideoCLIP:
    """Build the model as its authors run it: cross-frame attention with zero edges, 28 templates, the mean of logits.

    Args:
        state: what `patch` gave.
        config: what `config_of` gave.
        name: of the model.
    """
    import open_clip

    with tempfile.TemporaryDirectory() as folder:
        description = {"model_cfg": config, "preprocess_cfg": _PREPROCESS}
        (Path(folder) / "open_clip_config.json").write_text(json.dumps(description), encoding="utf-8")
        with quiet():  # it warns that the weights are random
            clip = open_clip.create_model(f"local-dir:{folder}", load_weights=False)
    clip.load_state_dict(state)
    tokenizer = open_clip.tokenizer.SimpleTokenizer(context_length=config["text_cfg"]["context_length"])
    model = VideoCLIP(
        OpenClipTowers(clip, tokenizer, dict(config)),
        name=name,
        # nor do they average over pixels that shrinking leaves out
        preprocess=replace(Preprocess.from_open_clip(clip.visual.preprocess_cfg), antialias=False),
        temporal="cross-frame",
        temporal_options={"edges": "zero"},
        templates="open-vclip",
        frame_pooling="logits",
    )
    return model.eval().requires_grad_(False)
