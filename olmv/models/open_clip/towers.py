"""Any open_clip model as the towers of a `VideoCLIP`."""

import json
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from olmv.errors import OutputError, reason
from olmv.io.atomic import write_atomic
from olmv.models.clip.tokens import run_of_places
from olmv.models.clip.towers import Towers
from olmv.models.fingerprint import sha256_bytes
from olmv.models.open_clip.short_texts import causal_transformer, encode_short
from olmv.models.open_clip.soft_places import end_places, soft_embedding, with_places

__all__ = ["OpenClipTowers", "open_clip_token_counts"]


class OpenClipTowers(Towers):
    """Any open_clip model with its tokenizer and open_clip's own config of it."""

    any_text_length = False

    def __init__(self, model: Any, tokenizer: Any, config: dict[str, Any]) -> None:
        super().__init__()
        self.config = config
        self.model: Any  # open_clip has two classes of model and no common one
        self.model = model
        self.tokenizer = tokenizer
        size = model.visual.image_size
        self.image_size = int(size[0] if isinstance(size, tuple | list) else size)
        self.context_length = int(getattr(tokenizer, "context_length", None) or model.context_length)
        self.embed_dim = self._embed_dim()
        trunk = self._trunk
        self.architecture = type(trunk).__name__
        grid = getattr(trunk, "grid_size", None) or getattr(getattr(trunk, "patch_embed", None), "grid_size", None)
        if self.image_blocks() and grid and grid[0] == grid[1]:
            self.grid_side = int(grid[0])
            width = trunk.embed_dim if hasattr(trunk, "embed_dim") else trunk.transformer.width
            self.token_width = int(width)

    @property
    def _trunk(self) -> Any:
        """Return the image tower itself, where open_clip wraps one of timm's."""
        return getattr(self.model.visual, "trunk", self.model.visual)

    def _embed_dim(self) -> int:
        dim = getattr(self.model.visual, "output_dim", None)
        if dim is not None:
            return int(dim)
        with torch.inference_mode():  # timm towers do not say
            return int(self.text(["a"]).shape[-1])

    @property
    def logit_scale(self) -> Tensor:
        scale: Tensor = self.model.logit_scale.exp()
        return scale

    @property
    def logit_bias(self) -> Tensor | None:  # type: ignore[override]  # nobody sets it but `add_bias`
        bias: Tensor | None = getattr(self.model, "logit_bias", None)
        return bias

    def add_bias(self, value: float) -> None:
        """Give a softmax-trained model the bias of a sigmoid-trained one, for fine-tuning with a sigmoid loss."""
        self.model.logit_bias = nn.Parameter(torch.full_like(self.model.logit_scale.detach(), value))
        self.config["init_logit_bias"] = value

    def save_parts(self, folder: Path) -> dict[str, Any]:
        inner = getattr(self.tokenizer, "tokenizer", None)
        if inner is not None and hasattr(inner, "save_pretrained"):
            try:
                inner.save_pretrained(str(folder))
            except Exception as error:  # the library has no class of its own
                raise OutputError(
                    f"cannot write the tokenizer into '{folder}' ({reason(error)}); make room, or choose another folder"
                ) from None
        config = {"model_cfg": self.config, "preprocess_cfg": dict(self.model.visual.preprocess_cfg)}
        write_atomic(folder / "open_clip_config.json", json.dumps(config, indent=1) + "\n")
        return {"family": "open_clip"}

    def image(self, pictures: Tensor) -> Tensor:
        out: Tensor = self.model.encode_image(pictures, normalize=False)  # CoCa's default is another
        return out

    def image_and_tokens(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        visual = self.model.visual
        if visual is self._trunk:
            out = visual.forward_intermediates(pictures, indices=1, output_fmt="NLC")
            return out["image_features"], out["image_intermediates"][0]
        tokens = visual.trunk.forward_features(pictures)
        embedded: Tensor = visual.head(visual.trunk.forward_head(tokens))
        return embedded, tokens[:, visual.trunk.num_prefix_tokens :]

    def image_blocks(self) -> list[nn.Module]:
        trunk = self._trunk
        if hasattr(trunk, "num_prefix_tokens"):  # timm's vision transformers, and none of its other models
            return [b for b in getattr(trunk, "blocks", []) if hasattr(b, "attn")]
        return list(getattr(getattr(trunk, "transformer", None), "resblocks", []))

    def text(self, texts: Sequence[str]) -> Tensor:
        ids = self.tokenizer(list(texts)).to(self.model.logit_scale.device)
        if (transformer := causal_transformer(self.model)) is not None:
            return encode_short(transformer, ids, end_places(self.model, self.tokenizer, ids))
        out: Tensor = self.model.encode_text(ids, normalize=False)
        return out

    def token_counts(self, texts: Sequence[str]) -> list[int]:
        return open_clip_token_counts(self.tokenizer, texts)

    def text_parameters(self) -> list[tuple[str, Tensor]]:
        return [(n, p) for n, p in self.model.named_parameters() if not n.startswith(("visual.", "logit_"))]

    def text_facts(self) -> tuple[object, ...]:
        # OpenAI's weights in a tower with the wrong activation are the same weights, and give other embeddings; so are
        # those of a folder with another vocabulary
        inner = getattr(self.tokenizer, "tokenizer", None)
        backend = getattr(inner, "backend_tokenizer", None)
        words = type(self.tokenizer).__name__ if backend is None else sha256_bytes(backend.to_str().encode())
        return bool(self.config.get("quick_gelu")), self.context_length, words

    def text_inputs(self, texts: Sequence[str]) -> dict[str, Tensor]:
        return {"ids": self.tokenizer(list(texts)).long()}

    def text_graph(self) -> nn.Module:
        return _TextGraph(self.model)

    @property
    def tokenizer_kind(self) -> str:
        # a Hugging Face tokenizer is saved beside the model
        return (
            "tokenizer.json" if hasattr(self.tokenizer, "tokenizer") else f"open_clip.{type(self.tokenizer).__name__}"
        )

    @property
    def token_embedding(self) -> nn.Module:
        return soft_embedding(self.model, self.tokenizer)

    @property
    def token_vectors(self) -> Tensor:
        return soft_embedding(self.model, self.tokenizer).weight

    def soft_places(self, texts: Sequence[str], queries: int) -> tuple[Tensor, Callable[[], Tensor]]:
        plain = self.tokenizer(list(texts)).to(self.model.logit_scale.device)
        ids, starts = with_places(plain, end_places(self.model, self.tokenizer, plain), queries)
        places = run_of_places(starts, queries, ids.shape[1])
        return places, partial(self.model.encode_text, ids, normalize=False)


class _TextGraph(nn.Module):
    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, ids: Tensor) -> Tensor:
        return normalize(self.model.encode_text(ids), dim=-1)


def open_clip_token_counts(tokenizer: Any, texts: Sequence[str]) -> list[int]:
    """Count the tokens of texts before cutting, special ones included, by either of open_clip's kinds of tokenizer."""
    inner = getattr(tokenizer, "tokenizer", None)
    if inner is not None:  # a Hugging Face tokenizer, which reads texts that open_clip has cleaned
        cleaned = [tokenizer.clean_fn(t) for t in texts] if hasattr(tokenizer, "clean_fn") else list(texts)
        return [len(ids) for ids in inner(cleaned, padding=False, truncation=False).input_ids]
    return [len(tokenizer.encode(t)) + 2 for t in texts]
