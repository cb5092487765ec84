"""Events that are posted: in order, again and again, and not lost while nobody takes them."""

import json
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from olmv.errors import OutputError
from olmv.watch.http_stream import connect
from olmv.watch.sources import check_url
from olmv.watch.webhook import EventQueue, Webhook, queue_path, send
from tests.watch.servers import reply, serving


class Receiver:
    """Remembers what it takes; answers the statuses it is given first, then 200."""

    def __init__(self, *statuses: int, **headers: str) -> None:
        self.statuses, self.headers = list(statuses), headers
        self.taken: list[dict[str, Any]] = []
        self.kinds: set[str | None] = set()

    def __call__(self, handler: Any) -> None:
        body = handler.rfile.read(int(handler.headers["Content-Length"]))
        self.kinds.add(handler.headers.get("Content-Type"))
        status = self.statuses.pop(0) if self.statuses else 200
        if status == 200:
            self.taken.append(json.loads(body))
        reply(handler, status, b"", **self.headers)


def wait_until(done: Callable[[], bool], patience_s: float = 60.0) -> None:
    deadline = time.monotonic() + patience_s
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def event(number: int) -> dict[str, Any]:
    return {"event": f"{number}", "label": "Katze 🐈", "state": "began"}


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("olmv.watch.webhook.FIRST_RETRY_S", 0.02)
    monkeypatch.setattr("olmv.watch.webhook.LAST_RETRY_S", 0.05)


def test_events_come_in_order_and_leave_no_file(tmp_path: Path) -> None:
    receiver = Receiver()
    with serving(receiver) as url:
        webhook = Webhook(url + "/hook?x=1", EventQueue(tmp_path / "sub/queue.jsonl"), pytest.fail)
        for number in range(5):
            webhook.post(event(number))
        assert webhook.close() == 0
    assert receiver.taken == [event(number) for number in range(5)]
    assert receiver.kinds == {"application/json"}
    assert list((tmp_path / "sub").iterdir()) == []


def test_a_receiver_that_fails_gets_them_later_in_order(tmp_path: Path) -> None:
    receiver, notes = Receiver(500, 500, 503), list[str]()
    with serving(receiver) as url:
        webhook = Webhook(url, EventQueue(tmp_path / "queue.jsonl"), notes.append)
        for number in range(3):
            webhook.post(event(number))
        wait_until(lambda: len(receiver.taken) == 3)
        assert webhook.close() == 0
    assert receiver.taken == [event(number) for number in range(3)]
    assert [note.partition(": ")[2] for note in notes] == [
        "it answers 500; they wait and are sent again",
        "it answers 503; they wait and are sent again",
        "",
    ]
    assert notes[-1].endswith("takes events again")


def test_events_survive_the_process_and_go_first(tmp_path: Path) -> None:
    receiver = Receiver()
    with serving(receiver) as url:
        pass  # a port where nobody listens
    notes: list[str] = []
    webhook = Webhook(url, EventQueue(tmp_path / "queue.jsonl"), notes.append)
    webhook.post(event(0))
    webhook.post(event(1))
    wait_until(lambda: bool(notes))
    assert webhook.close() == 2
    assert "connection refused" in notes[0]
    with serving(receiver, port=int(url.rpartition(":")[2])) as url:
        queue = EventQueue(tmp_path / "queue.jsonl")
        assert queue.waiting == 2
        webhook = Webhook(url, queue, pytest.fail)
        webhook.post(event(2))
        assert webhook.close() == 0
    assert receiver.taken == [event(0), event(1), event(2)]


def test_what_was_sent_before_a_kill_is_not_sent_again(tmp_path: Path) -> None:
    queue = EventQueue(tmp_path / "queue.jsonl")
    for number in range(3):
        queue.put(event(number))
    first = queue.first(0)
    assert first is not None
    queue.drop_first(first)
    queue.close()  # as a kill leaves it: two events wait
    with (tmp_path / "queue.jsonl").open("ab") as file:
        file.write(b'{"event": "to')  # torn
    queue = EventQueue(tmp_path / "queue.jsonl")
    assert queue.waiting == 2
    queue.put(event(3))
    seen = []
    while (line := queue.first(0)) is not None:
        seen.append(json.loads(line))
        queue.drop_first(line)
    assert seen == [event(1), event(2), event(3)]
    queue.close()


def test_the_queue_stays_small_and_the_oldest_go(tmp_path: Path) -> None:
    queue = EventQueue(tmp_path / "queue.jsonl", most_bytes=1000)
    dropped = sum(queue.put(event(number)) for number in range(200))
    assert (tmp_path / "queue.jsonl").stat().st_size < 1200
    assert dropped + queue.waiting == 200
    line = queue.first(0)
    assert line is not None
    assert json.loads(line) == event(dropped)
    queue.drop_first(b"what was dropped meanwhile")
    assert queue.first(0) == line
    queue.close()


def test_two_watches_do_not_share_a_queue(tmp_path: Path) -> None:
    queue = EventQueue(tmp_path / "queue.jsonl")
    with pytest.raises(OutputError, match="another run is writing"):
        EventQueue(tmp_path / "queue.jsonl")
    queue.close()


def test_a_full_queue_is_told_and_costs_nothing_else(tmp_path: Path) -> None:
    notes: list[str] = []
    queue = EventQueue(tmp_path / "queue.jsonl")
    webhook = Webhook("http://127.0.0.1:9/", queue, notes.append)
    (tmp_path / "queue.jsonl").unlink()
    webhook.post(event(0))
    assert any("an event is not posted" in note and "was removed" in note for note in notes)
    webhook.close()


def test_redirects_are_not_followed() -> None:
    other = Receiver()
    with serving(other) as target, serving(Receiver(307, 200, Location=target)) as url:
        fault = send(check_url(url, "it"), b"{}")
        assert fault == "it sends elsewhere (307), which is not followed; name the receiver's own address"
        assert send(check_url(url, "it"), b"{}") is None
    assert other.taken == []


def test_a_receiver_that_never_answers_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("olmv.watch.webhook.TIMEOUT_S", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert send(check_url(f"http://127.0.0.1:{server.getsockname()[1]}", "it"), b"{}") == "no answer within 0.2 s"
    with serving(lambda handler: handler.wfile.write(b"hello\r\n")) as url:
        assert send(check_url(url, "it"), b"{}") == "the connection broke, or spoke no HTTP"


def test_a_receiver_is_told_who_asks() -> None:
    seen = []

    def answer(handler: Any) -> None:
        seen.append(handler.headers.get("Authorization"))
        reply(handler, 204)

    with serving(answer) as url:
        assert send(check_url(url.replace("//", "//a:b@"), "it"), b"{}") is None
    assert seen == ["Basic YTpi"]


def test_where_events_wait(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OLMV_CACHE", str(tmp_path))
    assert queue_path(Path("a/events.jsonl"), "x", "y") == Path("a/events.jsonl.unsent.jsonl")
    first, second = queue_path(None, "x", "y"), queue_path(None, "x", "z")
    assert first.parent == tmp_path / "watch"
    assert first != second
    assert first == queue_path(None, "x", "y")


def test_connecting_is_for_http(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(Receiver()) as url:
        connection = connect(check_url(url, "it"), private=True, timeout_s=3.0)
        assert connection.sock.getpeername()[0] == "127.0.0.1"
        connection.close()
