"""What every model folder has: a config and a preprocessing, read and checked.

config.json          the format, the family, the temporal module
model.safetensors    the weights
preprocess.json      how frames become input
tokenizer.json, ...  what the family needs besides
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from olmv.errors import ModelError, OlmvError, reason
from olmv.models.families import FAMILIES, find_family, foreign_family
from olmv.models.storage.file_checks import check_folder
from olmv.models.storage.json import read_json, read_object
from olmv.models.storage.migrations import FORMAT, migrate
from olmv.video.transforms import Preprocess

__all__ = ["CURE", "is_model_folder", "read_config", "read_preprocess", "reading"]

CURE = "save the model, or get it, again"


def is_model_folder(folder: Path) -> bool:
    """Tell whether something of this name claims to be a model, readable or not."""
    return (folder / "config.json").is_file()


def read_config(folder: Path) -> dict[str, Any]:
    """Read and check the `config.json` of a model, in the current format; of what others wrote, only the kind.

    Raises:
        ModelError: there is none, or it is not one that this version reads.
    """
    path = folder / "config.json"
    check_folder(folder)
    config = read_json(path, CURE)
    if not isinstance(config, dict):
        raise ModelError(f"{path} is not a model's config; name a folder that olmv saved")
    if (foreign := foreign_family(config)) is not None:
        return {"format": FORMAT, "family": foreign, "architecture": config}
    config = migrate(config, source=path)
    if config["family"] not in FAMILIES:
        raise ModelError(
            f"{path} is of a family {config['family']!r:.40}, which this olmv does not know; update it: "
            "pip install -U olmv"
        )
    find_family(config["family"]).check(config, path)
    return config


def read_preprocess(folder: Path) -> Preprocess:
    """Read `preprocess.json`; raises ModelError where it cannot be read, or says what cannot be."""
    path = folder / "preprocess.json"
    fields = read_object(path, CURE)
    try:
        return Preprocess.from_dict(fields)
    except ValueError as error:
        raise ModelError(f"{path} cannot be used: {reason(error)}; {CURE}") from None


@contextmanager
def reading(folder: Path) -> Iterator[None]:
    """Turn what a library says of sizes or files that cannot be into ModelError: they raise anything."""
    try:
        yield
    except OlmvError:
        raise
    except Exception as error:
        raise ModelError(f"the model folder '{folder}' cannot be loaded: {reason(error)}; {CURE}") from None
