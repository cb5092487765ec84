"""Which files are pictures, told by their first bytes: a photo that is called a.mp4 is a photo all the same."""

import mmap
import os
import re
from pathlib import Path
from typing import BinaryIO

from olmv.errors import NotAVideoError

__all__ = ["HEAD_BYTES", "PICTURE_EXTENSIONS", "begins_as_picture", "picture_format", "refused_format"]

HEAD_BYTES = 4096
PICTURE_EXTENSIONS = frozenset({".apng", ".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"})
_SIGNATURES = (
    ("jpeg", re.compile(rb"\xff\xd8\xff")),
    ("png", re.compile(rb"\x89PNG\r\n\x1a\n")),  # also animated ones
    ("gif", re.compile(rb"GIF8[79]a")),
    ("webp", re.compile(rb"RIFF.{4}WEBP", re.DOTALL)),
    ("bmp", re.compile(rb"BM.{12}[\x0c\x10\x28\x34\x38\x40\x6c\x7c]\0\0\0", re.DOTALL)),  # size of the second header
    ("tiff", re.compile(rb"(?:II[*+]\0|MM\0[*+]).{4}(?!CR)", re.DOTALL)),  # CR: Canon's raw files
)
# FFmpeg reads some of these, and wrongly: one tile of a HEIC, the still picture of an animated AVIF, a photo in a PDF.
_REFUSED = (
    ("a HEIC photo", re.compile(rb".{4}ftyp(?:hei[cmsx]|hev[cmsx]|mif1|msf1)", re.DOTALL)),
    ("an AVIF picture", re.compile(rb".{4}ftypavi[fs]", re.DOTALL)),
    ("a JPEG XL picture", re.compile(rb"\0\0\0\x0cJXL ")),
    ("a JPEG 2000 picture", re.compile(rb"\0\0\0\x0cjP  .{8}ftypjp2", re.DOTALL)),
    ("a camera's raw picture", re.compile(rb"(?:II\*\0|MM\0\*).{4}CR|IIR[OS]|IIU\0|FUJIFILMCCD-RAW", re.DOTALL)),
    ("a Photoshop document", re.compile(rb"8BPS")),
    ("an icon (ICO)", re.compile(rb"\0\0\x01\0[^\0]\0.{3}\0", re.DOTALL)),
    ("an SVG drawing", re.compile(rb"\s*(?:\xef\xbb\xbf)?\s*(?:<\?xml.*)?(?:<!DOCTYPE svg.*)?<svg[\s>]", re.DOTALL)),
    ("a PDF document", re.compile(rb"%PDF-")),
    ("a PostScript document", re.compile(rb"%!PS|\xc5\xd0\xd3\xc6")),
)


def picture_format(path: str | os.PathLike[str]) -> str | None:
    """Tell a picture by its content.

    Returns:
        `jpeg`, `png`, `gif`, `webp`, `bmp` or `tiff`; None for everything else, which the video readers judge: videos,
        Motion JPEG among them, text, folders, pipes, and what cannot be opened.

    Raises:
        NotAVideoError: a picture or document of a format that is not read.
    """
    file_path = Path(path)
    if not file_path.is_file():
        return None
    try:
        with file_path.open("rb") as file:
            head = file.read(HEAD_BYTES)
            what = refused_format(head)
            if what is not None:
                raise NotAVideoError(f"{os.fspath(path)}: is {what}, which is not read; convert it to JPEG or PNG")
            name = begins_as_picture(head)
            return None if name == "jpeg" and _is_motion_jpeg(file) else name
    except OSError:
        return None


def begins_as_picture(head: bytes) -> str | None:
    """Return the format of a picture by the first `HEAD_BYTES` of its file, None for anything else."""
    return next((name for name, pattern in _SIGNATURES if pattern.match(head)), None)


def refused_format(head: bytes) -> str | None:
    """Name a file by its first `HEAD_BYTES`, with an article, if it is a picture or document that is not read."""
    return next((what for what, pattern in _REFUSED if pattern.match(head)), None)


def _is_motion_jpeg(file: BinaryIO) -> bool:
    """Tell whether a second JPEG follows the first at once: the stream of a camera, not a photo.

    Not where the first announces it (MPF): then it is the other eye's view, or how to brighten a screen.
    """
    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        place = 2
        while data[place : place + 2] != b"\xff\xda":  # until the scan, segment by segment
            length = int.from_bytes(data[place + 2 : place + 4], "big")
            if data[place : place + 1] != b"\xff" or length < 2 or data[place + 4 : place + 8] == b"MPF\0":
                return False
            place += 2 + length
        end = data.find(b"\xff\xd9", place)
        return end >= 0 and data[end + 2 : end + 5] == b"\xff\xd8\xff"
