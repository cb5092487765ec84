"""Many calls of `Classifier.predict` with one clip each, in one process, and how long workers take to start.

Figures, under `calls/`:
    MODEL/seconds_a_call, MODEL/processor_s_a_call   of all calls, the first included
    MODEL/first_call_s
    MODEL/with/...      the same inside `with Classifier(...)`, where this olmv keeps its workers so
    worker_start_s      from `FrameLoader.start` to the frames of a small clip, less decoding them
"""

import time
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from statistics import mean, median
from typing import Any

from olmv.classifier import Classifier
from olmv.video.options import DecodeOptions
from olmv.video.workers.loader import FrameLoader
from scripts.benchmarks.predict_corpus import FRAMES
from scripts.benchmarks.predict_parts import predict_all
from scripts.benchmarks.results import Figure
from scripts.benchmarks.turns import Costs, costs_in_turns

__all__ = ["call_costs", "measure_calls", "worker_start_s"]


def call_costs(classifier: Classifier, clips: Sequence[str]) -> Costs:
    """Return what every call took, as the arm `call`."""
    left = iter(clips)
    return costs_in_turns({"call": lambda: predict_all(classifier, [next(left)])}, len(clips))


def worker_start_s(classifier: Classifier, clip: str) -> float:
    """Return the seconds until one worker is up: with workers, less without."""
    taken = []
    for workers in (0, 1):
        started = time.perf_counter()
        options = DecodeOptions(frames=FRAMES, workers=workers)
        with FrameLoader([clip], preprocess=classifier.model.preprocess, options=options) as loader:
            next(iter(loader))
            taken.append(time.perf_counter() - started)
    return taken[1] - taken[0]


def measure_calls(
    models: dict[str, str | Path], clips: Sequence[str], calls: int, rounds: int
) -> tuple[list[Figure], dict[str, Any]]:
    """Measure everything that the module's docstring names.

    Args:
        models: by the name that figures have.
        clips: small ones; call after call takes the next, and from the first again.
        calls: with every model.
        rounds: of starting workers.

    Returns:
        The figures; and how many calls and rounds there were.
    """
    files = [clips[i % len(clips)] for i in range(calls)]
    figures: list[Figure] = []
    for name, model in models.items():
        classifier = Classifier.from_pretrained(model)
        predict_all(classifier, files[:1])  # encodes the texts, and warms up
        figures += _figures(f"calls/{name}", call_costs(classifier, files), calls)
        if isinstance(classifier, AbstractContextManager):
            with classifier:
                figures += _figures(f"calls/{name}/with", call_costs(classifier, files), calls)
    starts = [worker_start_s(classifier, files[0]) for _ in range(rounds + 1)][1:]
    figures.append(Figure("calls/worker_start_s", median(starts), None, None, rounds))
    return figures, {"calls": calls, "rounds": rounds}


def _figures(prefix: str, costs: Costs, calls: int) -> list[Figure]:
    values = {
        "seconds_a_call": mean(costs.wall["call"]),
        "processor_s_a_call": mean(costs.processor["call"]),
        "first_call_s": costs.wall["call"][0],
    }
    return [Figure(f"{prefix}/{name}", value, None, None, calls) for name, value in values.items()]
