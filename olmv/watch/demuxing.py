"""Opening a live source with FFmpeg (through PyAV) so that it reads what it is handed, and nothing else.

FFmpeg gets no network and no files of its own: bytes come from Python objects, whose addresses were looked at. Only
RTSP is left to it, over one TCP connection, after the server was asked whether it sends elsewhere.
"""

import contextlib
import re
import socket
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from io import BufferedReader, BytesIO
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

from olmv.video.readers.containers import ffmpeg_errors, main_stream
from olmv.video.video_formats import DEMUXERS, begins_as
from olmv.watch.growing_bytes import GrowingFile, PipeBytes, mp4_layout
from olmv.watch.http_stream import SILENCE_S, HttpStream, open_http, open_socket
from olmv.watch.sources import LostSourceError, RefusedSourceError, Source

__all__ = ["Demuxer", "open_source"]

# `mpjpeg` is what cameras send over HTTP: JPEGs as the parts of one endless answer
FORMATS = f"{DEMUXERS},mpjpeg"
# of a live source, looking long at the beginning is lag
_PROBING = {"probesize": "1000000", "analyzeduration": "1500000", "fpsprobesize": "0"}
_NO_PROTOCOL = "none"
_HEAD = 4096
_END_OF_LIST = b"#EXT-X-ENDLIST"
_PLAYLISTS = ("application/vnd.apple.mpegurl", "application/x-mpegurl", "audio/mpegurl", "audio/x-mpegurl")


@dataclass
class Demuxer:
    """An open source.

    Attributes:
        container, stream: PyAV's.
        bytes: what it is read from; None where FFmpeg reads by itself.
        failures: what went wrong while FFmpeg called back, newest last; it would tell of it in words of its own.
    """

    container: Any
    stream: Any
    bytes: "GrowingFile | PipeBytes | BufferedReader | HttpStream | _Playlist | None"
    failures: list[Exception]

    def waits(self) -> bool:
        """Tell whether what is not read now is still there later: nothing needs to be left out."""
        if isinstance(self.bytes, GrowingFile):
            return not self.bytes.reached_end
        if isinstance(self.bytes, HttpStream):
            return self.bytes.has_length
        if isinstance(self.bytes, PipeBytes):
            return self.bytes.is_file
        return isinstance(self.bytes, BufferedReader) or (isinstance(self.bytes, _Playlist) and self.bytes.whole)

    def ended(self) -> bool:
        """Tell whether the end of the bytes is the end of what there is, so that nothing is to be taken up again."""
        if isinstance(self.bytes, HttpStream | _Playlist):
            return self.bytes.whole
        return isinstance(self.bytes, PipeBytes | BufferedReader)


def open_source(
    source: Source, *, descriptor: int | None, alive: Callable[[], None], rests: Callable[[], None]
) -> Demuxer:
    """Open what is to be watched.

    Args:
        source: of any kind.
        descriptor: of a pipe.
        alive, rests: see `GrowingFile`.

    Raises:
        LostSourceError: it cannot be read now.
        RefusedSourceError: it is not to be read, or is no video.
    """
    failures: list[Exception] = []
    if source.kind == "camera":
        return _opened(source.location, None, failures, format="v4l2", options={"protocol_whitelist": _NO_PROTOCOL})
    if source.kind == "rtsp":
        options = {"rtsp_transport": "tcp", "protocol_whitelist": "tcp,tls", **_PROBING}
        _check_rtsp(source.location)
        return _opened(source.location, None, failures, format="rtsp", options=options, timeout=(SILENCE_S, SILENCE_S))
    if source.kind == "http":
        return _open_http(source, failures)
    data: GrowingFile | PipeBytes | BufferedReader
    if source.kind == "pipe":
        assert descriptor is not None
        data = PipeBytes(descriptor, alive=alive)
    else:
        data = _open_file(source.location, alive, rests)
    try:
        return _opened(_Guarded(data, failures), data, failures, options=_closed())
    except LostSourceError as failure:
        if failures:  # the file was removed or cut
            raise
        if isinstance(data, PipeBytes) and not data.count:
            raise RefusedSourceError("nothing came; pipe a video into it") from None
        raise RefusedSourceError(
            f"is no video that can be read as it comes ({failure}); record as MPEG-TS, Matroska or fragmented MP4"
        ) from None


def _open_file(path: str, alive: Callable[[], None], rests: Callable[[], None]) -> GrowingFile | BufferedReader:
    """Open a file for reading while it grows; an MP4 with its index at its end has to be finished first."""
    try:
        data = GrowingFile(path, alive=alive, rests=rests)
        if begins_as(data.head(_HEAD)) != "mov":
            return data
        begun = time.monotonic()
        while (layout := mp4_layout(path)) == "unfinished":
            data.wait(begun)
        if layout == "fragmented":
            return data
        data.close()
        return Path(path).open("rb")
    except OSError as failure:
        raise LostSourceError((failure.strerror or "cannot be read").lower()) from None


