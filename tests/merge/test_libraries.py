"""Libraries of several runs become one: linked where they can be, each video once, the newest state of its file."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from olmv.errors import InputError, UsageError
from olmv.library.encode import LibraryPart
from olmv.library.library import Library
from olmv.library.records import FileState
from olmv.library.writer import LibraryWriter
from olmv.merge.job import MergeJob, run
from olmv.merge.summary import MergeSummary
from olmv.progress import JobListener
from tests.support.libraries import SETTINGS, vector_library, vector_part


class Notes(JobListener):
    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


def vectors(seed: int, count: int = 3) -> "np.ndarray[tuple[int, int], np.dtype[np.float64]]":
    return np.random.default_rng(seed).normal(size=(count, 8))


def part(video: str, seed: int, mtime_ns: int) -> LibraryPart:
    made = vector_part(video, vectors(seed))
    return replace(made, record=replace(made.record, file=FileState(1000, mtime_ns)))


def write(folder: Path, *fragments: Mapping[str, tuple[int, int]]) -> Path:
    """Write a library of fragments of {video: (seed, time of the file)}."""
    with LibraryWriter(folder, SETTINGS) as writer:
        for videos in fragments:
            for video, (seed, mtime_ns) in videos.items():
                writer.add(part(video, seed, mtime_ns))
            writer.flush()
    return folder


def merge(output: Path, *parts: Path) -> tuple[MergeSummary, list[str]]:
    listener = Notes()
    return run(MergeJob(output=output, parts=list(parts)), listener), listener.notes


def contents(folder: Path) -> dict[str, bytes]:
    """The vectors of every video."""
    library = Library.open(folder)
    library.verify()
    found = {}
    for entry in library:
        fragment = library.fragments[entry.fragment]
        first, stop = fragment.window_bounds[[entry.first, entry.stop]]
        found[entry.video] = fragment.window_vectors[first:stop].tobytes()
    return found


def made(seed: int) -> bytes:
    return vector_part("x", vectors(seed)).vectors.tobytes()


def test_fragments_are_linked(tmp_path: Path) -> None:
    one = write(tmp_path / "one", {"a.mp4": (1, 1), "b.mp4": (2, 1)}, {"c.mp4": (3, 1)})
    two = write(tmp_path / "two", {"d.mp4": (4, 1)})
    summary, notes = merge(tmp_path / "all", one, two)
    assert (summary.videos, summary.twice, notes) == (4, 0, [])
    assert contents(tmp_path / "all") == {f"{name}.mp4": made(seed) for seed, name in enumerate("abcd", 1)}
    fragments = Library.open(tmp_path / "all").fragments
    assert len(fragments) == 3
    assert all((fragment.folder / "rows.arrow").stat().st_nlink == 2 for fragment in fragments)
    before = [fragment.folder.stat().st_ino for fragment in fragments]
    merge(tmp_path / "all", one, two)  # again: nothing is copied
    assert [fragment.folder.stat().st_ino for fragment in Library.open(tmp_path / "all").fragments] == before


def test_a_video_of_several_parts(tmp_path: Path) -> None:
    one = write(tmp_path / "one", {"a.mp4": (1, 5), "b.mp4": (2, 9), "c.mp4": (3, 1)})
    two = write(tmp_path / "two", {"a.mp4": (4, 7), "b.mp4": (5, 8), "c.mp4": (3, 1)})
    summary, [note] = merge(tmp_path / "all", one, two)
    assert (summary.videos, summary.twice, summary.differing) == (3, 3, 2)
    assert "/films/a.mp4, /films/b.mp4" in note
    assert contents(tmp_path / "all") == {"a.mp4": made(4), "b.mp4": made(2), "c.mp4": made(3)}


def test_a_part_that_grows(tmp_path: Path) -> None:
    """What was merged and has changed since is there in its newest state, once."""
    one = write(tmp_path / "one", {"a.mp4": (1, 5)})
    two = write(tmp_path / "two", {"b.mp4": (2, 5)})
    merge(tmp_path / "all", one, two)
    write(two, {"c.mp4": (3, 5), "b.mp4": (4, 6)})
    summary, _ = merge(tmp_path / "all", one, two)
    assert summary.videos == 3
    assert contents(tmp_path / "all") == {"a.mp4": made(1), "b.mp4": made(4), "c.mp4": made(3)}


def test_what_is_removed_stays_so(tmp_path: Path) -> None:
    one = write(tmp_path / "one", {"a.mp4": (1, 5), "b.mp4": (2, 5)})
    with LibraryWriter(one, SETTINGS) as writer:
        writer.flush(removed=["/films/a.mp4"])
    two = write(tmp_path / "two", {"c.mp4": (3, 5)})
    merge(tmp_path / "all", one, two)
    assert set(contents(tmp_path / "all")) == {"b.mp4", "c.mp4"}


def test_another_model_is_refused(tmp_path: Path) -> None:
    one = write(tmp_path / "one", {"a.mp4": (1, 5)})
    vector_library(tmp_path / "two", {"b.mp4": vectors(2)}, settings=replace(SETTINGS, digest="1" * 32))
    with pytest.raises(UsageError, match="one library, one model"):
        merge(tmp_path / "all", one, tmp_path / "two")
    vector_library(tmp_path / "three", {"b.mp4": vectors(2)}, settings=replace(SETTINGS, frames=16))
    with pytest.raises(UsageError, match="made with frames 8, not 16"):
        merge(tmp_path / "all", one, tmp_path / "three")
    assert not (tmp_path / "all").exists()


def test_an_output_with_something_else(tmp_path: Path) -> None:
    one, two = write(tmp_path / "one", {"a.mp4": (1, 5)}), write(tmp_path / "two", {"b.mp4": (2, 5)})
    with pytest.raises(UsageError, match=r"two is there and has 1 videos that no part has \(/films/b.mp4 is one\)"):
        merge(two, one)
    assert set(contents(two)) == {"b.mp4"}
    with pytest.raises(UsageError, match="is a part and the output"):
        merge(one, one, two)
    with pytest.raises(UsageError, match="named twice"):
        merge(tmp_path / "all", one, one)


def test_a_byte_flipped(tmp_path: Path) -> None:
    one = write(tmp_path / "one", {"a.mp4": (1, 5)})
    path = one / "fragments" / "000001" / "rows.arrow"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(InputError, match="its digest differs"):
        merge(tmp_path / "all", one)
    assert not (tmp_path / "all").exists()


def test_killed_between_fragments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = write(tmp_path / "one", {"a.mp4": (1, 5)}, {"b.mp4": (2, 5)})
    adopt = LibraryWriter.adopt
    calls: list[int] = []

    def once(self: LibraryWriter, *arguments: object) -> None:
        if calls:
            raise KeyboardInterrupt
        calls.append(1)
        adopt(self, *arguments)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(LibraryWriter, "adopt", once)
        with pytest.raises(KeyboardInterrupt):
            merge(tmp_path / "all", one)
    assert set(contents(tmp_path / "all")) == {"a.mp4"}
    merge(tmp_path / "all", one)
    assert contents(tmp_path / "all") == {"a.mp4": made(1), "b.mp4": made(2)}
    assert len(Library.open(tmp_path / "all").fragments) == 2


def test_rows_and_libraries(tmp_path: Path) -> None:
    one = write(tmp_path / "one", {"a.mp4": (1, 5)})
    (tmp_path / "rows.jsonl").write_text(json.dumps({}))
    with pytest.raises(UsageError, match=r"is a library and .* is not"):
        merge(tmp_path / "all", one, tmp_path / "rows.jsonl")
    with pytest.raises(InputError, match="nothing to merge"):
        merge(tmp_path / "all")
