"""open_clip's architectures under their published names, their classes, sizes and settings real, their widths tiny."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors

import olmv  # noqa: F401  (the torchvision guard, before timm and open_clip)
from olmv.models.clip.model import VideoCLIP
from olmv.models.registry import load_video_clip

WIDTH = 64
_VIT: dict[str, Any] = {"embed_dim": WIDTH, "depth": 2, "num_heads": 2}
_FAST: dict[str, Any] = {"layers": (1, 1, 1, 1), "embed_dims": (16, 16, 32, 64)}
# what timm makes smaller, per family of its models
_SMALLER: dict[str, dict[str, Any]] = {
    "vit_": _VIT,
    "vit_pe_core": _VIT | {"attn_pool_num_heads": 2},
    "eva": _VIT,
    "vitamin": _VIT,
    "fastvit_mci": _FAST,
    "fastvit_mci3": {"layers": (1,) * 5, "embed_dims": (16, 16, 32, 32, 64)},
    "convnext": {"depths": (1, 1, 1, 1), "dims": (16, 16, 32, 64)},
    "swin": {"depths": (1, 1, 1, 1), "embed_dim": 16, "num_heads": (1, 2, 2, 4)},
}


@dataclass(frozen=True)
class Published:
    """What a name of open_clip's stands for, written down by hand from its papers' and open_clip's settings."""

    name: str
    size: int
    context: int
    picture: str  # mean and std, interpolation, resize mode
    tower: str  # class of the image tower
    inside: bool = False  # the temporal modules inside the tower fit
    grid: int | None = None
    sigmoid: bool = False

    @property
    def architecture(self) -> str:
        return self.name.partition("/")[0]

    @property
    def tag(self) -> str:
        return self.name.partition("/")[2]


MEANS = {
    "openai": ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)),
    "half": ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
    "imagenet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "none": ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),
}
_CLIP, _SIGLIP, _PE = "openai bicubic shortest", "half bicubic squash", "half bilinear squash"
_VIT_CLASS = "VisionTransformer"  # open_clip's or timm's
PUBLISHED = (
    Published("ViT-B-32/openai", 224, 77, _CLIP, _VIT_CLASS, inside=True, grid=7),
    Published("ViT-B-32-quickgelu/metaclip_400m", 224, 77, _CLIP, _VIT_CLASS, inside=True, grid=7),
    Published("ViT-B-16/laion2b_s34b_b88k", 224, 77, _CLIP, _VIT_CLASS, inside=True, grid=14),
    Published("RN50/openai", 224, 77, _CLIP, "ModifiedResNet"),
    Published("ViT-B-16-SigLIP/webli", 224, 64, _SIGLIP, _VIT_CLASS, inside=True, grid=14, sigmoid=True),
    Published("ViT-SO400M-14-SigLIP-384/webli", 384, 64, _SIGLIP, _VIT_CLASS, inside=True, grid=27, sigmoid=True),
    Published("ViT-B-16-SigLIP2/webli", 224, 64, _SIGLIP, _VIT_CLASS, inside=True, grid=14, sigmoid=True),
    Published("ViT-B-32-SigLIP2-256/webli", 256, 64, _SIGLIP, _VIT_CLASS, inside=True, grid=8, sigmoid=True),
    Published("PE-Core-T-16-384/meta", 384, 32, _PE, "Eva", inside=True, grid=24),
    Published("PE-Core-B-16/meta", 224, 32, _PE, "Eva", inside=True, grid=14),
    Published("PE-Core-L-14-336/meta", 336, 32, _PE, "Eva", inside=True, grid=24),
    Published("MobileCLIP-S1/datacompdr", 256, 77, "none bilinear shortest", "FastVit"),
    Published("MobileCLIP-B/datacompdr", 224, 77, "none bilinear shortest", _VIT_CLASS, inside=True, grid=14),
    Published("MobileCLIP2-S0/dfndr2b", 256, 77, "none bilinear shortest", "FastVit"),
    Published("MobileCLIP2-S3/dfndr2b", 256, 77, "openai bilinear shortest", "FastVit"),
    Published("EVA01-g-14/laion400m_s11b_b41k", 224, 77, _CLIP, "Eva", inside=True, grid=16),
    Published("EVA02-B-16/merged2b_s8b_b131k", 224, 77, _CLIP, "Eva", inside=True, grid=14),
    Published("coca_ViT-B-32/laion2b_s13b_b90k", 224, 76, _CLIP, _VIT_CLASS, inside=True, grid=7),
    Published("convnext_base/laion400m_s13b_b51k", 224, 77, _CLIP, "ConvNeXt"),
    Published("ViTamin-S/datacomp1b", 224, 77, _CLIP, _VIT_CLASS, inside=True, grid=14),
    Published("ViT-L-14-CLIPA/datacomp1b", 224, 32, "imagenet bilinear squash", _VIT_CLASS, inside=True, grid=16),
)  # fmt: skip


