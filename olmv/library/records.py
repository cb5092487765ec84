"""What a library keeps of one part of a video besides its embeddings, and how a video is told to be the same file."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from os.path import normpath
from pathlib import Path
from typing import Any

import numpy as np

from olmv import errors
from olmv.errors import VideoError
from olmv.video.decode import VideoFrames
from olmv.video.frames import VideoInfo
from olmv.video.part_shots import PartShots
from olmv.video_scores import PASSABLE

__all__ = ["FileState", "PartRecord", "absolute", "failure"]

_FACTS = tuple(field.name for field in fields(VideoInfo) if field.name != "path")


@dataclass(frozen=True)
class FileState:
    """By what a file is told to be unchanged; zeros where it is not there.

    Attributes:
        size: bytes.
        mtime_ns: when it was changed last.
    """

    size: int = 0
    mtime_ns: int = 0

    @classmethod
    def of(cls, path: str | Path) -> "FileState":
        """Look at a file."""
        try:
            status = Path(path).stat()
        except (OSError, ValueError):
            return cls()
        return cls(status.st_size, status.st_mtime_ns)


@dataclass(frozen=True, kw_only=True, eq=False)
class PartRecord:
    """One part of a video: what `VideoFrames` says of it, but for pixels and pictures.

    Attributes:
        video: as the user named it, and as prediction rows will.
        path: absolute, or an address.
        file: the state of the file when it was decoded.
        frames: of the part, without its pixels and pictures; `rows` are those of the part's embeddings.
        encoded: how many pictures the model saw.
    """

    video: str
    path: str
    file: FileState
    frames: VideoFrames
    encoded: int

    @classmethod
    def of(cls, video: VideoFrames, path: str, file: FileState) -> "PartRecord":
        """Take what is kept of a decoded part."""
        encoded = 0 if video.pixels is None else len(video.pixels)
        bare = replace(video, pixels=None, thumbnails=[], thumbnail_times_s=[])
        return cls(video=video.path, path=path, file=file, frames=bare, encoded=encoded)

    def to_row(self) -> dict[str, Any]:
        """Return it as a row of plain data."""
        frames, shots, info = self.frames, self.frames.shots, self.frames.info
        return {
            "video": os.fsencode(self.video),  # a file name may be no UTF-8
            "path": os.fsencode(self.path),
            "size": self.file.size,
            "mtime_ns": self.file.mtime_ns,
            "part": frames.part,
            "parts": frames.parts,
            **{name: None if info is None else getattr(info, name) for name in _FACTS},
            "requested": frames.requested,
            "decoded": frames.decoded,
            "corrupt": frames.corrupt,
            "encoded": self.encoded,
            "widest_gap_s": frames.widest_gap_s,
            "capped": frames.capped,
            "error_type": None if frames.error is None else type(frames.error).__name__,
            "error": None if frames.error is None else str(frames.error),
            "begin_s": float(frames.span_s[0]),
            "end_s": float(frames.span_s[1]),
            "times_s": np.asarray(frames.times_s, np.float64),
            "rows": None if frames.rows is None else np.asarray(frames.rows, np.int32),
            "cuts_s": None if shots is None else np.asarray(shots.cuts_s, np.float64),
            "head_s": None if shots is None else np.asarray(shots.head_s, np.float64),
            "head": None if shots is None else np.ascontiguousarray(shots.head).tobytes(),
            "tail_s": None if shots is None else np.asarray(shots.tail_s, np.float64),
            "tail": None if shots is None else np.ascontiguousarray(shots.tail).tobytes(),
        }

    @classmethod
    def from_row(cls, row: Mapping[str, Any], *, index: int = 0) -> "PartRecord":
        """Read what `to_row` returned.

        Raises:
            ValueError, TypeError, LookupError: it is something else.
        """
        video, shots = os.fsdecode(row["video"]), None
        if row["head_s"] is not None:
            head_s, tail_s = (np.asarray(row[name], np.float64) for name in ("head_s", "tail_s"))
            head, tail = (
                np.frombuffer(row[name], np.uint8).reshape(len(times), len(row[name]) // max(len(times), 1))
                for name, times in (("head", head_s), ("tail", tail_s))
            )
            shots = PartShots(np.asarray(row["cuts_s"], np.float64), head_s, head, tail_s, tail)
        frames = VideoFrames(
            index=index,
            path=video,
            part=row["part"],
            parts=row["parts"],
            rows=None if row["rows"] is None else np.asarray(row["rows"], np.int64),
            times_s=np.asarray(row["times_s"], np.float64),
            span_s=(row["begin_s"], row["end_s"]),
            info=None if row["codec"] is None else VideoInfo(path=video, **{name: row[name] for name in _FACTS}),
            requested=row["requested"],
            decoded=row["decoded"],
            corrupt=row["corrupt"],
            widest_gap_s=row["widest_gap_s"],
            capped=row["capped"],
            shots=shots,
            error=None if row["error_type"] is None else _error(row["error_type"], row["error"]),
        )
        file = FileState(row["size"], row["mtime_ns"])
        return cls(video=video, path=os.fsdecode(row["path"]), file=file, frames=frames, encoded=row["encoded"])


def failure(parts: Sequence[PartRecord]) -> VideoError | None:
    """Return why nothing is known of a video of these parts; None where something is, see `VideoScores.error`."""
    errors = [(part.frames.error, part.frames.info is not None) for part in parts if part.frames.error is not None]
    fatal = [error for error, opened in errors if type(error).__name__ != PASSABLE or not opened]
    if fatal:
        return fatal[-1]
    return errors[0][0] if len(errors) == len(parts) else None


def absolute(path: str) -> str:
    """Return a path from the root, links as they are; an address (`s3://...`) as it is."""
    return path if "://" in path else normpath(Path.cwd() / path)


def _error(name: str, message: str) -> VideoError:
    kind = getattr(errors, name, None)
    return kind(message) if isinstance(kind, type) and issubclass(kind, VideoError) else VideoError(message)
