"""Where a page finds the video that it shows."""

import os
from pathlib import Path
from urllib.parse import quote

__all__ = ["player_address"]


def player_address(video: str, page: Path) -> str:
    """Return the address of a video from the folder of a page, percent-encoded; empty where it cannot be reached."""
    try:
        file = Path(video).absolute()
        if not file.is_file():
            return ""
        relative = os.path.relpath(file, page.absolute().parent)
    except (OSError, ValueError):  # another drive; a name that is none
        return ""
    return quote(os.fsencode(relative.replace(os.sep, "/")))
