"""Tiny X-CLIPs with random weights: transformers' model, ours, and the authors' names for its weights."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from olmv.models.xclip.keys import from_hf_state
from olmv.models.xclip.network import XClip, XClipConfig

TINY_XCLIP = XClipConfig(
    image_size=32, patch_size=8, vision_width=48, vision_layers=2, vision_heads=3, text_width=32, text_layers=2,
    text_heads=4, vocab_size=99, context_length=12, embed_dim=16, frames=4, mit_heads=2, prompt_heads=4,
)  # fmt: skip
XCLIP_SHAPES = {
    "tiny, 8 frames": replace(TINY_XCLIP, frames=8),
    "tiny, 16 frames, deeper": replace(TINY_XCLIP, frames=16, mit_layers=2, prompt_layers=3, text_layers=1),
    "tiny, one frame, one prompt layer": replace(TINY_XCLIP, frames=1, prompt_layers=1),
    "base/32 of two layers": replace(XClipConfig(), vision_layers=2, text_layers=2, vocab_size=999),
}
# heads of 64, as the authors' code has them
WIDE = XClipConfig(
    image_size=24, patch_size=8, vision_width=128, vision_layers=2, vision_heads=2, text_width=64, text_layers=3,
    text_heads=1, vocab_size=50, context_length=10, embed_dim=192, frames=5, mit_layers=2, mit_heads=3,
    prompt_layers=2, prompt_heads=3,
)  # fmt: skip


def hf_config(config: XClipConfig) -> Any:
    """transformers' settings of a model of these sizes."""
    import olmv  # noqa: F401  before transformers: see olmv._torchvision_guard

    transformers = pytest.importorskip("transformers")
    c = config
    return transformers.XCLIPConfig(
        text_config={
            "vocab_size": c.vocab_size, "hidden_size": c.text_width, "intermediate_size": 4 * c.text_width,
            "num_hidden_layers": c.text_layers, "num_attention_heads": c.text_heads,
            "max_position_embeddings": c.context_length,
        },
        vision_config={
            "image_size": c.image_size, "patch_size": c.patch_size, "hidden_size": c.vision_width,
            "intermediate_size": 4 * c.vision_width, "num_hidden_layers": c.vision_layers,
            "num_attention_heads": c.vision_heads, "num_frames": c.frames, "mit_hidden_size": c.embed_dim,
            "mit_intermediate_size": 4 * c.embed_dim, "mit_num_hidden_layers": c.mit_layers,
            "mit_num_attention_heads": c.mit_heads,
        },
        projection_dim=c.embed_dim, prompt_layers=c.prompt_layers, prompt_alpha=c.prompt_alpha,
        prompt_num_attention_heads=c.prompt_heads,
    )  # fmt: skip


def hf_xclip(config: XClipConfig, seed: int = 0) -> Any:
    """transformers' model of these sizes with every weight moved, and prompting strong enough to see."""
    described = hf_config(config)
    from transformers import XCLIPModel

    torch.manual_seed(seed)
    model = XCLIPModel(described).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.startswith("prompts_generator.decoder") and parameter.ndim == 2:
                parameter.mul_(0.1)  # transformers starts these at deviation 1: a softmax that multiplies all rounding
            parameter.add_(torch.randn_like(parameter), alpha=0.5 if name.endswith("alpha") else 0.05)
    return model


def our_xclip(config: XClipConfig, seed: int = 0) -> XClip:
    model = XClip(config)
    model.load_state_dict(from_hf_state(hf_xclip(config, seed).state_dict(), config))
    return model.eval()


def moved_xclip(config: XClipConfig, seed: int = 0) -> XClip:
    """Ours with every weight moved off its starting value, without transformers, whose import takes seconds."""
    torch.manual_seed(seed)
    model = XClip(config)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.5 if name.endswith("alpha") else 0.05)
    return model.eval()


