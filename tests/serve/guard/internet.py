"""An internet of the tests' own: names, their addresses, and the one server that every connection reaches."""

import socket
from typing import Any

import pytest

from olmv.serve.guard import download
from olmv.serve.guard.answers import RefusedRequestError
from olmv.serve.guard.download import fetch
from olmv.serve.guard.limits import Limits
from olmv.serve.guard.multipart import Upload
from olmv.serve.guard.private_folder import PrivateFolder
from tests.watch.servers import Answer, reply, serving

LIMITS = Limits(upload_bytes=10_000, idle_s=2.0, download_s=20.0)
PUBLIC = "93.184.215.14"
RESOLVE = download._resolve


class Internet:
    """Names and their addresses; every connection goes to the server of the test."""

    def __init__(self) -> None:
        self.names: dict[str, list[str]] = {"videos.example": [PUBLIC]}
        self.asked: list[str] = []
        self.reached: list[tuple[str, int]] = []
        self.port = 0
        self.down: set[str] = set()

    def resolve(self, host: str, port: int) -> list[str]:
        self.asked.append(host)
        return self.names[host] if host in self.names else RESOLVE(host, port)

    def open(self, address: str, port: int, timeout_s: float) -> socket.socket:
        self.reached.append((address, port))
        if address in self.down:
            raise ConnectionRefusedError(111, "Connection refused")
        return socket.create_connection(("127.0.0.1", self.port), timeout_s)


def get(
    internet: Internet, folder: PrivateFolder, answer: Answer, url: str = "http://videos.example/a.mp4", **limits: Any
) -> tuple[Upload, bytes]:
    with serving(answer) as server:
        internet.port = int(server.rpartition(":")[2])
        upload = fetch(url, folder, Limits(**{**vars(LIMITS), **limits}))
    data = upload.path.read_bytes()
    upload.path.unlink()
    return upload, data


def refuses(
    internet: Internet, folder: PrivateFolder, answer: Answer, status: int, message: str, url: str = "", **limits: Any
) -> None:
    with pytest.raises(RefusedRequestError, match=message) as caught:
        get(internet, folder, answer, url or "http://videos.example/a.mp4", **limits)
    assert caught.value.status_code == status


def never(handler: Any) -> None:
    raise AssertionError("it was asked")


def redirect(target: str) -> Answer:
    return lambda handler: reply(handler, 302, Location=target)
