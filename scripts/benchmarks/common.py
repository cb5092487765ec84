"""What every benchmark prints and writes."""

import importlib.metadata
import json
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

import olmv  # before any library that imports torchvision: see olmv._torchvision_guard


def versions() -> dict[str, str]:
    """Of everything that moves a figure."""
    found = {"python": platform.python_version(), "machine": platform.machine(), "olmv": olmv.__version__}
    for name in ("torch", "open_clip_torch", "transformers", "av", "numpy"):
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found


def report(figures: Mapping[str, float], settings: Mapping[str, Any], json_file: Path | None, title: str) -> None:
    """Print the table; with `json_file`, also write figures, settings and versions."""
    table = Table("figure", "value", title=title)
    for name, value in figures.items():
        table.add_row(name, f"{value:.4g}")
    Console().print(table)
    print(" ".join(f"{k}={v}" for k, v in settings.items()))
    if json_file is not None:
        data = {"figures": dict(figures), "settings": dict(settings), "versions": versions()}
        json_file.parent.mkdir(parents=True, exist_ok=True)
        json_file.write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")


def peak_rss_mb() -> float:
    """Of this process, mapped files included. (`ru_maxrss` would not do: it starts at the size of the parent.)"""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024
