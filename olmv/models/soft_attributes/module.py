"""Soft attributes: a language model says in continuous tokens what a label looks like.

    learnable prefixes + label -> frozen language model -> prompting transformer -> soft tokens
    [SOS ; template(label) ; soft tokens ; EOS] -> frozen text tower -> f_soft
    f_clip = normalise(mean of the label's templates),   embedding = normalise(f_clip + gate * f_soft)

Inspired by the label encoder of arXiv 2407.09073, not a reproduction: sizes, the place of the soft tokens and
the gate are ours. A label's embedding depends on the label only, so it is computed once and stored; predicting loads no
language model.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from olmv.errors import ModelError, VocabularyError, reason
from olmv.io.atomic import write_atomic
from olmv.labels.templates import apply, resolve
from olmv.models.clip.towers import Towers
from olmv.models.soft_attributes.language_model import LanguageModel, load_language_model
from olmv.models.soft_attributes.text import soft_text, token_table
from olmv.models.storage.label_embeddings import make_folder, read_tensors, write_tensors

__all__ = ["SoftAttributes"]

FORMAT = "olmv-soft-attributes/1"


class _PromptingLayer(nn.Module):
    """Pre-norm self-attention among queries, cross-attention to the language model's states, MLP."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.ln_1, self.ln_2, self.ln_3 = (nn.LayerNorm(width) for _ in range(3))
        self.attn = nn.MultiheadAttention(width, heads, batch_first=True)
        self.cross = nn.MultiheadAttention(width, heads, batch_first=True)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, x: Tensor, states: Tensor, padding: Tensor) -> Tensor:
        """Map x [C, Q, W], states [C, L, W], padding [C, L] True where there is no token -> [C, Q, W]."""
        h = self.ln_1(x)
        x = x + self.attn(h, h, h, need_weights=False)[0]
        x = x + self.cross(self.ln_2(x), states, states, key_padding_mask=padding, need_weights=False)[0]
        out: Tensor = x + self.mlp(self.ln_3(x))
        return out


