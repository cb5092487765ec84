"""The config of an open_clip folder, checked before open_clip reads it."""

from pathlib import Path
from typing import Any

from olmv.errors import ModelError
from olmv.models.hub.download import refuse_code
from olmv.models.storage.file_checks import check_folder
from olmv.models.storage.json import read_json, read_object
from olmv.models.storage.tokenizer_check import check_tokenizer_folder

__all__ = ["CONFIG_NAME", "check_open_clip_tokenizer", "read_open_clip_config", "refuse_code_in"]

CONFIG_NAME = "open_clip_config.json"
_MOST = {"layers": 200, "image_size": 4096, "patch_size": 4096, "context_length": 8192}
_MAX_SIZE = 2**20
_WHOLE = ("embed_dim", "image_size", "context_length")


def read_open_clip_config(folder: Path) -> dict[str, Any]:
    """Read the `model_cfg` of an open_clip folder.

    Raises:
        ModelError: it cannot be read, has not the parts of open_clip's, or says sizes that no model has.
    """
    path = folder / CONFIG_NAME
    check_folder(folder)
    config: Any = read_object(path).get("model_cfg")
    parts: list[Any] = [config]
    if isinstance(config, dict):
        parts += [config.get("vision_cfg"), config.get("text_cfg")]
    if not all(isinstance(part, dict) for part in parts):
        raise ModelError(f"{path} has no model_cfg with vision_cfg and text_cfg; get it again")
    for name, value in (item for part in parts for item in part.items()):
        most = _MOST.get(name, _MAX_SIZE)
        sides = value if isinstance(value, list) else [value]
        torn = name in _WHOLE and (len(sides) > 2 or any(type(side) is not int for side in sides))
        if torn or not all(-most <= side <= most for side in sides if isinstance(side, int | float)):
            raise ModelError(f"{path} says {name!r:.40} = {value!r:.40}, which cannot be; get it again")
    checked: dict[str, Any] = config
    return checked


def refuse_code_in(folder: Path) -> None:
    """Raise ModelError where an open_clip folder would have code of its own run, or its files cannot be read."""
    for name in (CONFIG_NAME, "tokenizer_config.json"):
        if (folder / name).is_file():
            refuse_code(str(folder), read_json(folder / name))


def check_open_clip_tokenizer(folder: Path, config: dict[str, Any]) -> None:
    """Raise ModelError where a folder's own tokenizer cannot be used; `config` is of `read_open_clip_config`."""
    if config["text_cfg"].get("hf_tokenizer_name"):
        check_tokenizer_folder(folder)
