"""Check what an object that was read from a file holds."""

from collections.abc import Mapping
from typing import Any

__all__ = ["check_fields"]


def check_fields(row: Any, fields: Mapping[str, Any], place: str = "") -> None:
    """Make sure that an object read from a file has fields of these kinds.

    Args:
        row: the object.
        fields: name -> a class, or several.
        place: what stands before a name in an error.

    Raises:
        ValueError: it lacks one, or one holds something else; the field is named.
    """
    if not isinstance(row, Mapping):
        raise ValueError(f"{place.rstrip('.') or 'it'} is no object")  # noqa: TRY004 - the file's fault
    for name, kinds in fields.items():
        if not isinstance(row.get(name, ...), kinds):
            state = "odd" if name in row else "missing"
            raise ValueError(f"its '{place}{name}' is {state}")  # noqa: TRY004