class SoftAttributes(nn.Module):
    """Labels to label embeddings, CLIP's own plus those of soft tokens from a language model.

    With its gate at zero, as it starts, the embeddings are exactly CLIP's: a label's row in the text bank. The language
    model and the text tower are frozen, here, and are not part of the module's parameters and state; the text tower
    must not change afterwards, because its embeddings of labels are kept.

    Inspired by the label encoder of arXiv 2407.09073, not a reproduction.

    Args:
        towers: olmv's own, or open_clip's with CLIP's own text transformer.
        language_model: see `load_language_model`.
        templates: a set by name, or sentences with `{}` for the label (see `olmv.labels.templates`). CLIP's own
            embedding is the mean over all of them; the soft tokens stand behind the label in the first one only, so
            that a label costs one pass with gradient.
        n_prefix: P, learned vectors before the label in the language model.
        n_query: Q, soft tokens.
        layers: of the prompting transformer.

    Raises:
        ModelError: the text tower is of another kind or has no place for Q tokens, or the language model has none
            for P prefixes.
        VocabularyError: templates that cannot be used.
    """

    def __init__(
        self,
        towers: Towers,
        language_model: LanguageModel,
        *,
        templates: str | Sequence[str] = "none",
        n_prefix: int = 16,
        n_query: int = 8,
        layers: int = 2,
    ) -> None:
        super().__init__()
        if language_model.label_tokens(n_prefix) < 1:
            raise ModelError(
                f"{n_prefix} prefixes leave no room for a label in the {language_model.positions} positions of "
                f"'{language_model.name}'; use fewer prefixes"
            )
        for _, weight in towers.text_parameters():
            weight.requires_grad_(False)
        with torch.no_grad():
            table = token_table(towers)
            soft_text(towers, ["a"], table.new_zeros(1, n_query, table.shape[1]))  # raises where it cannot be
            words: Any = language_model.embeddings.weight
            spread = float(words.float().std())
        width = table.shape[1]
        heads = width // 64 if width % 64 == 0 else 1  # of 64, as in CLIP
        # in a tuple, out of sight of nn.Module
        self._frozen: tuple[Towers, LanguageModel] = (towers, language_model)
        self._clip: dict[str, Tensor] = {}
        self.templates = resolve(templates)
        self.sizes = {"n_prefix": n_prefix, "n_query": n_query, "layers": layers}
        self.prefixes = nn.Parameter(torch.randn(n_prefix, language_model.input_width) * spread)
        self.norm = nn.LayerNorm(language_model.hidden_size)
        self.narrow = nn.Linear(language_model.hidden_size, width)
        self.queries = nn.Parameter(torch.randn(n_query, width) * width**-0.5)
        self.layers = nn.ModuleList(_PromptingLayer(width, heads) for _ in range(layers))
        self.gain = nn.Parameter(table.float().norm(dim=-1).mean())
        self.gate = nn.Parameter(torch.zeros(()))
        self.to(table.device)

    @property
    def towers(self) -> Towers:
        return self._frozen[0]

    @property
    def language_model(self) -> LanguageModel:
        return self._frozen[1]

    @property
    def source(self) -> dict[str, Any]:
        """What label embeddings were made with, for `save_label_embeddings`."""
        return {"language_model": self.language_model.name, "templates": list(self.templates), **self.sizes}

    def soft_tokens(self, labels: Sequence[str]) -> Tensor:
        """Make the soft tokens of C labels -> [C, Q, W] float32, all of one length, the gain."""
        hidden, mask = self.language_model(self.prefixes, labels)
        states = self.narrow(self.norm(hidden))
        x = self.queries.expand(len(labels), -1, -1)
        for layer in self.layers:
            x = layer(x, states, ~mask)
        return normalize(x, dim=-1) * self.gain

    def forward(self, labels: Sequence[str]) -> Tensor:
        """Embed C labels -> [C, D] float32, L2-normalised, on the module's device."""
        if not labels:
            return self.gate.new_zeros(0, self.towers.embed_dim)
        clip = self._clip_embeddings(labels).to(self.gate.device)
        texts = [apply(self.templates[0], label) for label in labels]
        soft = normalize(soft_text(self.towers, texts, self.soft_tokens(labels)).float(), dim=-1)
        # normalise(clip / |clip| + gate soft), without rounding CLIP's own once more
        return normalize(clip + self.gate * clip.norm(dim=-1, keepdim=True) * soft, dim=-1)

    @torch.no_grad()
    def precompute(self, labels: Sequence[str], batch_size: int = 64) -> Tensor:
        """Embed C labels -> [C, D] float32 on the CPU, L2-normalised, without gradient."""
        order = sorted(range(len(labels)), key=lambda i: len(labels[i]))
        out = torch.zeros(len(labels), self.towers.embed_dim)
        for k in range(0, len(order), batch_size):
            rows = order[k : k + batch_size]
            out[rows] = self([labels[i] for i in rows]).cpu()
        return out

    @torch.no_grad()
    def _clip_embeddings(self, labels: Sequence[str], batch_size: int = 256) -> Tensor:
        """Sum over templates as `TextBank.from_texts` does -> [C, D] float32 on the CPU, not normalised.

        Every label goes through the text tower once.
        """
        new = list(dict.fromkeys(label for label in labels if label not in self._clip))
        texts = [apply(template, label) for label in new for template in self.templates]
        order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
        units = torch.zeros(len(texts), self.towers.embed_dim)
        for k in range(0, len(order), batch_size):
            rows = order[k : k + batch_size]
            units[rows] = normalize(self.towers.text([texts[i] for i in rows]).float(), dim=-1).cpu()
        # normalised twice and summed in this way, as there: other ways can differ in the last bit
        owner = torch.arange(len(texts)) // len(self.templates)
        sums = units.new_zeros(len(new), units.shape[1]).index_add_(0, owner, normalize(units, dim=-1))
        self._clip.update(zip(new, sums, strict=True))
        return torch.stack([self._clip[label] for label in labels])

    def save(self, folder: str | Path) -> None:
        """Write `soft_attributes.safetensors` (the trained parts) and `soft_attributes.json`, each whole or not at all.

        Raises:
            OutputError: the folder cannot be written.
        """
        folder = make_folder(folder)
        description = {
            "format": FORMAT,
            "sizes": self.sizes,
            "templates": list(self.templates),
            "text_width": self.queries.shape[1],
            "embed_dim": self.towers.embed_dim,
            "language_model": {"name": self.language_model.name, **self.language_model.described},
        }
        write_tensors(folder / "soft_attributes.safetensors", self.state_dict(), {"format": "pt"})
        write_atomic(folder / "soft_attributes.json", json.dumps(description, indent=1) + "\n")

    @classmethod
    def load(
        cls, folder: str | Path, towers: Towers, *, language_model: LanguageModel | None = None
    ) -> "SoftAttributes":
        """Read what `save` wrote, to embed new labels.

        Args:
            folder: that of `save`.
            towers: of the model that it was trained with.
            language_model: the one it was trained with; default: loaded by its saved name.

        Raises:
            ModelError: the folder's files cannot be used, or do not fit the towers or the language model.
            WeightsUnavailableError: the language model cannot be had.
        """
        path = Path(folder) / "soft_attributes.json"
        try:
            description = json.loads(path.read_text(encoding="utf-8"))
            is_ours = description["format"] == FORMAT
            sizes, lm = dict(description["sizes"]), dict(description["language_model"])
            templates = [str(template) for template in description["templates"]]
            name, width, dim = str(lm.pop("name")), int(description["text_width"]), int(description["embed_dim"])
        except (OSError, ValueError, LookupError, TypeError, RecursionError) as error:
            raise ModelError(f"{path} cannot be read: {reason(error)}; train soft attributes again") from None
        if not is_ours:
            raise ModelError(f"{path} is not of format {FORMAT}; is '{folder}' a folder that olmv saved?")
        sizes_here = (token_table(towers).shape[1], towers.embed_dim)
        if sizes_here != (width, dim):
            raise ModelError(
                f"the soft attributes in '{folder}' are for a text tower of width {width} and dimension {dim}, "
                f"not {sizes_here[0]} and {sizes_here[1]}; load them with the model that they were trained with"
            )
        language_model = language_model or load_language_model(name, device=towers.logit_scale.device)
        if language_model.described != lm:
            raise ModelError(
                f"the soft attributes in '{folder}' were trained with the language model '{name}', which "
                f"'{language_model.name}' is not; name that one"
            )
        try:
            module = cls(towers, language_model, templates=templates, **sizes)
            module.load_state_dict(read_tensors(path.with_suffix(".safetensors"))[0])
        except (TypeError, RuntimeError, VocabularyError) as error:
            raise ModelError(f"the soft attributes in '{folder}' do not fit: {reason(error)}; train again") from None
        return module
