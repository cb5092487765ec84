"""Label embeddings in a model's folder: computed once, looked up by name."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from olmv.errors import ModelError, OutputError, reason
from olmv.io.atomic import write_atomic
from olmv.io.digests import sha256_json
from olmv.models.storage.checkpoints import check_tensors
from olmv.models.storage.file_checks import check_file, memory_bytes
from olmv.models.storage.json import read_object

__all__ = [
    "LABEL_FILES",
    "LabelEmbeddings",
    "load_label_embeddings",
    "make_folder",
    "read_tensors",
    "save_label_embeddings",
    "write_tensors",
]

FORMAT = "olmv-labels/1"
_PART = 32 * 2**20  # bytes that are read at a time
LABEL_FILES = ("labels.json", "label_embeddings.safetensors")


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
            twice = Counter(self.labels).most_common(1)[0][0]
            raise ModelError(f"the label '{twice}' has two embeddings; give every label once")
        if not bool(((self.embeddings.norm(dim=-1) - 1).abs() < 1e-3).all()):  # NaN compares false
            raise ModelError("a label embedding is not a unit vector; compute label embeddings again")

    @property
    def _rows(self) -> dict[str, int]:
        return {label: k for k, label in enumerate(self.labels)}

    def lookup(self, labels: Sequence[str]) -> tuple[Tensor, Tensor]:
        """Look up A labels -> mask [A] True where known, embeddings [A, D], zeros where not."""
        rows = self._rows
        known = torch.tensor([label in rows for label in labels], dtype=torch.bool)
        embeddings = self.embeddings.new_zeros(len(labels), self.embeddings.shape[1])
        embeddings[known] = self.embeddings[[rows[label] for label in labels if label in rows]]
        return known, embeddings

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
    content = LabelEmbeddings(tuple(labels), embeddings.detach().float().cpu(), source or {})
    folder = make_folder(folder)
    # the two files cannot be replaced at once: the digest tells whether they belong together
    about = {"format": FORMAT, "labels_sha256": sha256_json(list(content.labels))}
    write_tensors(folder / "label_embeddings.safetensors", {"label_embeddings": content.embeddings}, about)
    listing = {"format": FORMAT, "labels": list(content.labels), "source": content.source}
    write_atomic(folder / "labels.json", json.dumps(listing, indent=1, ensure_ascii=False) + "\n")


def load_label_embeddings(folder: str | Path) -> LabelEmbeddings | None:
    """Read what `save_label_embeddings` wrote; None where a folder has neither of its files.

    Raises:
        ModelError: one file is missing, cannot be read, or does not belong to the other; see `LabelEmbeddings`.
    """
    names, weights = (Path(folder) / name for name in LABEL_FILES)
    if not names.exists() and not weights.exists():
        return None
    listing = read_object(names, "compute label embeddings again")
    labels: Any = listing.get("labels")
    source: Any = listing.get("source", {})
    known = listing.get("format") == FORMAT and isinstance(source, dict) and isinstance(labels, list)
    if not known or not all(isinstance(label, str) for label in labels):
        raise ModelError(f"{names} is not of format {FORMAT}; compute label embeddings again")
    tensors, about = read_tensors(weights)
    if list(tensors) != ["label_embeddings"] or about.get("labels_sha256") != sha256_json(labels):
        raise ModelError(f"{weights} is not of the labels in {names.name}; compute label embeddings again")
    return LabelEmbeddings(tuple(labels), tensors["label_embeddings"], source)


def make_folder(folder: str | Path) -> Path:
    """Make the folder if need be, and return its path; raises OutputError where that cannot be."""
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot make the folder '{folder}': {error.strerror}; choose another") from None
    return Path(folder)


def write_tensors(path: Path, tensors: dict[str, Tensor], about: dict[str, str]) -> None:
    """Write a safetensors file, whole or not at all; raises OutputError where that cannot be."""
    from safetensors.torch import save

    write_atomic(path, save({k: t.detach().cpu().contiguous() for k, t in tensors.items()}, metadata=about))


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Read the tensors and the metadata of a safetensors file.

    Raises:
        ModelError: the file cannot be read, or has numbers that are not finite.
    """
    from safetensors import SafetensorError, safe_open

    cure = "write it again"
    check_file(path, cure, most=memory_bytes())
    tensors: dict[str, Tensor] = {}
    try:
        with safe_open(path, framework="pt") as file:
            todo, about = list(file.keys())[::-1], file.metadata() or {}
        while todo:
            # copied out of the mapped file, which may be written over later, and opened anew for every part of it:
            # pages that were read stay in memory, beside the copy, for as long as the file is open
            with safe_open(path, framework="pt") as file:
                copied = 0
                while todo and copied < _PART:
                    key = todo.pop()
                    tensors[key] = file.get_tensor(key).clone()
                    copied += tensors[key].nbytes
    except (OSError, SafetensorError) as error:
        raise ModelError(f"{path} cannot be read: {reason(error)}; {cure}") from None
    check_tensors(tensors, str(path))
    return tensors, about
