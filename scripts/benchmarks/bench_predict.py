"""How long a user waits for `olmv predict`, beside what else one could write and beside its own floor.

    python scripts/benchmarks/bench_predict.py [--quick] [--corpus DIR] [--json FILE] [--only processes,parts,...]

processes    whole processes: 1, 10 and 60 clips beside a naive script; olmv-mini beside importing torch
parts        in one process, on three kinds of clips: peers, the floor, idle times
calls        50 calls with one clip each; the start of a worker
memory       of whole runs, all processes together

What each measures and how its figures are named, the docstrings of predict_processes.py, predict_parts.py,
predict_calls.py and predict_memory.py tell; what it predicts on, that of predict_corpus.py. The model is ViT-B-32 with
random weights. A FILE that is there keeps the figures of what is not measured anew.
"""

import argparse
import os
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from scripts.benchmarks.predict_calls import measure_calls
from scripts.benchmarks.predict_corpus import CORPUS, QUICK, make_corpus, make_models
from scripts.benchmarks.predict_memory import measure_memory
from scripts.benchmarks.predict_parts import measure_parts
from scripts.benchmarks.predict_processes import measure_processes
from scripts.benchmarks.results import Figure, current_commit, read_figures, show, write

Measured = tuple[list[Figure], dict[str, Any]]
IN_TURN = 20  # clips of a part that all arms take, one after the other
SECTIONS = ("processes", "parts", "calls", "memory")


def sections(only: str) -> list[str]:
    """Return the parts of the benchmark that a list names."""
    names = [name.strip() for name in only.split(",")]
    if unknown := [name for name in names if name not in SECTIONS]:
        raise argparse.ArgumentTypeError(f"no part is called {unknown[0]!r}; choose from {', '.join(SECTIONS)}")
    return [name for name in SECTIONS if name in names]


def measurers(folder: Path, scratch: Path, *, quick: bool) -> Mapping[str, Callable[[], Measured]]:
    """Make corpus and models, and return what measures every part."""
    paths = make_corpus(folder, QUICK if quick else CORPUS)
    models = make_models(scratch / "models")
    small = paths["small"]
    counts, rounds, calls = ((1, 4), 1, 3) if quick else ((1, 10, 60), 3, 50)
    growth = (10, 50) if quick else (100, 400)
    named: dict[str, str | Path] = {"ViT-B-32": models.olmv, "olmv-mini": "olmv-mini"}
    return {
        "processes": lambda: measure_processes(counts, small, models, rounds, scratch),
        "parts": lambda: measure_parts({part: files[:IN_TURN] for part, files in paths.items()}, models, rounds),
        "calls": lambda: measure_calls(named, small, calls, rounds),
        "memory": lambda: measure_memory(small[:10], models, growth, scratch),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="few clips, one round: about two minutes")
    parser.add_argument("--corpus", type=Path, help="where to keep the clips (default: a folder that is deleted)")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--only", type=sections, default=list(SECTIONS), help=",".join(SECTIONS))
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        os.environ["OLMV_CACHE"] = str(scratch / "cache")  # of texts: filled here, and by nobody else
        parts = measurers(args.corpus or scratch / "corpus", scratch, quick=args.quick)
        earlier, settings = ([], {}) if args.json is None else read_figures(args.json)
        for name in args.only:
            figures, run = parts[name]()
            show(figures, f"olmv predict: {name}")
            earlier = [figure for figure in earlier if not figure.name.startswith(f"{name}/")] + figures
            settings[name] = run | {"commit": current_commit(), "quick": args.quick}
            settings |= {
                "architecture": "ViT-B-32, random weights",
                "cpus": len(os.sched_getaffinity(0)),
                "cuda": torch.cuda.is_available(),
                "omp_wait_policy": os.environ.get("OMP_WAIT_POLICY", "not set"),
            }
            if args.json is not None:  # part by part: what is measured stays
                write(args.json, earlier, settings)


if __name__ == "__main__":
    main()
