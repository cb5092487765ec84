"""Pictures of a page in a folder beside it, for pages with too many to hold them inside.

    report.html
    report_pictures/olmv.txt        says whose folder it is; one without is never replaced or removed
    report_pictures/3f/3f9a…-0.jpg  a picture of a video, named by the digest of the video's name

Names do not depend on the order of the videos: a page that was written before shows the right pictures or none.
"""

import base64
import contextlib
import hashlib
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Literal
from urllib.parse import quote

from olmv.errors import OutputError
from olmv.io.atomic import replacing_folder
from olmv.pages.pictures import Pictures

__all__ = [
    "AUTO_MOST",
    "PictureFolder",
    "ReportPictures",
    "check_picture_folder",
    "in_folder",
    "picture_folder",
    "remove_pictures",
    "writing_pictures",
]

ReportPictures = Literal["auto", "file", "folder"]

AUTO_MOST = 500
"""Videos of a page that holds its pictures itself, unless it is asked for otherwise."""

_MARK = "olmv.txt"


class PictureFolder:
    """Writes pictures into a folder.

    Args:
        folder: where they are written now.
        address: of the folder, from the page, percent-encoded.
    """

    def __init__(self, folder: Path, address: str) -> None:
        self._folder, self._address = folder, address

    def add(self, video: str, pictures: Pictures) -> list[str]:
        """Write the pictures of a video; return their addresses from the page.

        Raises:
            OSError: the disk is full.
        """
        digest = hashlib.sha256(video.encode("utf-8", "surrogateescape")).hexdigest()[:32]
        part = self._folder / digest[:2]
        part.mkdir(exist_ok=True)
        names = [f"{digest}-{index}.jpg" for index in range(len(pictures.jpegs))]
        for name, jpeg in zip(names, pictures.jpegs, strict=True):
            (part / name).write_bytes(base64.b64decode(jpeg))
        return [f"{self._address}/{digest[:2]}/{name}" for name in names]


def in_folder(report_pictures: ReportPictures, videos: int) -> bool:
    """Tell whether the pictures of so many videos lie beside the page."""
    return report_pictures == "folder" or (report_pictures == "auto" and videos > AUTO_MOST)


def picture_folder(page: Path) -> Path:
    """Return where the pictures of a page are."""
    return page.with_name(f"{page.stem}_pictures")


def check_picture_folder(page: Path) -> None:
    """Check that a page may have its folder of pictures. Changes nothing.

    Raises:
        OutputError: something else has its name.
    """
    folder = picture_folder(page)
    if folder.is_symlink() or (folder.exists() and not (folder / _MARK).is_file()):
        raise OutputError(f"{folder} is not a folder of pictures that olmv wrote; move it, or name another page")


@contextlib.contextmanager
def writing_pictures(page: Path) -> Iterator[PictureFolder]:
    """Yield the folder of a page's pictures, which takes its place when the block ends well, else vanishes.

    Raises:
        OutputError: something else has its name, or it cannot be written.
    """
    check_picture_folder(page)
    folder = picture_folder(page)
    with replacing_folder(folder) as fresh:
        (fresh / _MARK).write_text(
            f"The pictures of {page.name}, beside this folder. olmv wrote them, and replaces the folder whole.\n",
            encoding="utf-8",
            errors="backslashreplace",
        )
        yield PictureFolder(fresh, quote(folder.name, errors="surrogateescape"))


def remove_pictures(page: Path) -> None:
    """Remove the folder that an earlier page of this name had, if olmv wrote it."""
    folder = picture_folder(page)
    if (folder / _MARK).is_file() and not folder.is_symlink():
        shutil.rmtree(folder, ignore_errors=True)
