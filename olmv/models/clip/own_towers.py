"""The towers of the models that ship with olmv: a `tokenizer.json` and one `nn.Module` for each side."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from olmv.errors import ModelError
from olmv.models.clip.towers import sha256
from olmv.models.lite.config import LiteConfig
from olmv.models.lite.network import LiteTextTower, LiteVisionTower
from olmv.models.mini.network import MiniConfig, MiniTextTower, MiniVisionTower
from olmv.models.storage.tokenizer_check import read_tokenizer

__all__ = ["OWN_FAMILIES", "LiteTowers", "MiniTowers", "NoRandomWeights", "OwnTowers"]


class NoRandomWeights(TorchFunctionMode):
    """Make modules without drawing their first weights, for those that are filled from a file at once.

    On the device `meta` a draw would import torch's compiler (`tests/models/test_lite.py` sees that none does).
    """

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if getattr(func, "__module__", None) == "torch.nn.init" or func in (Tensor.normal_, Tensor.uniform_):
            return args[0] if args else kwargs["tensor"]
        return func(*args, **kwargs)


class OwnTowers(nn.Module):
    """Towers of olmv's own making.

    Args:
        config: the sizes.
        tokenizer_file: read here.

    Raises:
        ModelError: the tokenizer cannot be read, or has more words than the text tower.
    """

    family: ClassVar[str]
    config_class: ClassVar[type[Any]]  # what `config.json` holds under `architecture`; has `to_dict`
    vision_class: ClassVar[type[nn.Module]]  # pictures [N, 3, S, S] -> [N, D]
    text_class: ClassVar[type[nn.Module]]  # ids [A, L] int, mask [A, L] bool -> [A, D]
    logit_bias: nn.Parameter | None
    grid_side: int | None = None
    token_width: int | None = None

    def __init__(self, config: Any, tokenizer_file: Path) -> None:
        super().__init__()
        self.config = config
        self.visual: Any = self.vision_class(config)
        self.textual: Any = self.text_class(config)
        self.log_scale = nn.Parameter(torch.tensor(3.0))
        self.register_parameter("logit_bias", None)
        self.tokenizer = read_tokenizer(tokenizer_file)
        if max(self.tokenizer.get_vocab().values(), default=0) >= config.vocab_size:
            raise ModelError(f"{tokenizer_file} has more words than the model, {config.vocab_size}; get it again")
        self.tokenizer_file = tokenizer_file
        self.embed_dim: int = config.embed_dim
        self.image_size: int = config.image_size
        self.context_length: int = config.context_length
        self.architecture = self.family

    @property
    def logit_scale(self) -> Tensor:
        return self.log_scale.exp()

    @property
    def token_embedding(self) -> nn.Module:
        """The module whose output, [A, L, W], the positions are added to."""
        raise NotImplementedError(f"{self.family} says not where its tokens are embedded")

    @property
    def token_vectors(self) -> Tensor:
        """What `token_embedding` gives for every word of the vocabulary, [V, W]."""
        return self.token_embedding.weight  # type: ignore[return-value]

    def image(self, pictures: Tensor) -> Tensor:
        out: Tensor = self.visual(pictures)
        return out

    def image_and_tokens(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        raise ModelError(f"{self.family} has no patch tokens; choose a model with a vision transformer")

    def image_blocks(self) -> list[nn.Module]:
        return []

    def token_ids(self, texts: Sequence[str]) -> tuple[Tensor, Tensor]:
        """A texts -> ids [A, L] and mask [A, L], True for real tokens; cut at the context, padded to the longest."""
        rows = [torch.tensor(e.ids[: self.context_length]) for e in self.tokenizer.encode_batch(list(texts))]
        ids = nn.utils.rnn.pad_sequence(rows, batch_first=True)
        lengths = torch.tensor([len(row) for row in rows])
        return ids, torch.arange(ids.shape[1])[None] < lengths[:, None]

    def text(self, texts: Sequence[str]) -> Tensor:
        ids, mask = (part.to(self.log_scale.device) for part in self.token_ids(texts))
        out: Tensor = self.textual(ids, mask)
        return out

    def token_counts(self, texts: Sequence[str]) -> list[int]:
        return [len(e.ids) for e in self.tokenizer.encode_batch(list(texts))]

    def text_parameters(self) -> list[tuple[str, Tensor]]:
        return [*self.textual.named_parameters(), *self.textual.named_buffers()]

    def text_facts(self) -> tuple[object, ...]:
        return (sha256(self.tokenizer.to_str().encode()),)


class MiniTowers(OwnTowers):
    """olmv-mini's towers; trained with a sigmoid loss, so they have a bias."""

    family = "olmv-mini"
    config_class = MiniConfig
    vision_class = MiniVisionTower
    text_class = MiniTextTower

    def __init__(self, config: MiniConfig, tokenizer_file: Path) -> None:
        super().__init__(config, tokenizer_file)
        self.logit_bias = nn.Parameter(torch.tensor(-8.0))
        self.grid_side = config.image_size // 8
        self.token_width = config.vision_width

    @property
    def token_embedding(self) -> nn.Module:
        widen: nn.Module = self.textual.widen
        return widen

    @property
    def token_vectors(self) -> Tensor:
        table: Tensor = self.textual.widen(self.textual.tokens.weight)
        return table

    def image_and_tokens(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        tokens = self.visual.tokens(pictures)
        return self.visual.head(tokens), tokens

    def image_blocks(self) -> list[nn.Module]:
        return list(self.visual.blocks)


class LiteTowers(OwnTowers):
    """olmv-lite's towers; its classifier was trained with a softmax, so there is no bias until fine-tuning adds one."""

    family = "olmv-lite"
    config_class = LiteConfig
    vision_class = LiteVisionTower
    text_class = LiteTextTower
    cpu_pictures = 4  # at once: of more, what the first layers give falls out of a CPU's caches

    def __init__(self, config: LiteConfig, tokenizer_file: Path) -> None:
        super().__init__(config, tokenizer_file)
        if config.sigmoid:
            self.add_bias(0.0)

    def image(self, pictures: Tensor) -> Tensor:
        """pictures [N, 3, S, S] -> [N, D], not normalised."""
        if pictures.device.type != "cpu" or torch.compiler.is_compiling():  # an exported graph keeps N open
            return super().image(pictures)
        return torch.cat([self.visual(part) for part in torch.split(pictures, self.cpu_pictures)])

    @property
    def token_embedding(self) -> nn.Module:
        tokens: nn.Module = self.textual.tokens
        return tokens

    def add_bias(self, value: float) -> None:
        """Give the model the bias of a sigmoid-trained one, for fine-tuning with a sigmoid loss."""
        self.logit_bias = nn.Parameter(torch.full_like(self.log_scale.detach(), value))
        self.config = replace(self.config, sigmoid=True)


OWN_FAMILIES: Mapping[str, type[OwnTowers]] = MappingProxyType({t.family: t for t in (MiniTowers, LiteTowers)})
"""What `config.json` calls a family -> its towers."""
