"""A library: what a model makes of many videos, on disk, to be searched and asked new labels without decoding."""

from collections.abc import Sequence
from pathlib import Path

from olmv.errors import InputError

__all__ = ["LIBRARY_FILE", "all_libraries", "is_library"]

LIBRARY_FILE = "library.json"


def is_library(path: str | Path) -> bool:
    """Tell whether a path is the folder of a library."""
    return (Path(path) / LIBRARY_FILE).is_file()


def all_libraries(inputs: Sequence[str]) -> bool:
    """Tell whether inputs are libraries.

    Raises:
        InputError: some are, others are not.
    """
    libraries = [item for item in inputs if is_library(item)]
    if libraries and len(libraries) < len(inputs):
        other = next(item for item in inputs if item not in libraries)
        raise InputError(f"{libraries[0]} is a library and {other} is none; take one after the other")
    return bool(libraries)
