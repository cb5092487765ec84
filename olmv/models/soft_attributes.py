"""Soft attributes: a language model says in continuous tokens what a label looks like.

    learnable prefixes + label -> frozen language model -> prompting transformer -> soft tokens
    [SOS ; label ; soft tokens ; EOS] -> frozen text tower -> f_soft,   embedding = normalise(f_clip + gate * f_soft)

Inspired by the label encoder of arXiv 2407.09073, not a reproduction: sizes, the place of the soft tokens and
the gate are ours. A label's embedding depends on the label only, so it is computed once and stored; predicting loads no
language model.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from olmv.devices import choose
from olmv.errors import ModelError, OutputError, WeightsUnavailableError, reason
from olmv.files import sha256_json, write_atomic
from olmv.models.towers import MiniTowers, OpenClipTowers
from olmv.network import fetching

__all__ = [
    "LabelEmbeddings",
    "LanguageModel",
    "SoftAttributes",
    "load_label_embeddings",
    "load_language_model",
    "save_label_embeddings",
    "soft_text",
]

FORMAT = "olmv-soft-attributes/1"
LABELS_FORMAT = "olmv-labels/1"
MAX_LABEL_TOKENS = 128
"""What the language model reads of a label at most."""
SPARE_POSITIONS = 2
"""RoBERTa numbers its positions from 2, so that many fewer of them are there than its config says."""


# ---------------------------------------------------------------- the language model


class LanguageModel:
    """A frozen Hugging Face language model that reads vectors and gives its last hidden states.

    Not an `nn.Module`, so that whatever owns one neither trains nor saves it.

    Args:
        model: what `AutoModel` gives, a decoder or an encoder; put into eval mode and frozen here.
        tokenizer: its tokenizer.
        name: the folder or hub id.

    Raises:
        ModelError: an encoder-decoder.
    """

    def __init__(self, model: Any, tokenizer: Any, name: str) -> None:
        if model.config.is_encoder_decoder:
            raise ModelError(f"the language model '{name}' is an encoder-decoder; use a decoder or an encoder")
        self.model = model.eval().requires_grad_(False)
        self.model.config.use_cache = False
        self.tokenizer, self.name = tokenizer, name
        config = model.config.get_text_config()
        self.embeddings: nn.Module = model.get_input_embeddings()
        table: Any = self.embeddings.weight
        self.input_width = int(table.shape[1])
        self.hidden_size = int(config.hidden_size)
        self.positions: int | None = getattr(config, "max_position_embeddings", None)
        self.described: dict[str, Any] = {
            "model_type": config.model_type,
            "vocab_size": int(table.shape[0]),
            "input_width": self.input_width,
            "hidden_size": self.hidden_size,
            "layers": int(config.num_hidden_layers),
        }
        """What tells it apart from another language model of the same name."""

    def label_tokens(self, prefixes: int) -> int:
        """Tokens of a label that fit behind so many prefixes; below 1 where none do."""
        if self.positions is None:
            return MAX_LABEL_TOKENS
        return min(MAX_LABEL_TOKENS, self.positions - prefixes - SPARE_POSITIONS)

    def __call__(self, prefixes: Tensor, labels: Sequence[str]) -> tuple[Tensor, Tensor]:
        """prefixes [P, d_in] before each of C labels -> hidden states [C, L, d] float32, mask [C, L] True where real.

        The gradient flows through the model to the prefixes. It follows their device.
        """
        device = prefixes.device
        if self.embeddings.weight.device != device:
            self.model.to(device)
        limit = self.label_tokens(len(prefixes))
        rows = [ids[:limit] for ids in self.tokenizer(list(labels), add_special_tokens=False)["input_ids"]]
        ids, mask = _padded(rows, device)
        words: Tensor = self.embeddings(ids)
        inputs = torch.cat([prefixes.to(words.dtype).expand(len(rows), -1, -1), words], dim=1)
        mask = torch.cat([mask.new_ones(len(rows), len(prefixes)), mask], dim=1)
        hidden: Tensor = self.model(inputs_embeds=inputs, attention_mask=mask.long()).last_hidden_state
        return hidden.float(), mask


def load_language_model(name: str | Path, *, device: str | torch.device = "cpu") -> LanguageModel:
    """Load a decoder (Llama, ...) or an encoder (BERT, MiniLM, ...) for `SoftAttributes`; safetensors only.

    Args:
        name: a folder, or an id on the Hugging Face hub.
        device: where to; float32 on a CPU, half precision on a GPU.

    Raises:
        ModelError: an encoder-decoder, or weights that are not those of its config.
        WeightsUnavailableError: it is not here and cannot be fetched, or has no safetensors.
        UsageError: unknown device.
    """
    from transformers import AutoModel, AutoTokenizer
    from transformers.utils import logging

    placement = choose(device)
    dtype = torch.float32 if placement.device.type == "cpu" else placement.dtype
    bars = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        with fetching():
            tokenizer = AutoTokenizer.from_pretrained(str(name), trust_remote_code=False)
            model, told = AutoModel.from_pretrained(
                str(name), dtype=dtype, use_safetensors=True, trust_remote_code=False, output_loading_info=True
            )
    except Exception as error:  # hub, network, file and format errors have no common class
        raise WeightsUnavailableError(
            f"the language model '{name}' cannot be had ({reason(error)}); "
            "get on line once, or name a folder that holds it as safetensors"
        ) from None
    finally:
        if bars:
            logging.enable_progress_bar()
    # transformers fills what a file lacks with random numbers; only the pooler is never read here
    missing = sorted(key for key in told["missing_keys"] if "pooler" not in key)
    if missing:
        raise ModelError(f"the language model '{name}' lacks weights such as {missing[0]}; download it again")
    return LanguageModel(model.to(placement.device), tokenizer, str(name))


# ---------------------------------------------------------------- soft tokens through the text tower


def soft_text(towers: Any, texts: Sequence[str], soft: Tensor) -> Tensor:
    """Texts with soft tokens behind them through the text tower.

    The tower reads [SOS ; text ; soft ; EOS], adds its positions, and pools where it always does: at EOS, at its last
    place, or over the mean of the real tokens. A text is cut so that soft tokens and EOS fit. The gradient flows to
    `soft`. The tower is changed while it runs: not for use from several threads at once.

    Args:
        towers: `MiniTowers`, or `OpenClipTowers` with CLIP's own text transformer.
        texts: C texts.
        soft: [C, Q, W], W the width of the text tower.

    Returns:
        [C, D], not normalised, as `towers.text` gives them; the same as it gives when Q is 0.

    Raises:
        ModelError: the text tower is of another kind, or its context has no place for Q soft tokens.
    """
    embedding = _embedding(towers)
    queries, context = soft.shape[1], towers.context_length
    if queries > context - 2:
        raise ModelError(
            f"{queries} soft tokens leave no room for a label in a context of {context} tokens; use fewer queries"
        )
    run: Callable[[], Tensor]
    device = towers.logit_scale.device
    if isinstance(towers, MiniTowers):
        encoded = [e.ids for e in towers.tokenizer.encode_batch(list(texts))]
        kept = [min(len(ids) - 1, context - queries - 1) for ids in encoded]
        rows = [ids[:k] + [0] * queries + ids[-1:] for ids, k in zip(encoded, kept, strict=True)]
        ids, mask = _padded(rows, device)
        starts = torch.tensor(kept, device=device)
        run = partial(towers.textual, ids, mask)
    else:
        plain = towers.tokenizer(list(texts)).to(device)
        ids, starts = _with_places(plain, _ends(towers, plain), queries)
        run = partial(towers.model.encode_text, ids)
    place = torch.arange(ids.shape[1], device=device)[None] - starts[:, None]
    with _put(embedding, soft, (place >= 0) & (place < queries)):
        out: Tensor = run()
    return out


def _embedding(towers: Any) -> nn.Module:
    """The module whose output, [A, L, W], the positions are added to."""
    if isinstance(towers, MiniTowers):
        return towers.textual.widen
    text = _clip_text(towers)
    embedding: object = getattr(text, "token_embedding", None)
    # CoCa pools at a token of its own behind the text; CLIPS moves its class token to the end
    moved = getattr(text, "cls_emb", None) is not None or bool(getattr(towers.tokenizer, "tokenizer_mode", ""))
    if not isinstance(embedding, nn.Embedding) or moved:
        raise ModelError(
            f"soft tokens cannot go into a text tower of class {type(text).__name__}; "
            "use olmv-mini or a model with CLIP's own text transformer, such as ViT-B-32/openai"
        )
    return embedding


def _clip_text(towers: OpenClipTowers) -> Any:
    """The text transformer; the `CLIP` class is its own, `CustomTextCLIP` holds one."""
    return getattr(towers.model, "text", towers.model)


def _ends(towers: OpenClipTowers, ids: Tensor) -> Tensor:
    """ids [C, L] -> [C], where EOS stands."""
    text, tokenizer = _clip_text(towers), towers.tokenizer
    pool = getattr(text, "pool_type", None) or getattr(text, "text_pool_type", "argmax")
    if pool == "argmax":
        return ids.argmax(-1)
    inner = getattr(tokenizer, "tokenizer", tokenizer)
    names = ("eos_token_id", "sep_token_id", "eot_token_id")
    end = next((found for name in names if (found := getattr(inner, name, None)) is not None), None)
    if pool == "eos":
        end = getattr(text, "eos_id", None)
    elif getattr(tokenizer, "strip_sep_token", False):  # CLIPA writes 0 in its place
        end = 0
    there = ids == (-1 if end is None else end)
    if not bool(there.any(-1).all()):
        raise ModelError("this model's tokenizer ends a text without an end token; use another model for soft tokens")
    return there.int().argmax(-1)


def _with_places(ids: Tensor, ends: Tensor, queries: int) -> tuple[Tensor, Tensor]:
    """ids [C, L] with EOS at `ends` [C] -> ids [C, L] with `queries` places before EOS, and where they start [C].

    A place holds an earlier token of the text: never EOS, which towers look for by its id, and never padding.
    """
    length = ids.shape[1]
    starts = ends.clamp(max=length - queries - 1)
    column = torch.arange(length, device=ids.device).expand_as(ids)
    source = torch.where(column < starts[:, None], column, column + (ends - starts)[:, None] - queries)
    return ids.gather(1, source.clamp(min=0)), starts


@contextmanager
def _put(embedding: nn.Module, soft: Tensor, places: Tensor) -> Iterator[None]:
    """While open, `embedding` gives `soft` [C, Q, W] at `places` [C, L], Q of them True in every row."""

    def replace(_module: nn.Module, _inputs: object, out: Tensor) -> Tensor:
        return out.masked_scatter(places[..., None], soft.to(out.dtype))

    handle = embedding.register_forward_hook(replace)
    try:
        yield
    finally:
        handle.remove()


def _padded(rows: Sequence[Sequence[int]], device: torch.device) -> tuple[Tensor, Tensor]:
    """Rows of token ids -> ids [C, L], padded with 0 at the end, and mask [C, L] True for real ones."""
    longest = max(map(len, rows), default=0)
    ids = torch.tensor([[*row, *[0] * (longest - len(row))] for row in rows], dtype=torch.long, device=device)
    lengths = torch.tensor([len(row) for row in rows], device=device)
    return ids.view(len(rows), longest), torch.arange(longest, device=device)[None] < lengths[:, None]


# ---------------------------------------------------------------- the module


class _PromptingLayer(nn.Module):
    """Pre-norm self-attention among queries, cross-attention to the language model's states, MLP."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.ln_1, self.ln_2, self.ln_3 = (nn.LayerNorm(width) for _ in range(3))
        self.attn = nn.MultiheadAttention(width, heads, batch_first=True)
        self.cross = nn.MultiheadAttention(width, heads, batch_first=True)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, x: Tensor, states: Tensor, padding: Tensor) -> Tensor:
        """x [C, Q, W], states [C, L, W], padding [C, L] True where there is no token -> [C, Q, W]."""
        h = self.ln_1(x)
        x = x + self.attn(h, h, h, need_weights=False)[0]
        x = x + self.cross(self.ln_2(x), states, states, key_padding_mask=padding, need_weights=False)[0]
        out: Tensor = x + self.mlp(self.ln_3(x))
        return out


