"""Figures with their intervals, printed as a table and written as `docs/results/*.json` holds them."""

import json
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from olmv.metrics.bootstrap import Interval
from scripts.benchmarks.common import versions

__all__ = ["Figure", "current_commit", "read_figures", "show", "write"]


@dataclass(frozen=True)
class Figure:
    """A number, the 95 % interval around it where there is one, and on how many videos it rests."""

    name: str
    value: float
    low: float | None
    high: float | None
    n: int

    @classmethod
    def of(cls, name: str, found: Interval, n: int) -> "Figure":
        """From a bootstrap."""
        return cls(name, found.value, found.low, found.high, n)


def show(figures: Sequence[Figure], title: str) -> None:
    """Print the table."""
    table = Table("figure", "value", "95 %", "n", title=title)
    for figure in figures:
        between = "" if figure.low is None else f"{figure.low:.3f} to {figure.high:.3f}"
        table.add_row(figure.name, f"{figure.value:.3f}", between, str(figure.n))
    Console(width=110).print(table)


def write(path: Path, figures: Sequence[Figure], settings: Mapping[str, Any], *, seed: int = 0) -> None:
    """Write figures, intervals, settings, versions and commit."""
    data = {
        "figures": {figure.name: round(figure.value, 5) for figure in figures},
        "intervals": {f.name: [round(f.low, 5), round(f.high or 0, 5)] for f in figures if f.low is not None},
        "n": {figure.name: figure.n for figure in figures},
        "settings": dict(settings),
        "versions": versions(),
        "commit": current_commit(),
        "seed": seed,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")


def read_figures(path: Path) -> tuple[list[Figure], dict[str, Any]]:
    """Read the figures and settings that `write` wrote; none where there is no such file."""
    if not path.exists():
        return [], {}
    data = json.loads(path.read_text(encoding="utf-8"))
    figures = []
    for name, value in data["figures"].items():
        low, high = data["intervals"].get(name, (None, None))
        figures.append(Figure(name, value, low, high, data["n"][name]))
    return figures, data["settings"]


def current_commit() -> str:
    """Return the hash of the commit that this folder is at; nothing outside a repository."""
    return subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=False).stdout.strip()
