"""What an address in a cloud stands for: an object, a folder, a glob."""

import glob
from collections.abc import Callable
from pathlib import PurePosixPath
from typing import Any

from olmv.datasets.folders import Found
from olmv.errors import InputError, MissingDependencyError
from olmv.video.cloud import cloud_file_system, cloud_reason
from olmv.video.pictures.formats import PICTURE_EXTENSIONS
from olmv.video.video_formats import VIDEO_EXTENSIONS

__all__ = ["expand_cloud"]

_KNOWN = VIDEO_EXTENSIONS | PICTURE_EXTENSIONS


def expand_cloud(item: str, note: Callable[[str], None]) -> list[str]:
    """List the videos and photos that an address stands for, sorted.

    Below a folder or a glob the endings of names are believed: no object is opened. One that is named itself is taken
    whatever it is called.

    Args:
        item: `s3://bucket/clips/a.mp4`, `s3://bucket/clips/`, `s3://bucket/clips/*.mp4`.
        note: is told what is left out.

    Raises:
        InputError: there is no such bucket or object, or it cannot be looked at; the message says why.
        MissingDependencyError: the package of this cloud is not installed.
    """
    scheme = item.partition("://")[0]
    try:
        files = cloud_file_system(item)
        if glob.has_magic(item):
            paths = [path for path, facts in files.glob(item, detail=True).items() if facts["type"] == "file"]
        elif not item.endswith("/") and files.isfile(item):
            return [item]
        else:
            paths = _below(files, item)
    except MissingDependencyError:
        raise
    except Exception as failure:  # each cloud's package has errors of its own
        raise InputError(f"cannot read {item}: {cloud_reason(item, failure)}") from None
    found = _sorted(f"{scheme}://{path}" for path in paths)
    if not found.files:
        raise InputError(f"no videos or photos in {item}; {found.account() if found.left_out else 'check the address'}")
    if found.left_out:
        note(f"{item}: {len(found.files)} videos and photos; {found.account()}")
    return found.files


def _below(files: Any, item: str) -> list[str]:
    found: list[str] = files.find(item)
    if not found:
        files.info(item.partition("://")[2].partition("/")[0])  # no such bucket?
        raise FileNotFoundError(item)
    return found


def _sorted(paths: Any) -> Found:
    found = Found()
    for path in paths:
        ending = PurePosixPath(path).suffix.lower()
        if ending in _KNOWN:
            found.files.append(path)
        else:
            found.others[ending] += 1
    found.files.sort()
    return found
