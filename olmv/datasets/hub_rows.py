"""Rows of a Hugging Face data set, from the hub or from a folder, as a manifest's rows."""

import os
from pathlib import Path
from typing import Any

from olmv.datasets.manifests import ManifestRow
from olmv.errors import InputError, reason
from olmv.io import network

__all__ = ["hf_rows"]

SAVED = ("dataset_info.json", "dataset_dict.json", "state.json")


def hf_rows(
    name: str,
    split: str | None = None,
    *,
    video_column: str = "video",
    label_column: str = "labels",
    caption_column: str = "caption",
) -> list[ManifestRow]:
    """Read the rows of a data set whose videos are files.

    Args:
        name: a hub id, a folder that `load_dataset` reads, or one that `save_to_disk` wrote.
        split: which split; may be left out where there is only one.
        video_column: paths (relative to the folder, where `name` is one), or a `Video` or `Image` feature.
        label_column: names, or a `ClassLabel` feature; one or a list of them for each video. May be missing where
            there is a caption column.
        caption_column: texts; may be missing.

    Raises:
        InputError: the data set cannot be loaded (offline, unknown), has no such split or column, stores the videos
            inside its own files, or has numbers without names for labels.
    """
    data = _choose(_load(name), split, name)
    columns = list(data.column_names)
    needed = [video_column] if caption_column in columns else [video_column, label_column]
    for column in needed:
        if column not in columns:
            raise InputError(f"{name} has no column {column!r}; name one of its columns: {', '.join(columns)}")
    present = [column for column in (video_column, label_column, caption_column) if column in columns]
    data = data.select_columns(present).with_format(None)
    import datasets

    for kind in (datasets.Video, datasets.Image):
        if isinstance(data.features[video_column], kind):
            data = data.cast_column(video_column, kind(decode=False))
    names = _class_names(data.features.get(label_column))
    folder = Path(name) if Path(name).is_dir() else None
    rows = []
    for number, row in enumerate(data, start=1):
        caption = row.get(caption_column)
        rows.append(
            ManifestRow(
                video=_path(row[video_column], folder, f"{name} row {number}"),
                labels=_labels(row.get(label_column), names, f"{name} row {number}"),
                caption=caption if isinstance(caption, str) and caption else None,
                split=split,
                number=number,
            )
        )
    if not rows:
        raise InputError(f"{name} has no rows; choose another split")
    return rows


def _load(name: str) -> Any:
    import datasets

    try:
        with network.fetching():
            if any((Path(name) / file).is_file() for file in SAVED):
                return datasets.load_from_disk(name)
            return datasets.load_dataset(name)
    except Exception as failure:
        if isinstance(failure, ConnectionError) and not network.is_online():
            cure = "there is no network; load it once where there is one, or name a folder"
        else:
            cure = "check the name, or name a folder with a data set"
        raise InputError(f"data set {name!r} cannot be loaded: {reason(failure)}; {cure}") from failure


def _choose(data: Any, split: str | None, name: str) -> Any:
    if not isinstance(data, dict):  # one split, saved on its own
        saved = None if data.split is None else str(data.split)
        if split is not None and saved is not None and split != saved:
            raise InputError(f"{name} has no split {split!r}; it is {saved}")
        return data
    if split is None and len(data) == 1:
        return next(iter(data.values()))
    if split not in data:
        problem = "has several splits" if split is None else f"has no split {split!r}"
        raise InputError(f"{name} {problem}; name one of {', '.join(data)}")
    return data[split]


def _class_names(feature: Any) -> Any:
    """Return the `ClassLabel` behind a column of labels, or None."""
    import datasets

    feature = getattr(feature, "feature", feature)  # a list of them
    return feature if isinstance(feature, datasets.ClassLabel) else None


def _path(value: Any, folder: Path | None, where: str) -> str:
    path = value.get("path") if isinstance(value, dict) else value
    if not isinstance(path, str) or not path:
        raise InputError(f"{where} has no path to a video; take the row out, or name another column")
    full = path if folder is None else os.path.normpath(folder / path)
    if isinstance(value, dict) and value.get("bytes") is not None and not Path(full).is_file():
        raise InputError(f"{where} holds the video itself, not its path; write the videos to files and list those")
    return full


def _labels(value: Any, names: Any, where: str) -> tuple[str, ...] | None:
    if value is None:
        return None
    values = value if isinstance(value, list) else [value]
    if names is not None:
        return tuple(names.int2str(number) for number in values if number is not None and number >= 0)
    if not all(isinstance(label, str) for label in values):
        raise InputError(f"{where} has labels without names ({value!r}); use a ClassLabel feature, or texts")
    return tuple(label.strip() for label in values if label.strip())
