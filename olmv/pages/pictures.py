"""The sampled frames of a run, kept on disk until the report is written.

A thousand videos have too many pictures to hold, and a run that is killed must not lose those it has, so
they are appended to a file beside the report and looked up there by byte offset.
"""

import base64
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from olmv.errors import OutputError
from olmv.io.journal import open_locked


@dataclass(frozen=True)
class Pictures:
    """Sampled frames of one video: presentation times in seconds, and base64 JPEGs."""

    times_s: tuple[float, ...]
    jpegs: tuple[str, ...]


class PictureStore:
    """An append-only file of pictures, one line per video, or per part of a long one.

    Args:
        path: the file; locked until it is closed.
        resume: keep what an earlier run left; False starts over.

    Raises:
        OutputError: the file cannot be written, another run is writing it, or the disk is full.
    """

    def __init__(self, path: Path, *, resume: bool = True) -> None:
        self.path = path
        self._offsets: dict[str, dict[int, int]] = {}  # of each part that is there
        self._parts: dict[str, int] = {}
        try:
            self._file = os.fdopen(open_locked(path), "a+b")
            try:
                if not resume:
                    self._file.truncate(0)
                self._index()
            except BaseException:
                self._file.close()
                raise
        except OSError as error:
            raise self._output_error(error) from error

    def __contains__(self, video: str) -> bool:
        return video in self._parts and len(self._offsets[video]) == self._parts[video]

    def add(
        self, video: str, times_s: Sequence[float], jpegs: Sequence[bytes], *, part: int = 0, parts: int = 1
    ) -> None:
        """Append one video's pictures, or those of one of its parts, and flush."""
        line = {
            "video": video,
            "part": part,
            "parts": parts,
            "times_s": [*times_s],
            "jpegs": [base64.b64encode(jpeg).decode("ascii") for jpeg in jpegs],
        }
        try:
            offset = self._file.seek(0, 2)
            self._file.write(json.dumps(line).encode("ascii") + b"\n")
            self._file.flush()
        except OSError as error:
            raise self._output_error(error) from error
        self._count(line, offset)

    def get(self, video: str) -> Pictures | None:
        """Return the pictures of one video, or None."""
        if video not in self._offsets:
            return None
        times: list[float] = []
        jpegs: list[str] = []
        for _, offset in sorted(self._offsets[video].items()):
            self._file.seek(offset)
            line = json.loads(self._file.readline())
            times += line["times_s"]
            jpegs += line["jpegs"]
        return Pictures(tuple(times), tuple(jpegs))

    def close(self) -> None:
        """Close the file; it stays on disk for a later resume."""
        self._file.close()

    def discard(self) -> None:
        """Close and delete the file."""
        self.close()
        self.path.unlink(missing_ok=True)

    def _index(self) -> None:
        """Read what an earlier run left, and drop all from a line on that was torn when it died, or is not ours.

        Nothing is lost by it: pictures that are missing are made again.
        """
        self._file.seek(0)
        offset = 0
        for line in self._file:
            try:
                pictures = json.loads(line) if line.endswith(b"\n") else {}
            except (ValueError, RecursionError):
                pictures = {}
            if not isinstance(pictures, dict) or not {"video", "times_s", "jpegs"} <= pictures.keys():
                break
            self._count(pictures, offset)
            offset += len(line)
        self._file.truncate(offset)

    def _count(self, line: dict[str, Any], offset: int) -> None:
        video = str(line["video"])
        self._offsets.setdefault(video, {})[int(line.get("part", 0))] = offset
        self._parts[video] = int(line.get("parts", 1))

    def _output_error(self, error: OSError) -> OutputError:
        return OutputError(f"cannot write {self.path}: {error.strerror or error}; choose another --report path")
