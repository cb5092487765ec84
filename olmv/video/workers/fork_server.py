"""The processes that decode: one fork server, which imports torch once and forks workers from itself in milliseconds.

    loader ──socket──> fork server ──fork──> worker      paths in, frames out, over a pipe of its own
           <──────────────pipe────────────┘

Not `multiprocessing`: its start methods either fork a process that already runs threads (wrong pixels, deadlocks), or
run the user's main script again in every worker, which breaks scripts without an `if __name__ == "__main__"` guard.
A worker that hangs or dies takes nothing along: the loader kills it, asks the fork server for another, and goes on.
"""

import contextlib
import os
import pickle
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Final

__all__ = ["ForkServer", "Worker"]

MIB = 2**20
STARTUP_S: Final = 120.0  # for importing torch on a cold disk


class Worker:
    """The loader's end of one worker process."""

    def __init__(self, fork_server: "ForkServer", connection: Connection, pid: int) -> None:
        self._fork_server = fork_server
        self.connection = connection
        self.pid = pid

    def stop(self) -> int | None:
        """Kill the process if it still runs; return its exit code (negative: the signal), None if unknown."""
        self.connection.close()
        return self._fork_server.reap(self.pid)


class ForkServer:
    """Starts workers. Not thread-safe: the loader's pump thread owns it.

    Args:
        setup: pickled for the fork server: an importable function and its arguments; a worker runs
            `function(connection, *arguments)`.
    """

    def __init__(self, function: Callable[..., None], *arguments: Any) -> None:
        self._setup = (function, arguments)
        self._process: subprocess.Popen[bytes] | None = None
        self._socket: socket.socket | None = None

    def launch(self) -> None:
        """Start the fork server and return at once; the first `spawn` waits until it is up."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        code = f"import sys; sys.path[:] = sys.argv[2:]; from {__name__} import serve; serve(int(sys.argv[1]))"
        paths = [p for p in sys.path if p] + [str(Path.cwd())]
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
        self._process = subprocess.Popen(
            [sys.executable, "-c", code, str(theirs.fileno()), *paths],
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            env=environment,
        )
        theirs.close()
        ours.settimeout(STARTUP_S)
        self._socket = ours
        _send(ours, pickle.dumps(self._setup))

    def spawn(self) -> Worker:
        """Fork a worker.

        Raises:
            OSError: the fork server is gone and could not be started again.
        """
        try:
            return self._spawn()
        except (OSError, EOFError):
            self.close()  # killed from outside, for example for memory: start over, once
            self.launch()
            return self._spawn()

    def _spawn(self) -> Worker:
        if self._socket is None:
            self.launch()
        assert self._socket is not None
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            socket.send_fds(self._socket, [b"s"], [theirs.fileno()])
            pid = int.from_bytes(_receive_exactly(self._socket, 8), "big")
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        return Worker(self, Connection(ours.detach()), pid)

    def reap(self, pid: int) -> int | None:
        """Kill a worker, tell its exit code. The fork server does it: as the parent, it knows whose the number is."""
        try:
            if self._socket is None:
                return None
            self._socket.sendall(b"r" + pid.to_bytes(8, "big"))
            status = int.from_bytes(_receive_exactly(self._socket, 8), "big", signed=True)
        except (OSError, EOFError):
            return None
        return status

    def close(self) -> None:
        """End the fork server, which kills its workers."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        if self._process is not None:
            try:
                self._process.wait(timeout=5)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None


def serve(descriptor: int) -> None:
    """Run the fork server's main loop, in a process of its own; ends when the loader closes the socket or dies."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the loader's to handle
    control = socket.socket(fileno=descriptor)
    children: set[int] = set()
    with contextlib.suppress(EOFError, BrokenPipeError, ConnectionResetError):  # the loader was killed
        _tend(control, children)
    for pid in children:
        _end(pid)


def _tend(control: socket.socket, children: set[int]) -> None:
    """Fork and end workers as the loader asks, until it closes the socket; `children` holds those alive."""
    function, arguments = pickle.loads(_receive(control))
    _warm_up()
    while True:
        message, descriptors, _, _ = socket.recv_fds(control, 1, 1)
        if message == b"s" and descriptors:
            pid = os.fork()
            if pid == 0:
                control.close()
                _run_worker(function, Connection(descriptors[0]), arguments)
            os.close(descriptors[0])
            children.add(pid)
            control.sendall(pid.to_bytes(8, "big"))
        elif message == b"r":
            pid = int.from_bytes(_receive_exactly(control, 8), "big")
            children.discard(pid)
            control.sendall(_end(pid).to_bytes(8, "big", signed=True))
        else:
            return


def _run_worker(function: Callable[..., None], connection: Connection, arguments: tuple[Any, ...]) -> None:
    code = 1
    try:
        function(connection, *arguments)
        code = 0
    except (EOFError, BrokenPipeError, ConnectionResetError):
        code = 0  # the loader has gone
    except MemoryError:
        code = 2
    finally:
        os._exit(code)


def _end(pid: int) -> int:
    """Kill a child (a zombie does not mind) and return its exit code, negative for a signal."""
    try:
        done, status = os.waitpid(pid, os.WNOHANG)
        if not done:
            os.kill(pid, signal.SIGKILL)
            _, status = os.waitpid(pid, 0)
    except (ChildProcessError, ProcessLookupError):
        return 0
    return os.waitstatus_to_exitcode(status)


def _warm_up() -> None:
    """Import what a worker needs, so that a fork has it; run nothing that would start a thread."""
    import torch

    torch.set_num_threads(1)
    import av  # noqa: F401
    import PIL.Image

    import olmv.video.decode
    import olmv.video.pictures.reader
    import olmv.video.readers.pyav  # noqa: F401

    PIL.Image.preinit()  # what writing a thumbnail would import


def limit_memory(extra_mb: int) -> None:
    """Let this process allocate `extra_mb` MiB more than it has now; beyond that, allocation fails.

    RLIMIT_DATA counts private writable memory only: libraries and mapped files, gigabytes with torch, stay out of it.
    Where the platform does not enforce it (macOS), nothing happens.
    """
    import resource

    try:
        status = Path("/proc/self/status").read_text()
    except OSError:
        return
    used_kb = next((int(line.split()[1]) for line in status.splitlines() if line.startswith("VmData:")), None)
    if used_kb is None:
        return
    limit = used_kb * 1024 + extra_mb * MIB
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    if hard == resource.RLIM_INFINITY or limit < hard:
        resource.setrlimit(resource.RLIMIT_DATA, (limit, hard))


def _send(channel: socket.socket, data: bytes) -> None:
    channel.sendall(len(data).to_bytes(8, "big") + data)


def _receive(channel: socket.socket) -> bytes:
    return _receive_exactly(channel, int.from_bytes(_receive_exactly(channel, 8), "big"))


def _receive_exactly(channel: socket.socket, count: int) -> bytes:
    parts = bytearray()
    while len(parts) < count:
        part = channel.recv(count - len(parts))
        if not part:
            raise EOFError("the other end has gone")
        parts += part
    return bytes(parts)
