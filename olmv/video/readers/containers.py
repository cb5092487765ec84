"""Opening a file with FFmpeg (through PyAV) so that only a video file is ever read, and saying why not otherwise."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from olmv.errors import DecodeError, NotAVideoError, NoVideoStreamError
from olmv.video.video_formats import DEMUXERS

__all__ = ["ffmpeg_errors", "main_stream", "open_container"]

# Audio formats are in, so that they can be refused with the right words.
FORMATS = f"{DEMUXERS},mp3,wav,flac,aac,aiff,ac3,amr"
OPTIONS = {"format_whitelist": FORMATS, "protocol_whitelist": "file"}


def open_container(path: str | os.PathLike[str]) -> tuple[Any, Any]:
    """Open `path` for reading.

    Returns:
        The PyAV container and the video stream that players show, see `main_stream`.

    Raises:
        NotAVideoError: no such file, an empty one, a folder, a playlist, text, or a file without its index.
        NoVideoStreamError: audio only.
        DecodeError: the video stream has a codec that this FFmpeg does not know.
    """
    import av

    bad_data = ffmpeg_errors()
    name = os.fspath(path)
    try:
        size = Path(name).stat().st_size
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise NotAVideoError(f"{name}: cannot be opened ({reason}); check the path") from None
    if Path(name).is_dir():
        raise NotAVideoError(f"{name}: is a folder; name the videos in it")
    if size == 0:
        raise NotAVideoError(f"{name}: is empty (0 bytes); copy or download it again")
    try:
        # `file:` keeps FFmpeg from reading a protocol or a pattern out of the name ("concat:a|b", "img%03d.png")
        container = av.open("file:" + name, options=dict(OPTIONS), metadata_errors="replace")
    except MemoryError:
        raise
    except bad_data as error:
        raise NotAVideoError(f"{name}: {_why(name, error)}") from None
    stream = main_stream(container.streams.video)
    if stream is None:
        container.close()
        raise NoVideoStreamError(f"{name}: has no video stream (audio only); leave it out")
    if stream.codec_context is None:
        container.close()
        raise DecodeError(f"{name}: its video codec is unknown to FFmpeg; convert it, for example to H.264")
    return container, stream


def ffmpeg_errors() -> tuple[type[Exception], ...]:
    """Return what PyAV raises for bad data. It also raises MemoryError, which must be let through before these.

    Looked up before a `try`, not in its `except`: at the interpreter's end the module may already be gone.
    """
    import av

    return (av.error.FFmpegError, OSError, ValueError)


def main_stream(streams: Sequence[Any]) -> Any | None:
    """Return the stream that players show; None if there is none.

    Cover art, chapter pictures and layers that need another stream do not count. Of the others, one that can be decoded
    goes before one that cannot, a film before a single picture, the one marked as default before others, then the
    largest picture, then the first.
    """
    from av.stream import Disposition

    beside = Disposition.attached_pic | Disposition.timed_thumbnails | Disposition.dependent
    real = [s for s in streams if not s.disposition & beside]
    single = Disposition.still_image

    def rank(stream: Any) -> tuple[bool, bool, bool, int]:
        context = stream.codec_context
        known = context is not None
        film = stream.frames != 1 and not stream.disposition & single  # 0: the container does not count them
        default = bool(stream.disposition & Disposition.default)
        return known, film, default, context.width * context.height if known else 0

    return max(real, key=rank, default=None)


def _why(name: str, error: Exception) -> str:
    """Return the likely reason in words: FFmpeg's own "Invalid data found" helps nobody."""
    try:
        with Path(name).open("rb") as file:
            head = file.read(512)
    except OSError as failure:
        return f"cannot be read ({failure.strerror}); check its permissions"
    if head[4:8] == b"ftyp":
        return "is cut off: its index (moov) is missing; copy it again, or repair it with a recovery tool"
    if head.startswith(b"ffconcat"):
        return "is a playlist (ffconcat), which may name other files and is not read; name the videos themselves"
    if not set(head) - set(range(32, 127)) - {9, 10, 13}:
        return "is a text file, not a video or photo; check what it should be"
    detail = getattr(error, "strerror", None) or str(error)
    return f"is not a video or photo that can be read ({detail}); open it in a viewer, or convert it to MP4 or JPEG"
