"""Workers that serve one pass after the other, start quickly and stay small."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil
import pytest

from olmv.errors import WorkerCrashedError
from olmv.video.decode import VideoFrames
from olmv.video.options import DecodeOptions
from olmv.video.readers import packets
from olmv.video.readers.pyav import PyAVReader
from olmv.video.transforms import Preprocess
from olmv.video.workers.fork_server import ForkServer
from olmv.video.workers.loader import MOST_PREFETCHED, FrameLoader, start_workers
from tests.support import videos

SMALL = Preprocess(size=32)


def pid_decode(path: str, preprocess: Preprocess, options: DecodeOptions) -> VideoFrames:
    """Gives its worker's number as `corrupt`, and whether torch is there as `decoded`; dies or waits if told to."""
    if path == "die":
        os._exit(3)
    if path.startswith("slow"):
        time.sleep(0.5)
    pixels = np.zeros((options.frames, 3, 8, 8), np.uint8)
    here = int("torch" in sys.modules)
    return VideoFrames(index=0, path=path, pixels=pixels, requested=options.frames, decoded=here, corrupt=os.getpid())


class TorchDecode:
    """Says that it needs torch before the fork."""

    def prepare(self) -> None:
        import torch  # noqa: F401

    def __call__(self, path: str, preprocess: Preprocess, options: DecodeOptions) -> VideoFrames:
        return pid_decode(path, preprocess, options)


@pytest.fixture
def fork_server() -> Iterator[ForkServer]:
    server = start_workers()
    yield server
    server.close()


def loader(paths: list[str], **arguments: object) -> FrameLoader:
    options = DecodeOptions(frames=2, workers=2)
    return FrameLoader(paths, preprocess=SMALL, options=options, decode=pid_decode, **arguments)  # type: ignore[arg-type]


def test_the_workers_of_one_pass_serve_the_next(fork_server: ForkServer) -> None:
    first = {row.corrupt for row in loader(["a", "b", "c", "d"], fork_server=fork_server)}
    second = list(loader(["a", "b", "c", "d"], fork_server=fork_server))
    assert {row.corrupt for row in second} <= first
    assert all(psutil.pid_exists(pid) for pid in first)
    other = FrameLoader(
        ["a"], preprocess=SMALL, options=DecodeOptions(frames=5), decode=pid_decode, fork_server=fork_server
    )
    assert next(iter(other)).requested == 5
    fork_server.close()
    deadline = time.monotonic() + 10
    while any(psutil.pid_exists(pid) for pid in first) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not any(psutil.pid_exists(pid) for pid in first)


def test_a_pass_given_up_half_way_leaves_nothing_to_the_next(fork_server: ForkServer) -> None:
    for row in loader(["a", "slow1", "slow2", "slow3"], fork_server=fork_server):
        assert row.path == "a"
        break
    assert [row.path for row in loader(["x", "y"], fork_server=fork_server)] == ["x", "y"]


def test_a_worker_that_died_is_replaced_in_the_next_pass(fork_server: ForkServer) -> None:
    rows = list(loader(["a", "die", "b"], fork_server=fork_server))
    assert [type(row.error) for row in rows] == [type(None), WorkerCrashedError, type(None)]
    pid = rows[0].corrupt
    psutil.Process(pid).kill()
    deadline = time.monotonic() + 10
    while psutil.Process(pid).status() != psutil.STATUS_ZOMBIE and time.monotonic() < deadline:
        time.sleep(0.02)
    assert [row.error for row in loader(["a", "b", "c"], fork_server=fork_server)] == [None] * 3


def test_a_forked_process_has_workers_of_its_own(fork_server: ForkServer) -> None:
    first = {row.corrupt for row in loader(["a", "b"], fork_server=fork_server)}
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            own = list(loader(["c", "d"], fork_server=fork_server))
            fork_server.close()
            code = int([row.path for row in own] != ["c", "d"] or not first.isdisjoint(row.corrupt for row in own))
        finally:
            os._exit(code)
    assert {row.corrupt for row in loader(["a", "b"], fork_server=fork_server)} <= first
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def test_a_forked_process_does_not_keep_the_workers_alive(fork_server: ForkServer) -> None:
    pids = {row.corrupt for row in loader(["a", "b"], fork_server=fork_server)}
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(writer)
        os.read(reader, 1)  # until the test is over
        os._exit(0)
    try:
        process = fork_server._process
        assert process is not None
        fork_server.close()
        assert process.returncode == 0  # it ended by itself; else it would have been killed
        assert not any(psutil.pid_exists(worker) for worker in pids)
    finally:
        os.close(writer)
        os.close(reader)
        os.waitpid(pid, 0)


def test_ctrl_c_never_reaches_the_fork_server(capfd: pytest.CaptureFixture[str]) -> None:
    fork_server = start_workers()
    process = fork_server._process
    assert process is not None
    for _ in range(10):  # while it starts
        process.send_signal(signal.SIGINT)
        time.sleep(0.03)
    assert [row.path for row in loader(["a"], fork_server=fork_server)] == ["a"]
    assert fork_server._process is process
    fork_server.close()
    assert capfd.readouterr().err == ""
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, [])


