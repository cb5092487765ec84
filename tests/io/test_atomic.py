"""Files and folders that are there whole, or as they were before."""

import errno
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from olmv.errors import OutputError
from olmv.io.atomic import check_writable, replacing_file, replacing_folder, write_atomic, writing_file
from olmv.io.journal import JsonlJournal


def entries(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_write_atomic_replaces_and_keeps_mode(tmp_path: Path) -> None:
    file = tmp_path / "book.json"
    write_atomic(file, "one")
    umask = os.umask(0)
    os.umask(umask)
    assert stat.S_IMODE(file.stat().st_mode) == 0o666 & ~umask
    file.chmod(0o640)
    write_atomic(file, b"two")
    assert file.read_bytes() == b"two"
    assert stat.S_IMODE(file.stat().st_mode) == 0o640
    assert [path.name for path in tmp_path.iterdir()] == ["book.json"]


def test_write_atomic_keeps_links_and_devices(tmp_path: Path) -> None:
    (tmp_path / "real.json").write_text("old")
    (tmp_path / "link.json").symlink_to("real.json")
    write_atomic(tmp_path / "link.json", "new")
    assert (tmp_path / "link.json").is_symlink()
    assert (tmp_path / "real.json").read_text() == "new"
    write_atomic("/dev/null", "gone")
    assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)


def test_write_atomic_leaves_the_old_file_when_the_disk_is_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "book.json"
    file.write_text("old")

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OutputError, match=r"cannot write .*book.json: the disk is full; make room"):
        write_atomic(file, "new")
    assert file.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["book.json"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux only")
def test_write_atomic_to_a_full_device() -> None:
    with pytest.raises(OutputError, match="/dev/full: the disk is full"):
        write_atomic("/dev/full", "data")


@pytest.mark.parametrize(
    "function", [lambda path: write_atomic(path, ""), check_writable, lambda p: JsonlJournal(p).open()]
)
def test_outputs_that_cannot_be_written(tmp_path: Path, function: Callable[[Path], None]) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match=r"its folder does not exist; create it: mkdir -p .*missing"):
        function(tmp_path / "missing" / "x.jsonl")
    with pytest.raises(OutputError, match="it is a folder; name a file in it"):
        function(tmp_path)
    with pytest.raises(OutputError, match="part of its path is a file"):
        function(tmp_path / "file" / "x.jsonl")
    with pytest.raises(OutputError, match="the name is too long"):
        function(tmp_path / ("x" * 300))


def test_check_writable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "x.jsonl"
    check_writable(file)
    assert not any(tmp_path.iterdir())
    file.write_text("kept")
    check_writable(file)
    check_writable("/dev/null")
    assert file.read_text() == "kept"
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(OutputError, match="permission denied; choose a folder that you may write to"):
        check_writable(file)


def test_pieces_are_written_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "x.txt"
    write_atomic(path, (f"é{number}\n" for number in range(50_000)))
    assert path.read_text("utf-8").splitlines()[-1] == "é49999"

    def breaks() -> Iterator[str]:
        yield "new" * 100_000
        raise ValueError("half way")

    with pytest.raises(ValueError, match="half way"):
        write_atomic(path, breaks())
    assert path.read_text("utf-8").endswith("é49999\n")
    assert [file.name for file in tmp_path.iterdir()] == ["x.txt"]


def test_a_file_is_replaced_when_the_block_ends(tmp_path: Path) -> None:
    file = tmp_path / "x.bin"
    file.write_text("old")
    file.chmod(0o604)
    with replacing_file(file) as temporary:
        assert temporary.parent == tmp_path
        assert temporary.read_bytes() == b""
        temporary.write_text("new")
        assert file.read_text() == "old"
    assert file.read_text() == "new"
    assert stat.S_IMODE(file.stat().st_mode) == 0o604
    assert entries(tmp_path) == ["x.bin"]


