"""What befalls a running service: its processes are killed, its files go away, others write what it reads."""

import os
import select
import signal
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from olmv.models.base import VideoModel
from olmv.serve import engine as module
from olmv.serve.options import ServeOptions
from olmv.video.workers.fork_server import ForkServer, Worker
from olmv.video.workers.loader import FrameLoader
from tests.serve.acting import GATE, PID, acting_decode
from tests.support.server import RunningServer, running_server

LIMIT_S = 10  # of a file; a new worker imports the decoder meanwhile, on a busy machine for seconds


@pytest.fixture(scope="module")
def harmed(served_model: VideoModel, clips: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    root = tmp_path_factory.mktemp("harmed")
    for name in ("good", "held", "hang", "memory"):
        (root / f"{name}.mp4").write_bytes((clips / "a.mp4").read_bytes())
    os.mkfifo(root / GATE)
    options = ServeOptions(workers=2, root=root, timeout_s=LIMIT_S)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "FrameLoader", partial(FrameLoader, decode=acting_decode))
        with running_server(served_model, tmp_path_factory.mktemp("uploads"), options=options) as running:
            yield running


def _ask(server: RunningServer, *paths: str) -> Any:
    answer = httpx.post(f"{server.url}/v1/predict", json={"paths": [*paths]}, timeout=60)
    assert answer.status_code == 200, answer.text
    return answer.json()["predictions"]


def _kill_fork_server(server: RunningServer) -> None:
    process = server.service.engine._fork_server._process
    assert process is not None
    process.send_signal(signal.SIGKILL)
    process.wait()


@contextmanager
def _waiting(server: RunningServer, *paths: str) -> Iterator[tuple[int, "Future[Any]"]]:
    """Ask for videos, one of which waits at the gate until the end of the block; yields who, and the answer."""
    root = server.service.root.path
    assert root is not None
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(_ask, server, *paths)
        asked.add_done_callback(lambda _: os.close(os.open(root / GATE, os.O_RDONLY | os.O_NONBLOCK)))  # nobody came
        with (root / GATE).open("wb"):
            yield int((root / PID).read_text(encoding="utf-8")), asked


def test_a_decoder_that_hangs_or_takes_too_much_memory_costs_its_own_row(harmed: RunningServer) -> None:
    with _waiting(harmed, "hang.mp4", "memory.mp4", "good.mp4") as (pid, asked):
        pass
    hang, memory, good = asked.result()
    assert (
        hang["error"]["message"]
        == f"hang.mp4: not decoded within {LIMIT_S} s; raise the time limit if the file is sound"
    )
    assert "needs more than" in memory["error"]["message"]
    assert good["status"] == "ok"
    assert not psutil.pid_exists(pid)
    assert [row["status"] for row in _ask(harmed, "good.mp4")] == ["ok"]


def test_the_fork_server_is_killed_while_nothing_is_asked(harmed: RunningServer) -> None:
    assert _ask(harmed, "good.mp4")[0]["status"] == "ok"
    _kill_fork_server(harmed)
    assert [row["status"] for row in _ask(harmed, "good.mp4", "good.mp4", "good.mp4")] == ["ok"] * 3
    _kill_fork_server(harmed)
    assert _ask(harmed, "memory.mp4")[0]["status"] == "error"  # takes a worker of the server that is dead
    assert [row["status"] for row in _ask(harmed, "good.mp4", "good.mp4")] == ["ok"] * 2


def test_the_fork_server_is_killed_while_a_video_is_decoded(harmed: RunningServer) -> None:
    with _waiting(harmed, "held.mp4", "good.mp4") as (_, asked):
        _kill_fork_server(harmed)
    rows = asked.result()
    assert [row["status"] for row in rows] == ["ok"] * 2, rows
    assert _ask(harmed, "good.mp4")[0]["status"] == "ok"


def test_a_worker_that_hangs_and_has_lost_its_fork_server_is_ended(harmed: RunningServer) -> None:
    with _waiting(harmed, "hang.mp4") as (pid, asked):
        worker = os.pidfd_open(pid)
        _kill_fork_server(harmed)
    assert f"not decoded within {LIMIT_S} s" in asked.result()[0]["error"]["message"]
    assert select.select([worker], [], [], 20)[0] == [worker]  # it has ended
    os.close(worker)
    assert _ask(harmed, "good.mp4")[0]["status"] == "ok"


def test_where_no_process_can_be_started_a_video_fails_and_says_why(
    harmed: RunningServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: ForkServer) -> Worker:
        raise OSError(11, "Resource temporarily unavailable")

    with monkeypatch.context() as patch:
        patch.setattr(ForkServer, "take", full)
        (row,) = _ask(harmed, "good.mp4")
    message = "good.mp4: no process could be started to decode it (Resource temporarily unavailable); try again"
    assert row["error"]["message"].startswith(message)
    assert _ask(harmed, "good.mp4")[0]["status"] == "ok"
