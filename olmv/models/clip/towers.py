"""The image and text towers that a `VideoCLIP` stands on, and open_clip's models as such; `own_towers` has olmv's."""

import hashlib
from collections.abc import Iterable, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor, nn

__all__ = ["OpenClipTowers", "Towers", "digest_weights", "open_clip_token_counts", "sha256"]


class Towers(Protocol):
    """What a `VideoCLIP` needs; every implementation is also an `nn.Module`."""

    embed_dim: int
    image_size: int
    context_length: int
    architecture: str  # of the image tower, for messages
    grid_side: int | None  # patch tokens a side; None where there is no square grid of them
    token_width: int | None  # W, of a patch token

    @property
    def logit_scale(self) -> Tensor:
        """As a factor, not its logarithm."""

    @property
    def logit_bias(self) -> Tensor | None:
        """None for softmax-trained models."""

    def image(self, pictures: Tensor) -> Tensor:
        """pictures [N, 3, S, S] -> [N, D], not normalised."""

    def image_and_tokens(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        """pictures [N, 3, S, S] -> [N, D] and the patch tokens after the last block [N, grid_side ** 2, W].

        Only where `grid_side` is not None.
        """

    def image_blocks(self) -> list[nn.Module]:
        """The transformer blocks of the image tower, each with an attention `attn`; empty where it has none."""

    def text(self, texts: Sequence[str]) -> Tensor:
        """A texts -> [A, D], not normalised; texts past the context are cut."""

    def token_counts(self, texts: Sequence[str]) -> list[int]:
        """Tokens of every text before cutting, special tokens included."""

    def text_parameters(self) -> list[tuple[str, Tensor]]:
        """Named weights of the text tower."""

    def text_facts(self) -> tuple[object, ...]:
        """What the text tower depends on besides its weights, such as its activation."""


class OpenClipTowers(nn.Module):
    """Any open_clip model with its tokenizer and open_clip's own config of it."""

    def __init__(self, model: Any, tokenizer: Any, config: dict[str, Any]) -> None:
        super().__init__()
        self.config = config
        self.model: Any  # open_clip has two classes of model and no common one
        self.model = model
        self.tokenizer = tokenizer
        size = model.visual.image_size
        self.image_size: int = int(size[0] if isinstance(size, tuple | list) else size)
        self.context_length: int = int(getattr(tokenizer, "context_length", None) or model.context_length)
        self.embed_dim: int = self._embed_dim()
        trunk = self._trunk
        self.architecture = type(trunk).__name__
        self.grid_side: int | None = None
        self.token_width: int | None = None
        grid = getattr(trunk, "grid_size", None) or getattr(getattr(trunk, "patch_embed", None), "grid_size", None)
        if self.image_blocks() and grid and grid[0] == grid[1]:
            self.grid_side = int(grid[0])
            width = trunk.embed_dim if hasattr(trunk, "embed_dim") else trunk.transformer.width
            self.token_width = int(width)

    @property
    def _trunk(self) -> Any:
        """The image tower itself, where open_clip wraps one of timm's."""
        return getattr(self.model.visual, "trunk", self.model.visual)

    def _embed_dim(self) -> int:
        found = getattr(self.model.visual, "output_dim", None)
        if found is not None:
            return int(found)
        with torch.inference_mode():  # timm towers do not say
            return int(self.text(["a"]).shape[-1])

    @property
    def logit_scale(self) -> Tensor:
        scale: Tensor = self.model.logit_scale.exp()
        return scale

    @property
    def logit_bias(self) -> Tensor | None:
        bias: Tensor | None = getattr(self.model, "logit_bias", None)
        return bias

    def add_bias(self, value: float) -> None:
        """Give a softmax-trained model the bias of a sigmoid-trained one, for fine-tuning with a sigmoid loss."""
        self.model.logit_bias = nn.Parameter(torch.full_like(self.model.logit_scale.detach(), value))
        self.config["init_logit_bias"] = value

    def image(self, pictures: Tensor) -> Tensor:
        out: Tensor = self.model.encode_image(pictures, normalize=False)  # CoCa's default is another
        return out

    def image_and_tokens(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        visual = self.model.visual
        if visual is self._trunk:
            found = visual.forward_intermediates(pictures, indices=1, output_fmt="NLC")
            return found["image_features"], found["image_intermediates"][0]
        tokens = visual.trunk.forward_features(pictures)
        embedded: Tensor = visual.head(visual.trunk.forward_head(tokens))
        return embedded, tokens[:, visual.trunk.num_prefix_tokens :]

    def image_blocks(self) -> list[nn.Module]:
        trunk = self._trunk
        if hasattr(trunk, "num_prefix_tokens"):  # timm's vision transformers, and none of its other models
            return [b for b in getattr(trunk, "blocks", []) if hasattr(b, "attn")]
        return list(getattr(getattr(trunk, "transformer", None), "resblocks", []))

    def text(self, texts: Sequence[str]) -> Tensor:
        tokens = self.tokenizer(list(texts)).to(self.model.logit_scale.device)
        out: Tensor = self.model.encode_text(tokens, normalize=False)
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
        words = type(self.tokenizer).__name__ if backend is None else sha256(backend.to_str().encode())
        return bool(self.config.get("quick_gelu")), self.context_length, words


def sha256(content: bytes) -> str:
    """The SHA-256 of bytes, hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def digest_weights(weights: Iterable[tuple[str, Tensor]], *facts: object) -> str:
    """A stable name (hexadecimal) for named weights, by their bytes, and for whatever else is given.

    Sums would depend on the number of threads that add them up.
    """
    digest = hashlib.sha256(repr(facts).encode())
    for name, weight in weights:
        digest.update(f"{name} {tuple(weight.shape)} {weight.dtype}".encode())
        digest.update(weight.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()


def open_clip_token_counts(tokenizer: Any, texts: Sequence[str]) -> list[int]:
    """Tokens of every text before cutting, special tokens included, by either of open_clip's kinds of tokenizer."""
    inner = getattr(tokenizer, "tokenizer", None)
    if inner is not None:  # a Hugging Face tokenizer, which reads texts that open_clip has cleaned
        cleaned = [tokenizer.clean_fn(t) for t in texts] if hasattr(tokenizer, "clean_fn") else list(texts)
        return [len(ids) for ids in inner(cleaned, padding=False, truncation=False).input_ids]
    return [len(tokenizer.encode(t)) + 2 for t in texts]
