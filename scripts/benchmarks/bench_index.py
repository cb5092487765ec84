"""A library: what filling, scanning, scoring and searching it cost, and what is found.

    python -m scripts.benchmarks.bench_index FOLDER [--parts PART,...] [--windows 1000000] [--index-windows 200000]
        [--many 10000000] [--corpus DIR] [--described DIR] [--actions DIR] [--quick] [--json FILE]

FOLDER gets the made libraries; what is there is not made again. Parts; the first two are the default:

    vectors      see index_vectors.py: a library of --windows made windows
    engines      see index_engines.py: beside faiss, usearch, LanceDB and DuckDB, which pip installs; one that is not
                 there is left out
    many         see index_vectors.py: a library of --many windows, 1 kB of disk and of free memory each
    costs        see index_costs.py: `olmv index` over `olmv predict` of --corpus
    retrieval    see index_retrieval.py: captions of --described, labels of --actions
    ray          see index_ray.py: two actors over the plain command, on --corpus

--json keeps the figures of the parts that are not run. --quick: a tenth of the windows, few rounds.
"""

import argparse
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch

from scripts.benchmarks.results import Figure, read_figures, show, write

__all__ = ["figures_of"]

PARTS = ("vectors", "engines", "many", "costs", "retrieval", "ray")
DEFAULT = ("vectors", "engines")


def measure_vectors(args: argparse.Namespace) -> Mapping[str, Any]:
    from scripts.benchmarks.index_vectors import measure

    return measure(args.folder, windows=args.windows, rounds=5 if args.quick else 15)


def measure_many(args: argparse.Namespace) -> Mapping[str, Any]:
    from scripts.benchmarks.index_vectors import measure_many

    return measure_many(args.folder, windows=args.windows, many=args.many)


def measure_engines(args: argparse.Namespace) -> Mapping[str, Any]:
    from scripts.benchmarks.index_engines import measure

    return measure(
        args.folder, windows=args.windows, index_windows=args.index_windows, queries=10 if args.quick else 40
    )


def measure_costs(args: argparse.Namespace) -> Mapping[str, Any]:
    from scripts.benchmarks.index_costs import measure

    return measure(_needed(args.corpus, "--corpus"))


def measure_retrieval(args: argparse.Namespace) -> Mapping[str, Any]:
    from scripts.benchmarks.index_retrieval import measure

    return measure(_needed(args.described, "--described"), _needed(args.actions, "--actions"))


def measure_ray(args: argparse.Namespace) -> Mapping[str, Any]:
    from scripts.benchmarks.index_ray import measure

    return measure(_needed(args.corpus, "--corpus"))


MEASURES: Mapping[str, Callable[[argparse.Namespace], Mapping[str, Any]]] = {
    "vectors": measure_vectors,
    "engines": measure_engines,
    "many": measure_many,
    "costs": measure_costs,
    "retrieval": measure_retrieval,
    "ray": measure_ray,
}


def figures_of(values: Mapping[str, Any], prefix: str) -> Iterator[Figure]:
    """Yield the figures of a part by their names under `prefix`: numbers, and [value, low, high] with an interval.

    What is neither is left out. "videos", "windows" or "words" beside figures are on how many those rest.
    """
    count = next((int(values[name]) for name in ("videos", "windows", "words", "originals") if name in values), 1)
    for key, value in values.items():
        name = f"{prefix}/{key.removeprefix(f'{prefix}/')}"
        if isinstance(value, Mapping):
            yield from figures_of(value, name)
        elif isinstance(value, int | float):
            yield Figure(name, float(value), None, None, count)
        elif isinstance(value, list | tuple) and len(value) == 3:
            yield Figure(name, float(value[0]), float(value[1]), float(value[2]), count)


def _needed(folder: Path | None, option: str) -> Path:
    if folder is None:
        raise SystemExit(f"this part needs {option}")
    return folder


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--parts", default=",".join(DEFAULT))
    parser.add_argument("--windows", type=int, default=1_000_000)
    parser.add_argument("--index-windows", type=int, default=200_000)
    parser.add_argument("--many", type=int, default=10_000_000)
    parser.add_argument("--corpus", type=Path, help="videos, see predict_corpus.py")
    parser.add_argument("--described", type=Path, help="clips with labels.csv: video, caption")
    parser.add_argument("--actions", type=Path, help="clips with labels.csv: video, labels, group")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    if args.quick:
        args.windows, args.index_windows, args.many = args.windows // 10, args.index_windows // 10, args.many // 10
    parts = args.parts.split(",")
    if unknown := set(parts) - set(PARTS):
        parser.error(f"no part {min(unknown)}; choose from {', '.join(PARTS)}")
    args.folder.mkdir(parents=True, exist_ok=True)
    earlier, settings = ([], {}) if args.json is None else read_figures(args.json)
    figures = {figure.name: figure for figure in earlier}
    for part in PARTS:
        if part not in parts:
            continue
        some = list(figures_of(MEASURES[part](args), part))
        show(some, part)
        figures = {name: figure for name, figure in figures.items() if not name.startswith(f"{part}/")}
        figures |= {figure.name: figure for figure in some}
        settings |= {f"{part}_quick": args.quick, "cpus": os.cpu_count(), "threads": torch.get_num_threads()}
        if args.json is not None:
            write(args.json, list(figures.values()), settings)


if __name__ == "__main__":
    main()
