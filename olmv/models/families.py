"""The families of models by name; a family's modules are imported when one of its models is asked for."""

from collections.abc import Mapping
from importlib import import_module
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from olmv.models.family import Family

__all__ = ["FAMILIES", "find_family", "foreign_family"]

FAMILIES: Mapping[str, str] = MappingProxyType(
    {
        "olmv-mini": "olmv.models.mini.family",
        "olmv-lite": "olmv.models.lite.family",
        "open_clip": "olmv.models.open_clip.family",
        "xclip": "olmv.models.xclip.family",
    }
)
"""What the config.json of a model that olmv saved calls its family -> the module with its `FAMILY`."""

_FOREIGN: Mapping[str, tuple[str, str]] = MappingProxyType({"xclip": ("hf-xclip", "olmv.models.xclip.hf_family")})
"""Models that olmv reads as others wrote them: Hugging Face's `model_type` -> our name of the family, its module."""


def foreign_family(config: Mapping[str, object]) -> str | None:
    """Return the family of a config.json that olmv did not write; None where it is of no such family."""
    kind = config.get("model_type")
    return _FOREIGN[kind][0] if isinstance(kind, str) and kind in _FOREIGN else None


def find_family(name: str) -> "Family":
    """Return a family by the name that `read_config` gives for it.

    Raises:
        KeyError: there is none.
    """
    module = import_module({**FAMILIES, **dict(_FOREIGN.values())}[name])
    family: Family = module.FAMILY
    return family
