"""Labels are added to a tuned model: what is known of the earlier ones, and what becomes of them."""

import json
from pathlib import Path
from typing import Any

import pytest

from olmv.errors import InputError, UsageError
from olmv.train.config import TrainConfig
from olmv.train.continual.history import read_history
from tests.train.runs import equal, go, killed, losses, rows, settings


def moji(objects: str, seed: int = 1, clips: int = 12) -> dict[str, Any]:
    return {"moji": {"seed": seed, "clips": clips, "objects": objects, "labels": ["objects"], "counts": [1]}}


def adding(model: str, objects: str, *overrides: str) -> TrainConfig:
    """A run of a few steps on these objects, which it also validates on; the guard holds others."""
    check = json.dumps({"seen": moji(objects, 2, 6), "guard": moji("seen[9:12]", 3, 6)})
    return settings(model, f"data.validation={check}", *overrides, train=moji(objects))


@pytest.fixture(scope="module")
def first(tiny: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "first"
    go(adding(tiny, "seen[:3]"), folder)
    return folder


def test_a_chain_of_three_runs(tiny: str, first: Path, tmp_path: Path) -> None:
    second, third = tmp_path / "second", tmp_path / "third"
    go(adding(tiny, "seen[3:5]", f"continual.run={first}", "model.templates=none"), second)
    result, watcher = go(adding(tiny, "seen[5:6]", f"continual.run={second}", "continual.replay=6"), third)
    assert result is not None
    history = read_history(third)
    assert history.model == tiny
    assert [run.run for run in history.runs] == [str(first), str(second), str(third)]
    assert [len(run.labels) for run in history.runs] == [3, 2, 1]
    plain = json.loads((third / "history.json").read_text())
    assert list(plain["figures"]["before"]) == list(plain["figures"]["after"])
    assert {"earlier1/seen/map", "earlier2/seen/map", "seen/map", "guard/map"} <= set(plain["figures"]["after"])
    assert plain["figures"]["after"] == result.figures
    # what was measured before this run is what the run before ended with
    ended = json.loads((second / "history.json").read_text())["figures"]["after"]
    assert plain["figures"]["before"]["earlier2/seen/map"] == pytest.approx(ended["seen/map"], abs=1e-6)
    assert plain["figures"]["before"]["earlier1/seen/map"] == pytest.approx(ended["earlier1/seen/map"], abs=1e-6)
    told = [line for line in watcher.notes if "labels:" in line or "labels, mean" in line]
    assert len(told) == 4
    assert told[0].startswith("earlier labels: earlier1/seen/map ")
    assert told[2].startswith("earlier labels, mean of 2 sources: map ")
    assert told[3].startswith("new labels: seen/map ")
    card = (third / "model" / "README.md").read_text()
    assert "| `earlier2/seen/map` | earlier | " in card
    assert "| `guard/map` | other | " in card
    assert "6 clips of the runs before (replay buffer)" in card
    # it started from the model of the run before
    from olmv.train.checkpoint import load_tensors

    saved = load_tensors(second / "model" / "model.safetensors")
    original = load_tensors(third / "original.safetensors")
    assert equal(original, {name: saved[name.removeprefix("model.")] for name in original})