def _open_http(source: Source, failures: list[Exception]) -> Demuxer:
    host = urlsplit(source.location).hostname or ""
    body = open_http(source.location, named_host=host)
    if not _is_playlist(body):
        return _opened(_Guarded(body, failures), body, failures, options=_closed())
    playlist = _Playlist()

    def fetch(url: str, _flags: int, _options: dict[str, str]) -> Any:
        try:
            part = open_http(urljoin(body.name, url), named_host=host)
        except (LostSourceError, RefusedSourceError) as failure:
            failures.append(failure)
            return _Guarded(BytesIO(), failures)
        return _Guarded(part, failures, playlist if _is_playlist(part) else None)

    # names of protocols only let the playlist's addresses pass; what opens them is `fetch`
    options = {
        "format_whitelist": f"hls,{FORMATS}", "protocol_whitelist": "http,https,tcp,tls", "http_persistent": "0",
        "live_start_index": "-1", **_PROBING,
    }  # fmt: skip
    guarded = _Guarded(body, failures, playlist)
    return _opened(guarded, playlist, failures, format="hls", options=options, io_open=fetch)


def _is_playlist(body: HttpStream) -> bool:
    return body.kind in _PLAYLISTS or urlsplit(body.name).path.endswith(".m3u8")


def _closed() -> dict[str, str]:
    return {"format_whitelist": FORMATS, "protocol_whitelist": _NO_PROTOCOL, **_PROBING}


def _opened(file: Any, data: Any, failures: list[Exception], **settings: Any) -> Demuxer:
    import av

    bad_data: tuple[type[Exception], ...] = (*ffmpeg_errors(), LostSourceError, RefusedSourceError)
    try:
        container = av.open(file, mode="r", metadata_errors="replace", **settings)
    except MemoryError:
        raise
    except bad_data as error:
        raise _cause(error, failures) from None
    stream = main_stream(container.streams.video)
    if stream is None or stream.codec_context is None:
        container.close()
        what = "has no video in it, or of an unknown codec"
        raise (
            LostSourceError(what)
            if data is None or isinstance(data, HttpStream | _Playlist)
            else RefusedSourceError(what)
        )
    for other in container.streams:
        if other is not stream:
            with contextlib.suppress(AttributeError):
                other.discard = "all"
    return Demuxer(container, stream, data, failures)


def _cause(error: BaseException, failures: list[Exception]) -> Exception:
    for failure in reversed(failures):
        return failure
    if isinstance(error, LostSourceError | RefusedSourceError):
        return error
    # without the address, which may hold a password
    return LostSourceError(str(getattr(error, "strerror", None) or type(error).__name__).lower()[:200])


class _Playlist:
    """What the playlists of one stream say about its end."""

    whole = False


class _Guarded:
    """Bytes for FFmpeg; what goes wrong is kept, and is their end: PyAV prints what is raised twice."""

    def __init__(self, data: Any, failures: list[Exception], playlist: _Playlist | None = None) -> None:
        self._data, self._failures, self._playlist = data, failures, playlist
        self.name = str(getattr(data, "name", ""))
        if isinstance(data, BufferedReader):
            self.seek, self.tell = data.seek, data.tell

    def read(self, size: int) -> bytes:
        try:
            data: bytes = self._data.read(size)
        except (LostSourceError, RefusedSourceError) as failure:
            self._failures.append(failure)
            return b""
        if self._playlist is not None and _END_OF_LIST in data:
            self._playlist.whole = True
        return data

    def close(self) -> None:
        with contextlib.suppress(AttributeError, OSError):
            self._data.close()


def _check_rtsp(url: str) -> None:
    """Ask an RTSP server for its stream once, since FFmpeg follows where it sends, to private addresses too.

    Raises:
        LostSourceError: it does not answer.
        RefusedSourceError: it sends elsewhere.
    """
    parts = urlsplit(url)
    secure = parts.scheme == "rtsps"
    with open_socket(parts.hostname or "", parts.port or (322 if secure else 554), private=True) as reached:
        reached.settimeout(SILENCE_S)
        bare = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
        try:
            if secure:
                reached = _unverified_tls(reached)
            reached.sendall(f"DESCRIBE {bare} RTSP/1.0\r\nCSeq: 1\r\nAccept: application/sdp\r\n\r\n".encode())
            answer = reached.recv(_HEAD)
            reached.close()
        except OSError as failure:
            raise LostSourceError(failure.strerror or "no answer in time") from None
    if match := re.match(rb"RTSP/1\.\d 3\d\d", answer):
        raise RefusedSourceError(
            f"the server sends elsewhere ({match[0].decode()}), which is not followed; name the stream's own address"
        )


def _unverified_tls(plain: socket.socket) -> ssl.SSLSocket:
    """Speak TLS as FFmpeg does to cameras, whose certificates nobody signs."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context.wrap_socket(plain)
