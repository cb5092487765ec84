"""Blocks of paths go through actors; one that dies costs nothing, a file that kills is an error."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from olmv.cluster.engine import RayEngine, RayOptions, blocks_of
from olmv.errors import MissingDependencyError, OutputError, UsageError
from tests.cluster.workers import DyingWorker, FailingWorker, MadeWorker

PATHS = [f"{number}.mp4" for number in range(11)]


@given(st.lists(st.text(), max_size=300), st.integers(1, 20), st.integers(1, 64), st.integers(0, 9))
def test_blocks_are_a_partition(paths: list[str], actors: int, most: int, first: int) -> None:
    blocks = blocks_of(paths, actors=actors, most=most, first=first)
    assert [path for block in blocks.values() for path in block] == paths
    assert list(blocks) == list(range(first, first + len(blocks)))
    assert all(1 <= len(block) <= most for block in blocks.values())


@pytest.mark.slow
def test_every_path_comes_back_once(engine: RayEngine, tmp_path: Path) -> None:
    blocks = blocks_of(PATHS, actors=2, most=2, first=5)
    results = dict(engine.map(blocks, MadeWorker, {"folder": str(tmp_path)}))
    assert {number: [path for _, path, _ in result] for number, result in results.items()} == blocks
    assert all(number == block for number, result in results.items() for block, _, _ in result)
    assert len(list(tmp_path.glob("actor-*"))) == 2  # each loads the model once


@pytest.mark.slow
def test_an_actor_that_dies(engine: RayEngine, tmp_path: Path) -> None:
    """One that died gets its block again; a file that kills it always is an error, and the run ends."""
    paths = [*PATHS[:4], "once.mp4", *PATHS[4:6], "poison.mp4"]
    blocks = blocks_of(paths, actors=1, most=4)
    results = [item for _, result in engine.map(blocks, DyingWorker, {"folder": str(tmp_path)}) for item in result]
    assert sorted(path for _, path, _ in results) == sorted(paths)  # nothing lost, nothing twice
    [(path, error)] = [(path, error) for _, path, error in results if error is not None]
    assert path == "poison.mp4"
    assert error == "poison.mp4: the actor that worked on it died 2 times; is memory too short?"


@pytest.mark.slow
def test_an_error_of_a_worker(engine: RayEngine, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"films\.olmv: no space left; free some") as caught:
        list(engine.map({1: PATHS}, FailingWorker, {"folder": str(tmp_path)}))
    assert caught.value.options == ("output",)


@pytest.mark.slow
def test_more_gpus_than_there_are(engine: RayEngine) -> None:
    with RayEngine(RayOptions(gpus_per_actor=99)) as other, pytest.raises(UsageError, match="shall have 99 GPUs, and"):
        _ = other.actors


@pytest.mark.parametrize(
    ("options", "message"),
    [(RayOptions(actors=0), "actors is 0; use at least 1"), (RayOptions(gpus_per_actor=-1), "GPUs of an actor are -1")],
)
def test_numbers_out_of_range(options: RayOptions, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        RayEngine(options)


def test_ray_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("olmv.io.packages.installed", lambda package: False)
    with pytest.raises(MissingDependencyError, match=r"needs ray; install it: pip install 'olmv\[ray\]'"):
        RayEngine()
