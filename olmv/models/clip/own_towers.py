"""Towers of olmv's own making: a `tokenizer.json` and one `nn.Module` for each side."""

from abc import abstractmethod
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Protocol

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from olmv.errors import ModelError
from olmv.io.atomic import write_atomic
from olmv.models.clip.tokens import encode_by_length, padded, run_of_places
from olmv.models.clip.towers import Towers
from olmv.models.fingerprint import sha256_bytes
from olmv.models.storage.tokenizer_check import read_tokenizer

__all__ = ["OwnTowers", "Sizes"]


class Sizes(Protocol):
    """What `config.json` holds under `architecture`; making one raises ModelError for sizes that no model has."""

    @property
    def image_size(self) -> int: ...
    @property
    def embed_dim(self) -> int: ...
    @property
    def vocab_size(self) -> int: ...
    @property
    def context_length(self) -> int: ...

    def to_dict(self) -> dict[str, Any]:
        """Return what `config.json` holds."""


class OwnTowers(Towers):
    """Towers of olmv's own making.

    Args:
        config: the sizes.
        tokenizer_file: read here.

    Raises:
        ModelError: the tokenizer cannot be read, or has more words than the text tower.
    """

    family: ClassVar[str]
    config_class: ClassVar[Callable[..., Sizes]]
    vision_class: ClassVar[type[nn.Module]]  # pictures [N, 3, S, S] -> [N, D]
    text_class: ClassVar[type[nn.Module]]  # ids [A, L] int, mask [A, L] bool -> [A, D]
    config: Sizes
    visual: nn.Module
    textual: nn.Module
    any_text_length = True

    def __init__(self, config: Sizes, tokenizer_file: Path) -> None:
        super().__init__()
        self.config = config
        self.visual = self.vision_class(config)
        self.textual = self.text_class(config)
        self.log_scale = nn.Parameter(torch.tensor(3.0))
        self.register_parameter("logit_bias", None)
        self.tokenizer = read_tokenizer(tokenizer_file)
        if max(self.tokenizer.get_vocab().values(), default=0) >= config.vocab_size:
            raise ModelError(f"{tokenizer_file} has more words than the model, {config.vocab_size}; get it again")
        self.tokenizer_file = tokenizer_file
        self.embed_dim = config.embed_dim
        self.image_size = config.image_size
        self.context_length = config.context_length
        self.architecture = self.family

    @property
    def logit_scale(self) -> Tensor:
        return self.log_scale.exp()

    def add_bias(self, value: float) -> None:
        raise ModelError(f"{self.family} has a bias; leave it as it is")

    def save_parts(self, folder: Path) -> dict[str, Any]:
        if self.tokenizer_file.resolve() != (folder / "tokenizer.json").resolve():
            write_atomic(folder / "tokenizer.json", self.tokenizer_file.read_bytes())
        return {"family": self.family, "architecture": self.config.to_dict()}

    def image(self, pictures: Tensor) -> Tensor:
        out: Tensor = self.visual(pictures)
        return out

    def image_and_tokens(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        raise ModelError(f"{self.family} has no patch tokens; choose a model with a vision transformer")

    def token_ids(self, texts: Sequence[str]) -> tuple[Tensor, Tensor]:
        """Tokenize A texts -> ids [A, L], mask [A, L] True where real; cut to the context, padded to the longest."""
        return padded([ids[: self.context_length] for ids in self._encode(texts)], self.log_scale.device)

    def text(self, texts: Sequence[str]) -> Tensor:
        rows, device = self._encode(texts), self.log_scale.device
        rows = [ids[: self.context_length] for ids in rows]

        def encode(places: list[int]) -> Tensor:
            out: Tensor = self.textual(*padded([rows[place] for place in places], device))
            return out

        return encode_by_length([len(ids) for ids in rows], encode, device=device)

    def token_counts(self, texts: Sequence[str]) -> list[int]:
        return [len(ids) for ids in self._encode(texts)]

    def _encode(self, texts: Sequence[str]) -> list[list[int]]:
        return [encoding.ids for encoding in self.tokenizer.encode_batch(list(texts))]

    def text_parameters(self) -> list[tuple[str, Tensor]]:
        return [*self.textual.named_parameters(), *self.textual.named_buffers()]

    def text_facts(self) -> tuple[object, ...]:
        return (sha256_bytes(self.tokenizer.to_str().encode()),)

    def text_inputs(self, texts: Sequence[str]) -> dict[str, Tensor]:
        ids, mask = self.token_ids(texts)
        return {"ids": ids, "mask": mask}

    def text_graph(self) -> nn.Module:
        return _TextGraph(self.textual)

    @property
    def tokenizer_kind(self) -> str:
        return "tokenizer.json"

    @property
    @abstractmethod
    def token_embedding(self) -> nn.Module:
        """Return the module whose output, [A, L, W], the positions are added to."""

    def soft_places(self, texts: Sequence[str], queries: int) -> tuple[Tensor, Callable[[], Tensor]]:
        device = self.log_scale.device
        rows = self._encode(texts)
        starts = [min(len(ids) - 1, self.context_length - queries - 1) for ids in rows]
        ids, mask = padded([ids[:k] + [0] * queries + ids[-1:] for ids, k in zip(rows, starts, strict=True)], device)
        places = run_of_places(torch.tensor(starts, device=device), queries, ids.shape[1])
        return places, partial(self.textual, ids, mask)


class _TextGraph(nn.Module):
    def __init__(self, textual: nn.Module) -> None:
        super().__init__()
        self.textual = textual

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        return normalize(self.textual(ids, mask), dim=-1)
