"""Stand-ins for a language model, for the faults a real one cannot be asked to have on command."""

import json
import re
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any

from olmv.llm.types import Completion, Conversation, Generation

COLOURS = ("red", "blue", "green", "yellow", "white", "black", "brown", "grey")
PLACES = ("wall", "bench", "bridge", "table", "tree", "lake", "fence", "street")


def attributes(label: str, count: int) -> list[str]:
    """Up to 64 descriptions that pass the gate, different for every label."""
    name = " ".join(re.findall(r"[^\W\d_]+", label)[:2]) or "thing"
    pairs = ((COLOURS[(i + i // 8) % 8], PLACES[i % 8]) for i in range(count))
    return [f"a {colour} {name} near a {place}" for colour, place in pairs]


def labels_of(conversation: Sequence[Mapping[str, str]]) -> list[str]:
    """The labels that a conversation asks about."""
    return [json.loads(label) for label in re.findall(r"<label>(.*?)</label>", conversation[-1]["content"])]


def label_of(conversation: Sequence[Mapping[str, str]]) -> str:
    """The label that a conversation asks about."""
    return labels_of(conversation)[-1]


def answer(text: str | Mapping[str, Any], *, finish: str = "stop", refusal: str | None = None) -> dict[str, Any]:
    """The body of a chat completion."""
    content = text if isinstance(text, str) else json.dumps(text, ensure_ascii=False)
    message = {"role": "assistant", "content": content, "refusal": refusal}
    return {
        "id": "1",
        "object": "chat.completion",
        "created": 0,
        "model": "stub",
        "choices": [{"index": 0, "message": message, "finish_reason": finish}],
        "usage": {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15},
    }


Respond = Callable[[dict[str, Any], int], tuple[int, Any]]


def good(body: dict[str, Any], _: int) -> tuple[int, Any]:
    """A server that does what it is told."""
    properties = body["response_format"]["json_schema"]["schema"]["properties"]
    if "answers" in properties:
        count = properties["answers"]["items"]["properties"]["attributes"]["maxItems"]
        each = [{"label": name, "attributes": attributes(name, count)} for name in labels_of(body["messages"])]
        return 200, answer({"answers": each})
    count = properties["attributes"]["maxItems"]
    return 200, answer({"attributes": attributes(label_of(body["messages"]), count)})


def tells(body: dict[str, Any], _: int) -> tuple[int, Any]:
    """A server that writes captions and names labels."""
    captions = re.findall(r'^"(.*)"$', body["messages"][-1]["content"], re.MULTILINE)
    if "labels" in body["response_format"]["json_schema"]["schema"]["properties"]:
        return 200, answer({"labels": ["A Dog", "dogs", "running", "video"]})
    return 200, answer({"the_video_shows": f"{len(captions)} things, the first of them {captions[0]}."})


class StubServer:
    """An OpenAI-compatible server on 127.0.0.1 that answers as `respond` says: (body, number) -> status and body.

    `requests` holds the bodies in the order they came. A status of 0
    breaks the connection and every one after it: the server has died.
    """

    def __init__(self, respond: Respond = good, *, models: Sequence[str] = ("stub",)) -> None:
        self.requests: list[dict[str, Any]] = []
        self.keys: list[str | None] = []
        self.dead = False
        lock = threading.Lock()
        stub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: Any) -> None: ...

            def do_GET(self) -> None:
                stub.keys.append(self.headers.get("Authorization"))
                if stub.dead:
                    self.close_connection = True
                    self.connection.close()
                    return
                self.reply(200, {"object": "list", "data": [{"id": name, "object": "model"} for name in models]})

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                if not self.path.endswith("/chat/completions"):
                    self.reply(404, {"error": {"message": "no such path"}})
                    return
                with lock:
                    number = len(stub.requests)
                    stub.requests.append(body)
                status, told = respond(body, number)
                if status == 0:
                    stub.dead = True
                    self.close_connection = True
                    self.connection.close()
                    return
                self.reply(status, told)

            def reply(self, status: int, told: Any) -> None:
                text = told if isinstance(told, str) else json.dumps(told)
                payload = text.encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                if status in (429, 500):
                    self.send_header("Retry-After-Ms", "10")
                self.send_header("Content-Length", str(len(payload)))
                self.end_headers()
                self.wfile.write(payload)

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._server.handle_error = lambda *_: None  # type: ignore[method-assign]
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    @property
    def spec(self) -> str:
        return f"openai:stub@{self.url}"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}/v1"

    @property
    def labels(self) -> list[str]:
        """The label of every request, in order."""
        return [label_of(body["messages"]) for body in self.requests]

    def __enter__(self) -> "StubServer":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()


class StubChat:
    """A `ChatModel` in this process: (conversation, number) -> completion."""

    name = "stub:stub"

    def __init__(self, respond: Callable[[list[dict[str, str]], int], Completion], *, ahead: int = 4) -> None:
        self.respond, self.ahead = respond, ahead
        self.conversations: list[list[dict[str, str]]] = []
        self.schemas: list[Mapping[str, Any] | None] = []
        self.generations: list[Generation] = []

    def check(self) -> None: ...

    def complete(
        self,
        conversations: Iterable[Conversation],
        *,
        schema: Mapping[str, Any] | None = None,
        generation: Generation,
    ) -> Iterator[tuple[int, Completion]]:
        self.schemas.append(schema)
        self.generations.append(generation)
        waiting: list[tuple[int, list[dict[str, str]]]] = []
        for number, conversation in enumerate(conversations):
            waiting.append((number, [{"role": turn.role, "content": turn.content} for turn in conversation]))
            if len(waiting) == self.ahead:
                yield from self._answers(waiting)
                waiting = []
        yield from self._answers(waiting)

    def _answers(self, waiting: list[tuple[int, list[dict[str, str]]]]) -> Iterator[tuple[int, Completion]]:
        for number, conversation in reversed(waiting):  # the last one asked is done first
            self.conversations.append(conversation)
            yield number, self.respond(conversation, len(self.conversations) - 1)

    def count_tokens(self, conversations: Sequence[Conversation]) -> list[int] | None:
        return [sum(len(turn.content.split()) for turn in conversation) for conversation in conversations]

    def close(self) -> None: ...


def completion(text: str | Mapping[str, Any], **fields: Any) -> Completion:
    """A good answer in this process."""
    written = text if isinstance(text, str) else json.dumps(text, ensure_ascii=False)
    usual: dict[str, Any] = {"finish_reason": "stop", "prompt_tokens": 10, "completion_tokens": 5}
    return Completion(written, **usual | fields)
