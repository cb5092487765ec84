"""A fragment gives back what was written, to the bit."""

import errno
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from olmv import errors
from olmv.errors import InputError, OutputError, VideoError
from olmv.library import fragment as module
from olmv.library.encode import LibraryPart, join_parts
from olmv.library.fragment import Fragment, WindowTable, write_fragment
from olmv.library.records import FileState, PartRecord, failure
from olmv.video.decode import VideoFrames
from olmv.video.frames import VideoInfo
from olmv.video.part_shots import PartShots
from tests.support.libraries import vector_library

DIMENSION = 4
REALS = st.floats(0, 1e6)
COUNTS = st.integers(0, 2**31 - 1)
KINDS = [errors.DecodeError, errors.NotAVideoError, errors.DecodeTimeoutError, VideoError]


@st.composite
def shots(draw: st.DrawFn) -> PartShots:
    def pictures() -> tuple[Any, Any]:
        count = draw(st.integers(0, 3))
        return np.sort(draw_reals(draw, count)), np.full((count, 6), draw(st.integers(0, 255)), np.uint8)

    return PartShots(draw_reals(draw, draw(st.integers(0, 3))), *pictures(), *pictures())


def draw_reals(draw: st.DrawFn, count: int) -> Any:
    return np.array(draw(st.lists(REALS, min_size=count, max_size=count)), np.float64)


@st.composite
def parts(draw: st.DrawFn, part: int = 0, parts: int = 1) -> LibraryPart:
    """A part of a video, of any kind that decoding gives."""
    video = draw(st.text(st.characters(blacklist_categories=["Cs"]), min_size=1, max_size=9)) + draw(
        st.sampled_from(["", "\udcff"])
    )
    error = draw(st.none() | st.builds(lambda kind, text: kind(text), st.sampled_from(KINDS), st.text(max_size=9)))
    info = VideoInfo(
        path=video, width=draw(COUNTS), height=3, duration_s=draw(REALS), num_frames=draw(COUNTS), fps=draw(REALS),
        rotation=90, codec="h264",
    )  # fmt: skip
    rows, windows = (0, 0) if error is not None else (draw(st.integers(1, 4)), draw(st.integers(0, 3)))
    frames = VideoFrames(
        index=0, path=video, part=part, parts=parts, rows=draw(st.none() | st.just(np.arange(rows))),
        times_s=draw_reals(draw, rows), span_s=(draw(REALS), draw(REALS)), info=draw(st.none() | st.just(info)),
        requested=draw(COUNTS), decoded=rows, corrupt=draw(COUNTS), widest_gap_s=draw(st.none() | REALS),
        capped=draw(st.booleans()), shots=draw(st.none() | shots()), error=error,
    )  # fmt: skip
    record = PartRecord(
        video=video, path=f"/{video}", file=FileState(draw(st.integers(0, 2**62)), draw(st.integers(0, 2**62))),
        frames=frames, encoded=draw(COUNTS),
    )  # fmt: skip
    table = WindowTable(
        part=np.zeros(windows, np.int32), start_s=draw_reals(draw, windows), end_s=draw_reals(draw, windows),
        shot=np.zeros(windows, np.int32), first_row=np.zeros(windows, np.int64), rows=np.full(windows, rows, np.int32),
        background_mean=np.zeros(windows, np.float32), background_deviation=np.full(windows, np.nan, np.float32),
    )  # fmt: skip
    generator = np.random.default_rng(draw(COUNTS))
    return LibraryPart(
        record,
        generator.normal(size=(rows, DIMENSION)).astype(np.float16),
        generator.normal(size=(windows, DIMENSION)).astype(np.float16),
        table,
        tuple((draw(st.binary(max_size=6)), float(place)) for place in range(draw(st.integers(0, 2)))),
    )


def same(one: Any, other: Any) -> None:
    """Compare values with arrays in them."""
    if isinstance(one, np.ndarray):
        if len(one) or len(other):
            np.testing.assert_array_equal(one, other)
    elif isinstance(one, VideoError):
        assert (type(one), str(one)) == (type(other), str(other))
    elif hasattr(one, "__dict__"):
        assert vars(one).keys() == vars(other).keys()
        for name, value in vars(one).items():
            same(value, getattr(other, name))
    else:
        assert one == other


