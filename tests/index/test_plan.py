"""What an update finds changed, deleted and moved."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from olmv.errors import InputError, NotAVideoError
from olmv.index.plan import IndexPlan, plan_new, plan_update
from olmv.library.encode import LibraryPart
from olmv.library.library import Library
from olmv.library.records import FileState
from olmv.library.writer import LibraryWriter
from tests.support.libraries import SETTINGS, vector_part


def part_of(path: str) -> LibraryPart:
    part = vector_part(path, np.ones((1, SETTINGS.dimension)))
    return replace(part, record=replace(part.record, path=os.path.abspath(path), file=FileState.of(path)))  # noqa: PTH100


def failed_part(path: str) -> LibraryPart:
    part = part_of(path)
    bare = vector_part(path, np.zeros((0, SETTINGS.dimension)))
    frames = replace(part.record.frames, error=NotAVideoError("no video"), info=None, times_s=np.zeros(0))
    return replace(bare, record=replace(part.record, frames=frames))


@pytest.fixture
def films(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Files `a/x`, `a/y`, `b/x`, and a library of them."""
    monkeypatch.chdir(tmp_path)
    for name in ("a/x", "a/y", "b/x"):
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).write_text(name)
    fill("a/x", "a/y", "b/x")
    return tmp_path


def fill(*names: str, failed: tuple[str, ...] = ()) -> None:
    with LibraryWriter("library", SETTINGS) as writer:
        for name in names:
            writer.add(part_of(name))
        for name in failed:
            writer.add(failed_part(name))
        writer.flush()


def update(videos: list[str] | None, *inputs: str) -> IndexPlan:
    return plan_update(Library.open("library"), videos, inputs)


def moves(plan: IndexPlan) -> list[tuple[str, str]]:
    return [(entry.video, video) for entry, video, _ in plan.moves]


def test_new_ones(films: Path) -> None:
    fill(failed=("a/bad",))
    plan = plan_new(Library.open("library"), ["a/x", "./b/x", "a/bad", "a/z"])
    assert (plan.todo, plan.earlier, plan.earlier_failed) == (["a/z"], 3, 1)


def test_nothing_changed(films: Path) -> None:
    for plan in (update(None), update(["a/x", "a/y", "b/x"], "a", "b")):
        assert (plan.todo, plan.removed, plan.moves, plan.changed, plan.earlier) == ([], [], [], 0, 3)


def test_changed_and_failed_ones(films: Path) -> None:
    fill(failed=("b/x",))
    os.utime("a/x", ns=(1, 1))
    Path("a/y").write_text("longer")
    plan = update(None)
    assert (sorted(plan.todo), plan.changed) == (["a/x", "a/y", "b/x"], 3)


def test_deleted_ones_by_scope(films: Path) -> None:
    Path("a/x").unlink()
    Path("b/x").unlink()
    assert update(None).removed == [str(films / "a/x"), str(films / "b/x")]
    assert update(None).videos == ["a/y"]
    assert update(["a/y"], "a").removed == [str(films / "a/x")]
    assert update(["a/y"], "b*").removed == [str(films / "a/x"), str(films / "b/x")]
    assert update(["a/y"], "a/y").removed == []
    listed = update(["a/x", "a/y"], "list.csv")  # somebody says that it should be there
    assert (listed.removed, listed.todo) == ([], ["a/x"])


def test_a_folder_whose_name_another_begins_with(films: Path) -> None:
    Path("ab").mkdir()
    Path("ab/z").write_text("z")
    fill("ab/z")
    Path("ab/z").unlink()
    assert update(["a/x", "a/y"], "a").removed == []


def test_all_gone_is_refused(films: Path) -> None:
    for name in ("a/x", "a/y", "b/x"):
        Path(name).unlink()
    with pytest.raises(InputError, match="none of the 3 videos of library is there any more; if no disk is missing"):
        update(None)


def test_moved_ones(films: Path) -> None:
    Path("c").mkdir()
    Path("a/y").rename("c/y")
    plan = update(["c/y"], "c")  # also where the folder that it left is not looked at
    assert (plan.todo, moves(plan), plan.removed, plan.earlier) == ([], [("a/y", "c/y")], [], 1)
    Path("c/y").write_text("changed")
    assert update(["c/y"], "c").todo == ["c/y"]


def test_doubtful_moves_are_none(films: Path) -> None:
    os.utime("a/x", ns=(5, 5))
    os.utime("b/x", ns=(5, 5))
    fill("a/x", "b/x")
    for folder in ("c", "d"):
        Path(folder).mkdir()
    Path("a/x").rename("c/x")  # of one name, size and time with the other
    Path("b/x").rename("d/x")
    plan = update(["a/y", "c/x", "d/x"], ".")
    assert (plan.todo, moves(plan), len(plan.removed)) == (["c/x", "d/x"], [], 2)


def test_a_copy_is_new(films: Path) -> None:
    Path("c").mkdir()
    Path("c/y").write_text("a/y")
    state = Path("a/y").stat()
    os.utime("c/y", ns=(state.st_atime_ns, state.st_mtime_ns))
    assert update(["a/y", "c/y"], "a", "c").todo == ["c/y"]


def test_addresses_are_not_looked_for(films: Path) -> None:
    with LibraryWriter("library", SETTINGS) as writer:
        part = part_of("a/x")
        writer.add(replace(part, record=replace(part.record, video="s3://b/x", path="s3://b/x", file=FileState())))
        writer.flush()
    plan = update(None)
    assert (plan.todo, plan.removed) == ([], [])
    assert "s3://b/x" in plan.videos


def test_names_from_elsewhere(films: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A library that was made in another folder: its names mean nothing here, its paths do."""
    os.utime("a/x", ns=(1, 1))
    (films / "b" / "y").write_text("")
    monkeypatch.chdir(films / "b")
    assert plan_update(Library.open("../library"), None, []).todo == [str(films / "a/x")]
