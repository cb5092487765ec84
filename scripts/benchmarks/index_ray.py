"""What `olmv index --engine ray` costs on one machine: two actors beside the plain command, whole processes.

    python -m scripts.benchmarks.index_ray FOLDER [--model olmv-lite] [--rounds 3] [--actors 2]

Both have the same cores; every run starts a new library. The first round of each is not counted: it fills caches. What
is over the plain command is the start of Ray and of the actors, each of which imports torch and loads the model, and
the way of the results.

Figures, under `index/ray/`:
    over_plain               the median over rounds of Ray over plain, wall
    over_plain_lowest, over_plain_highest
    plain_s, ray_s           medians
    extra_s                  the median over rounds of the difference, wall
    videos
"""

import argparse
import shutil
import sys
import tempfile
from pathlib import Path
from statistics import median

from olmv.library.library import Library
from scripts.benchmarks.predict_processes import process_environment, run_command
from scripts.benchmarks.turns import time_in_turns

__all__ = ["measure"]


def measure(
    corpus: Path, *, model: str = "olmv-lite", rounds: int = 3, actors: int = 2, scratch: Path | None = None
) -> dict[str, float]:
    """Measure what the module's docstring names.

    Args:
        corpus: a folder of videos.
        model: of both.
        rounds: counted ones; one before is not.
        actors: that load the model.
        scratch: for the libraries; None for a temporary folder.
    """
    with tempfile.TemporaryDirectory(dir=scratch) as folder:
        environment = process_environment()
        library = Path(folder) / "library"

        def index(*options: str) -> None:
            shutil.rmtree(library, ignore_errors=True)
            command = [sys.executable, "-m", "olmv", "index", str(corpus), "-m", model, "-q", "-o", str(library)]
            run_command([*command, *options], environment)

        turns = {"plain": index, "ray": lambda: index("--engine", "ray", "--actors", str(actors))}
        time_in_turns(turns, 1)
        wall = time_in_turns(turns, rounds)
        videos = len(Library.open(library))
    ratios = [ray / plain for ray, plain in zip(wall["ray"], wall["plain"], strict=True)]
    return {
        "index/ray/over_plain": median(ratios),
        "index/ray/over_plain_lowest": min(ratios),
        "index/ray/over_plain_highest": max(ratios),
        "index/ray/plain_s": median(wall["plain"]),
        "index/ray/ray_s": median(wall["ray"]),
        "index/ray/extra_s": median(ray - plain for ray, plain in zip(wall["ray"], wall["plain"], strict=True)),
        "index/ray/videos": float(videos),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--model", default="olmv-lite")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--actors", type=int, default=2)
    arguments = parser.parse_args()
    figures = measure(arguments.corpus, model=arguments.model, rounds=arguments.rounds, actors=arguments.actors)
    for name, value in figures.items():
        print(f"{name:30} {value:.4g}")


if __name__ == "__main__":
    main()
