"""An evaluation as a library call; what is missing is told before any work."""

from pathlib import Path

import pytest

from olmv.errors import MissingDependencyError, UsageError
from olmv.evaluate.job import EvaluateJob, run
from olmv.evaluate.prepare import versions
from olmv.evaluate.results import Result
from olmv.models.storage.saving import save_pretrained
from olmv.video.options import DecodeOptions
from tests.support.missing import hide
from tests.support.tiny import tiny_model
from tests.support.watcher import Watcher


def test_a_run_tells_its_listener_how_far_it_is(tmp_path: Path) -> None:
    save_pretrained(tiny_model(), tmp_path / "m")
    watcher = Watcher()
    job = EvaluateJob(
        "moji", model=str(tmp_path / "m"), output=tmp_path / "out", clips=3, frames=2, decode=DecodeOptions(workers=0)
    )
    summary = run(job, watcher)
    assert (watcher.starts, watcher.steps) == ([(3, 0)], 3)
    assert summary.folder == tmp_path / "out"
    assert Result.load(summary.folder).metrics == pytest.approx(dict(summary.result.metrics), nan_ok=True)


def test_a_package_that_is_missing_is_told_before_any_work(monkeypatch: pytest.MonkeyPatch) -> None:
    hide(monkeypatch, "matplotlib")
    message = r"^drawing the figures of an evaluation needs matplotlib; install it: pip install 'olmv\[evaluate\]'$"
    with pytest.raises(MissingDependencyError, match=message):
        run(EvaluateJob("moji"))


def test_an_error_names_the_options_that_mend_it() -> None:
    with pytest.raises(UsageError, match="name the rows of olmv predict, and a manifest") as caught:
        run(EvaluateJob("predictions"))
    assert caught.value.options == ("data", "truth")


def test_versions_are_those_of_what_is_installed() -> None:
    assert {"olmv", "python", "torch", "numpy"} <= set(versions())
