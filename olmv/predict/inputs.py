"""What the INPUT of a prediction is: files to decode, libraries of what was decoded before, or rows to decide anew."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from olmv.datasets.manifests import MANIFEST_EXTENSIONS, raw_rows
from olmv.errors import InputError, UsageError
from olmv.io.prediction_fields import is_prediction
from olmv.library import all_libraries, is_library
from olmv.video.cloud import is_cloud

__all__ = ["InputKind", "input_kind", "stored_windows"]

InputKind = Literal["files", "libraries", "rows"]


def input_kind(inputs: Sequence[str], *, labelled: bool) -> InputKind:
    """Tell what inputs are, which must all be of one kind.

    A file of rows that `olmv predict` wrote is a list of videos where labels are named, and is decided anew where none
    are.

    Args:
        inputs: as the user named them.
        labelled: whether labels are named.

    Raises:
        InputError: inputs of two kinds, or several files of rows.
        UsageError: there are no labels for videos.
    """
    libraries = all_libraries(inputs)
    if not libraries and not labelled and (rows := [item for item in inputs if _holds_rows(item)]):
        if len(inputs) > 1:
            other = next((item for item in inputs if item not in rows), None)
            if other is None:
                raise InputError(f"{rows[0]} and {rows[1]} are both predictions; decide them anew one after the other")
            raise InputError(
                f"{rows[0]} has predictions and {other} has none: without labels, predictions alone are decided anew; "
                "give them by themselves, or name the labels",
                option="labels",
            )
        return "rows"
    if not labelled:
        table = next((item for item in inputs if Path(item).suffix.lower() in MANIFEST_EXTENSIONS), None)
        if table is not None and not is_cloud(table) and not Path(table).exists():
            raise InputError(f"no such file or folder: {table}; check the path")
        no_rows = "" if libraries or table is None else f"{table} has no predictions to decide anew; "
        raise UsageError(f"{no_rows}name the labels that are looked for: a file, or dog, guitar, rain", option="labels")
    return "libraries" if libraries else "files"


def stored_windows(inputs: Sequence[str]) -> dict[str, float]:
    """Return length and step of the windows of a library among inputs, for a user who says none; else nothing."""
    folder = next((item for item in inputs if is_library(item)), None)
    if folder is None:
        return {}
    from olmv.library.settings import LibrarySettings

    timeline = LibrarySettings.read(folder).timeline
    return {} if timeline is None else {"window_s": timeline.window_s, "step_s": timeline.step_s}


def _holds_rows(item: str) -> bool:
    path = Path(item)
    if not path.is_file() or path.suffix.lower() not in MANIFEST_EXTENSIONS:
        return False
    return is_prediction(next((row for _, row in raw_rows(path)), None))
