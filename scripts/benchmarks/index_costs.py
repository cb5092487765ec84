"""What `olmv index` costs: its time over that of `olmv predict` of the same videos, and the bytes that it keeps.

    python -m scripts.benchmarks.index_costs FOLDER [--model olmv-lite] [--rounds 5] [--timeline]

Whole processes take turns; every run starts a new library or a new file of rows. Both encode their texts, the
background of one and the labels of the other, before the first counted round; after that texts come from the cache.

Figures, under `index/`:
    over_predict             the median over rounds of index over predict, wall
    over_predict_lowest, over_predict_highest
    over_predict_processor   of processor seconds
    index_s, predict_s       medians
    bytes_a_video, bytes_an_hour, thumbnails_share of the bytes, windows_a_video
"""

import argparse
import json
import shutil
import sys
import tempfile
from pathlib import Path
from statistics import median

from scripts.benchmarks.predict_corpus import LABELS
from scripts.benchmarks.predict_processes import process_environment, run_command
from scripts.benchmarks.turns import costs_in_turns

__all__ = ["measure"]


def measure(
    corpus: Path,
    *,
    model: str = "olmv-lite",
    rounds: int = 5,
    options: tuple[str, ...] = (),
    scratch: Path | None = None,
) -> dict[str, float]:
    """Measure what the module's docstring names.

    Args:
        corpus: a folder of videos.
        model: of both.
        rounds: counted ones; one before is not.
        options: of sampling, for both.
        scratch: for the library and the rows; None for a temporary folder.
    """
    with tempfile.TemporaryDirectory(dir=scratch) as folder:
        library, rows = Path(folder) / "library", Path(folder) / "rows.jsonl"
        start, environment = [sys.executable, "-m", "olmv"], process_environment()
        ends = [str(corpus), "-m", model, "-q", *options]

        def index() -> None:
            shutil.rmtree(library, ignore_errors=True)
            run_command([*start, "index", *ends, "-o", str(library)], environment)

        def predict() -> None:
            labels = ", ".join(LABELS)
            run_command([*start, "predict", *ends, "-l", labels, "-o", str(rows), "--no-resume"], environment)

        arms = {"index": index, "predict": predict}
        for arm in arms.values():
            arm()
        costs = costs_in_turns(arms, rounds)
        ratios = [one / other for one, other in zip(costs.wall["index"], costs.wall["predict"], strict=True)]
        busy = [one / other for one, other in zip(costs.processor["index"], costs.processor["predict"], strict=True)]
        info = json.loads(run_command([*start, "index", "info", str(library), "--json"], environment))
        pictures = sum(path.stat().st_size for path in library.glob("fragments/*/thumbnails.arrow"))
    good = max(info["videos"] - info["failed"], 1)
    return {
        "index/over_predict": median(ratios),
        "index/over_predict_lowest": min(ratios),
        "index/over_predict_highest": max(ratios),
        "index/over_predict_processor": median(busy),
        "index/index_s": median(costs.wall["index"]),
        "index/predict_s": median(costs.wall["predict"]),
        "index/bytes_a_video": info["bytes"] / good,
        "index/bytes_an_hour": info["bytes"] / max(info["hours"], 1e-9),
        "index/thumbnails_share": pictures / info["bytes"],
        "index/windows_a_video": info["windows"] / good,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", default="olmv-lite")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--timeline", action="store_true")
    arguments = parser.parse_args()
    options = ("--timeline",) if arguments.timeline else ()
    for name, value in measure(
        arguments.folder, model=arguments.model, rounds=arguments.rounds, options=options
    ).items():
        print(f"{name:30} {value:.4g}")


if __name__ == "__main__":
    main()
