"""What timelines cost: memory and time of long files (olmv-mini), and `--timeline` over a plain pass (olmv-lite).

Figures:
    memory/short_mb, memory/long_mb      the most Pss of all processes of `olmv predict --timeline`, for a film of five
                                         minutes and one of hours, made of the same minutes
    memory/growth                        the one over the other, less one
    time/short_s, time/long_s            of the same runs, processor seconds of all processes
    time/over_linear                     those seconds a minute of film, long over short
    overhead/timeline                    `--timeline` over a plain run with as many frames (`--every 500ms`), whole
                                         processes in turns, median of rounds
"""

import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from scripts.benchmarks.predict_processes import process_environment, run_command
from scripts.benchmarks.process_tree import peak_memory
from scripts.benchmarks.results import Figure
from scripts.benchmarks.timeline_clips import Clip
from scripts.benchmarks.timeline_special import long_film
from scripts.benchmarks.turns import processor_seconds, ratio, time_in_turns

__all__ = ["measure_length", "measure_overhead"]

SHORT_MIN = 5.0
LABELS = "playing guitar, bowling, high jump, punch, push ups, yo yo"


def command(film: Path, rows: Path, model: str, *options: str) -> list[str]:
    """Return `olmv predict` of a film, from the start."""
    start = [sys.executable, "-m", "olmv", "predict", str(film), "-l", LABELS, "-m", model]
    return [*start, "-o", str(rows), "--no-resume", *options]


def measure_length(folder: Path, clips: Sequence[Clip], *, hours: float) -> list[Figure]:
    """Measure memory and time of a short and a long film."""
    memory, seconds, lengths = {}, {}, {}
    environment = process_environment()
    for name, minutes in (("short", SHORT_MIN), ("long", 60 * hours)):
        film = long_film(folder, clips, minutes=minutes)
        began = processor_seconds()
        peak = peak_memory(
            command(film.path, folder / f"{name}.jsonl", "olmv-mini", "--timeline"), environment, every_s=0.25
        )
        seconds[name], memory[name], lengths[name] = processor_seconds() - began, peak.tree_pss_mb, film.seconds
    pace = {name: seconds[name] / lengths[name] for name in seconds}
    values = {
        **{f"memory/{name}_mb": value for name, value in memory.items()},
        "memory/growth": memory["long"] / memory["short"] - 1,
        **{f"time/{name}_s": value for name, value in seconds.items()},
        "time/over_linear": pace["long"] / pace["short"],
    }
    return [Figure(name, value, None, None, 1) for name, value in values.items()]


def measure_overhead(folder: Path, clips: Sequence[Clip], *, rounds: int) -> list[Figure]:
    """Measure a timeline over a plain run that looks at as many frames."""
    film = long_film(folder, clips, minutes=SHORT_MIN)
    environment = process_environment()
    plain = command(film.path, folder / "plain.jsonl", "olmv-lite", "--every", "500ms")
    timeline = command(film.path, folder / "timeline.jsonl", "olmv-lite", "--timeline")
    arms = {"plain": partial(run_command, plain, environment), "timeline": partial(run_command, timeline, environment)}
    took = time_in_turns(arms, rounds)
    return [Figure("overhead/timeline", ratio(took, "timeline", "plain"), None, None, rounds)]
