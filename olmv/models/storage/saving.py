"""Saving a model as a folder: config, weights, preprocessing, tokenizer and model card."""

import json
from pathlib import Path

import torch

from olmv.arguments import check_path
from olmv.errors import OutputError, reason
from olmv.io.atomic import replacing_file, write_atomic
from olmv.models.base import VideoModel
from olmv.models.storage.label_embeddings import LABEL_FILES, save_label_embeddings
from olmv.models.storage.migrations import FORMAT

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
    check_path("the folder", folder, error=OutputError)  # an empty one would replace the README of where one works
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot make the folder '{folder}': {error.strerror}; choose another") from None
    config = {"format": FORMAT, "description": description} | model.save_parts(folder)
    preprocess = json.dumps(model.preprocess.to_dict(), indent=1) + "\n"
    write_atomic(folder / "preprocess.json", preprocess)
    _write_weights(model, folder / "model.safetensors", dtype)
    _write_labels(model, folder)
    write_atomic(
        folder / "README.md", card or f"# {short_name(model.name)}\n\nA video CLIP saved by olmv. {description}\n"
    )
    write_atomic(folder / "config.json", json.dumps(config, indent=1) + "\n")


def refuse_unless_empty(folder: Path) -> None:
    """Raise OutputError where a new folder is asked for, and this is a file or holds something."""
    try:
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            what = "is not empty" if folder.is_dir() else "is a file"
            raise OutputError(f"'{folder}' {what}; choose a new folder", option="output")
    except OSError as error:
        raise OutputError(
            f"cannot use the folder '{folder}': {error.strerror}; choose another", option="output"
        ) from None


def short_name(model: str) -> str:
    """Return a model's name, or of a folder only the last part: what is saved with a model may be published."""
    path = Path(model.removeprefix("local-dir:"))
    return path.resolve().name if path.is_dir() or path.is_absolute() else model


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
    with replacing_file(path) as temporary:
        mode = temporary.stat().st_mode  # safetensors makes files that only the owner can read
        try:
            save_file(state, temporary, metadata={"format": "pt"})
            temporary.chmod(mode)
        except (OSError, SafetensorError) as error:  # a full disk is of the second kind
            raise OutputError(f"cannot write '{path}' ({reason(error)}); {_CURE}") from None
