"""The table of `docs/results/review.json`."""

from collections.abc import Mapping
from typing import Any

from scripts.benchmarks.md_table import markdown

__all__ = ["review_table"]

_WORLDS = {
    "calibrated": "5,000 videos, calibrated",
    "sure": "3,000 videos, too sure of itself",
    "rare": "20,000 videos, 1 % true",
    "small": "300 videos",
    "blind": "5,000 videos, 1 % true and not seen",
    "skipped": "as the second, a fifth skipped",
}
_COUNTS = (50, 200)


def review_table(data: Mapping[str, Any]) -> str:
    """By world and number of verdicts: how often intervals hold, how wide they are, and what estimates are off by."""
    rows = []
    for world, words in _WORLDS.items():
        for count in _COUNTS:
            cells = []
            for figure in ("precision", "recall"):
                key = f"{world}/at/{count}/{figure}/"
                held, width, bias, plain = (
                    data["figures"][key + name] for name in ("held", "width", "bias", "unweighted_bias")
                )
                cells += [f"{held:.2f}", f"{width:.2f}", f"{bias:+.2f}", f"{plain:+.2f}"]
            rows.append([words, count, *cells])
    head = ["model and videos", "verdicts"]
    for figure in ("precision", "recall"):
        head += [f"{figure}: interval holds", "width", "off by", "unweighted off by"]
    return markdown(head, rows)
