"""Whatever is written, replaced, removed and compacted, and whenever it is killed: nothing lost, nothing twice."""

import contextlib
import json
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from olmv.errors import InputError, OutputError
from olmv.library import compact as compacting
from olmv.library import fragment as fragments
from olmv.library import settings as library_settings
from olmv.library import writer as writing
from olmv.library.compact import compact, moved_videos
from olmv.library.fragment import Fragment, write_fragment
from olmv.library.library import Library
from olmv.library.settings import LibrarySettings
from olmv.library.writer import LibraryWriter
from tests.support.libraries import SETTINGS, vector_library, vector_part

Vectors = np.ndarray[Any, Any]


def vectors(seed: int, count: int = 2) -> Vectors:
    return np.random.default_rng(seed).normal(size=(count, SETTINGS.dimension))


def content(library: Library) -> dict[str, bytes]:
    """Return the vectors of each video, by its name."""
    read = {}
    for entry in library:
        fragment = library.fragments[entry.fragment]
        first, stop = fragment.window_bounds[[entry.first, entry.stop]]
        rows = fragment.window_table.first_row[first:stop]
        np.testing.assert_array_equal(fragment.row_vectors[rows], fragment.window_vectors[first:stop])
        read[entry.video] = fragment.window_vectors[first:stop].tobytes()
    return read


def stored(seed: int, count: int) -> bytes:
    return vector_part("x", vectors(seed, count)).vectors.tobytes()


class KilledError(Exception):
    """Stands for SIGKILL."""


ACTIONS = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.sampled_from("abcd"), st.integers(0, 3)),
        st.tuples(st.just("remove"), st.sampled_from("abcd"), st.just(0)),
        st.tuples(st.sampled_from(["flush", "compact", "reopen"]), st.just(""), st.just(0)),
        st.tuples(st.just("kill"), st.just(""), st.integers(0, 3)),
    ),
    max_size=14,
)


@settings(max_examples=25, deadline=None)
@given(ACTIONS)
def test_a_library_is_what_was_written_last(actions: list[tuple[str, str, int]]) -> None:
    with tempfile.TemporaryDirectory() as name:
        writer, kept = LibraryWriter(name, SETTINGS), dict[str, bytes]()
        waiting: dict[str, bytes] = {}
        for number, (action, video, count) in enumerate(actions):
            if action == "add":
                writer.add(vector_part(video, vectors(number, count)))
                waiting[video] = stored(number, count)
                continue
            if action in ("flush", "remove"):
                gone = [f"/films/{video}"] if action == "remove" else []
                writer.flush(removed=gone)
                # a path that is removed and added in one go is there
                kept = {key: value for key, value in kept.items() if f"/films/{key}" not in gone} | waiting
            elif action == "compact":
                compact(writer.library(), writer)
            elif action == "kill":
                with pytest.MonkeyPatch.context() as patch:
                    patch.setattr(compacting, "TARGET_BYTES", 10**9)
                    patch.setattr(compacting, "_PIECE_BYTES", 1)
                    _kill_at(patch, writer, count)
                    with contextlib.suppress(KilledError):
                        compact(writer.library(), writer)
            if action in ("reopen", "kill"):
                writer.close()
                writer = LibraryWriter(name, SETTINGS)
            if action != "compact":
                waiting = {}
            library = Library.open(name)
            assert content(library) == kept
            assert library.windows == sum(len(value) for value in kept.values()) // (2 * SETTINGS.dimension)
            library.verify()
            if action == "compact":
                assert sum(fragment.windows for fragment in library.fragments) == library.windows
        writer.close()


def _kill_at(patch: pytest.MonkeyPatch, writer: LibraryWriter, step: int) -> None:
    """Kill compacting before it writes, after a fragment, before or after the list of fragments is replaced."""

    def killed(method: Callable[..., Any], *, after: bool) -> Callable[..., None]:
        def run(*arguments: Any) -> None:
            if after:
                method(*arguments)
            raise KilledError

        return run

    if step < 2:
        patch.setattr(writer, "write", killed(writer.write, after=step == 1))
    elif step == 2:
        patch.setattr(writer, "keep", killed(writer.keep, after=False))
    else:
        patch.setattr(writer, "_remove", killed(writer._remove, after=False))


def test_fragments_are_written_by_size_and_by_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    part = vector_part("a", vectors(0))
    with LibraryWriter(tmp_path / "library", SETTINGS) as writer:
        monkeypatch.setattr(writing, "FRAGMENT_BYTES", 2 * part.size)
        writer.add(part)
        assert writer.numbers == []
        writer.add(replace(part, record=replace(part.record, video="b", path="/b")))
        assert writer.numbers == [1]
        monkeypatch.setattr(writing, "FRAGMENT_SECONDS", 0.0)
        # the first part of a video is never written without the second
        halves = [replace(part.record.frames, part=number, parts=2) for number in range(2)]
        first, second = (replace(part, record=replace(part.record, frames=half)) for half in halves)
        writer.add(first)
        writer.flush()
        assert writer.numbers == [1]
        writer.add(second)
        assert writer.numbers == [1, 2]
    library = Library.open(tmp_path / "library")
    assert [(entry.video, entry.stop - entry.first) for entry in library] == [("b", 1), ("a", 2)]