def test_a_new_file_has_the_mode_of_the_umask(tmp_path: Path) -> None:
    umask = os.umask(0o027)
    try:
        with replacing_file(tmp_path / "x.bin") as temporary:
            temporary.write_text("new")
    finally:
        os.umask(umask)
    assert stat.S_IMODE((tmp_path / "x.bin").stat().st_mode) == 0o640


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    real, link = tmp_path / "elsewhere" / "real.bin", tmp_path / "link.bin"
    real.write_text("old")
    link.symlink_to(real)
    with replacing_file(link) as temporary:
        assert temporary.parent == real.parent
        temporary.write_text("new")
    assert link.is_symlink()
    assert real.read_text() == "new"


def test_a_device_is_written_itself() -> None:
    with replacing_file("/dev/null") as temporary:
        assert temporary == Path("/dev/null")
    assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)


@pytest.mark.parametrize("failure", [ValueError("half way"), OSError(errno.ENOSPC, "full"), KeyboardInterrupt()])
def test_a_block_that_raises_leaves_the_old_file(tmp_path: Path, failure: BaseException) -> None:
    file = tmp_path / "x.bin"
    file.write_text("old")

    def write_half() -> None:
        with replacing_file(file) as temporary:
            temporary.write_text("half")
            raise failure

    with pytest.raises(type(failure)) as caught:
        write_half()
    assert caught.value is failure
    assert file.read_text() == "old"
    assert entries(tmp_path) == ["x.bin"]


def test_a_block_that_only_writes_fails_as_an_output(tmp_path: Path) -> None:
    with (
        pytest.raises(OutputError, match=r"cannot write .*x\.bin: the disk is full; make room and run again"),
        writing_file(tmp_path / "x.bin"),
    ):
        raise OSError(errno.ENOSPC, "No space left on device")
    with (
        pytest.raises(OutputError, match=r"cannot write .*x\.bin: its folder does not exist; create it: mkdir -p"),
        writing_file(tmp_path / "gone" / "x.bin"),
    ):
        raise AssertionError("the block is not entered")
    assert entries(tmp_path) == []


def test_a_folder_is_replaced_when_the_block_ends(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    for content in ("one", "two"):
        with replacing_folder(folder) as fresh:
            assert entries(fresh) == []
            (fresh / content).write_text(content)
            assert entries(folder) == ["one"] if content == "two" else not folder.exists()
        assert entries(folder) == [content]
    assert entries(tmp_path) == ["model"]


def test_a_folder_is_kept_when_the_block_raises(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "old").write_text("old")
    failure = OSError(errno.ENOSPC, "full")

    def write_half() -> None:
        with replacing_folder(folder) as fresh:
            (fresh / "half").write_text("half")
            raise failure

    with pytest.raises(OSError, match="full") as caught:
        write_half()
    assert caught.value is failure
    assert entries(folder) == ["old"]
    assert entries(tmp_path) == ["model"]


def test_a_folder_that_cannot_be_put_back_is_not_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "one").write_text("one")
    rename = Path.rename

    def failing(self: Path, target: Path) -> Path:
        if target == folder:  # neither the new nor the old one comes into place
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", failing)
    with pytest.raises(OutputError, match="Input/output error"), replacing_folder(folder) as fresh:
        (fresh / "two").write_text("two")
    (left,) = tmp_path.iterdir()
    assert entries(left) == ["one"]


def test_a_write_protected_file_is_replaced_and_its_mode_kept(tmp_path: Path) -> None:
    target = tmp_path / "a.txt"
    target.write_text("old")
    target.chmod(0o444)
    with replacing_file(target) as temporary:
        assert stat.S_IMODE(temporary.stat().st_mode) == 0o600  # can be written, and read by nobody else
        temporary.write_text("new")
    assert target.read_text() == "new"
    assert stat.S_IMODE(target.stat().st_mode) == 0o444


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("a file")
    for path, message in (
        (tmp_path / "gone" / "model", "its folder does not exist; create it: mkdir -p"),
        (tmp_path / "file", "part of its path is a file; choose another path"),
    ):
        with pytest.raises(OutputError, match=message), replacing_folder(path):
            raise AssertionError("the block is not entered")
    assert entries(tmp_path) == ["file"]
