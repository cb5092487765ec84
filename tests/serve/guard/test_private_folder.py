"""The folder of what clients sent: gone with its server, and what a killed one left with the next."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from olmv.errors import OutputError
from olmv.serve.guard.private_folder import PrivateFolder


def test_the_folder_goes_with_its_server(tmp_path: Path) -> None:
    folder = PrivateFolder(tmp_path / "new" / "cache")
    folder.new_file().close()
    folder.close()
    folder.close()
    assert [path.name for path in (tmp_path / "new" / "cache").iterdir()] == [".lock"]


def test_what_a_killed_server_left_is_removed_and_a_living_ones_is_not(tmp_path: Path) -> None:
    code = (
        "import sys, time; from olmv.serve.guard.private_folder import PrivateFolder\n"
        f"folder = PrivateFolder({str(tmp_path)!r}); folder.new_file().write(b'secret')\n"
        "print(folder.path, flush=True); sys.stdin.read()"
    )
    server = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    theirs = Path(server.stdout.readline().strip())
    with PrivateFolder(tmp_path):
        assert len(list(theirs.iterdir())) == 2
    server.send_signal(signal.SIGKILL)
    server.communicate()
    assert theirs.exists()
    with PrivateFolder(tmp_path) as ours:
        assert not theirs.exists()
        assert ours.path.exists()


def test_only_folders_of_dead_servers_are_removed(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "keep").touch()
    parent = tmp_path / "parent"
    parent.mkdir()
    (parent / "serve-1-link").symlink_to(outside)
    (parent / "other").mkdir()
    (parent / "serve-1-unlocked").mkdir()
    with PrivateFolder(parent):
        assert (outside / "keep").exists()
        assert (parent / "other").exists()
        assert not (parent / "serve-1-unlocked").exists()


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match=r"no folder for uploads can be made here \(.+\); name another in OLMV_CACHE"):
        PrivateFolder(tmp_path / "file")


def test_a_link_in_place_of_the_lock_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / ".lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OutputError, match="no folder for uploads can be made here"):
        PrivateFolder(tmp_path)
    assert not (tmp_path / "elsewhere").exists()
