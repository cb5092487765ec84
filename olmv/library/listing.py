"""Which fragments of a library count: so that a missing one is noticed, and compacting is done all at once.

    fragments.json        {"fragments": [[first, last], ...]}, rising

It is written after a fragment is whole. So a fragment with a number above all in the list counts as well: the run that
wrote it was killed before it could say so. Others that are not in the list are left over from compacting.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from olmv.errors import InputError
from olmv.io.atomic import os_reason, write_atomic

__all__ = ["FRAGMENTS", "LISTING_FILE", "Listing", "write_listing"]

FRAGMENTS = "fragments"
LISTING_FILE = "fragments.json"


@dataclass(frozen=True)
class Listing:
    """The fragments of a library, by their numbers.

    Attributes:
        numbers: those that are there and count, rising.
        missing: those that should be there.
        leftover: those that were replaced.
        last: the highest number that was ever given away.
    """

    numbers: list[int]
    missing: list[int]
    leftover: list[int]
    last: int

    @classmethod
    def read(cls, folder: str | Path) -> "Listing":
        """Look which fragments a library has.

        Raises:
            InputError: the list is damaged.
        """
        path, root = Path(folder) / LISTING_FILE, Path(folder) / FRAGMENTS
        try:
            listed = _numbers(path)
            there = {int(place.name) for place in root.iterdir() if place.name.isdecimal()} if root.is_dir() else set()
        except OSError as failure:
            raise InputError(f"cannot read {folder}: {os_reason(failure)}") from failure
        except (ValueError, TypeError, KeyError, RecursionError):
            raise InputError(f"{path} is damaged; delete it, and index the videos again") from None
        last = max(listed, default=0)
        numbers = {number for number in there if number > last} | (listed & there)
        return cls(sorted(numbers), sorted(listed - there), sorted(there - numbers), max(there | {last}))

    def check(self, folder: str | Path) -> None:
        """Check that none is missing.

        Raises:
            InputError: one is.
        """
        if self.missing:
            names = ", ".join(f"{number:06d}" for number in self.missing[:3])
            more = f" and {len(self.missing) - 3} more" if len(self.missing) > 3 else ""
            raise InputError(
                f"{folder} is damaged: fragments {names}{more} are missing; index the videos again into it"
            )


def write_listing(folder: Path, numbers: Sequence[int]) -> None:
    """Say which fragments of a library count, in ascending order.

    Raises:
        OutputError: the disk is full.
    """
    bounds = [0, *(place + 1 for place, (one, other) in enumerate(pairwise(numbers)) if other != one + 1), len(numbers)]
    ranges = [[numbers[first], numbers[stop - 1]] for first, stop in pairwise(bounds) if stop > first]
    write_atomic(folder / LISTING_FILE, json.dumps({"fragments": ranges}) + "\n")


def _numbers(path: Path) -> set[int]:
    try:
        ranges = json.loads(path.read_text(encoding="utf-8"))["fragments"]
    except FileNotFoundError:
        return set()
    return {number for first, last in ranges for number in range(int(first), int(last) + 1)}
