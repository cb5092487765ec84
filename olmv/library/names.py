"""By what the folder of a library is told; light, for commands that look at many inputs before they load anything."""

from pathlib import Path

__all__ = ["LIBRARY_FILE", "is_library"]

LIBRARY_FILE = "library.json"


def is_library(path: str | Path) -> bool:
    """Tell whether a path is the folder of a library."""
    return (Path(path) / LIBRARY_FILE).is_file()