class SoftAttributes(nn.Module):
    """Labels to label embeddings, CLIP's own plus those of soft tokens from a language model.

    With its gate at zero, as it starts, the embeddings are exactly CLIP's. The language model and the text tower are
    frozen, here, and are not part of the module's parameters and state; the text tower must not change afterwards,
    because its embeddings of labels are kept.

    Inspired by the label encoder of arXiv 2407.09073, not a reproduction.

    Args:
        towers: `MiniTowers`, or `OpenClipTowers` with CLIP's own text transformer.
        language_model: see `load_language_model`.
        n_prefix: P, learned vectors before the label in the language model.
        n_query: Q, soft tokens.
        layers: of the prompting transformer.

    Raises:
        ModelError: the text tower is of another kind or has no place for Q tokens, or the language model has none
            for P prefixes.
    """

    def __init__(
        self, towers: Any, language_model: LanguageModel, *, n_prefix: int = 16, n_query: int = 8, layers: int = 2
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
            table = _token_table(towers)
            soft_text(towers, ["a"], table.new_zeros(1, n_query, table.shape[1]))  # raises where it cannot be
            words: Any = language_model.embeddings.weight
            spread = float(words.float().std())
        width = table.shape[1]
        heads = width // 64 if width % 64 == 0 else 1  # of 64, as in CLIP
        # in a tuple, out of sight of nn.Module
        self._frozen: tuple[Any, LanguageModel] = (towers, language_model)
        self._clip: dict[str, Tensor] = {}
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
    def towers(self) -> Any:
        return self._frozen[0]

    @property
    def language_model(self) -> LanguageModel:
        return self._frozen[1]

    @property
    def source(self) -> dict[str, Any]:
        """Where label embeddings come from, for `save_label_embeddings`."""
        return {"language_model": self.language_model.name, **self.sizes}

    def soft_tokens(self, labels: Sequence[str]) -> Tensor:
        """C labels -> [C, Q, W] float32, all of one length, the gain."""
        hidden, mask = self.language_model(self.prefixes, labels)
        states = self.narrow(self.norm(hidden))
        x = self.queries.expand(len(labels), -1, -1)
        for layer in self.layers:
            x = layer(x, states, ~mask)
        return normalize(x, dim=-1) * self.gain

    def forward(self, labels: Sequence[str]) -> Tensor:
        """C labels -> [C, D] float32, L2-normalised, on the module's device."""
        if not labels:
            return self.gate.new_zeros(0, self.towers.embed_dim)
        clip = self._clip_embeddings(labels).to(self.gate.device)
        soft = normalize(soft_text(self.towers, labels, self.soft_tokens(labels)).float(), dim=-1)
        # normalise(clip / |clip| + gate soft), without rounding CLIP's own twice
        return normalize(clip + self.gate * clip.norm(dim=-1, keepdim=True) * soft, dim=-1)

    @torch.no_grad()
    def precompute(self, labels: Sequence[str], batch_size: int = 64) -> Tensor:
        """C labels -> [C, D] float32 on the CPU, L2-normalised, without gradient."""
        order = sorted(range(len(labels)), key=lambda i: len(labels[i]))
        out = torch.zeros(len(labels), self.towers.embed_dim)
        for k in range(0, len(order), batch_size):
            rows = order[k : k + batch_size]
            out[rows] = self([labels[i] for i in rows]).cpu()
        return out

    @torch.no_grad()
    def _clip_embeddings(self, labels: Sequence[str], batch_size: int = 256) -> Tensor:
        """[C, D] float32 on the CPU, not normalised; every label goes through the text tower once."""
        new = sorted({label for label in labels if label not in self._clip}, key=lambda label: (len(label), label))
        for k in range(0, len(new), batch_size):
            some = new[k : k + batch_size]
            self._clip.update(zip(some, self.towers.text(some).float().cpu(), strict=True))
        return torch.stack([self._clip[label] for label in labels])

    def save(self, folder: str | Path) -> None:
        """Write `soft_attributes.safetensors` (the trained parts) and `soft_attributes.json`, each whole or not at all.

        Raises:
            OutputError: the folder cannot be written.
        """
        folder = _made(folder)
        described = {
            "format": FORMAT,
            "sizes": self.sizes,
            "text_width": self.queries.shape[1],
            "embed_dim": self.towers.embed_dim,
            "language_model": {"name": self.language_model.name, **self.language_model.described},
        }
        _write_tensors(folder / "soft_attributes.safetensors", self.state_dict(), {"format": "pt"})
        write_atomic(folder / "soft_attributes.json", json.dumps(described, indent=1) + "\n")

    @classmethod
    def load(cls, folder: str | Path, towers: Any, *, language_model: LanguageModel | None = None) -> "SoftAttributes":
        """What `save` wrote, to embed new labels.

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
            described = json.loads(path.read_text(encoding="utf-8"))
            known = described["format"] == FORMAT
            sizes, lm = dict(described["sizes"]), dict(described["language_model"])
            name, width, dim = str(lm.pop("name")), int(described["text_width"]), int(described["embed_dim"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ModelError(f"{path} cannot be read: {reason(error)}; train soft attributes again") from None
        if not known:
            raise ModelError(f"{path} is not of format {FORMAT}; is '{folder}' a folder that olmv saved?")
        given = (_token_table(towers).shape[1], towers.embed_dim)
        if given != (width, dim):
            raise ModelError(
                f"the soft attributes in '{folder}' are for a text tower of width {width} and dimension {dim}, "
                f"not {given[0]} and {given[1]}; load them with the model that they were trained with"
            )
        language_model = language_model or load_language_model(name, device=towers.logit_scale.device)
        if language_model.described != lm:
            raise ModelError(
                f"the soft attributes in '{folder}' were trained with the language model '{name}', which "
                f"'{language_model.name}' is not; name that one"
            )
        try:
            made = cls(towers, language_model, **sizes)
            made.load_state_dict(_read_tensors(path.with_suffix(".safetensors"))[0])
        except (TypeError, RuntimeError) as error:
            raise ModelError(f"the soft attributes in '{folder}' do not fit: {reason(error)}; train again") from None
        return made


def _token_table(towers: Any) -> Tensor:
    """The text tower's token embeddings as they are before positions are added, [V, W]."""
    embedding = _embedding(towers)
    table: Any = embedding(towers.textual.tokens.weight) if isinstance(towers, MiniTowers) else embedding.weight
    detached: Tensor = table.detach()
    return detached


# ---------------------------------------------------------------- stored label embeddings


@dataclass(frozen=True, eq=False)
class LabelEmbeddings:
    """Labels with an embedding each, computed once.

    Args:
        labels: C distinct labels.
        embeddings: [C, D] float32, L2-normalised, on the CPU.
        source: what made them; for people.

    Raises:
        ModelError: the parts do not fit each other, a label is there twice, or a row is not a unit vector.
    """

    labels: tuple[str, ...]
    embeddings: Tensor
    source: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        shape = list(self.embeddings.shape)
        if len(shape) != 2 or shape[0] != len(self.labels) or self.embeddings.dtype != torch.float32:
            raise ModelError(
                f"{len(self.labels)} labels and embeddings {shape} {self.embeddings.dtype} do not fit each other; "
                "give [C, D] float32"
            )
        if len(self._rows) != len(self.labels):
            twice = next(label for k, label in enumerate(self.labels) if label in self.labels[:k])
            raise ModelError(f"the label '{twice}' has two embeddings; give every label once")
        if not bool(((self.embeddings.norm(dim=-1) - 1).abs() < 1e-3).all()):  # NaN compares false
            raise ModelError("a label embedding is not a unit vector; compute label embeddings again")

    @property
    def _rows(self) -> dict[str, int]:
        return {label: k for k, label in enumerate(self.labels)}

    def lookup(self, labels: Sequence[str]) -> tuple[Tensor, Tensor]:
        """A labels -> mask [A] True where known, embeddings [A, D], zeros where not."""
        rows = self._rows
        known = torch.tensor([label in rows for label in labels], dtype=torch.bool)
        found = self.embeddings.new_zeros(len(labels), self.embeddings.shape[1])
        found[known] = self.embeddings[[rows[label] for label in labels if label in rows]]
        return known, found

    def __repr__(self) -> str:
        return f"LabelEmbeddings(labels={len(self.labels)}, embeddings={list(self.embeddings.shape)})"


def save_label_embeddings(
    folder: str | Path, labels: Sequence[str], embeddings: Tensor, *, source: dict[str, Any] | None = None
) -> None:
    """Write `label_embeddings.safetensors` and `labels.json`, each whole or not at all.

    Args:
        folder: made if need be; usually a model's.
        labels: C distinct labels.
        embeddings: [C, D], L2-normalised.
        source: what made them, such as `SoftAttributes.source`.

    Raises:
        ModelError: see `LabelEmbeddings`.
        OutputError: the folder cannot be written.
    """
    made = LabelEmbeddings(tuple(labels), embeddings.detach().float().cpu(), source or {})
    folder = _made(folder)
    # the two files cannot be replaced at once: the digest tells whether they belong together
    about = {"format": LABELS_FORMAT, "labels_sha256": sha256_json(list(made.labels))}
    _write_tensors(folder / "label_embeddings.safetensors", {"label_embeddings": made.embeddings}, about)
    described = {"format": LABELS_FORMAT, "labels": list(made.labels), "source": made.source}
    write_atomic(folder / "labels.json", json.dumps(described, indent=1, ensure_ascii=False) + "\n")


def load_label_embeddings(folder: str | Path) -> LabelEmbeddings | None:
    """What `save_label_embeddings` wrote; None where a folder has neither of its files.

    Raises:
        ModelError: one file is missing, cannot be read, or does not belong to the other; see `LabelEmbeddings`.
    """
    listed, weights = Path(folder) / "labels.json", Path(folder) / "label_embeddings.safetensors"
    if not listed.exists() and not weights.exists():
        return None
    try:
        described = json.loads(listed.read_text(encoding="utf-8"))
        known = described["format"] == LABELS_FORMAT
        labels, source = described["labels"], described.get("source", {})
        known = known and isinstance(source, dict) and all(isinstance(label, str) for label in labels)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelError(f"{listed} cannot be read: {reason(error)}; compute label embeddings again") from None
    if not known or not isinstance(labels, list):
        raise ModelError(f"{listed} is not of format {LABELS_FORMAT}; compute label embeddings again")
    tensors, about = _read_tensors(weights)
    if list(tensors) != ["label_embeddings"] or about.get("labels_sha256") != sha256_json(labels):
        raise ModelError(f"{weights} is not of the labels in {listed.name}; compute label embeddings again")
    return LabelEmbeddings(tuple(labels), tensors["label_embeddings"], source)


def _made(folder: str | Path) -> Path:
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot make the folder '{folder}': {error.strerror}; choose another") from None
    return Path(folder)


def _write_tensors(path: Path, tensors: dict[str, Tensor], about: dict[str, str]) -> None:
    from safetensors.torch import save

    write_atomic(path, save({k: t.detach().cpu().contiguous() for k, t in tensors.items()}, metadata=about))


def _read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors and metadata.

    Raises:
        ModelError: the file cannot be read.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            return {key: file.get_tensor(key) for key in file.keys()}, file.metadata() or {}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise ModelError(f"{path} cannot be read: {reason(error)}; write it again") from None
