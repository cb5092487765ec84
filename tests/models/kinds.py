"""A tiny model of every kind of image tower that olmv knows, random weights."""

import copy
import tempfile
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

import pytest
import torch

from olmv.models.base import VideoModel
from olmv.models.clip.model import VideoCLIP
from olmv.models.clip.towers import Towers
from olmv.models.open_clip.towers import OpenClipTowers
from olmv.models.registry import load_video_clip
from tests.support.tiny import tiny_model, write_open_clip_folder

T = TypeVar("T", bound=Towers)
TRANSFORMERS = ("mini", "open_clip", "open_clip-custom", "siglip", "pe", "eva")
_CLIP = {"image_size": 32, "layers": 2, "width": 32, "head_width": 16, "patch_size": 16}
_TIMM = {"image_size": 32, "timm_model_pretrained": False, "timm_pool": "map", "timm_proj": "none"}
_VISION: Mapping[str, dict[str, Any]] = {
    "open_clip": _CLIP,
    "open_clip-custom": _CLIP | {"qk_norm": True, "scale_heads": True, "scale_attn": True, "ls_init_value": 0.5},
    "siglip": _TIMM | {"timm_model_name": "siglip", "timm_proj": None},
    "pe": _TIMM | {"timm_model_name": "pe", "timm_proj": None},
    "eva": _TIMM | {"timm_model_name": "eva", "timm_pool": "token", "timm_proj": "linear"},
    "resnet": {"image_size": 32, "layers": [1, 1, 1, 1], "width": 8, "patch_size": None},
    "convnext": _TIMM | {"timm_model_name": "convnext", "timm_pool": "avg", "timm_proj": None},
}


def _timm_model(name: str, *, num_classes: int = 0, global_pool: str = "token", **_: Any) -> Any:
    model = _timm_class(name, num_classes, global_pool)
    model.default_cfg = {}
    return model


def _timm_class(name: str, num_classes: int, global_pool: str) -> Any:
    from timm.models.convnext import ConvNeXt
    from timm.models.eva import Eva
    from timm.models.vision_transformer import VisionTransformer

    sizes: dict[str, Any] = {"img_size": 32, "patch_size": 16, "embed_dim": 32, "depth": 2, "num_heads": 2}
    if name == "siglip":
        return VisionTransformer(**sizes, class_token=False, num_classes=num_classes, global_pool=global_pool)
    if name == "convnext":
        return ConvNeXt(depths=(1, 1, 1, 1), dims=(8, 8, 8, 8), num_classes=num_classes, global_pool=global_pool)
    sizes |= {"use_rot_pos_emb": True, "global_pool": global_pool, "num_classes": num_classes, "init_values": 0.5}
    if name == "pe":
        return Eva(**sizes, attn_type="rope", use_pre_transformer_norm=True, ref_feat_shape=(2, 2))
    return Eva(**sizes, qkv_fused=True, scale_mlp=True, swiglu_mlp=True)


@pytest.fixture
def tiny_timm(monkeypatch: pytest.MonkeyPatch) -> None:
    """timm makes its real classes, but tiny, under the names above."""
    monkeypatch.setattr("timm.create_model", _timm_model)


@lru_cache(maxsize=len(_VISION))
def _plain(kind: str) -> VideoCLIP:
    with tempfile.TemporaryDirectory() as folder:
        source = write_open_clip_folder(Path(folder) / "m", vision=_VISION[kind], siglip=kind == "siglip")
        return load_video_clip(f"local-dir:{source}", device="cpu", dtype="float32")


def make(kind: str, *, temporal: str = "mean", options: dict[str, Any] | None = None) -> VideoCLIP:
    """float32 on the CPU, without gradients; the same tower for the same kind. Needs the fixture `tiny_timm`."""
    if kind == "mini":
        return tiny_model(temporal=temporal, temporal_options=options)
    plain = _plain(kind)
    towers = copy_of(towers_of(plain, OpenClipTowers))
    torch.manual_seed(1)
    model = VideoCLIP(towers, name=kind, preprocess=plain.preprocess, temporal=temporal, temporal_options=options)
    return model.eval().requires_grad_(False)


def towers_of(model: VideoModel, kind: type[T]) -> T:
    """A model's towers, which must be of this kind: for what only those have."""
    assert isinstance(model, VideoCLIP)
    assert isinstance(model.towers, kind)
    return model.towers


def blocks_of(model: VideoCLIP) -> list[Any]:
    """The transformer blocks of the image tower; what parts they have is their family's."""
    return list(model.towers.image_blocks())


def copy_of(towers: OpenClipTowers) -> OpenClipTowers:
    """A copy with weights of its own; a tokenizer is shared, as not every one can be copied."""
    return copy.deepcopy(towers, {id(towers.tokenizer): towers.tokenizer})


def clips(batch: int = 2, time: int = 3, size: int = 32, seed: int = 0) -> torch.Tensor:
    """[B, T, 3, S, S] of noise."""
    return torch.randn(batch, time, 3, size, size, generator=torch.Generator().manual_seed(seed))


def randomise(model: VideoCLIP) -> VideoCLIP:
    """Open all gates of the temporal module and shake its other parameters, so that it does something."""
    from olmv.models.clip.temporal import new_parameters

    torch.manual_seed(7)
    named = dict(model.named_parameters())
    with torch.no_grad():
        for name in new_parameters(model):
            named[name].add_(torch.randn_like(named[name]) * 0.2)
            if name.endswith("gate"):
                named[name].fill_(1.0)
    return model