def test_large_fragments_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    vector_library(tmp_path, {"a": vectors(0, 40), "b": vectors(1, 40)})
    large = Library.open(tmp_path).fragments[0].size
    monkeypatch.setattr(compacting, "TARGET_BYTES", 2 * large)
    for seed in range(2, 5):
        vector_library(tmp_path, {str(seed): vectors(seed)})
    before = content(Library.open(tmp_path))
    with LibraryWriter(tmp_path, SETTINGS) as writer:
        advanced: list[tuple[int, int]] = []
        compact(writer.library(), writer, lambda done, total: advanced.append((done, total)))
    library = Library.open(tmp_path)
    assert [fragment.number for fragment in library.fragments] == [1, 5]
    assert advanced == [(1, 3), (2, 3), (3, 3)]
    assert content(library) == before
    with LibraryWriter(tmp_path, SETTINGS) as writer:  # nothing is left to do
        compact(writer.library(), writer)
        assert writer.numbers == [1, 5]


def test_many_make_several(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    vector_library(tmp_path, {f"{seed}": vectors(seed, 20) for seed in range(10)})
    vector_library(tmp_path, {"0": vectors(99)})
    monkeypatch.setattr(compacting, "TARGET_BYTES", Library.open(tmp_path).fragments[0].size // 3)
    monkeypatch.setattr(compacting, "_PIECE_BYTES", 1)
    before = content(Library.open(tmp_path))
    with LibraryWriter(tmp_path, SETTINGS) as writer:
        compact(writer.library(), writer)
        assert len(writer.numbers) == 3 or len(writer.numbers) == 4
    assert content(Library.open(tmp_path)) == before


def test_compacting_writes_the_newest_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    vector_library(tmp_path, {"a": vectors(0)})
    for module in (library_settings, fragments, compacting):
        monkeypatch.setattr(module, "VERSION", 2)
    monkeypatch.setattr(library_settings, "MIGRATIONS", {1: lambda document: document})
    with LibraryWriter(tmp_path, SETTINGS) as writer:
        compact(writer.library(), writer)
        assert writer.numbers == [2]
    for file in (tmp_path / "library.json", tmp_path / "fragments" / "000002" / "fragment.json"):
        assert json.loads(file.read_text())["version"] == 2
    assert content(Library.open(tmp_path)) == {"a": stored(0, 2)}


def test_a_changed_fragment_is_not_compacted(tmp_path: Path) -> None:
    vector_library(tmp_path, {"a": vectors(0)})
    vector_library(tmp_path, {"b": vectors(1)})
    file = tmp_path / "fragments" / "000002" / "rows.arrow"
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)
    with LibraryWriter(tmp_path, SETTINGS) as writer:
        with pytest.raises(InputError, match=r"000002 is damaged: rows.arrow is not as it was written"):
            compact(writer.library(), writer)
        assert writer.numbers == [1, 2]


def test_a_reader_meets_a_compaction(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fragments that vanish between listing and opening are looked for again."""
    vector_library(tmp_path, {"a": vectors(0)})
    vector_library(tmp_path, {"b": vectors(1)})
    opened: list[Path] = []

    def slow(path: Path, dimension: int) -> Fragment:
        if not opened:
            opened.append(path)
            with LibraryWriter(tmp_path, SETTINGS) as writer:
                compact(writer.library(), writer)
        return Fragment(path, dimension)

    monkeypatch.setattr("olmv.library.files.Fragment", slow)
    assert sorted(content(Library.open(tmp_path))) == ["a", "b"]


def test_moved_videos(tmp_path: Path) -> None:
    library = vector_library(tmp_path, {"a": vectors(0), "b": vectors(1, 3)})
    with LibraryWriter(tmp_path, SETTINGS) as writer:
        writer.write(moved_videos(library, [(library.entries["/films/b"], "new/b", "/films/new/b")]))
    after = Library.open(tmp_path)
    assert list(after.entries) == ["/films/a", "/films/new/b"]
    assert content(after) == {"a": stored(0, 2), "new/b": stored(1, 3)}
    assert after.records(after.entries["/films/new/b"])[0].frames.path == "new/b"


@pytest.mark.parametrize("name", ["x.txt", "fragments-2"])
def test_a_folder_of_other_things(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("")
    with pytest.raises(OutputError, match="is no library and has other things in it; name a folder that is empty"):
        LibraryWriter(tmp_path, SETTINGS)
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_a_run_that_was_killed_at_once(tmp_path: Path) -> None:
    (tmp_path / "fragments").mkdir()
    (tmp_path / ".lock").touch()
    (tmp_path / ".olmv-0123.tmp").touch()
    LibraryWriter(tmp_path, SETTINGS).close()
    assert LibrarySettings.read(tmp_path) == SETTINGS


def test_a_fragment_that_was_not_listed_counts(tmp_path: Path) -> None:
    library = vector_library(tmp_path, {"a": vectors(0)})
    entry = library.entries["/films/a"]
    part = library.fragments[0].content(entry.first, entry.stop)
    write_fragment(tmp_path / "fragments" / "000002", replace(part, removed=["/films/b"]))
    assert len(Library.open(tmp_path).fragments) == 2
