"""Saving a model as a folder: config, weights, preprocessing, tokenizer and model card."""

import contextlib
import json
import os
import secrets
from pathlib import Path
from typing import Any

import torch

from olmv.errors import ModelError, OutputError, reason
from olmv.io.atomic import write_atomic
from olmv.models.base import VideoModel
from olmv.models.clip.model import VideoCLIP
from olmv.models.clip.own_towers import OwnTowers
from olmv.models.storage.label_embeddings import LABEL_FILES, save_label_embeddings
from olmv.models.storage.migrations import FORMAT
from olmv.models.xclip.model import XClipModel

__all__ = ["refuse_unless_empty", "save_pretrained", "short_name"]

_CURE = "make room, or choose another folder"


def save_pretrained(
    model: VideoModel,
    folder: str | Path,
    *,
    card: str | None = None,
    description: str = "",
    dtype: torch.dtype | None = None,
) -> None:
    """Write `config.json`, `model.safetensors`, `preprocess.json`, `README.md` and the tokenizer into `folder`.

    A model with label embeddings also writes these; those of an earlier model there are deleted. `load_model(folder)`
    reads it back. Every file is written whole or not at all, the config last, so that a folder with a config is
    complete.

    Args:
        model: the model.
        folder: made if need be.
        card: text of the model card (Markdown); a short one is written when None.
        description: one line for `olmv models info`.
        dtype: of the saved weights, scalars excepted; default: the model's own.

    Raises:
        OutputError: the folder cannot be written.
        ModelError: a model that only runs.
    """
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot make the folder '{folder}': {error.strerror}; choose another") from None
    config = {"format": FORMAT, "description": description} | _describe(model, folder)
    preprocess = json.dumps(model.preprocess.to_dict(), indent=1) + "\n"
    write_atomic(folder / "preprocess.json", preprocess)
    _write_weights(model, folder / "model.safetensors", dtype)
    _write_labels(model, folder)
    write_atomic(
        folder / "README.md", card or f"# {short_name(model.name)}\n\nA video CLIP saved by olmv. {description}\n"
    )
    write_atomic(folder / "config.json", json.dumps(config, indent=1) + "\n")


def refuse_unless_empty(folder: Path) -> None:
    """Raises OutputError where a command's -o names a file, or a folder that holds something."""
    try:
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            what = "is not empty" if folder.is_dir() else "is a file"
            raise OutputError(f"'{folder}' {what}; choose a new folder with -o")
    except OSError as error:
        raise OutputError(f"cannot use the folder '{folder}': {error.strerror}; choose another with -o") from None


def short_name(model: str) -> str:
    """A model's name, or of a folder only the last part: what is saved with a model may be published."""
    path = Path(model.removeprefix("local-dir:"))
    return path.resolve().name if path.is_dir() or path.is_absolute() else model


def _describe(model: VideoModel, folder: Path) -> dict[str, Any]:
    """What config.json says of this family; files that belong to the family are written into the folder."""
    if isinstance(model, XClipModel):
        return {"family": "xclip", "architecture": model.xclip.config.to_dict()}
    if not isinstance(model, VideoCLIP):
        raise ModelError(f"a {type(model).__name__} cannot be saved; save the model that it was made from")
    config: dict[str, Any] = {
        "temporal": model.temporal,
        "temporal_options": model.temporal_options,
        "templates": model.templates,
        "frame_pooling": model.frame_pooling,
        "embed_dim": model.embed_dim,
    }
    towers = model.towers
    if isinstance(towers, OwnTowers):
        if towers.tokenizer_file.resolve() != (folder / "tokenizer.json").resolve():
            write_atomic(folder / "tokenizer.json", towers.tokenizer_file.read_bytes())
        return config | {"family": towers.family, "architecture": towers.config.to_dict()}
    described = {"model_cfg": towers.config, "preprocess_cfg": dict(towers.model.visual.preprocess_cfg)}
    inner = getattr(towers.tokenizer, "tokenizer", None)
    if inner is not None and hasattr(inner, "save_pretrained"):
        try:
            inner.save_pretrained(str(folder))
        except Exception as error:  # the library has no class of its own
            raise OutputError(f"cannot write the tokenizer into '{folder}' ({reason(error)}); {_CURE}") from None
    write_atomic(folder / "open_clip_config.json", json.dumps(described, indent=1) + "\n")
    return config | {"family": "open_clip"}


def _write_labels(model: VideoModel, folder: Path) -> None:
    if (stored := model.label_embeddings) is not None:
        save_label_embeddings(folder, stored.labels, stored.embeddings, source=stored.source)
        return
    try:
        for name in LABEL_FILES:
            (folder / name).unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(f"cannot delete '{folder / name}': {error.strerror}; save into another folder") from None


def _write_weights(model: VideoModel, path: Path, dtype: torch.dtype | None) -> None:
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    state = {
        name: (t.to(dtype) if dtype and t.ndim and t.is_floating_point() else t).detach().cpu().contiguous().clone()
        for name, t in model.state_dict().items()
    }
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        temporary.touch()  # with the user's umask; safetensors makes files that only the owner can read
        mode = temporary.stat().st_mode
        save_file(state, temporary, metadata={"format": "pt"})
        temporary.chmod(mode)
        with temporary.open("rb") as written:
            os.fsync(written.fileno())
        temporary.replace(path)
    except (OSError, SafetensorError) as error:  # a full disk is of the second kind
        raise OutputError(f"cannot write '{path}' ({reason(error)}); {_CURE}") from None
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
