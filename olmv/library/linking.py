"""Put a fragment of one library into another: its files are linked, which costs no bytes, or else copied."""

import json
import os
import shutil
from pathlib import Path

from olmv.io.atomic import raise_output, replacing_folder
from olmv.library.fragment import Fragment

__all__ = ["link_fragment"]

_DESCRIPTION = "fragment.json"


def link_fragment(folder: Path, source: Fragment) -> None:
    """Make `folder` a fragment with all that another one has, but for what that one says is removed.

    Files of fragments never change, so both libraries can have the same ones, and either can be deleted.

    Raises:
        OutputError: the disk is full, or the folder cannot be written.
    """
    with replacing_folder(folder) as fresh:
        try:
            document = json.loads((source.folder / _DESCRIPTION).read_text(encoding="utf-8"))
            for name in document["files"]:
                _link(source.folder / name, fresh / name)
            (fresh / _DESCRIPTION).write_text(json.dumps({**document, "removed": []}, indent=1), encoding="utf-8")
            with (fresh / _DESCRIPTION).open("rb") as file:
                os.fsync(file.fileno())
        except OSError as failure:
            raise_output(folder, failure)


def _link(source: Path, target: Path) -> None:
    try:
        target.hardlink_to(source)
    except OSError:  # another disk, or one that knows no links
        shutil.copyfile(source, target)
        with target.open("rb") as file:
            os.fsync(file.fileno())
