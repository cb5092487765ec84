"""`olmv predict --timeline` and `olmv watch`: how well times are told, and what they cost.

    python -m scripts.benchmarks.bench_timeline FOLDER --actions DIR [--timed DIR] [--photo FILE] [--only PART,...]
        [--films 30] [--hours 3] [--watch-minutes 10] [--quick] [--json FILE]

FOLDER gets the films (see timeline_films.py) and the rows; what is there is not made again. Parts, all by default:

    library, guitar, timed, adaptive     see timeline_quality.py
    length, overhead                     see timeline_costs.py
    watch                                see watch_figures.py: `watch/lag_s` from a frame to its line, at 2 fps, and the
                                         longest; `watch/shown_s` from a new scene to its line, with the defaults;
                                         `watch/growth` of memory, less one; `watch/back_s` after a killed server's
                                         return; `watch/began`, `watch/ended` lines of the event that was on meanwhile

Without --timed the real clips, without --photo the photo of `adaptive` are left out. --json keeps the figures of the
parts that are not run. --quick: 6 films, 15 minutes in the place of 3 hours, half a minute of watching.
"""

import argparse
from collections.abc import Callable
from pathlib import Path
from statistics import median

from scripts.benchmarks.results import Figure, read_figures, show, write
from scripts.benchmarks.timeline_costs import measure_length, measure_overhead
from scripts.benchmarks.timeline_films import make_library, read_clips
from scripts.benchmarks.timeline_quality import measure_adaptive, measure_guitar, measure_library, measure_timed
from scripts.benchmarks.watch_figures import measure_growth, measure_lag, measure_return

PARTS = ("library", "guitar", "timed", "adaptive", "length", "overhead", "watch")
ROUNDS = 3


def measure_watch(minutes: float) -> list[Figure]:
    """Measure `olmv watch` on a live stream that is served here."""
    lag, away, growth = measure_lag(), measure_return(), measure_growth(minutes)
    values = {
        "lag_s": (median(lag.lag_s), len(lag.lag_s)),
        "lag_longest_s": (max(lag.lag_s), len(lag.lag_s)),
        "shown_s": (median(lag.shown_s), len(lag.shown_s)),
        "growth": (growth.ratio - 1, len(growth.samples_mb)),
        "back_s": (away.back_s, 1),
        "began": (away.began, 1),
        "ended": (away.ended, 1),
    }
    return [Figure(f"watch/{name}", float(value), None, None, n) for name, (value, n) in values.items()]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--actions", type=Path, required=True, help="clips with labels.csv: video, labels, group")
    parser.add_argument("--timed", type=Path, help="real clips with labels.csv: video, timed_labels")
    parser.add_argument("--photo", type=Path, help="of an empty scene")
    parser.add_argument("--only", default=",".join(PARTS))
    parser.add_argument("--films", type=int, default=30)
    parser.add_argument("--hours", type=float, default=3.0)
    parser.add_argument("--watch-minutes", type=float, default=10.0)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    if args.quick:
        args.films, args.hours, args.watch_minutes = 6, 0.25, 0.5
    parts = args.only.split(",")
    if unknown := set(parts) - set(PARTS):
        parser.error(f"no part {min(unknown)}; choose from {', '.join(PARTS)}")
    folder = args.folder
    (folder / "rows").mkdir(parents=True, exist_ok=True)
    clips = read_clips(folder, args.actions)
    films = make_library(folder, clips, films=args.films) if "library" in parts else []
    measures: dict[str, Callable[[], list[Figure]]] = {
        "library": lambda: measure_library(films, folder),
        "guitar": lambda: measure_guitar(folder, clips["actions"]),
        "timed": lambda: measure_timed(folder, args.timed) if args.timed else [],
        "adaptive": lambda: measure_adaptive(folder, clips, args.photo) if args.photo else [],
        "length": lambda: measure_length(folder, clips["actions"], hours=args.hours),
        "overhead": lambda: measure_overhead(folder, clips["actions"], rounds=1 if args.quick else ROUNDS),
        "watch": lambda: measure_watch(args.watch_minutes),
    }
    figures: dict[str, Figure] = {}
    settings = {"films": args.films, "hours": args.hours, "watch_minutes": args.watch_minutes, "rounds": ROUNDS}
    if args.json is not None and args.json.exists():
        earlier, settings_before = read_figures(args.json)
        figures = {figure.name: figure for figure in earlier}
        settings = settings_before | settings
    for part in PARTS:
        if part not in parts:
            continue
        some = measures[part]()
        show(some, part)
        figures |= {figure.name: figure for figure in some}
        if args.json is not None:  # a long run that is cut off keeps what it has
            write(args.json, list(figures.values()), settings)


if __name__ == "__main__":
    main()
