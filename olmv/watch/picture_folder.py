"""The pictures of events: JPEGs in a folder, the newest of them."""

import re
import unicodedata
from collections import deque
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from olmv.errors import OutputError
from olmv.io.atomic import check_writable, raise_output, write_atomic

__all__ = ["MOST_PICTURES", "PictureFolder"]

MOST_PICTURES = 1000
_OURS = re.compile(r"(\d{8}T\d{6}\.\d{3}Z)-[a-z0-9-]{1,48}-[0-9a-f]{8}-(?:began|peak)\.jpg")


class PictureFolder:
    """Writes pictures, each whole or not at all; beyond `most`, the oldest that were written by it or its like go.

    Args:
        folder: is made where it is missing.
        most: pictures in it.

    Raises:
        OutputError: it cannot be made or written to.
    """

    def __init__(self, folder: Path, *, most: int = MOST_PICTURES) -> None:
        self._folder, self._most = folder, most
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except FileExistsError:
            raise OutputError(f"cannot write pictures to {folder}: it is a file; name a folder") from None
        except OSError as failure:
            raise_output(folder, failure)
        check_writable(folder / "olmv.jpg")
        self._names = deque(sorted(path.name for path in folder.iterdir() if _OURS.fullmatch(path.name)))

    def add(self, picture: bytes, *, label: str, event: str, time: float, what: Literal["began", "peak"]) -> str:
        """Write one picture and return its path.

        Args:
            picture: a JPEG.
            label, event: whose.
            time: of the frame, in seconds since 1970.
            what: the frame shows.

        Raises:
            OutputError: it cannot be written.
        """
        stamp = datetime.fromtimestamp(time, UTC).strftime("%Y%m%dT%H%M%S.%f")[:-3]
        name = f"{stamp}Z-{_slug(label)}-{event[:8]}-{what}.jpg"
        write_atomic(self._folder / name, picture)
        self._names.append(name)
        while len(self._names) > self._most:
            (self._folder / self._names.popleft()).unlink(missing_ok=True)
        return str(self._folder / name)


def _slug(label: str) -> str:
    """Return a label as part of a file name: a-z, 0-9 and hyphens only."""
    plain = unicodedata.normalize("NFKD", label[:200]).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:40].strip("-") or "label"
