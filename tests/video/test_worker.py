"""The fork server of workers, when whoever started it is gone."""

import pickle
import socket
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("asked", [False, True], ids=["before its setup", "while it forks"])
def test_a_killed_loader_leaves_no_traceback(asked: bool) -> None:
    ours, theirs = socket.socketpair()
    code = f"from olmv.video.workers.fork_server import serve; serve({theirs.fileno()})"
    child = subprocess.Popen(
        [sys.executable, "-c", code], pass_fds=[theirs.fileno()], stderr=subprocess.PIPE, text=True, cwd=ROOT
    )
    theirs.close()
    if asked:
        setup = pickle.dumps((print, None))  # a worker that ends at once
        ours.sendall(len(setup).to_bytes(8, "big") + setup)
        here, there = socket.socketpair()
        socket.send_fds(ours, [b"s"], [there.fileno()])
        here.close()
        there.close()
    ours.close()
    _, err = child.communicate(timeout=120)
    assert (child.returncode, err) == (0, "")
