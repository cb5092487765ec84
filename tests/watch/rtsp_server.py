"""A small RTSP server on 127.0.0.1: MPEG-TS over RTP over the connection itself."""

import contextlib
import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

SDP = "".join(
    f"{line}\r\n"
    for line in ("v=0", "o=- 0 0 IN IP4 127.0.0.1", "s=-", "t=0 0", "m=video 0 RTP/AVP 33", "a=control:track1")
)
PACKETS = 7  # of 188 bytes in one of RTP
CLOCK = 90000


@contextmanager
def rtsp_server(data: bytes, *, seconds: float) -> Iterator[str]:
    """Play a transport stream in `seconds`, over and over, to whoever asks; yields the address."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        stop = threading.Event()

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    reached, _ = server.accept()
                    threading.Thread(target=_serve, args=(reached, data, seconds, stop), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        yield f"rtsp://127.0.0.1:{server.getsockname()[1]}/live"
        stop.set()


def _serve(reached: socket.socket, data: bytes, seconds: float, stop: threading.Event) -> None:
    with contextlib.suppress(OSError, ValueError), reached, reached.makefile("rb") as requests:
        while line := requests.readline():
            if line.startswith(b"$"):
                continue
            method = line.split()[0].decode("latin-1", "replace")
            number = "0"
            while (header := requests.readline().decode("latin-1").strip()) != "":
                if header.lower().startswith("cseq:"):
                    number = header.partition(":")[2].strip()
            body = SDP if method == "DESCRIBE" else ""
            extra = {
                "OPTIONS": "Public: DESCRIBE, SETUP, PLAY, TEARDOWN\r\n",
                "DESCRIBE": f"Content-Type: application/sdp\r\nContent-Length: {len(SDP)}\r\n",
                "SETUP": "Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\nSession: 1\r\n",
                "PLAY": "Session: 1\r\n",
            }.get(method, "")
            reached.sendall(f"RTSP/1.0 200 OK\r\nCSeq: {number}\r\n{extra}\r\n{body}".encode())
            if method == "PLAY":
                _play(reached, data, seconds, stop)
                return


def _play(reached: socket.socket, data: bytes, seconds: float, stop: threading.Event) -> None:
    step = PACKETS * 188
    begun, count = time.monotonic(), 0
    while not stop.is_set():
        place = count * step % (len(data) - len(data) % step)
        time.sleep(max(begun + seconds * count * step / len(data) - time.monotonic(), 0.0))
        stamp = int((time.monotonic() - begun) * CLOCK) & 0xFFFFFFFF
        packet = struct.pack(">BBHII", 0x80, 33, count & 0xFFFF, stamp, 1) + data[place : place + step]
        reached.sendall(struct.pack(">BBH", 0x24, 0, len(packet)) + packet)
        count += 1
