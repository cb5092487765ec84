"""The table of `tables.py` that shows how the report of thousands of videos fares in a browser."""

from collections.abc import Mapping
from typing import Any

from scripts.benchmarks.md_table import markdown

__all__ = ["report_table"]

MODES = {"folder": "pictures beside the page", "file": "pictures inside it"}
FIGURES = {
    "first_paint_s": "first paint, s",
    "usable_s": "first tiles, filters at hand, s",
    "loaded_s": "all of it read, s",
    "scroll_fps": "frames a second, three windows a second",
    "slowest_frame_ms": "the slowest of these frames, ms",
    "fling_fps": "frames a second, all videos in six seconds",
    "filter_ms": "a label is chosen, ms",
    "slider_ms": "a threshold is moved, ms",
    "page_mb": "size of the page alone, MB",
    "write_s": "to write it and its pictures, s",
}


def report_table(data: Mapping[str, Any]) -> str:
    """Show each figure by where the pictures are."""
    rows = [[told, *(f"{data['figures'][f'{mode}/{name}']:.3g}" for mode in MODES)] for name, told in FIGURES.items()]
    return markdown(["", *MODES.values()], rows)
