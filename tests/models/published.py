"""Files in the formats in which Open-VCLIP and X-CLIP are published, with tiny random weights."""

import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from olmv.models.registry import load_model
from olmv.models.xclip.network import XClip
from tests.models.xclip_folders import hf_folder
from tests.models.xclips import WIDE, as_the_authors_write, random_xclip

TINY_CLIP: dict[str, Any] = {
    "embed_dim": 32,
    "quick_gelu": True,
    "vision_cfg": {"image_size": 32, "layers": 2, "width": 128, "patch_size": 16},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 64, "heads": 1, "layers": 1},
}
AUTHORS_XCLIP = replace(WIDE, vocab_size=49408, context_length=77)


def clip_state(config: dict[str, Any] = TINY_CLIP, seed: int = 0) -> dict[str, Tensor]:
    """By OpenAI's names, every weight random."""
    from open_clip.model import CLIP

    torch.manual_seed(seed)
    state: dict[str, Tensor] = CLIP(**config).state_dict()
    return {name: tensor + 0.02 * torch.randn_like(tensor) for name, tensor in state.items()}


def write_clip(folder: Path, state: Mapping[str, Tensor], config: dict[str, Any] = TINY_CLIP) -> str:
    """The original, as a folder of open_clip; its name for `load_model`."""
    from safetensors.torch import save_file

    folder.mkdir(parents=True)
    described = {"model_cfg": config, "preprocess_cfg": {}}
    (folder / "open_clip_config.json").write_text(json.dumps(described), encoding="utf-8")
    save_file({name: tensor.contiguous() for name, tensor in state.items()}, folder / "open_clip_model.safetensors")
    return f"local-dir:{folder}"


def write_swa(path: Path, state: Mapping[str, Any]) -> Path:
    """As Open-VCLIP's script for averaging writes."""
    torch.save({"model_state": {f"model.{name}": tensor for name, tensor in state.items()}}, path)
    return path


def write_epoch(path: Path, state: Mapping[str, Any]) -> Path:
    """As Open-VCLIP writes every epoch; the config is text, the optimizer's state as large as the weights."""
    moments = {i: {"step": torch.tensor(3.0), "exp_avg": tensor} for i, tensor in enumerate(state.values())}
    saved = {
        "epoch": 21,
        "model_state": {f"model.{name}": tensor for name, tensor in state.items()},
        "optimizer_state": {"state": moments, "param_groups": [{"lr": 3.33e-6, "params": list(moments)}]},
        "cfg": "TRAIN:\n  ENABLE: true\n",
        "scaler_state": {"scale": 65536.0, "growth_factor": 2.0, "_growth_tracker": 7},
    }
    torch.save(saved, path)
    return path


class CfgNode(dict[str, Any]):
    """As yacs has it: a dictionary that keeps its switches in `__dict__`."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        super().__init__({k: CfgNode(v) if isinstance(v, dict) else v for k, v in values.items()})
        self.__dict__.update(
            {"__immutable__": False, "__deprecated_keys__": set(), "__renamed_keys__": {}, "__new_allowed__": False}
        )


@contextmanager
def yacs() -> Iterator[None]:
    """While `CfgNode` is to be pickled as `yacs.config.CfgNode`; afterwards no such module is there."""
    package, module = ModuleType("yacs"), ModuleType("yacs.config")
    module.CfgNode = CfgNode  # type: ignore[attr-defined]
    before = CfgNode.__module__
    CfgNode.__module__ = "yacs.config"
    sys.modules |= {"yacs": package, "yacs.config": module}
    try:
        yield
    finally:
        CfgNode.__module__ = before
        del sys.modules["yacs"], sys.modules["yacs.config"]


def write_authors_xclip(path: Path, *, prefix: str = "", zipped: bool = True) -> tuple[Path, XClip]:
    """As the authors' training script writes, with the pickled config of theirs; and the model that it holds."""
    model = random_xclip(AUTHORS_XCLIP)
    config = {
        "DATA": {"ROOT": "", "NUM_FRAMES": AUTHORS_XCLIP.frames, "PIPELINES": [("Resize", (-1, 256))]},
        "MODEL": {"ARCH": "ViT-B/32", "RESUME": None, "MIT": {"LAYERS": 1, "SPANS": (1, 2)}},
        "SAVE_FREQ": 1,
        "AUG": {},
    }
    with yacs():
        saved = {
            "model": {f"{prefix}{name}": tensor for name, tensor in as_the_authors_write(model).items()},
            "optimizer": {"state": {0: {"exp_avg": torch.ones(9)}}, "param_groups": [{"lr": 8e-6, "params": [0]}]},
            "lr_scheduler": {"t_initial": 330, "base_values": [8e-6], "metric": None},
            "max_accuracy": 80.4,
            "epoch": 29,
            "config": CfgNode(config),
        }
        torch.save(saved, path, _use_new_zipfile_serialization=zipped)
    return path, model


def write_hf_xclip(folder: Path, *, pickled: bool = False, preprocessor: Mapping[str, Any] | None = None) -> Path:
    """As on the Hub, config.json beside the weights: the path of these."""
    model = hf_folder(folder)
    if preprocessor is not None:
        (folder / "preprocessor_config.json").write_text(json.dumps(preprocessor), encoding="utf-8")
    weights = folder / "model.safetensors"
    if pickled:
        weights.unlink()
        weights = folder / "pytorch_model.bin"
        torch.save(model.state_dict(), weights)
    return weights


def loaded(folder: Path) -> Any:
    """What was converted, in float32 on the CPU."""
    return load_model(folder, device="cpu", dtype="float32")
