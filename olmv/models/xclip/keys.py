"""Other people's X-CLIP weights under our names: Hugging Face's (`microsoft/xclip-*`) and the authors' own `.pth`.

Every one of our tensors is looked up under the name that the other side has for it. Three things differ beside
names: what we keep packed may lie in parts (queries, keys, values), some projections are transposed, and files may
be in half precision.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from olmv.errors import ModelError
from olmv.models.xclip.network import XClip, XClipConfig

__all__ = ["config_of_authors", "from_authors_state", "from_hf_state"]

# ours -> theirs: regular expressions, all applied, in this order
_HF = [
    (r"^visual\.patches\.", "vision_model.embeddings.patch_embedding."),
    (r"^visual\.class_token$", "vision_model.embeddings.class_embedding"),
    (r"^visual\.positions$", "vision_model.embeddings.position_embedding.weight"),
    (r"^visual\.ln_(pre|post)\.", r"vision_model.\1_layernorm."),
    (r"^visual\.proj\.", "visual_projection."),
    (r"^visual\.blocks\.", "vision_model.encoder.layers."),
    (r"^textual\.tokens\.", "text_model.embeddings.token_embedding."),
    (r"^textual\.positions$", "text_model.embeddings.position_embedding.weight"),
    (r"^textual\.ln_final\.", "text_model.final_layer_norm."),
    (r"^textual\.proj\.", "text_projection."),
    (r"^textual\.blocks\.", "text_model.encoder.layers."),
    (r"^integration\.positions$", "mit.position_embedding"),
    (r"^integration\.blocks\.", "mit.encoder.layers."),
    (r"^prompting\.ln_patches\.", "prompts_visual_layernorm."),
    (r"^prompting\.proj_patches\.weight$", "prompts_visual_projection"),
    (r"^prompting\.ln_context\.", "prompts_generator.layernorm."),
    (r"^log_scale$", "logit_scale"),
    (r"(layers\.\d+)\.ln_([12])\.", r"\1.layer_norm\2."),
    (r"\.attn\.", ".self_attn."),
    (r"_attn\.out\.", "_attn.out_proj."),
    (r"^((?:vision_model|text_model|mit)\..*)\.mlp\.fc\.", r"\1.mlp.fc1."),
    (r"^((?:vision_model|text_model|mit)\..*)\.mlp\.proj\.", r"\1.mlp.fc2."),
]
_AUTHORS = [
    (r"^visual\.patches\.", "visual.conv1."),
    (r"^visual\.class_token$", "visual.class_embedding"),
    (r"^visual\.positions$", "visual.positional_embedding"),
    (r"^visual\.proj\.weight$", "visual.proj"),
    (r"^visual\.blocks\.", "visual.transformer.resblocks."),
    (r"^textual\.tokens\.", "token_embedding."),
    (r"^textual\.positions$", "positional_embedding"),
    (r"^textual\.ln_final\.", "ln_final."),
    (r"^textual\.proj\.weight$", "text_projection"),
    (r"^textual\.blocks\.", "transformer.resblocks."),
    (r"^integration\.positions$", "mit.positional_embedding"),
    (r"^integration\.blocks\.", "mit.resblocks."),
    (r"^prompting\.ln_patches\.", "prompts_visual_ln."),
    (r"^prompting\.proj_patches\.weight$", "prompts_visual_proj"),
    (r"^prompting\.ln_context\.", "prompts_generator.norm."),
    (r"^log_scale$", "logit_scale"),
    (r"attn\.qkv\.", "attn.in_proj_"),
    (r"attn\.out\.", "attn.out_proj."),
    (r"(resblocks\.\d+)\.mlp\.(fc|proj)\.", r"\1.mlp.c_\2."),
]
_PROMPTING = [  # both sides' names; before the rules for blocks, which look like it
    (r"^prompting\.layers\.", "prompts_generator.decoder."),
    (r"^prompting\.alpha$", "prompts_generator.alpha"),
    (r"^(prompts_generator\.decoder\.\d+)\.ln_1\.", r"\1.norm1."),
    (r"^(prompts_generator\.decoder\.\d+)\.ln_2\.", r"\1.norm3."),
    (r"^(prompts_generator\..*)\.cross_attn\.out\.", r"\1.cross_attn.proj."),
    (r"^(prompts_generator\..*)\.cross_attn\.q\.", r"\1.cross_attn.q_proj."),
    (r"^(prompts_generator\..*)\.mlp\.fc\.", r"\1.mlp.0."),
    (r"^(prompts_generator\..*)\.mlp\.proj\.", r"\1.mlp.3."),
]
_PACKED = {".qkv.": (".q_proj.", ".k_proj.", ".v_proj."), ".kv.": (".k_proj.", ".v_proj.")}
# where theirs is [in, out]
_HF_TRANSPOSED = ("prompts_visual_projection",)
_AUTHORS_TRANSPOSED = ("visual.proj", "text_projection", "prompts_visual_proj")
# buffers of older transformers, which hold nothing but 0, 1, 2, ...
_HF_BUFFERS = ("text_model.embeddings.position_ids", "vision_model.embeddings.position_ids")
_SHOWN = 3


def from_hf_state(state: Mapping[str, Any], config: XClipConfig) -> dict[str, Tensor]:
    """Translate weights of transformers' `XCLIPModel` -> the state dict of `XClip(config)`, float32 on their device.

    Raises:
        ModelError: tensors are missing, unknown or of another shape; the message names the first few.
    """
    weights = {name: value for name, value in state.items() if name not in _HF_BUFFERS}
    return _translate(weights, config, _PROMPTING + _HF, _HF_TRANSPOSED)


def from_authors_state(state: Mapping[str, Any], config: XClipConfig) -> dict[str, Tensor]:
    """Translate `model` of a checkpoint of github.com/microsoft/VideoX -> the state dict of `XClip(config)`.

    The config is that of `config_of_authors`; float32, on the weights' device.

    Raises:
        ModelError: tensors are missing, unknown or of another shape; the message names the first few.
    """
    return _translate(state, config, _PROMPTING + _AUTHORS, _AUTHORS_TRANSPOSED)


def config_of_authors(state: Mapping[str, Any]) -> XClipConfig:
    """Read the sizes of an authors' checkpoint, which has no config, from its shapes; heads are 64 wide.

    Raises:
        ModelError: these are not the weights of an X-CLIP.
    """

    def shape(name: str, dims: int) -> Sequence[int]:
        tensor = state.get(name)
        if not isinstance(tensor, Tensor) or tensor.ndim != dims or not tensor.numel():
            raise ModelError(f"not an X-CLIP of its authors: no tensor '{name}' of {dims} dimensions; give such a file")
        return tensor.shape

    def layers(prefix: str) -> int:
        return len({m[1] for name in state if (m := re.match(re.escape(prefix) + r"\.(\d+)\.", str(name)))})

    vision_width, _, _, patch_size = shape("visual.conv1.weight", 4)
    tokens, _ = shape("visual.positional_embedding", 2)
    text_width, embed_dim = shape("text_projection", 2)
    return XClipConfig(
        image_size=round((tokens - 1) ** 0.5) * patch_size,
        patch_size=patch_size,
        vision_width=vision_width,
        vision_layers=layers("visual.transformer.resblocks"),
        vision_heads=max(vision_width // 64, 1),
        text_width=text_width,
        text_layers=layers("transformer.resblocks"),
        text_heads=max(text_width // 64, 1),
        vocab_size=shape("token_embedding.weight", 2)[0],
        context_length=shape("positional_embedding", 2)[0],
        embed_dim=embed_dim,
        frames=shape("mit.positional_embedding", 3)[1],
        mit_layers=layers("mit.resblocks"),
        mit_heads=max(embed_dim // 64, 1),
        prompt_layers=layers("prompts_generator.decoder"),
        prompt_heads=max(embed_dim // 64, 1),
    )


def _translate(
    state: Mapping[str, Any], config: XClipConfig, rules: Sequence[tuple[str, str]], transposed: Sequence[str]
) -> dict[str, Tensor]:
    with torch.device("meta"):
        ours = {name: tensor.shape for name, tensor in XClip(config).state_dict().items()}
    out: dict[str, Tensor] = {}
    sources_read: set[str] = set()
    missing: list[str] = []
    misfits: list[str] = []
    for name, shape in ours.items():
        sources = _sources(name, rules)
        sources_read.update(sources)
        missing += [source for source in sources if source not in state]
        flip = sources[0] in transposed
        expected = shape[::-1] if flip else (shape[0] // len(sources), *shape[1:]) if len(sources) > 1 else shape
        parts = [state[source] for source in sources if source in state]
        misfits_here = [
            f"'{source}' is {_describe(tensor)}, not {list(expected)}"
            for source, tensor in zip((s for s in sources if s in state), parts, strict=True)
            if not isinstance(tensor, Tensor) or not tensor.is_floating_point() or tensor.shape != expected
        ]
        misfits += misfits_here
        if not misfits_here and len(parts) == len(sources):
            whole = torch.cat(parts) if len(parts) > 1 else parts[0]
            out[name] = (whole.T if flip else whole).to(torch.float32, copy=True).contiguous()
    unknown = [ascii(str(name)[:80]) for name in state if name not in sources_read]
    problems = [
        f"{what} {', '.join(names[:_SHOWN])}" + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")
        for what, names in (("missing", [f"'{n}'" for n in missing]), ("unknown", unknown), ("misfitting", misfits))
        if names
    ]
    if problems:
        raise ModelError(
            f"the weights do not fit this X-CLIP: {'; '.join(problems)}; check that file and config belong"
        )
    return out


def _sources(name: str, rules: Sequence[tuple[str, str]]) -> list[str]:
    for pattern, replacement in rules:
        name = re.sub(pattern, replacement, name)
    for packed, parts in _PACKED.items():
        if packed in name:
            return [name.replace(packed, part) for part in parts]
    return [name]


def _describe(value: Any) -> str:
    if not isinstance(value, Tensor):
        return f"a {type(value).__name__}"
    dtype = "" if value.is_floating_point() else f" of {str(value.dtype).removeprefix('torch.')}"
    return f"{list(value.shape)}{dtype}"
