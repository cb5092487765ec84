"""Say in one line what is wrong with a config, with its key and the nearest one that is known."""

import dataclasses
import difflib
from typing import Any, get_origin

from pydantic import ValidationError

__all__ = ["explain"]


def explain(error: ValidationError, config: type) -> str:
    """Explain the first problem in one line with its key; `config` is the dataclass that was to be filled."""
    first = error.errors()[0]
    place = [str(part) for part in first["loc"]]
    key = ".".join(place)
    if first["type"] == "unexpected_keyword_argument":
        known = _keys_at(config, place[:-1])
        close = difflib.get_close_matches(place[-1], known, n=1, cutoff=0.5)
        hint = f"did you mean '{close[0]}'?" if close else f"known here: {', '.join(known)}"
        return f"unknown key '{key}'; {hint}"
    if first["type"] == "missing":
        return f"'{key}' is missing; add it"
    message = first["msg"].removeprefix("Value error, ")
    return f"'{key}': {message[:1].lower()}{message[1:]}" if key else message


def _keys_at(cls: Any, place: list[str]) -> list[str]:
    """Return the field names of the dataclass that stands at this place of the config."""
    parts = iter(place)
    for part in parts:
        hint = {f.name: f.type for f in dataclasses.fields(cls)}.get(part)
        cls = _dataclass_in(hint) or cls
        if get_origin(hint) is dict:
            next(parts, None)  # the user's own name of an entry
    return [f.name for f in dataclasses.fields(cls)]


def _dataclass_in(hint: Any) -> Any:
    if dataclasses.is_dataclass(hint):
        return hint
    for inner in getattr(hint, "__args__", ()):
        if (nested := _dataclass_in(inner)) is not None:
            return nested
    return None