@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(st.lists(parts(), max_size=4), st.lists(st.text(max_size=9), max_size=2))
def test_round_trip(written: list[LibraryPart], removed: list[str]) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "000007"
        write_fragment(folder, join_parts(written, dimension=DIMENSION, removed=removed))
        fragment = Fragment(folder, DIMENSION)
        fragment.verify()
        assert (fragment.number, fragment.videos, fragment.removed) == (7, len(written), removed)
        assert fragment.size == sum(path.stat().st_size for path in folder.glob("*.arrow"))
        for place, part in enumerate(written):
            same(fragment.records[place], part.record)
            rows, windows = (slice(*b[place : place + 2]) for b in (fragment.row_bounds, fragment.window_bounds))
            np.testing.assert_array_equal(fragment.row_vectors[rows], part.rows)
            np.testing.assert_array_equal(fragment.window_vectors[windows], part.vectors)
            np.testing.assert_array_equal(fragment.window_table.start_s[windows], part.windows.start_s)
            assert (fragment.window_table.first_row[windows] == rows.start).all()
            assert fragment.thumbnails_of(place) == (
                [jpeg for jpeg, _ in part.thumbnails],
                [t for _, t in part.thumbnails],
            )
            assert bool(fragment.failed(np.array([place]), np.array([place + 1]))[0]) == (
                failure([part.record]) is not None
            )
        names = [(part.record.video, part.record.path, place, place + 1) for place, part in enumerate(written)]
        assert list(fragment.spans()) == names


def written(folder: Path) -> Path:
    write_fragment(folder, join_parts([], dimension=DIMENSION, removed=["/a"]))
    return folder


@pytest.mark.parametrize("document", ["", "[]", '{"rows": 1}', '{"rows": "x", "windows": 0, "videos": 0}'])
def test_a_damaged_description(tmp_path: Path, document: str) -> None:
    (written(tmp_path / "000001") / "fragment.json").write_text(document)
    with pytest.raises(InputError, match=r"000001 is damaged: fragment.json cannot be read; delete its folder"):
        Fragment(tmp_path / "000001", DIMENSION)


def test_one_of_a_later_olmv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "VERSION", 2)
    written(tmp_path / "000001")
    monkeypatch.undo()
    with pytest.raises(InputError, match="000001 was written by a later olmv; upgrade olmv"):
        Fragment(tmp_path / "000001", DIMENSION)


READ: dict[str, Callable[[Fragment], object]] = {
    "parts.arrow": lambda fragment: fragment.records,
    "rows.arrow": lambda fragment: fragment.row_vectors,
    "windows.arrow": lambda fragment: fragment.window_table,
    "thumbnails.arrow": lambda fragment: fragment.thumbnails_of(0),
}


@pytest.mark.parametrize("name", READ)
def test_a_file_of_something_else(tmp_path: Path, name: str) -> None:
    fragment = Fragment(written(tmp_path / "000001"), DIMENSION)
    (fragment.folder / name).write_bytes(b"something else")
    fragment.rows = 1
    with pytest.raises(InputError, match=f"{name} is no Arrow file of a library"):
        READ[name](fragment)
    with pytest.raises(InputError, match=rf"{name} is not as it was written \(its digest differs\)"):
        fragment.verify()


@pytest.mark.parametrize("name", READ)
def test_too_many_open_files_are_no_damage(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    fragment = Fragment(written(tmp_path / "000001"), DIMENSION)

    fragment.rows = 1

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr("pyarrow.memory_map", full)
    monkeypatch.setattr(Path, "open", full)
    for read in (READ[name], Fragment.verify):
        with pytest.raises(InputError, match=r"too many files are open; compact the library, or raise the limit"):
            read(fragment)


def test_files_that_cannot_be_compared_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fragment = Fragment(written(tmp_path / "000001"), DIMENSION)
    (fragment.folder / "rows.arrow").unlink()
    with pytest.raises(InputError, match=r"000001 is damaged: rows\.arrow is missing; delete its folder"):
        fragment.verify()

    def denied(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "open", denied)
    with pytest.raises(InputError, match=r"cannot read .*parts.arrow: Permission denied"):
        fragment.verify()


def test_a_fragment_that_is_held_outlives_its_folder(tmp_path: Path) -> None:
    (own,) = vector_library(tmp_path / "library", {"a.mp4": np.eye(8)}).fragments
    held = Fragment(own.folder, 8)
    assert held.is_same(own)
    expected = np.array(own.row_vectors)
    held.hold()
    shutil.rmtree(own.folder)
    np.testing.assert_array_equal(held.row_vectors, expected)
    np.testing.assert_array_equal(held.window_vectors, expected)
    assert held.records[0].path == "/films/a.mp4"
    assert held.thumbnails_of(0) == ([], [])
    (other,) = vector_library(tmp_path / "other", {"b.mp4": np.eye(8)}).fragments
    assert not held.is_same(other)


def test_a_full_disk_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, table: object) -> None:
        path.write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(module, "_write_table", full)
    with pytest.raises(OutputError, match="000001: the disk is full; make room and run again"):
        written(tmp_path / "000001")
    assert list(tmp_path.iterdir()) == []
