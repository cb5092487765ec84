"""`olmv index` where something broke: killed runs, damaged files, full disks; the remedy that is named helps."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet
import pytest

from olmv.library.library import Library
from tests.cli.indexing import Run, index, videos
from tests.support.samples import write_clip

__all__ = ["index"]


def damage(library: Path, name: str) -> Path:
    """Return the path of a file of the first fragment."""
    return library / "fragments" / "000001" / name


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (lambda file: file.unlink(), "fragment library/fragments/000001 is damaged: rows.arrow is missing"),
        (lambda file: file.write_bytes(file.read_bytes()[:-1]), "is damaged: rows.arrow has "),
        (lambda file: shutil.rmtree(file.parent), "library is damaged: fragments 000001 are missing; index the videos"),
        (lambda file: shutil.rmtree(file.parent.parent), "its folder 'fragments' is missing"),
        (lambda file: (file.parent / "fragment.json").write_text("{"), "fragment.json cannot be read"),
        (lambda file: (file.parents[2] / "fragments.json").write_text("[1]"), "fragments.json is damaged; delete it"),
        (lambda file: (file.parents[2] / "library.json").write_text("{}"), "library.json is damaged"),
    ],
)
def test_damage_is_told(index: Run, olmv: Run, here: Path, harm: Callable[[Path], object], message: str) -> None:
    index("clips/0.mp4")
    harm(damage(here / "library", "rows.arrow"))
    code, _, err = olmv("index", "info", "library")
    assert code == 2
    assert message in err
    assert err.count("\n") == 1


def test_a_flipped_byte_is_found(index: Run, olmv: Run, here: Path) -> None:
    index("clips/0.mp4", "clips/1.mp4")
    index("clips")
    file = damage(here / "library", "windows.arrow")
    content = bytearray(file.read_bytes())
    content[700] ^= 1
    file.write_bytes(content)
    assert olmv("index", "info", "library")[0] == 0
    for arguments in (("index", "info", "library", "--verify"), ("index", "-o", "library", "--compact")):
        code, _, err = olmv(*arguments)
        assert code == 2
        assert "windows.arrow is not as it was written (its digest differs); delete its folder, and index" in err
    shutil.rmtree(file.parent)  # the remedy that was told
    code, _, err = index("clips")
    assert code == 0
    assert "note: fragments 000001 are missing: their videos are not in the library until they are indexed again" in err
    assert len(videos()) == 3
    assert olmv("index", "info", "library", "--verify")[0] == 0


def test_what_a_killed_run_left_goes(index: Run, here: Path) -> None:
    index("clips/0.mp4")
    half = here / "library" / "fragments" / ".olmv-0123456789ab.tmp"
    half.mkdir()
    (half / "rows.arrow").write_bytes(b"half")
    (here / "library" / ".olmv-0123456789ab.tmp").write_bytes(b"half")
    assert list(videos()) == ["clips/0.mp4"]
    assert index("clips")[0] == 0
    assert not half.exists()
    assert not (here / "library" / ".olmv-0123456789ab.tmp").exists()


def test_an_empty_library(index: Run, olmv: Run, here: Path) -> None:
    index("clips/0.mp4")
    shutil.rmtree("library/fragments/000001")
    Path("library/fragments.json").unlink()
    code, out, _ = olmv("index", "info", "library")
    assert code == 0
    assert "videos     0" in out
    code, _, err = index("--update", "--compact")
    assert code == 0
    assert "library: 0 videos, 0 windows" in err
    assert pyarrow.parquet.read_table("library/videos.parquet").num_rows == 0
    assert index("clips")[0] == 0
    assert len(videos()) == 3


KILLED = """
import os, signal, sys
import olmv.library.writer as writer
writer.FRAGMENT_SECONDS = 0.0
flush, count = writer.LibraryWriter.flush, 0
def counted(self, **options):
    global count
    flush(self, **options)
    count += 1
    if count == 2:
        os.kill(os.getpid(), signal.SIGKILL)
writer.LibraryWriter.flush = counted
from olmv.cli import main
sys.exit(main())
"""


def test_a_killed_run_goes_on(index: Run, here: Path, model: str) -> None:
    for seed in range(3, 6):
        write_clip(here / "clips" / f"{seed}.mp4", seed=seed)
    command = [sys.executable, "-c", KILLED, "index", "clips", "-m", model, "-o", "library", "--workers", "2"]
    done = subprocess.run(command, cwd=here, capture_output=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert len(videos()) == 2
    code, _, err = index("clips")
    assert code == 0
    assert "2 of 6 videos were done before" in err
    assert sorted(videos()) == [f"clips/{seed}.mp4" for seed in range(6)]
    library = Library.open("library")
    assert sum(fragment.windows for fragment in library.fragments) == library.windows == 6  # nothing twice


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small disk needs root")
def test_a_really_full_disk(index: Run, here: Path) -> None:
    disk = here / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24k", "tmpfs", str(disk)], check=False)
    if mounted.returncode:
        pytest.skip("no mounting here")
    try:
        code, _, err = index("clips", output="disk/library")
        assert code == 2
        assert "fragments/000001: the disk is full; make room and run again" in err
        assert err.splitlines()[-1].startswith("olmv: cannot write disk/library")
        assert [path.name for path in (disk / "library" / "fragments").iterdir()] == []
        subprocess.run(["mount", "-o", "remount,size=4m", str(disk)], check=True)
        assert index("clips", output="disk/library")[0] == 0
        assert len(videos("disk/library")) == 3
    finally:
        subprocess.run(["umount", str(disk)], check=True)
