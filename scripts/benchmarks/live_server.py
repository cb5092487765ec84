"""A live stream on 127.0.0.1 that plays made scenes by the clock, over HTTP, as MPEG-TS or fragmented MP4.

Every client is served from its own encoder, and what it sees at a moment depends on that moment only: one that comes
back after the server was away sees the present, as of a camera.
"""

import contextlib
import io
import threading
import time
from collections.abc import Callable, Sequence
from fractions import Fraction
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self

import av
import numpy as np
from numpy.typing import NDArray

__all__ = ["LiveServer", "Schedule", "read_scene"]

Picture = NDArray[np.uint8]
FPS = 25
KINDS = {"mpegts": "video/mp2t", "mp4": "video/mp4"}


def read_scene(path: Path, start_s: float, stop_s: float) -> list[Picture]:
    """Read the frames of a part of a clip, [H, W, 3] each."""
    with av.open(str(path)) as container:
        frames = [(frame.time, frame.to_ndarray(format="rgb24")) for frame in container.decode(video=0)]
    return [pixels for time_s, pixels in frames if start_s <= time_s < stop_s]


class Schedule:
    """Which scene is shown when: `scenes[i]` for `lengths_s[i]`, over and over, each with its frames in turn."""

    def __init__(self, scenes: Sequence[Sequence[Picture]], lengths_s: Sequence[float]) -> None:
        self.scenes, self.lengths_s = scenes, lengths_s
        self.begun = time.time()

    def scene_at(self, moment: float) -> int:
        """Return the scene of a moment in seconds since 1970."""
        place = (moment - self.begun) % sum(self.lengths_s)
        for scene, length in enumerate(self.lengths_s):
            if place < length:
                return scene
            place -= length
        return len(self.lengths_s) - 1

    def picture_at(self, moment: float) -> Picture:
        """Return the picture of a moment."""
        frames = self.scenes[self.scene_at(moment)]
        return frames[int((moment - self.begun) * 12) % len(frames)]


class LiveServer:
    """Serves the schedule at `url`; may be killed and returned at the same port.

    Attributes:
        sent: for each connection, when every frame of it was handed to the system, in seconds since 1970.
    """

    def __init__(self, picture_at: Callable[[float], Picture], *, container: str = "mpegts", port: int = 0) -> None:
        self._picture_at, self._container = picture_at, container
        self.sent: list[list[float]] = []
        self._port = port
        self._server: Any = None
        self.begin()

    @property
    def url(self) -> str:
        """Return where the stream is."""
        return f"http://127.0.0.1:{self._port}/live"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def begin(self) -> None:
        """Listen, and serve whoever comes."""
        live = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200)
                self.send_header("Content-Type", KINDS[live._container])
                self.end_headers()
                with contextlib.suppress(OSError, ValueError):
                    live._play(self.connection, self.server)

            def log_message(self, *_: object) -> None: ...

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            allow_reuse_address = True
            closing = False

            def handle_error(self, *_: object) -> None: ...

        self._server = Server(("127.0.0.1", self._port), Handler)
        self._port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def kill(self) -> None:
        """Close the port and every connection, as the end of the process would."""
        if self._server is not None:
            self._server.closing = True
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def _play(self, connection: Any, server: Any) -> None:
        sent: list[float] = []
        self.sent.append(sent)
        buffer = io.BytesIO()
        options = {"movflags": "frag_every_frame+empty_moov+default_base_moof"} if self._container == "mp4" else {}
        with av.open(buffer, "w", format=self._container, options=options) as container:
            height, width = self._picture_at(time.time()).shape[:2]
            stream: Any = container.add_stream(
                "libx264", rate=FPS, options={"preset": "ultrafast", "tune": "zerolatency"}
            )
            stream.width, stream.height, stream.pix_fmt, stream.gop_size = width, height, "yuv420p", FPS
            stream.codec_context.thread_count = 1
            begun = time.time()
            number = 0
            while not server.closing:
                due = begun + number / FPS
                time.sleep(max(due - time.time(), 0.0))
                frame = av.VideoFrame.from_ndarray(self._picture_at(due), format="rgb24").reformat(format="yuv420p")
                frame.pts, frame.time_base = number, Fraction(1, FPS)
                container.mux(stream.encode(frame))
                number += 1
                if data := buffer.getvalue():
                    connection.sendall(data)
                    buffer.seek(0)
                    buffer.truncate()
                sent.append(time.time())
        connection.close()