def xclip_inputs(config: XClipConfig, videos: int, texts: int, length: int = 9) -> tuple[Tensor, Tensor]:
    """Frames [B, T, 3, S, S]; ids [K, L] that end at different places and are padded with 0."""
    frames = torch.randn(videos, config.frames, 3, config.image_size, config.image_size)
    ids = torch.randint(1, config.vocab_size - 1, (texts, length))
    for row, end in enumerate(torch.randint(2, length, (texts,)).tolist()):
        ids[row, end], ids[row, end + 1 :] = config.vocab_size - 1, 0
    return frames, ids


def as_the_authors_write(model: XClip) -> dict[str, Tensor]:
    """The names in the authors' code (VideoX/X-CLIP/models) and CLIP's, spelled out and not by any rule of ours."""
    out: dict[str, Tensor] = {}

    def both(name: str, module: Any) -> None:
        out[f"{name}.weight"], out[f"{name}.bias"] = module.weight, module.bias

    def attention(name: str, module: Any) -> None:
        out[f"{name}.in_proj_weight"], out[f"{name}.in_proj_bias"] = module.qkv.weight, module.qkv.bias
        both(f"{name}.out_proj", module.out)

    def block(name: str, module: Any) -> None:
        attention(f"{name}.attn", module.attn)
        both(f"{name}.ln_1", module.ln_1)
        both(f"{name}.ln_2", module.ln_2)
        both(f"{name}.mlp.c_fc", module.mlp.fc)
        both(f"{name}.mlp.c_proj", module.mlp.proj)

    out["visual.class_embedding"] = model.visual.class_token
    out["visual.positional_embedding"] = model.visual.positions
    out["visual.proj"] = model.visual.proj.weight.T
    out["visual.conv1.weight"] = model.visual.patches.weight
    both("visual.ln_pre", model.visual.ln_pre)
    both("visual.ln_post", model.visual.ln_post)
    for i, layer in enumerate(model.visual.blocks):
        name = f"visual.transformer.resblocks.{i}"
        block(name, layer)
        both(f"{name}.message_fc", layer.message_fc)
        both(f"{name}.message_ln", layer.message_ln)
        attention(f"{name}.message_attn", layer.message_attn)
    for i, layer in enumerate(model.textual.blocks):
        block(f"transformer.resblocks.{i}", layer)
    out["token_embedding.weight"] = model.textual.tokens.weight
    out["positional_embedding"] = model.textual.positions
    both("ln_final", model.textual.ln_final)
    out["text_projection"] = model.textual.proj.weight.T
    out["logit_scale"] = model.log_scale
    out["mit.positional_embedding"] = model.integration.positions
    for i, layer in enumerate(model.integration.blocks):
        block(f"mit.resblocks.{i}", layer)
    both("prompts_visual_ln", model.prompting.ln_patches)
    out["prompts_visual_proj"] = model.prompting.proj_patches.weight.T
    both("prompts_generator.norm", model.prompting.ln_context)
    out["prompts_generator.alpha"] = model.prompting.alpha
    for i, layer in enumerate(model.prompting.layers):
        name = f"prompts_generator.decoder.{i}"
        cross: Any = layer.cross_attn
        out[f"{name}.cross_attn.q_proj.weight"] = cross.q.weight
        out[f"{name}.cross_attn.k_proj.weight"], out[f"{name}.cross_attn.v_proj.weight"] = cross.kv.weight.chunk(2)
        both(f"{name}.cross_attn.proj", cross.out)
        both(f"{name}.norm1", layer.ln_1)
        both(f"{name}.norm3", layer.ln_2)
        mlp: Any = layer.mlp
        both(f"{name}.mlp.0", mlp.fc)
        both(f"{name}.mlp.3", mlp.proj)
    return {name: tensor.detach().clone() for name, tensor in out.items()}


def random_xclip(config: XClipConfig) -> XClip:
    torch.manual_seed(1)
    model = XClip(config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn_like(parameter))
    return model.eval()
