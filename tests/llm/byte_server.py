"""A server made of bytes, for answers that no HTTP library would give."""

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field

from olmv.llm.backends.openai import OpenAIChat
from olmv.llm.types import Completion, Generation, Message

__all__ = ["MODELS", "QUESTION", "Answer", "ByteServer", "chat_at", "complete", "reply", "server"]

QUESTION = [Message("user", "what?")]

Answer = bytes | Callable[[socket.socket], None]
"""A whole response, or what writes one to the connection."""


def reply(body: bytes | str, *headers: str, status: str = "200 OK") -> bytes:
    """A whole HTTP response."""
    data = body.encode() if isinstance(body, str) else body
    head = [f"HTTP/1.1 {status}", f"Content-Length: {len(data)}", "Connection: close", *headers]
    return "\r\n".join(head).encode() + b"\r\n\r\n" + data


MODELS = reply('{"object": "list", "data": [{"id": "m"}]}')


@dataclass
class ByteServer:
    """Where it listens, and the heads of the requests it was sent."""

    port: int
    close: Callable[[], None]
    heads: list[bytes] = field(default_factory=list)

    @property
    def url(self) -> str:
        """As it stands after the @ of `openai:MODEL@URL`."""
        return f"http://127.0.0.1:{self.port}/v1"

    @property
    def lines(self) -> list[str]:
        """The first line of every request."""
        return [head.partition(b"\r\n")[0].decode() for head in self.heads]


@contextmanager
def server(post: Answer, *, models: Answer = MODELS, port: int = 0) -> Iterator[ByteServer]:
    """Answer every POST with `post` and every GET with `models`."""
    listening = socket.create_server(("127.0.0.1", port))
    # a thread that waits in accept() holds the port open until it is woken
    here = ByteServer(listening.getsockname()[1], lambda: listening.shutdown(socket.SHUT_RDWR))

    def serve(connection: socket.socket) -> None:
        with connection:
            request = b""
            while b"\r\n\r\n" not in request:
                chunk = connection.recv(65536)
                if not chunk:
                    return
                request += chunk
            head, _, body = request.partition(b"\r\n\r\n")
            lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
            length = int(lengths[0].split(b":")[1]) if lengths else 0
            while len(body) < length:
                body += connection.recv(65536)
            here.heads.append(head)
            answer = models if head.startswith(b"GET") else post
            with contextlib.suppress(OSError):  # the client may have had enough
                answer(connection) if callable(answer) else connection.sendall(answer)

    def accept() -> None:
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            threading.Thread(target=serve, args=(connection,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield here
    finally:
        with contextlib.suppress(OSError):
            here.close()
        listening.close()


def chat_at(url: str, *, timeout_s: float = 20.0) -> OpenAIChat:
    """The model `m` of the server."""
    return OpenAIChat(f"m@{url}", name="m", timeout_s=timeout_s, options={})


def complete(url: str, *, timeout_s: float = 20.0) -> Completion:
    """One answer of the server."""
    with closing(chat_at(url, timeout_s=timeout_s)) as chat:
        [(_, completion)] = chat.complete([QUESTION], generation=Generation())
    return completion
