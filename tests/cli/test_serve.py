"""`olmv serve`, from the command line to answers and to its end."""

import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.cli.conftest import start
from tests.support.missing import hide

Olmv = Callable[..., tuple[int, str, str]]


@contextmanager
def _upload_under_way(address: str) -> Iterator[None]:
    """Send some of a file, and hold the connection."""
    url = httpx.URL(address)
    head = (
        f"POST /v1/predict HTTP/1.1\r\nHost: {url.host}:{url.port}\r\nContent-Length: 9000000\r\n"
        "Content-Type: multipart/form-data; boundary=b\r\n\r\n"
        '--b\r\nContent-Disposition: form-data; name="files"; filename="a.mp4"\r\n\r\n'
    )
    with socket.create_connection((url.host, url.port or 80), 30) as connection:
        connection.sendall(head.encode() + bytes(2_000_000))
        yield


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_it_answers_until_it_is_told_to_stop(here: Path, model: str, how: signal.Signals) -> None:
    process = start("serve", "--labels", "dog, rain", "--model", model, "--port", "0", "--root", "clips", cwd=here)
    assert process.stdout is not None
    address = process.stdout.readline().strip()
    assert address.startswith("http://127.0.0.1:")
    answer = httpx.post(f"{address}v1/predict", json={"paths": ["0.mp4"]}, timeout=60).json()
    assert [label["label"] for label in answer["predictions"][0]["labels"]] == ["dog", "rain"]
    assert "text/html" in httpx.get(address).headers["content-type"]
    with _upload_under_way(address):
        end = time.monotonic() + 30
        while not [file for file in (here / "cache" / "uploads").glob("serve-*/*") if file.name != ".lock"]:
            assert time.monotonic() < end
            time.sleep(0.01)
        process.send_signal(how)
        _, err = process.communicate(timeout=30)
    assert process.returncode == (130 if how == signal.SIGINT else 0), err
    assert "Traceback" not in err
    assert not list((here / "cache" / "uploads").glob("serve-*"))


def test_a_port_that_is_taken(olmv: Olmv, here: Path, model: str) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen(1)
        port = other.getsockname()[1]
        code, _, err = olmv("serve", "--model", model, "--port", str(port))
    assert code == 2
    assert f"cannot listen on 127.0.0.1:{port}: Address already in use; choose another port (--port)" in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["gone.olmv"], "gone.olmv is no library and no file of predictions"),
        (["--labels", ","], "list of labels is empty"),
        (["--attributes", "book.json"], "attributes are of labels; name the labels, too (--labels, --attributes)"),
        (["--root", "gone"], "no such folder: gone"),
        (["--token", "short"], "the token must have 8 to 1024 characters"),
        (["--port", "99999"], "port is 99999"),
        (["--host", "999.0.0.1"], "cannot listen on 999.0.0.1"),
        (["--host", "192.0.2.1"], "Cannot assign requested address; name an address of this machine (--host)"),
        (["--queue", "0"], "queue is 0"),
        (["--thresholds", "gone.json"], "gone.json"),
        (["--model", "gone"], "gone"),
    ],
)
def test_what_cannot_be_served_is_told_in_one_line(
    olmv: Olmv, here: Path, model: str, arguments: list[str], message: str
) -> None:
    more: list[str] = [] if "--port" in arguments else ["--port", "0"]
    code, out, err = olmv("serve", *arguments, *([] if "--model" in arguments else ["--model", model]), *more)
    assert (code, out) == (2, "")
    assert message in err
    assert len(err.splitlines()) == 1


def test_without_its_packages_it_says_which(
    olmv: Olmv, here: Path, model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    hide(monkeypatch, "fastapi")
    code, _, err = olmv("serve", "--model", model)
    assert code == 2
    assert "olmv[serve]" in err
