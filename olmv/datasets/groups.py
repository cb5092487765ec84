"""Which videos of a manifest belong together: its `group` column, such as a source, a camera or a day.

Videos of one group are alike, so they are not as much evidence as videos that were drawn one by one: whatever splits or
draws videos keeps groups whole. A video without a group, among others that have one, is a group of its own.
"""

import datetime
import math
import os
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from olmv.errors import InputError

__all__ = ["group_name", "group_note", "group_numbers", "groups_of"]

Ints = NDArray[np.int64]


def group_name(value: Any, where: str) -> str:
    """Return the name of a group from its cell, "" for an empty one: a text, a number or a date.

    Args:
        value: as csv, JSON or parquet has it. NaN is empty: tables of numbers have it where a number is missing.
        where: the row, for the message.

    Raises:
        InputError: anything else, such as a list.
    """
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))  # a column of whole numbers with a hole in it has been read as 3.0
    if isinstance(value, str | int | float | datetime.date) and not isinstance(value, bool):
        return str(value).strip()
    raise InputError(f"{where} has a bad 'group', {value!r:.40}; write a name or a number")


def groups_of(rows: Iterable[tuple[str, str | None]], videos: Sequence[str]) -> tuple[str, ...]:
    """Return the group of every video, "" for a video without one; () where the manifest has no `group` column.

    Args:
        rows: video and group of each row of a manifest, before those of one video are put together.
        videos: paths as the rows have them.

    Raises:
        InputError: two rows of one video have different groups.
    """
    names: dict[str, str] = {}
    column = False
    for video, group in rows:
        column |= group is not None
        if not group:
            continue
        first = names.setdefault(os.path.abspath(video), group)  # noqa: PTH100 - keeps symbolic links
        if first != group:
            raise InputError(f"{video} has two groups, {first!r} and {group!r}; give it one")
    return tuple(names.get(os.path.abspath(video), "") for video in videos) if column else ()  # noqa: PTH100


def group_numbers(names: Sequence[str]) -> Ints | None:
    """Return the number of each video's group [N], from 0 without gaps; None for () (no column).

    A video without a group gets a number of its own.
    """
    if not names:
        return None
    keys: dict[Any, int] = {}
    return np.array([keys.setdefault(name or index, len(keys)) for index, name in enumerate(names)], dtype=np.int64)


def group_note(names: Sequence[str]) -> tuple[str, ...]:
    """Say in one line how many groups there are, and how many videos have none; nothing for () (no column)."""
    if not names:
        return ()
    named, alone = len({name for name in names if name}), sum(not name for name in names)
    if not named:
        return (f"the 'group' column is empty: each of {len(names)} videos counts as a group of its own",)
    plural = "group" if named == 1 else "groups"
    holes = f"; {alone} videos have none and count as groups of their own" if alone else ""
    return (f"{len(names) - alone} videos are of {named} {plural}, which stay whole{holes}",)
