"""Verbs on Ray give what they give without it."""

import json
import shutil
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from olmv.cli import main
from olmv.cluster.engine import RayEngine
from olmv.io.curves import CurveFile, curves_path
from olmv.library.library import Library
from tests.cli.conftest import start
from tests.support.samples import write_clip
from tests.support.tiny import write_open_clip_folder

pytestmark = pytest.mark.slow

LABELS = ("--labels", "dog, guitar, rain")
RAY = ("--engine", "ray", "--actors", "2", "--workers", "1")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six videos, one that is none, and a model."""
    folder = tmp_path_factory.mktemp("films")
    for seed in range(6):
        write_clip(folder / "clips" / f"{seed}.mp4", seed=seed)
    (folder / "clips" / "bad.mp4").write_text("words")
    write_open_clip_folder(folder / "model")
    return folder


@pytest.fixture
def olmv(engine: RayEngine, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The command line, in an empty folder with a link to the clips."""
    (tmp_path / "clips").symlink_to(folder / "clips")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OLMV_CACHE", str(folder / "cache"))
    return lambda *arguments: main(list(arguments))


def rows(path: str) -> list[dict[str, Any]]:
    return sorted((json.loads(line) for line in Path(path).read_text().splitlines()), key=lambda row: row["video"])


def test_predict(olmv: Any, folder: Path) -> None:
    """What a run without Ray began, one on Ray ends; and the rows are the same."""
    common = ("predict", "clips", *LABELS, "--model", f"local-dir:{folder}/model", "--timeline", "-q")
    assert olmv(*common, "--workers", "0", "-o", "here.jsonl") == 1
    begun = Path("here.jsonl").read_text().splitlines(keepends=True)[:2]
    Path("ray.jsonl").write_text("".join(begun))
    shutil.copy("here.jsonl.run.json", "ray.jsonl.run.json")
    assert olmv(*common, *RAY, "-o", "ray.jsonl") == 1
    assert Path("ray.jsonl").read_text().splitlines(keepends=True)[:2] == begun
    assert rows("ray.jsonl") == rows("here.jsonl")
    here, ray = (CurveFile(curves_path(Path(name))) for name in ("here.jsonl", "ray.jsonl"))
    done = {json.loads(line)["video"] for line in begun}
    assert set(ray) == set(here) - done  # of these two, the curves were not there
    for video in ray:
        one, other = here.get(video), ray.get(video)
        assert one is not None
        assert other is not None
        np.testing.assert_allclose(one.probability, other.probability, atol=1e-6)
    assert olmv(*common, *RAY, "-o", "ray.jsonl") == 1  # all is done: no actor is started


def test_index(olmv: Any, folder: Path) -> None:
    """What a run without Ray began, one on Ray ends; and the embeddings are the same."""
    common = ("index", "clips", "--model", f"local-dir:{folder}/model", "-q")
    assert olmv(*common, "--workers", "0", "-o", "here") == 1
    olmv(*common, "--workers", "0", "-o", "ray", "--shard", "1/2")
    begun = set(Library.open("ray").entries)
    assert olmv(*common, *RAY, "-o", "ray") == 1
    here, ray = Library.open("here"), Library.open("ray")
    ray.verify()
    assert begun <= set(ray.entries) == set(here.entries)
    assert sum(fragment.videos for fragment in ray.fragments) == 7  # none was done twice
    for path, entry in here.entries.items():
        vectors = []
        for library, found in ((here, entry), (ray, ray.entries[path])):
            fragment = library.fragments[found.fragment]
            first, stop = fragment.window_bounds[[found.first, found.stop]]
            vectors.append(fragment.window_vectors[first:stop])
            assert [record.video for record in library.records(found)] == [entry.video]
        np.testing.assert_allclose(vectors[0], vectors[1], atol=2e-3)


def test_a_driver_that_is_killed(folder: Path, tmp_path: Path) -> None:
    """What its actors wrote stays, and the same command does the rest; nothing is done twice."""
    (tmp_path / "clips").mkdir()
    for number in range(40):
        (tmp_path / "clips" / f"{number}.mp4").symlink_to(folder / "clips" / "0.mp4")
    arguments = ("index", "clips", "--model", f"local-dir:{folder}/model", "-q", "-o", "library")
    driver = start(*arguments, *RAY, cwd=tmp_path)
    deadline = time.monotonic() + 120
    while not any((tmp_path / "library" / "fragments").glob("0*")):
        assert driver.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)
    driver.kill()
    driver.communicate()
    begun = Library.open(tmp_path / "library")
    assert begun.windows > 0
    again = start(*arguments, "--workers", "0", cwd=tmp_path)
    again.communicate()
    assert again.returncode == 0
    library = Library.open(tmp_path / "library")
    library.verify()
    assert len(library) == 40
    assert sum(fragment.videos for fragment in library.fragments) == 40


def test_caption(olmv: Any, folder: Path) -> None:
    common = ("caption", "clips", *LABELS, "--captioner", f"labels:local-dir:{folder}/model", "-q")
    assert olmv(*common, "--workers", "0", "-o", "here.jsonl") == 1
    assert olmv(*common, *RAY, "-o", "ray.jsonl") == 1
    assert rows("ray.jsonl") == rows("here.jsonl")


def test_wrong_usage(olmv: Any, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert olmv("predict", "clips", *LABELS, "--actors", "2") == 2
    assert capsys.readouterr().err == "olmv: --actors goes with --engine ray; add it\n"
    assert olmv("predict", "clips", "--labels", "dog", "--engine", "ray", "--model", "no-such-model", "-q") == 2
    assert "no-such-model" in capsys.readouterr().err
