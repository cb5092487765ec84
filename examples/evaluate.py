"""Evaluate: figures of a model on labelled videos, with their intervals.

    python examples/evaluate.py [MANIFEST] [FOLDER]

MANIFEST is a csv, jsonl or parquet file with `video` and `labels`; without one the clips that ship are measured. FOLDER
keeps the result: a page to look at, plots, tables, every score.
"""

import json
import sys
import tempfile
from pathlib import Path

import olmv
from olmv.cli import main as olmv_command  # the command line as a function; returns the exit code

CLIPS = Path(olmv.__file__).parent / "data" / "clips"


def evaluate(manifest: Path, folder: Path) -> None:
    """Print two figures with their 95 % intervals, after the command's own table."""
    command = ["evaluate", "manifest", "--data", str(manifest), "-m", "olmv-mini", "-o", str(folder), "-q"]
    assert olmv_command(command) == 0
    result = json.loads((folder / "result.json").read_text(encoding="utf-8"))  # docs/formats.md tells every field
    print(f"{result['model']} on {result['counts']['videos']} videos, {result['counts']['labels']} labels")
    for name, meaning in (("macro_map", "mean average precision"), ("micro_f1", "F1 over all pairs at 0.5")):
        low, high = result["intervals"][name]
        print(f"  {meaning}: {result['metrics'][name]:.3f} ({low:.3f} to {high:.3f})")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        given = [Path(argument) for argument in sys.argv[1:]]
        evaluate(given[0] if given else CLIPS / "clips.csv", given[1] if len(given) > 1 else Path(temporary) / "result")