def test_two_passes_at_once_share_the_workers(fork_server: ForkServer) -> None:
    one, other = (iter(loader([f"{name}{i}" for i in range(6)], fork_server=fork_server)) for name in "xy")
    paths = [(next(one).path, next(other).path) for _ in range(6)]
    assert paths == [(f"x{i}", f"y{i}") for i in range(6)]


def test_workers_have_no_torch_unless_the_task_asks() -> None:
    assert [row.decoded for row in loader(["a"])] == [0]
    asked = FrameLoader(["a"], preprocess=SMALL, options=DecodeOptions(workers=1), decode=TorchDecode())
    assert [row.decoded for row in asked] == [1]
    jagged = replace(SMALL, antialias=False)  # resized by torch
    assert [row.decoded for row in FrameLoader(["a"], preprocess=jagged, decode=pid_decode)] == [1]


def test_decoding_videos_and_photos_imports_no_torch(tmp_path: Path) -> None:
    path = videos.make_video(tmp_path / "a.mp4", frames=8)
    code = (
        "import sys\nfrom olmv.video.workers.fork_server import _warm_up\n_warm_up(None)\n"
        "from olmv.video.decode import decode_video\nfrom olmv.video.transforms import Preprocess\n"
        "from olmv.video.options import DecodeOptions\n"
        "for sampling in ('uniform', 'dense', 'adaptive', 'keyframes'):\n"
        "    decode_video(sys.argv[1], Preprocess(size=32), DecodeOptions(sampling=sampling, thumbnails=True))\n"
        "print([name for name in ('torch', 'torchvision', 'scipy') if name in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_worker_is_small(fork_server: ForkServer) -> None:
    row = next(iter(loader(["a", "b"], fork_server=fork_server)))
    assert psutil.Process(row.corrupt).memory_info().rss < 120 * 2**20


def test_as_many_results_wait_as_memory_allows() -> None:
    assert FrameLoader([], preprocess=SMALL)._prefetch == MOST_PREFETCHED
    many = DecodeOptions(frames=512, workers=2)
    assert FrameLoader([], preprocess=Preprocess(size=336), options=many)._prefetch == 3  # of 173 MB each


def test_a_batch_does_not_wait_for_a_slow_file(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = [len(batch) for batch in loader(["a", "b", "slow", "c"]).batches(64)]
    assert sum(sizes) == 4
    assert len(sizes) > 1
    monkeypatch.setattr("olmv.video.workers.loader.PATIENCE_S", 60.0)
    assert [len(batch) for batch in loader(["a", "b", "slow", "c"]).batches(64)] == [4]


@pytest.mark.parametrize("workers", [0, 1])
def test_batches_hold_no_more_frames_than_asked_for(workers: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("olmv.video.workers.loader.PATIENCE_S", 60.0)
    options = DecodeOptions(frames=3, workers=workers)
    rows = FrameLoader(list("abcde"), preprocess=SMALL, options=options, decode=pid_decode)
    assert [[row.path for row in batch] for batch in rows.batches(7)] == [["a", "b"], ["c", "d"], ["e"]]


def test_packets_are_read_once_for_a_file_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = videos.make_video(tmp_path / "a.mp4", frames=12)
    reads: list[str] = []
    read: Callable[..., packets.PacketTable] = packets.PacketTable.read

    def counted(*arguments: object) -> packets.PacketTable:
        reads.append("read")
        return read(*arguments)

    monkeypatch.setattr(packets.PacketTable, "read", counted)
    for _ in range(3):
        with PyAVReader(path) as reader:
            assert [videos.number_of(f.pixels) for f in reader.frames([3, 9])] == [3, 9]
    assert len(reads) == 1
    videos.make_video(path, frames=7)  # written over
    with PyAVReader(path) as reader:
        assert len(reader.timestamps_s) == 7
    assert len(reads) == 2
    monkeypatch.setattr(packets, "KEPT_PACKETS", 10)
    for name, frames in (("b", 8), ("c", 9)):
        with PyAVReader(videos.make_video(tmp_path / f"{name}.mp4", frames=frames)):
            pass
    assert [len(table.pts) for table in packets._KEPT.values()] == [9]


def test_a_full_pipe_keeps_nobody() -> None:
    begun = loader(["a", "b", "c"]).start()
    pool = begun._pool
    assert pool is not None
    pool._thread.join(30)  # all is decoded, and nobody reads the pipe any more
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(pool._wake_writer, b"." * 4096)
    assert [row.path for row in begun] == ["a", "b", "c"]


def test_an_old_worker_makes_room_for_a_new_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("olmv.video.workers.fork_server.MOST_FILES", 3)
    fork_server = start_workers(pid_decode)
    try:
        options = DecodeOptions(workers=1)
        loader = FrameLoader(
            [str(number) for number in range(7)],
            preprocess=SMALL,
            options=options,
            decode=pid_decode,
            fork_server=fork_server,
        )
        pids = [video.corrupt for video in loader]
    finally:
        fork_server.close()
    assert [pids.count(pid) for pid in dict.fromkeys(pids)] == [3, 3, 1]