@dataclass
class Shop:
    """open_clip with its configs made small and its downloads replaced by random weights in `folder`."""

    folder: Path
    full_configs: dict[str, dict[str, Any]]
    full_timm: Callable[..., Any]

    @contextmanager
    def full_size(self) -> Iterator[None]:
        """Within it the models are as large as published."""
        import open_clip.factory

        with (
            patch("timm.create_model", self.full_timm),
            patch.dict(open_clip.factory._MODEL_CONFIGS, self.full_configs),
        ):
            yield

    def weights(self, case: Published) -> Path:
        """Random weights in open_clip's own file format, made once."""
        import open_clip
        from safetensors.torch import save_file

        path = self.folder / f"{case.architecture}.safetensors"
        if not path.is_file():
            torch.manual_seed(len(case.architecture))
            state = shake(open_clip.create_model(case.architecture)).state_dict()
            save_file({name: value.contiguous() for name, value in state.items()}, path)
        return path

    def load(self, case: Published, **options: Any) -> VideoCLIP:
        """Through olmv's own `load_model(ARCH/PRETRAINED)`."""
        path = self.weights(case)
        with patch("open_clip.factory.download_pretrained", lambda *_, **__: str(path)):
            return load_video_clip(case.name, device="cpu", **({"dtype": "float32"} | options))

    def reference(self, case: Published) -> tuple[Any, Any, Any]:
        """The model, the transform of pictures and the tokenizer as a user of open_clip alone has them."""
        import open_clip

        path = self.weights(case)
        quick = bool(open_clip.get_pretrained_cfg(case.architecture, case.tag).get("quick_gelu"))
        with patch("open_clip.factory.download_pretrained", lambda *_, **__: str(path)):
            model, transform = open_clip.create_model_from_pretrained(
                case.architecture, pretrained=case.tag, force_quick_gelu=quick
            )
        return model.eval(), transform, open_clip.get_tokenizer(case.architecture)


def shake(model: Any) -> Any:
    """Weights that make different things of different inputs, as trained ones do; scale and bias as SigLIP's are.

    As they start, many are constant, which would hide what they do, and matrices so small that biases win.
    """
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.normal_(std=parameter[0].numel() ** -0.5)
            elif (parameter == parameter.flatten()[0]).all():
                parameter.add_(torch.randn_like(parameter) * 0.1)
        model.logit_scale.fill_(4.7653)
        if model.logit_bias is not None:
            model.logit_bias.fill_(-12.9277)
    return model


def write_hf_tokenizer(folder: Path, kind: str) -> Path:
    """Letters as tokens, the special ones where the published tokenizer has them.

    `siglip` (T5) and `siglip2` (Gemma) end in EOS, the one padded with it and the other with 0; `bert` has CLS and SEP.
    """
    from transformers import PreTrainedTokenizerFast

    named = {
        "siglip": {"unk_token": "<unk>", "eos_token": "</s>", "pad_token": "</s>"},
        "siglip2": {"pad_token": "<pad>", "eos_token": "<eos>", "unk_token": "<unk>"},
        "bert": {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"},
    }[kind]
    letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.,-'!"
    order = [*dict.fromkeys(named.values()), *letters]
    vocabulary = {token: index for index, token in enumerate(order)}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token=named["unk_token"]))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Split("", "isolated")]
    )
    ends = ["[CLS]", "[SEP]"] if kind == "bert" else [named["eos_token"]]
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]" if kind == "bert" else f"$A {ends[0]}",
        special_tokens=[(end, vocabulary[end]) for end in ends],
    )
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, **named).save_pretrained(str(folder))
    return folder


def _shrink(config: dict[str, Any], tokenizers: dict[str, Path]) -> dict[str, Any]:
    config = deepcopy(config)
    vision, text = config["vision_cfg"], config["text_cfg"]
    if "timm_model_name" in vision:
        if vision.get("timm_proj") == "none":  # the trunk's width is the embedding's
            config["embed_dim"] = WIDTH
    elif isinstance(vision["layers"], list):
        vision |= {"layers": [1, 1, 1, 1], "width": 8}
    else:
        vision |= {"layers": 2, "width": WIDTH, "head_width": 32}
    text |= {"width": WIDTH, "heads": 2, "layers": 2}
    if "multimodal_cfg" in config:
        vision |= {"attn_pooler_heads": 2}
        config["multimodal_cfg"] |= {"width": WIDTH, "heads": 2, "layers": 1, "attn_pooler_heads": 2}
        config["embed_dim"] = WIDTH  # the decoder reads the image tower's tokens
    if name := text.get("hf_tokenizer_name"):
        kind = "siglip2" if "SigLIP2" in name else "siglip" if "SigLIP" in name else "bert"
        text |= {"hf_tokenizer_name": str(tokenizers[kind]), "vocab_size": 80}
    return config


def _vitamin_stem() -> dict[str, Any]:
    from timm.models.vitamin import VitCfg, VitConvCfg

    conv = VitConvCfg(norm_layer="layernorm2d", norm_eps=1e-6)
    return {"embed_cfg": VitCfg((16, 32, WIDTH), (1, 1, 1), stem_width=16, conv_cfg=conv, head_type="1d")}


@contextmanager
def shop(folder: Path) -> Iterator[Shop]:
    """Within it open_clip makes tiny models under its own names, and fetches nothing."""
    import open_clip.factory
    import timm
    from timm.models.vision_transformer_hybrid import ConvStem

    tokenizers = {kind: write_hf_tokenizer(folder / kind, kind) for kind in ("siglip", "siglip2", "bert")}
    real = timm.create_model

    def smaller(name: str, **options: Any) -> Any:
        family = max((f for f in _SMALLER if name.startswith(f)), key=len)
        return real(name, **(_SMALLER[family] | (_vitamin_stem() if family == "vitamin" else {}) | options))

    full = {case.architecture: open_clip.factory._MODEL_CONFIGS[case.architecture] for case in PUBLISHED}
    small = {name: _shrink(config, tokenizers) for name, config in full.items()}
    stem = "timm.models.vision_transformer_hybrid.ConvStem"  # MobileCLIP-B's, which fixes the width
    with (
        patch("timm.create_model", smaller),
        patch(stem, lambda *, channels, **options: ConvStem(channels=[c // 12 for c in channels], **options)),
        patch.dict(open_clip.factory._MODEL_CONFIGS, small),
    ):
        yield Shop(folder, full, real)
