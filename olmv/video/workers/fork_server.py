"""The processes that decode: one fork server, which imports the decoders once and forks workers in milliseconds.

    loader ──socket──> fork server ──fork──> worker      paths in, frames out, over a pipe of its own
           <──────────────pipe────────────┘

Not `multiprocessing`: its start methods either fork a process that already runs threads (wrong pixels, deadlocks), or
run the user's main script again in every worker, which breaks scripts without an `if __name__ == "__main__"` guard.
A worker that hangs or dies takes nothing along: the loader kills it, asks the fork server for another, and goes on.
Workers are told with each file what to do with it, so that those of one pass are ready for the next.

Nothing here imports torch: it takes longer to start than a short video to decode, and makes workers large. A decoding
function that needs it (augmentation, in training) brings it along.
"""

import contextlib
import os
import pickle
import signal
import socket
import subprocess
import sys
import threading
import weakref
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Final

__all__ = ["ForkServer", "Worker"]

MIB = 2**20
STARTUP_S: Final = 120.0  # for importing everything from a cold disk
MOST_FILES: Final = 128
"""After so many files a worker ends and another one is forked: codecs leave a little memory behind with each."""


class Worker:
    """The loader's end of one worker process."""

    def __init__(self, fork_server: "ForkServer", connection: Connection, pid: int) -> None:
        self._fork_server = fork_server
        self.connection = connection
        self.pid = pid
        self.files = 0
        self._handle: int | None = None
        if hasattr(os, "pidfd_open"):  # Linux: means this very process, also when its number was given to another
            with contextlib.suppress(OSError):
                self._handle = os.pidfd_open(pid)

    def stop(self) -> int | None:
        """Kill the process if it still runs; return its exit code (negative: the signal), None if unknown."""
        if self._handle is not None:  # the fork server may have been killed: another one does not know its workers
            with contextlib.suppress(OSError):
                signal.pidfd_send_signal(self._handle, signal.SIGKILL)
        self.close()
        return self._fork_server.reap(self.pid)

    def close(self) -> None:
        """Leave the process alone; it ends when it has nothing more to do."""
        self.connection.close()
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None


class ForkServer:
    """Starts workers, and keeps those that are idle. Safe to share between threads.

    A process that is forked from the caller's starts a fork server of its own when it asks for a worker.

    Args:
        function: what a worker runs, `function(connection)`; importable.
        prepare: called in the fork server before it forks, to import what the workers would.
    """

    def __init__(self, function: Callable[[Connection], None], prepare: Callable[[], None] | None = None) -> None:
        self._setup = (function, prepare)
        self._process: subprocess.Popen[bytes] | None = None
        self._socket: socket.socket | None = None
        self._idle: deque[Worker] = deque()
        self._lock = threading.RLock()
        _SERVERS.add(self)

    def launch(self) -> None:
        """Start the fork server and return at once; the first `spawn` waits until it is up."""
        with self._lock:
            if self._socket is None:
                self._launch()

    def _launch(self) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        code = f"import sys; sys.path[:] = sys.argv[2:]; from {__name__} import serve; serve(int(sys.argv[1]))"
        paths = [p for p in sys.path if p] + [str(Path.cwd())]
        one_thread = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
        with _without_interrupts():
            self._process = subprocess.Popen(
                [sys.executable, "-c", code, str(theirs.fileno()), *paths],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                env={**os.environ, **one_thread},
            )
        theirs.close()
        ours.settimeout(STARTUP_S)
        self._socket = ours
        _send(ours, pickle.dumps(self._setup))

    def take(self) -> Worker:
        """Return an idle worker, or a new one.

        Raises:
            OSError: as `spawn`.
        """
        with self._lock:
            while self._idle:
                worker = self._idle.popleft()
                if not worker.connection.poll():  # nothing was asked of it: there is only its end to be told of
                    return worker
                worker.stop()
            return self.spawn()

    def give_back(self, worker: Worker) -> None:
        """Keep a worker that waits for a file, for the next who takes one; an old one ends."""
        worker.files += 1
        if worker.files >= MOST_FILES:
            worker.stop()
            return
        with self._lock:
            self._idle.append(worker)

    def spawn(self) -> Worker:
        """Fork a worker.

        Raises:
            OSError: the fork server is gone and could not be started again.
        """
        with self._lock:
            try:
                return self._spawn()
            except (OSError, EOFError):
                self.close()  # killed from outside, for example for memory: start over, once
                return self._spawn()

    def _spawn(self) -> Worker:
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
        with self._lock:
            try:
                if self._socket is None:
                    return None
                self._socket.sendall(b"r" + pid.to_bytes(8, "big"))
                return int.from_bytes(_receive_exactly(self._socket, 8), "big", signed=True)
            except (OSError, EOFError):
                return None

    def close(self) -> None:
        """End the fork server, which kills its workers; safe to call twice."""
        with self._lock:
            while self._idle:
                self._idle.pop().close()
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

    def forget(self) -> None:
        """Leave everything to the process that this one was forked from, and start afresh."""
        self._lock = threading.RLock()  # a thread that is not here may hold the old one
        while self._idle:
            self._idle.pop().close()
        if self._socket is not None:
            self._socket.close()
        self._socket = self._process = None


