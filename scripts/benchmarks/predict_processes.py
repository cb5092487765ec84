"""Whole processes, from their start to their end, as somebody waits for them at a prompt.

Figures, under `processes/`; medians of rounds in which the commands take turns, after one of each that is not counted:
    N/olmv/..., N/naive/...      wall_s and processor_s of `olmv predict` of N small clips with ViT-B-32, and of
                                 naive_predict.py of the same; processor seconds are those of the workers too
    N/over_naive                 olmv's wall over the naive script's
    N/speedup_naive              the inverse
    N/over_naive_processor       as over_naive, of processor seconds
    mini/..., lite/...           `olmv predict` of one clip with olmv-mini, olmv-lite
    import_torch/...             `python -c "import torch"`
    mini/over_import_torch       and lite's
    describe_dry_run/...         `olmv describe-labels LABELS --dry-run`

olmv keeps the embeddings of texts; the uncounted run fills that cache, whose folder is the benchmark's own. The naive
script has none and encodes its 20 texts each time.
"""

import itertools
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import olmv
from scripts.benchmarks.predict_corpus import LABELS, Models
from scripts.benchmarks.results import Figure
from scripts.benchmarks.turns import costs_in_turns, ratio

__all__ = ["measure_processes", "naive_command", "olmv_command", "process_environment", "run_command"]

SCRIPT = Path(__file__).with_name("naive_predict.py")
SHIPPED = {"mini": "olmv-mini", "lite": "olmv-lite"}
_numbers = itertools.count()


def process_environment() -> dict[str, str]:
    """Return this process's environment with this olmv first on the path, and torch's waiting as a prompt has it."""
    root = str(Path(olmv.__file__).resolve().parents[1])
    paths = [root, *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    kept = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"}
    return kept | {"PYTHONPATH": os.pathsep.join(dict.fromkeys(paths))}


def olmv_command(clips: Sequence[str], model: str | Path, rows: Path) -> list[str]:
    """Return `olmv predict` of clips."""
    command = [sys.executable, "-m", "olmv", "predict", *clips]
    return [*command, "--labels", ", ".join(LABELS), "--model", str(model), "-o", str(rows)]


def naive_command(clips: Sequence[str], model: Path, rows: Path) -> list[str]:
    """Return the naive script of the same."""
    return [sys.executable, str(SCRIPT), str(model), ", ".join(LABELS), str(rows), *clips]


def run_command(command: Sequence[str], environment: Mapping[str, str]) -> str:
    """Run to the end; return standard output.

    Raises:
        SystemExit: it fails; with the end of what it wrote to standard error.
    """
    done = subprocess.run(command, env=dict(environment), capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)[:200]}: exit code {done.returncode}: {done.stderr.strip()[-300:]}")
    return done.stdout


def measure_processes(
    counts: Sequence[int], clips: Sequence[str], models: Models, rounds: int, scratch: Path
) -> tuple[list[Figure], dict[str, Any]]:
    """Measure everything that the module's docstring names.

    Args:
        counts: how many clips a run has.
        clips: small ones, as many as the greatest count.
        models: the model as two folders.
        rounds: counted ones.
        scratch: for the rows.

    Returns:
        The figures; and of the run: rounds, and seconds of every round.
    """
    arms = _arms(counts, clips, models, scratch)
    for name, arm in arms.items():
        if name.partition("/")[0] not in map(str, counts[1:]):  # once is enough to fill the caches
            arm()
    costs = costs_in_turns(arms, rounds)
    values = {}
    for name in arms:
        values[f"{name}/wall_s"] = median(costs.wall[name])
        values[f"{name}/processor_s"] = median(costs.processor[name])
    for count in counts:
        values[f"{count}/over_naive"] = ratio(costs.wall, f"{count}/olmv", f"{count}/naive")
        values[f"{count}/speedup_naive"] = ratio(costs.wall, f"{count}/naive", f"{count}/olmv")
        values[f"{count}/over_naive_processor"] = ratio(costs.processor, f"{count}/olmv", f"{count}/naive")
    for shipped in SHIPPED:
        values[f"{shipped}/over_import_torch"] = ratio(costs.wall, shipped, "import_torch")
    run = {
        "rounds": rounds,
        "seconds": {name: [round(s, 3) for s in times] for name, times in costs.wall.items()},
        "processor_seconds": {name: [round(s, 3) for s in times] for name, times in costs.processor.items()},
    }
    figures = [Figure(f"processes/{name}", value, None, None, rounds) for name, value in values.items()]
    return figures, run


def _arms(
    counts: Sequence[int], clips: Sequence[str], models: Models, scratch: Path
) -> dict[str, Callable[[], object]]:
    environment = process_environment()

    def predict(make: Callable[[Sequence[str], Any, Path], list[str]], model: str | Path, count: int) -> None:
        rows = scratch / f"rows-{next(_numbers)}.jsonl"  # a new file: olmv takes up where an old one ends
        run_command(make(clips[:count], model, rows), environment)
        if (lines := len(rows.read_text(encoding="utf-8").splitlines())) != count:
            raise SystemExit(f"{lines} rows of {count} clips in {rows}; the run is not what it was to measure")

    arms: dict[str, Callable[[], object]] = {}
    for count in counts:
        arms[f"{count}/olmv"] = partial(predict, olmv_command, models.olmv, count)
        arms[f"{count}/naive"] = partial(predict, naive_command, models.open_clip, count)
    for name, model in SHIPPED.items():
        arms[name] = partial(predict, olmv_command, model, 1)
    arms["import_torch"] = partial(run_command, [sys.executable, "-c", "import torch"], environment)
    describe = [sys.executable, "-m", "olmv", "describe-labels", ", ".join(LABELS), "--dry-run"]
    arms["describe_dry_run"] = partial(run_command, describe, environment)
    return arms
