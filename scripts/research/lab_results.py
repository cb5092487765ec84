"""Measure one group of `lab.py` and write what docs/benchmarks.md shows of it.

    python scripts/research/lab_results.py captions --json docs/results/lab_captions.json
    python scripts/research/lab_results.py naming --json docs/results/lab_naming.json

Figures are `ARM/METRIC`, the mean over seeds, and `ARM/METRIC/sd`, their standard deviation.
"""

import argparse
import statistics
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from rich.console import Console

from scripts.benchmarks.results import Figure, show, write
from scripts.research import lab_captions, lab_naming
from scripts.research.lab import GROUPS, judge
from scripts.research.lab_common import Lab

# group -> metric -> on how many clips a seed's figure rests; of other metrics it is the number of seeds
TESTED: Mapping[str, Mapping[str, int]] = {"captions": lab_captions.TESTED, "naming": lab_naming.TESTED}


def summary(by_seed: Sequence[Mapping[str, float]], tested: Mapping[str, int]) -> list[Figure]:
    """Mean and standard deviation over the seeds of every figure; a figure may be missing of some seeds."""
    figures = []
    for name in dict.fromkeys(name for found in by_seed for name in found):
        values = [found[name] for found in by_seed if name in found]
        n = tested.get(name.rpartition("/")[2], len(values))
        figures.append(Figure(name, statistics.mean(values), None, None, n))
        if len(values) > 1:
            figures.append(Figure(f"{name}/sd", statistics.stdev(values), None, None, len(values)))
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("group", choices=sorted(TESTED))
    parser.add_argument("--work", type=Path, default=Path("runs/lab"))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path, required=True)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    by_seed = []
    for seed in range(args.seeds):
        started = time.perf_counter()
        by_seed.append(GROUPS[args.group](Lab(args.work), seed))
        print(f"seed {seed}: {time.perf_counter() - started:.0f} s", flush=True)
        figures = summary(by_seed, TESTED[args.group])  # written after every seed: a killed run has told something
        write(args.json, figures, {"group": args.group, "seeds": len(by_seed), "threads": args.threads})
    show(figures, f"{args.group}, {args.seeds} seeds")
    Console(width=140).print(judge(by_seed))


if __name__ == "__main__":
    main()
