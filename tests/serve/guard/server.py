"""A real server on 127.0.0.1, and plain sockets that ask it."""

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from starlette.types import ASGIApp

from olmv.serve.guard.layers import guarded
from olmv.serve.guard.limits import Limits
from olmv.serve.guard.protocol import guarded_config


@contextmanager
def running(app: ASGIApp, limits: Limits, *, token: str | None = None) -> Iterator[int]:
    """Serve an app with all guards; yields the port."""
    config = guarded_config(
        guarded(app, token=token, hosts=None, limits=limits), host="127.0.0.1", port=0, limits=limits
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        time.sleep(0.002)
    try:
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.force_exit = server.should_exit = True
        thread.join()


class Client:
    """A connection on which bytes are sent as they are."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), 10)

    def send(self, data: bytes) -> None:
        """Send these bytes."""
        self.socket.sendall(data)

    def read(self) -> bytes:
        """Read all until the server hangs up."""
        data = b""
        try:
            while piece := self.socket.recv(65536):
                data += piece
        except ConnectionResetError:
            pass
        return data

    def read_answer(self) -> tuple[int, dict[str, str], bytes]:
        """Read one answer that tells its length."""
        file = self.socket.makefile("rb")
        status = int(file.readline().split()[1])
        headers: dict[str, str] = {}
        while line := file.readline().strip():
            name, _, value = line.decode().partition(": ")
            headers[name.lower()] = value
        return status, headers, file.read(int(headers["content-length"]))

    def close(self) -> None:
        """Hang up."""
        self.socket.close()

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def error_of(answer: bytes) -> tuple[int, str]:
    """Return the status and the message of a whole answer that refuses."""
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), json.loads(body)["error"]["message"]
