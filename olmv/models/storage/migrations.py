"""The `config.json` of a saved model, brought to the format of this version, one step at a time.

olmv-model/1   temporal_options, templates, frame_pooling and description could be left out
olmv-model/2   every field is there, so that readers need no defaults; new families, such as xclip
"""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from olmv.errors import ModelError

__all__ = ["FORMAT", "check_architecture", "check_fields", "migrate"]

_PREFIX = "olmv-model/"
_VERSION = 2
FORMAT = f"{_PREFIX}{_VERSION}"


def migrate(config: Mapping[str, Any], *, source: str | Path = "config.json") -> dict[str, Any]:
    """Bring a config of any format up to `FORMAT` to it; a current one comes back as it is (a copy).

    What the family needs besides is for its `check` to say.

    Args:
        config: what stands in a `config.json`; not changed.
        source: where it stands, for messages.

    Raises:
        ModelError: not olmv's, written by a newer olmv, or lacking what its format asks for.
    """
    format_ = config.get("format")
    name = re.compile(rf"{re.escape(_PREFIX)}([1-9]\d{{0,5}})", re.ASCII)
    match = name.fullmatch(format_) if isinstance(format_, str) else None
    if match is None:
        problem = f"its format is {format_!r:.60}" if format_ is not None else "it names no format"
        raise ModelError(
            f"{source} is not of a model that olmv saved ({problem}, not {FORMAT}); name a folder that save_pretrained "
            "or `olmv models convert` wrote"
        )
    version = int(match[1])
    if version > _VERSION:
        raise ModelError(
            f"{source} was saved by a newer olmv ({format_}; this one reads up to {FORMAT}); update olmv: "
            "pip install -U olmv"
        )
    migrated = dict(config)
    for step in range(version, _VERSION):
        migrated = _STEPS[step](migrated)
    check_fields(migrated, _FIELDS, source)
    return migrated


def _from_1(config: Mapping[str, Any]) -> dict[str, Any]:
    """Fill in what readers of version 1 filled in."""
    defaults = {"temporal_options": None, "templates": "video", "frame_pooling": "mean", "description": ""}
    return defaults | dict(config) | {"format": f"{_PREFIX}2"}


_STEPS: Mapping[int, Callable[[Mapping[str, Any]], dict[str, Any]]] = {1: _from_1}
"""Version -> what makes it the next one."""

_FIELDS: Mapping[str, type | tuple[type, ...]] = {"family": str, "description": str}
"""What the config of every family has."""


def check_fields(config: Mapping[str, Any], fields: Mapping[str, type | tuple[type, ...]], source: str | Path) -> None:
    """Raise ModelError where a config lacks one of the fields, or has one of another type."""
    for name, kind in fields.items():
        if name not in config:
            raise ModelError(f"{source} lacks '{name}', which {FORMAT} has; save or convert the model again")
        if not isinstance(config[name], kind):
            raise ModelError(f"'{name}' in {source} is {config[name]!r:.60}; save or convert the model again")


def check_architecture(config: Mapping[str, Any], source: str | Path) -> None:
    """Raise ModelError where a config does not say the sizes of its model."""
    if not isinstance(config.get("architecture"), dict):
        raise ModelError(f"{source} lacks 'architecture', the sizes of the model; save or convert the model again")
