"""What a process and all below it use, seen from outside.

Memory is Pss (Linux): a page that several processes share counts in parts, so that a sum is what the machine gives.
A worker is a process whose parent stands below the root too: olmv forks its workers from a server of its own.
"""

import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from subprocess import DEVNULL, PIPE

import psutil

__all__ = ["Peak", "peak_memory", "worker_seconds"]

MIB = 2**20


@dataclass
class Peak:
    """The most that was seen at one look, in MB: of the tree together, of one worker; and how many workers."""

    tree_pss_mb: float = 0.0
    worker_pss_mb: float = 0.0
    worker_rss_mb: float = 0.0
    workers: int = 0

    def look(self, root: int) -> None:
        """Look at the tree once."""
        with suppress(psutil.NoSuchProcess):
            workers = _workers(root)
            memory = [_memory_mb(process.pid) for process in workers]
            others = [process.pid for process in _tree(root) if process not in workers]
            total = sum(pss for pss, _ in memory) + sum(_memory_mb(pid)[0] for pid in others)
            self.tree_pss_mb = max(self.tree_pss_mb, total)
            self.worker_pss_mb = max([self.worker_pss_mb, *(pss for pss, _ in memory)])
            self.worker_rss_mb = max([self.worker_rss_mb, *(rss for _, rss in memory)])
            self.workers = max(self.workers, len(workers))


def peak_memory(command: Sequence[str], environment: Mapping[str, str], *, every_s: float = 0.05) -> Peak:
    """Run a command and watch its memory.

    Raises:
        SystemExit: it fails; with the last line that it wrote to standard error.
    """
    peak = Peak()
    process = subprocess.Popen(command, env=dict(environment), stdin=DEVNULL, stdout=DEVNULL, stderr=PIPE, text=True)
    with polling(lambda: peak.look(process.pid), every_s):
        _, errors = process.communicate()
    if process.returncode:
        raise SystemExit(f"{' '.join(command)[:200]}: exit code {process.returncode}: {errors.strip()[-300:]}")
    return peak


@contextmanager
def worker_seconds(root: int, *, every_s: float = 0.1) -> Iterator[dict[int, float]]:
    """Note the processor seconds of every worker below `root`, by its number, while the block runs."""
    seconds: dict[int, float] = {}

    def look() -> None:
        for process in _workers(root):
            with suppress(psutil.NoSuchProcess):
                seconds[process.pid] = sum(process.cpu_times()[:2])

    with polling(look, every_s):
        yield seconds


@contextmanager
def polling(look: Callable[[], None], every_s: float) -> Iterator[None]:
    """Call `look` every so often, from a thread, while the block runs."""
    end = threading.Event()

    def run() -> None:
        while not end.wait(every_s):
            look()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield
    finally:
        end.set()
        thread.join()


def _tree(root: int) -> list[psutil.Process]:
    process = psutil.Process(root)
    return [process, *process.children(recursive=True)]


def _workers(root: int) -> list[psutil.Process]:
    workers = []
    for child in psutil.Process(root).children():
        with suppress(psutil.NoSuchProcess):
            workers += child.children(recursive=True)
    return workers


def _memory_mb(pid: int) -> tuple[float, float]:
    """Return (Pss, Rss) of a process; nothing of one that has ended."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0.0, 0.0
    sizes = {name: int(rest.split()[0]) for name, _, rest in (line.partition(":") for line in lines[1:])}
    return sizes.get("Pss", 0) * 1024 / MIB, sizes.get("Rss", 0) * 1024 / MIB
