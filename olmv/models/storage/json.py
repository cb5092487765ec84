"""What a model's JSON files say, which is anybody's word: read, and held against bounds."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from olmv.errors import ModelError, reason
from olmv.models.storage.file_checks import check_file

__all__ = ["check_sizes", "read_json", "read_object"]

_MAX_DEPTH = 64


def read_json(path: Path, cure: str = "get it again") -> Any:
    """Read and parse a JSON file.

    Args:
        path: the file.
        cure: what to do about a file that cannot be read, the end of the message.

    Raises:
        ModelError: it cannot be read, is not UTF-8 or not JSON, or is nested deeper than any model's file.
    """
    check_file(path, cure)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(f"{path} cannot be read: {reason(error)}; {cure}") from None
    level = [content]
    for _ in range(_MAX_DEPTH):
        nested = [value for value in level if isinstance(value, dict | list)]
        level = [inner for value in nested for inner in (value.values() if isinstance(value, dict) else value)]
        if not level:
            return content
    raise ModelError(f"{path} cannot be read: it is nested more than {_MAX_DEPTH} deep; {cure}")


def read_object(path: Path, cure: str = "get it again") -> dict[str, Any]:
    """Read a JSON file that holds one object, as `read_json` does; raise ModelError where it holds anything else."""
    content = read_json(path, cure)
    if not isinstance(content, dict):
        raise ModelError(f"{path} holds a {type(content).__name__} in place of an object; {cure}")
    return content


def check_sizes(sizes: object, most: Mapping[str, int], what: str, *, may_be_0: tuple[str, ...] = ()) -> None:
    """Raise ModelError unless every attribute of `sizes` that `most` names is a whole number from 1 to that."""
    for name, limit in most.items():
        value, least = getattr(sizes, name), 0 if name in may_be_0 else 1
        if type(value) is not int or not least <= value <= limit:
            raise ModelError(
                f"{what} with {name} = {value!r:.40} cannot be; give a whole number from {least} to {limit}"
            )
