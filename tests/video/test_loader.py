"""The loader: order, isolation, limits, memory. The decoders below run in real worker processes."""

import ctypes
import gc
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import psutil
import pytest

from olmv.errors import (
    DecodeError,
    DecodeTimeoutError,
    MissingDependencyError,
    NotAVideoError,
    ProgramFaultError,
    UsageError,
    WorkerCrashedError,
)
from olmv.video.decode import VideoFrames, decode_video
from olmv.video.options import DecodeOptions
from olmv.video.readers import open as readers
from olmv.video.transforms import Preprocess
from olmv.video.workers.loader import FrameLoader
from tests.support import videos

SMALL = Preprocess(size=32)


def acting_decode(path: str, preprocess: Preprocess, options: DecodeOptions) -> VideoFrames:
    """Does what the file's name says."""
    name = Path(path).stem
    if name == "hang":
        time.sleep(600)
    if name == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if name == "segfault":
        ctypes.string_at(0)
    if name == "exit":
        os._exit(3)
    if name == "memory":
        np.ones(10 * 2**27)  # 10 GiB
    if name == "bug":
        raise KeyError("a decoder's bug")
    if name.startswith("slow"):
        time.sleep(0.5)
    pixels = np.full((options.frames, 3, 32, 32), len(name), np.uint8)
    return VideoFrames(index=0, path=path, pixels=pixels, requested=options.frames, decoded=options.frames)


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("clips")
    return [videos.make_video(folder / f"{i}.mp4", frames=8 + i) for i in range(5)]


def test_rows_come_in_order_with_bad_files_among_them(clips: list[Path], tmp_path: Path) -> None:
    (tmp_path / "text.mp4").write_text("text")
    paths = [clips[0], tmp_path / "text.mp4", *clips[1:], tmp_path / "absent.mp4", clips[0]]
    with FrameLoader(paths, preprocess=SMALL, options=DecodeOptions(frames=4, workers=2, thumbnails=True)) as loader:
        rows = list(loader)
    assert [r.index for r in rows] == list(range(8))
    assert [r.path for r in rows] == [os.fspath(p) for p in paths]
    assert [type(r.error) for r in rows] == [type(None), NotAVideoError, *[type(None)] * 4, NotAVideoError, type(None)]
    assert rows[0].pixels is not None
    assert rows[-1].pixels is not None
    assert rows[2].info is not None
    assert np.array_equal(rows[0].pixels, rows[-1].pixels)
    assert rows[0].pixels.shape == (4, 3, 32, 32)
    assert rows[0].times_s.shape == (4,)
    assert (rows[0].requested, rows[0].decoded, rows[0].corrupt) == (4, 4, 0)
    assert rows[2].info.num_frames == 9
    assert len(rows[0].thumbnails) == 4
    assert rows[0].thumbnails[0][:2] == b"\xff\xd8"
    assert (rows[1].requested, rows[1].decoded, rows[1].pixels) == (4, 0, None)


def test_workers_and_this_process_agree(clips: list[Path]) -> None:
    here = list(FrameLoader(clips, preprocess=SMALL, options=DecodeOptions(workers=0, sampling="adaptive", frames=3)))
    there = list(FrameLoader(clips, preprocess=SMALL, options=DecodeOptions(workers=2, sampling="adaptive", frames=3)))
    for a, b in zip(here, there, strict=True):
        assert a.pixels is not None
        assert b.pixels is not None
        assert np.array_equal(a.pixels, b.pixels)
        assert a.info == b.info


def test_each_disaster_costs_one_row() -> None:
    names = ["a", "kill", "b", "segfault", "exit", "memory", "bug", "hang", "cc"]
    loader = FrameLoader(
        [f"{n}.mp4" for n in names],
        preprocess=SMALL,
        decode=acting_decode,
        options=DecodeOptions(workers=2, timeout_s=3, memory_limit_mb=300),
    )
    rows = dict(zip(names, loader, strict=True))
    assert [n for n in names if rows[n].error is None] == ["a", "b", "cc"]
    assert rows["cc"].pixels is not None
    assert int(rows["cc"].pixels[0, 0, 0, 0]) == 2
    expected = {
        "kill": (WorkerCrashedError, r"kill.mp4: its decoding process died \(signal 9\)"),
        "segfault": (WorkerCrashedError, r"its decoding process died \(signal 11\)"),
        "exit": (WorkerCrashedError, r"its decoding process died \(exit code 3\)"),
        "memory": (WorkerCrashedError, "needs more than 300 MB to decode; raise the memory limit"),
        "bug": (ProgramFaultError, r"KeyError at test_loader.py:\d+: .*not of the file: look at olmv doctor"),
        "hang": (DecodeTimeoutError, "hang.mp4: not decoded within 3 s; raise the time limit"),
    }
    for name, (kind, message) in expected.items():
        error = rows[name].error
        assert type(error) is kind
        assert re.search(message, str(error))


