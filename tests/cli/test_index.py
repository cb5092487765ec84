"""`olmv index` on real files: made, filled up, brought up to date, compacted; one line for wrong usage."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pyarrow.parquet
import pytest

from olmv.library.library import Library
from olmv.library.settings import LibrarySettings
from olmv.library.writer import LibraryWriter
from tests.cli.conftest import COMMAND
from tests.cli.indexing import Run, index, videos
from tests.support.samples import write_clip
from tests.support.tiny import write_open_clip_folder

__all__ = ["index"]


def test_a_library_is_made_and_filled_up(index: Run, olmv: Run, here: Path) -> None:
    code, out, err = index("clips")
    assert (code, out) == (0, "")
    assert "3 videos, " in err
    assert "library: 3 videos, 3 windows, " in err
    assert videos() == {f"clips/{seed}.mp4": 1 for seed in range(3)}
    write_clip(here / "clips" / "new.mp4", seed=7)
    code, _, err = index("clips", "clips/0.mp4")
    assert code == 0
    assert "3 of 4 videos were done before; going on with the rest" in err
    assert "1 video, 3 from before, " in err
    assert len(Library.open("library").fragments) == 2
    code, out, _ = olmv("index", "info", "library", "--verify")
    assert code == 0
    for line in (
        "videos     4",
        "windows    4",
        "in 2 fragments",
        "dead       0.0 %",
        "verified   every file is as it",
    ):
        assert line in out
    code, out, _ = olmv("index", "info", "library", "--json")
    assert {"videos": 4, "failed": 0, "fragments": 2, "dead": 0.0, "verified": False}.items() <= json.loads(out).items()


def test_a_library_inside_the_input_is_no_input(index: Run) -> None:
    assert index("clips", output="clips/library")[0] == 0
    code, _, err = index("clips", output="clips/library")
    assert code == 0
    assert "3 of 3 videos were done before" in err
    assert sorted(videos("clips/library")) == [f"clips/{seed}.mp4" for seed in range(3)]


def test_bad_files_are_rows(index: Run, here: Path) -> None:
    (here / "clips" / "bad.mp4").write_bytes(b"no video at all")
    code, _, err = index("clips")
    assert code == 1
    assert "3 videos, 1 failed, " in err
    assert "failed: clips/bad.mp4: " in err
    assert videos()["clips/bad.mp4"] == 0
    rows = {row["video"]: row for row in pyarrow.parquet.read_table("library/videos.parquet").to_pylist()}
    assert rows["clips/bad.mp4"]["status"] == "error"
    assert "clips/bad.mp4" in rows["clips/bad.mp4"]["error"]
    assert rows["clips/bad.mp4"]["width"] is None
    fine = rows["clips/0.mp4"]
    assert (fine["status"], fine["error"], fine["windows"], fine["width"], fine["height"]) == ("ok", None, 1, 64, 48)
    assert fine["path"] == str(here / "clips" / "0.mp4")
    assert fine["size"] == (here / "clips" / "0.mp4").stat().st_size
    code, _, err = index("clips")  # not tried again
    assert code == 1
    assert "4 from before (1 failed)" in err
    write_clip(here / "clips" / "bad.mp4", seed=9)
    code, _, err = index("clips", "--update")
    assert code == 0
    assert "1 video, 1 changed, 3 from before" in err


def test_update_sees_to_changed_deleted_and_moved_files(index: Run, here: Path) -> None:
    index("clips")
    clips = here / "clips"
    write_clip(clips / "1.mp4", seed=11, frames=36)
    (clips / "2.mp4").unlink()
    (clips / "below").mkdir()
    (clips / "0.mp4").rename(clips / "below" / "0.mp4")
    before = Library.open("library")
    code, _, err = index("clips", "--update")
    assert code == 0
    assert "1 video, 1 changed, 1 moved, 1 removed, " in err
    library = Library.open("library")
    assert sorted(entry.video for entry in library) == ["clips/1.mp4", "clips/below/0.mp4"]
    (old,), (moved,) = (
        [entry for entry in each if entry.video == name]
        for each, name in ((before, "clips/0.mp4"), (library, "clips/below/0.mp4"))
    )
    one, other = before.fragments[old.fragment], library.fragments[moved.fragment]
    assert (one.row_vectors[: one.row_bounds[1]] == other.row_vectors[: other.row_bounds[1]]).all()
    assert other.thumbnails_of(moved.first) == one.thumbnails_of(old.first)
    (clips / "1.mp4").unlink()
    code, _, err = index("--update")
    assert code == 0
    assert "0 videos, 1 removed, 1 from before" in err
    assert list(videos()) == ["clips/below/0.mp4"]


def test_an_update_does_not_empty_a_library(index: Run) -> None:
    index("clips")
    shutil.rmtree("clips")
    code, _, err = index("--update")
    assert code == 2
    assert "none of the 3 videos of library is there any more; if no disk is missing, delete the library" in err
    assert len(videos()) == 3


def test_what_lies_outside_the_folders_stays(index: Run, here: Path) -> None:
    write_clip(here / "other" / "0.mp4", seed=21)  # of the same name as one of the clips
    index("clips", "other")
    assert {"clips/0.mp4", "other/0.mp4"} < set(videos())
    (here / "other" / "0.mp4").unlink()
    index("clips", "--update")
    assert "other/0.mp4" in videos()


def test_compact(index: Run, olmv: Run, here: Path) -> None:
    index("clips/0.mp4", "clips/1.mp4")
    index("clips")
    write_clip(here / "clips" / "1.mp4", seed=13)
    index("clips", "--update")
    assert "dead       25.0 %; compact it: olmv index -o LIBRARY --compact" in olmv("index", "info", "library")[1]
    before = videos()
    code, _, err = index("--compact")
    assert code == 0
    assert "library: 3 videos, 3 windows" in err
    assert "in 1 fragment" in err
    assert videos() == before
    assert len(list(Path("library/fragments").iterdir())) == 1
    info = json.loads(olmv("index", "info", "library", "--json", "--verify")[1])
    assert (info["fragments"], info["dead"], info["compactable"]) == (1, 0.0, False)


def test_the_sampling_of_a_library_holds(index: Run, model: str) -> None:
    assert index("clips/0.mp4", "--timeline", "--step", "2s")[0] == 0
    settings = LibrarySettings.read("library")
    assert (settings.window_s, settings.step_s) == (4.0, 2.0)
    assert index("clips/1.mp4")[0] == 0  # what is left out is the library's
    code, _, err = index("clips/2.mp4", "--timeline")
    assert code == 2
    assert "library was made with step_s 2.0, not 1.0; leave it out, or choose another library (--step)" in err
    code, _, err = index("clips/2.mp4", "--frames", "4")
    assert code == 2
    assert "library was made with frames 1, not 4; leave it out" in err
    code, _, err = index("clips", "--sampling", "adaptive")
    assert "library was made with sampling uniform, not adaptive" in err
    assert sorted(videos()) == ["clips/0.mp4", "clips/1.mp4"]


def test_one_model_a_library(index: Run, here: Path) -> None:
    index("clips/0.mp4")
    other = f"local-dir:{write_open_clip_folder(here / 'other-model', seed=3)}"
    code, _, err = index("clips", "-m", other)
    assert code == 2
    assert "library has the embeddings of local-dir:" in err
    assert "one library, one model; choose that one, or another library (--model, --dtype, --runtime)" in err
    code, _, err = index(
        "clips", "--dtype", "bfloat16" if LibrarySettings.read("library").dtype != "bfloat16" else "float32"
    )
    assert code == 2
    assert "one library, one model" in err


@pytest.mark.parametrize(
    ("arguments", "output", "message"),
    [
        (("clips",), "a-file", "a-file is a file; name a folder for the library"),
        (("clips",), "clips", "clips is no library and has other things in it; name a folder that is empty or new"),
        (("clips",), "a-file/library", "cannot write a-file/library.json: part of its path is a file"),
        (("library",), "library", "library is a library, not videos; name the videos"),
        (("clips", "library"), "new", "library is a library, not videos"),
        ((), "library", "no input: name a video, a folder, a glob or a manifest (--update, --compact)"),
        (("--update",), "new", "there is no library in new; name videos to make one of"),
        (("gone",), "library", "no such file or folder: gone"),
        (("clips", "--step", "1s"), "library", "--step goes with --timeline; add it"),
        (("clips", "--every", "1s", "--fps", "1"), "library", "--every and --fps say the same"),
    ],
)
def test_wrong_usage(index: Run, here: Path, arguments: tuple[str, ...], output: str, message: str) -> None:
    (here / "a-file").write_text("x")
    index("clips/0.mp4")
    code, _, err = index(*arguments, output=output)
    assert code == 2
    assert message in err
    assert err.count("\n") == 1
    assert list(videos()) == ["clips/0.mp4"]


def test_info_of_what_is_no_library(olmv: Run, here: Path) -> None:
    for name in ("clips", "gone"):
        code, _, err = olmv("index", "info", name)
        assert code == 2
        assert f"{name} is no library: it has no library.json; make one with olmv index" in err


def test_one_writer_at_a_time(index: Run) -> None:
    index("clips/0.mp4")
    with LibraryWriter("library", LibrarySettings.read("library")):
        code, _, err = index("clips")
        assert code == 2
        assert "library is being written by another run; wait for it, or choose another library (--output)" in err
    assert index("clips")[0] == 0


def test_a_file_name_that_is_no_utf8(index: Run, here: Path) -> None:
    name = os.fsdecode(b"clips/\xff.mp4")
    write_clip(here / name, seed=4)
    assert index("clips")[0] == 0
    assert name in videos()
    assert "4 from before" in index("clips")[2]
    assert "4 from before" in index("clips", "--update")[2]
    named = pyarrow.parquet.read_table("library/videos.parquet")["video"].to_pylist()
    assert "clips/\\udcff.mp4" in named


def test_help_of_info(olmv: Run) -> None:
    code, out, _ = olmv("index", "info", "--help")
    assert code == 0
    assert "olmv index info [OPTIONS] LIBRARY" in out
    assert out.count("\n    olmv index info ") == 2
    code, _, err = olmv("index", "info")
    assert code == 2
    assert "Missing argument 'LIBRARY'; see olmv index info --help" in err


def test_no_more_is_imported_than_a_prediction_needs_but_pyarrow(here: Path) -> None:
    code = (
        "import sys; from olmv.cli.app import main; "
        "assert main(['index', 'clips/0.mp4', '-m', 'olmv-mini', '-o', 'x', '-q']) == 0; print(*sys.modules)"
    )
    done = subprocess.run([*COMMAND[:2], code], cwd=here, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    heavy = {"pandas", "pyarrow.compute", "transformers", "open_clip", "torchvision", "scipy", "torch._dynamo"}
    assert heavy & set(done.stdout.split()) == set()