_SERVERS: "weakref.WeakSet[ForkServer]" = weakref.WeakSet()


def _forget_all() -> None:
    for fork_server in list(_SERVERS):
        fork_server.forget()


# two processes on one socket would get each other's answers, and its end would not be seen
os.register_at_fork(after_in_child=_forget_all)


@contextmanager
def _without_interrupts() -> Iterator[None]:
    """Let processes that this thread starts inside never see Ctrl-C, not even while they begin: it is the loader's."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def serve(descriptor: int) -> None:
    """Run the fork server's main loop, in a process of its own; ends when the loader closes the socket or dies."""
    control = socket.socket(fileno=descriptor)
    children: set[int] = set()
    with contextlib.suppress(EOFError, BrokenPipeError, ConnectionResetError):  # the loader was killed
        _tend(control, children)
    for pid in children:
        _end(pid)


def _tend(control: socket.socket, children: set[int]) -> None:
    """Fork and end workers as the loader asks, until it closes the socket; `children` holds those alive."""
    function, prepare = pickle.loads(_receive(control))
    _warm_up(prepare)
    while True:
        message, descriptors, _, _ = socket.recv_fds(control, 1, 1)
        if message == b"s" and descriptors:
            pid = os.fork()
            if pid == 0:
                control.close()
                _run_worker(function, Connection(descriptors[0]))
            os.close(descriptors[0])
            children.add(pid)
            control.sendall(pid.to_bytes(8, "big"))
        elif message == b"r":
            pid = int.from_bytes(_receive_exactly(control, 8), "big")
            children.discard(pid)
            control.sendall(_end(pid).to_bytes(8, "big", signed=True))
        else:
            return


def _run_worker(function: Callable[[Connection], None], connection: Connection) -> None:
    code = 1
    try:
        function(connection)
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


def _warm_up(prepare: Callable[[], None] | None) -> None:
    """Import what a worker needs, so that a fork has it; run nothing that would start a thread."""
    if prepare is not None:
        prepare()
    if (torch := sys.modules.get("torch")) is not None:
        torch.set_num_threads(1)
    import av  # noqa: F401
    import PIL.Image

    import olmv.video.decode
    import olmv.video.pictures.reader
    import olmv.video.readers.pyav  # noqa: F401

    PIL.Image.preinit()  # what writing a thumbnail would import


def used_memory_kb() -> int | None:
    """Return the private writable memory of this process, libraries and mapped files left out; None where unknown."""
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:
        return None
    return next((int(line.split()[1]) for line in status.splitlines() if line.startswith("VmData:")), None)


def limit_memory(used_kb: int | None, extra_mb: int) -> None:
    """Let this process allocate `extra_mb` MiB more than `used_kb`; beyond that, allocation fails.

    RLIMIT_DATA counts what `used_memory_kb` does. Where the platform does not enforce it (macOS), nothing happens.
    """
    import resource

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
