"""Check what an object that was read from a file holds."""

import sys
from collections.abc import Mapping
from typing import Any

__all__ = ["ANY", "AT_LEAST_0", "COUNT", "SHARE", "check_fields", "check_numbers"]

_MOST = sys.float_info.max

SHARE = (0, 1, "a number from 0 to 1")
AT_LEAST_0 = (0, _MOST, "a number of 0 or more")
ANY = (-_MOST, _MOST, "a finite number")
COUNT = (0, 2**63 - 1, "a count")  # as Parquet holds one
"""The least and the most of a number, and what it is in words."""


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


def check_numbers(row: Mapping[str, Any], ranges: Mapping[str, tuple[float, float, str]], place: str = "") -> None:
    """Make sure that numbers of an object, of which `check_fields` says that they are some, are in their ranges.

    Args:
        row: the object; what it lacks, or has as None, is passed over.
        ranges: name -> its range, as `SHARE`.
        place: what stands before a name in an error.

    Raises:
        ValueError: one is NaN, infinite, a truth value or out of range; the field and its value are named.
    """
    for name, (least, most, what) in ranges.items():
        value = row.get(name)
        if value is None or (least <= value <= most and not isinstance(value, bool)):
            continue
        raise ValueError(f"its '{place}{name}' is {value!r:.40}, not {what}")
