"""The memory of whole runs, every process of them added up.

    python scripts/benchmarks/predict_memory.py MODEL CLIP COUNT     a run over one clip COUNT times, two frames each

Figures, under `memory/`; the most seen by looking twenty times a second, which is why these runs are not timed:
    olmv/pss_mb, naive/pss_mb    `olmv predict --workers 2` of small clips with ViT-B-32, and naive_predict.py
    over_naive
    worker/pss_mb, worker/rss_mb of olmv's largest worker; Pss counts what workers share in parts
    growth                       a run over many clips over one over few, less one
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from olmv.classifier import Classifier
from scripts.benchmarks.predict_corpus import Models
from scripts.benchmarks.predict_parts import predict_all
from scripts.benchmarks.predict_processes import naive_command, olmv_command, process_environment
from scripts.benchmarks.process_tree import peak_memory
from scripts.benchmarks.results import Figure

__all__ = ["measure_memory"]

WORKERS = 2


def measure_memory(
    clips: Sequence[str], models: Models, growth: tuple[int, int], scratch: Path
) -> tuple[list[Figure], dict[str, Any]]:
    """Measure everything that the module's docstring names.

    Args:
        clips: small ones.
        models: the model as two folders.
        growth: the clips of the two runs that are compared.
        scratch: for the rows.

    Returns:
        The figures; and how many clips and workers there were.
    """
    environment = process_environment()
    command = olmv_command(clips, models.olmv, scratch / "memory.jsonl")
    run = peak_memory([*command, "--workers", str(WORKERS)], environment)
    naive = peak_memory(naive_command(clips, models.open_clip, scratch / "naive.jsonl"), environment)
    few, many = (
        peak_memory([sys.executable, __file__, str(models.olmv), clips[0], str(count)], environment) for count in growth
    )
    values = {
        "olmv/pss_mb": run.tree_pss_mb,
        "naive/pss_mb": naive.tree_pss_mb,
        "over_naive": run.tree_pss_mb / naive.tree_pss_mb,
        "worker/pss_mb": run.worker_pss_mb,
        "worker/rss_mb": run.worker_rss_mb,
        "growth": many.tree_pss_mb / few.tree_pss_mb - 1,
    }
    figures = [
        Figure(f"memory/{name}", value, None, None, growth[1] if name == "growth" else len(clips))
        for name, value in values.items()
    ]
    return figures, {"clips": len(clips), "workers": run.workers, "growth": list(growth)}


def main() -> None:
    model, clip, count = sys.argv[1:]
    predict_all(Classifier.from_pretrained(model), (clip for _ in range(int(count))), frames=2)


if __name__ == "__main__":
    main()
