"""The `config.json` of a saved model, brought to the format of this version, one step at a time.

olmv-model/1   temporal_options, templates, frame_pooling and description could be left out
olmv-model/2   every field is there, so that readers need no defaults; new families, such as xclip
"""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from olmv.errors import ModelError

__all__ = ["FORMAT", "migrate"]

_PREFIX = "olmv-model/"
_VERSION = 2
FORMAT = f"{_PREFIX}{_VERSION}"


def migrate(config: Mapping[str, Any], *, source: str | Path = "config.json") -> dict[str, Any]:
    """A config of any format up to `FORMAT` as one of `FORMAT`; a current one comes back as it is (a copy).

    Args:
        config: what stands in a `config.json`; not changed.
        source: where it stands, for messages.

    Raises:
        ModelError: not olmv's, written by a newer olmv, or lacking what its format asks for.
    """
    told = config.get("format")
    found = re.fullmatch(rf"{re.escape(_PREFIX)}([1-9]\d{{0,5}})", told, re.ASCII) if isinstance(told, str) else None
    if found is None:
        said = f"its format is {told!r:.60}" if told is not None else "it names no format"
        raise ModelError(
            f"{source} is not of a model that olmv saved ({said}, not {FORMAT}); name a folder that save_pretrained "
            "or `olmv models convert` wrote"
        )
    version = int(found[1])
    if version > _VERSION:
        raise ModelError(
            f"{source} was saved by a newer olmv ({told}; this one reads up to {FORMAT}); update olmv: "
            "pip install -U olmv"
        )
    migrated = dict(config)
    for step in range(version, _VERSION):
        migrated = _STEPS[step](migrated)
    _check(migrated, source)
    return migrated


def _from_1(config: Mapping[str, Any]) -> dict[str, Any]:
    """Readers of version 1 filled these in."""
    filled = {"temporal_options": None, "templates": "video", "frame_pooling": "mean", "description": ""}
    return filled | dict(config) | {"format": f"{_PREFIX}2"}


_STEPS: Mapping[int, Callable[[Mapping[str, Any]], dict[str, Any]]] = {1: _from_1}
"""Version -> what makes it the next one."""

_TYPES: Mapping[str, type | tuple[type, ...]] = {
    "family": str,
    "temporal": str,
    "temporal_options": (dict, type(None)),
    "templates": str,
    "frame_pooling": str,
    "description": str,
}
"""What every reader asks for; an `xclip` has its own way over time and none of these but the family."""


def _check(config: Mapping[str, Any], source: str | Path) -> None:
    family = config.get("family")
    wanted = {"family": str, "description": str} if family == "xclip" else _TYPES
    for name, kind in wanted.items():
        if name not in config:
            raise ModelError(f"{source} lacks '{name}', which {FORMAT} has; save or convert the model again")
        if not isinstance(config[name], kind):
            raise ModelError(f"'{name}' in {source} is {config[name]!r:.60}; save or convert the model again")
    if family in ("olmv-mini", "olmv-lite", "xclip") and not isinstance(config.get("architecture"), dict):
        raise ModelError(f"{source} lacks 'architecture', the sizes of the model; save or convert the model again")