def test_a_hanging_file_does_not_hold_up_the_others() -> None:
    names = ["hang", *(f"f{i}" for i in range(6))]
    start = time.monotonic()
    loader = FrameLoader(names, preprocess=SMALL, decode=acting_decode, options=DecodeOptions(workers=2, timeout_s=2))
    rows = list(loader)
    assert [r.error is None for r in rows] == [False] + [True] * 6
    assert time.monotonic() - start < 60


def test_decoding_goes_on_while_the_caller_computes() -> None:
    """Results larger than a pipe's buffer are taken in although nobody asks for them yet."""
    loader = FrameLoader(
        [f"slow{i}" for i in range(5)],
        preprocess=SMALL,
        decode=acting_decode,
        options=DecodeOptions(frames=200, workers=1),
    )
    rows = iter(loader)
    next(rows)
    pool = loader._open
    assert pool is not None
    deadline = time.monotonic() + 60
    while len(pool._done) < 4 and time.monotonic() < deadline:  # nobody has asked for them
        time.sleep(0.05)
    assert len(pool._done) == 4
    assert len(list(rows)) == 4


def test_ctrl_c_between_two_steps_of_a_lock_is_ctrl_c(clips: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    class Interrupted(threading.Condition):
        def __init__(self) -> None:
            super().__init__()
            release = self._release_save  # type: ignore[has-type]

            def interrupted() -> None:
                release()
                raise KeyboardInterrupt

            self._release_save = interrupted

    names = SimpleNamespace(Condition=Interrupted, Thread=threading.Thread)
    monkeypatch.setattr("olmv.video.workers.pool.threading", names)
    loader = FrameLoader(clips, preprocess=Preprocess(), options=DecodeOptions(workers=1))
    with loader, pytest.raises(KeyboardInterrupt):
        list(loader)


def test_paths_are_read_only_as_far_as_needed() -> None:
    read = 0

    def endless() -> Iterator[str]:
        nonlocal read
        while True:
            read += 1
            yield f"{read}.mp4"

    rows: Any = iter(
        FrameLoader(endless(), preprocess=SMALL, prefetch=5, decode=acting_decode, options=DecodeOptions(workers=2))
    )
    for _ in range(10):
        next(rows)
    time.sleep(0.3)
    rows.close()
    assert read <= 16


def test_leaving_early_leaves_no_process() -> None:
    before = {p.pid for p in psutil.Process().children(recursive=True)}
    for _ in FrameLoader(["a", "hang", "b"], preprocess=SMALL, decode=acting_decode, options=DecodeOptions(workers=2)):
        break
    gc.collect()
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        left = {p.pid for p in psutil.Process().children(recursive=True)} - before
        if not left:
            return
        time.sleep(0.05)
    pytest.fail(f"{len(left)} processes left")


def test_no_paths() -> None:
    assert list(FrameLoader([], preprocess=SMALL, options=DecodeOptions(workers=1))) == []


def test_a_failing_path_iterator_is_the_callers_error() -> None:
    def paths() -> Iterator[str]:
        yield "a"
        raise RuntimeError("from the paths")

    with pytest.raises(RuntimeError, match="from the paths"):
        list(FrameLoader(paths(), preprocess=SMALL, decode=acting_decode, options=DecodeOptions(workers=1)))


def test_a_script_without_main_guard_works(clips: list[Path], tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "from olmv.video.options import DecodeOptions\nfrom olmv.video.transforms import Preprocess\n"
        "from olmv.video.workers.loader import FrameLoader\noptions = DecodeOptions(workers=1)\n"
        f"rows = list(FrameLoader([{os.fspath(clips[0])!r}], preprocess=Preprocess(size=32), options=options))\n"
        "print('RUN', rows[0].decoded)\n"
    )
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout.split("\n") == ["RUN 8", ""]
    assert done.stderr == ""


def test_workers_end_with_a_killed_parent(tmp_path: Path) -> None:
    code = (
        "import sys, time; sys.path.insert(0, sys.argv[1])\n"
        "from olmv.video.options import DecodeOptions\nfrom olmv.video.transforms import Preprocess\n"
        "from olmv.video.workers.loader import FrameLoader\noptions = DecodeOptions(workers=1)\n"
        "from tests.video.test_loader import acting_decode\n"
        "loader = FrameLoader(['a', 'hang'], preprocess=Preprocess(size=32), options=options, decode=acting_decode)\n"
        "rows = iter(loader)\n"
        "next(rows); time.sleep(0.3); print('ready', flush=True); time.sleep(60)\n"
    )
    root = os.fspath(Path(__file__).parents[2])
    parent = subprocess.Popen([sys.executable, "-c", code, root], stdout=subprocess.PIPE, cwd=root)
    assert parent.stdout is not None
    assert parent.stdout.readline() == b"ready\n"
    family = psutil.Process(parent.pid).children(recursive=True)
    assert len(family) == 2  # fork server and worker
    parent.kill()
    parent.wait()
    parent.stdout.close()
    _, alive = psutil.wait_procs(family, timeout=60)
    assert alive == []


def test_memory_stays_flat() -> None:
    process = psutil.Process()
    loader = FrameLoader(
        (f"{i}" for i in range(400)),
        preprocess=SMALL,
        decode=acting_decode,
        options=DecodeOptions(frames=64, workers=2),
    )
    peaks = []
    for row in loader:  # 200 KB each: 80 MB if they were kept
        if row.index in (100, 399):
            peaks.append(process.memory_info().rss)
    assert peaks[1] - peaks[0] < 20 * 2**20


def test_real_decoding_respects_the_memory_cap(tmp_path: Path) -> None:
    path = videos.make_video(tmp_path / "big.mp4", frames=2, width=2560, height=1440)
    row = next(iter(FrameLoader([path], preprocess=SMALL, options=DecodeOptions(workers=1, memory_limit_mb=8))))
    # Python's own allocations fail with a MemoryError; where FFmpeg's fail first, it reports frames it cannot decode
    assert type(row.error) in (WorkerCrashedError, DecodeError)
    assert row.pixels is None
    told = str(row.error)
    assert "needs more than 8 MB" in told or "none of 2 frames could be decoded" in told


def test_nothing_decodable_is_an_error(tmp_path: Path) -> None:
    sound = videos.make_video(tmp_path / "s.mp4", container_options={"movflags": "faststart"})
    data = bytearray(sound.read_bytes())
    start = data.index(b"mdat") + 4
    data[start:] = bytes(len(data) - start)
    (tmp_path / "zero.mp4").write_bytes(data)
    with pytest.raises(DecodeError, match="none of 8 frames could be decoded; copy or download it again"):
        decode_video(os.fspath(tmp_path / "zero.mp4"), SMALL)


def test_wrong_arguments(monkeypatch: pytest.MonkeyPatch) -> None:
    cases: dict[str, dict[str, Any]] = {
        "workers is -1; it must be at least 0": {"workers": -1},
        "timeout_s is 0; give a number of seconds above 0": {"timeout_s": 0},
        "memory_limit_mb is 0; it must be at least 1": {"memory_limit_mb": 0},
        "frames is 0; it must be at least 1": {"frames": 0},
        "unknown sampling 'x'; choose uniform, dense": {"sampling": "x"},
        "every_s is 0; give a number of seconds from 0.001 up": {"every_s": 0},
        "every_s is '2'; give a number of seconds": {"every_s": "2"},
        "workers is 1.5; give a whole number, 0 or more": {"workers": 1.5},
        "timeout_s is nan; give a number of seconds above 0": {"timeout_s": float("nan")},
        "max_frames is 3; use at least 8, the fewest of a video": {"max_frames": 3, "every_s": 2.0},
        "a timeline takes every_s; say how often to look": {"timeline": True},
        "a timeline is not sampled 'dense'": {"timeline": True, "every_s": 1.0, "sampling": "dense"},
        "thumbnail_step is 0; it must be at least 1": {"thumbnail_step": 0},
    }
    for message, arguments in cases.items():
        with pytest.raises(UsageError, match=message):
            FrameLoader([], preprocess=SMALL, options=DecodeOptions(**arguments))
    with pytest.raises(UsageError, match="prefetch is 0; it must be at least 1"):
        FrameLoader([], preprocess=SMALL, prefetch=0)
    with pytest.raises(UsageError, match="unknown decoder 'x'"):
        FrameLoader([], preprocess=SMALL, options=DecodeOptions(decoder="x"))  # type: ignore[arg-type]
    monkeypatch.setattr(readers, "available_decoders", lambda: {"decord": None})
    with pytest.raises(MissingDependencyError, match="'decord' is not installed"):
        FrameLoader([], preprocess=SMALL, options=DecodeOptions(decoder="decord"))


def test_a_decode_of_the_script_itself_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(acting_decode, "__module__", "__main__")
    with pytest.raises(UsageError, match="put it into a module of its own, or use 0 workers"):
        FrameLoader(["a"], preprocess=SMALL, decode=acting_decode)
    rows = FrameLoader(["a"], preprocess=SMALL, decode=acting_decode, options=DecodeOptions(workers=0))
    assert [row.error for row in rows] == [None]


def test_a_package_that_does_not_fit_is_not_the_files_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if readers.available_decoders()["decord"] is None:
        pytest.skip("decord is not installed")
    path = videos.make_video(tmp_path / "a.mp4", frames=4)
    reader = readers.open_reader(path, decoder="decord")
    monkeypatch.setattr(reader, "_decoder", object())  # of a version without the method
    with pytest.raises(TypeError, match="not subscriptable"):  # and no corrupt frames
        reader.read([0])
    monkeypatch.delattr("decord.VideoReader")
    with pytest.raises(AttributeError, match="VideoReader"):
        readers.open_reader(path, decoder="decord")
