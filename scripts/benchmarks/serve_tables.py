"""The tables of `tables.py` that show what the service does under load, and what new labels cost."""

from collections.abc import Mapping
from typing import Any

from scripts.benchmarks.md_table import markdown

__all__ = ["fuzz_table", "serve_table", "texts_table"]

Data = Mapping[str, Any]

LOAD = {
    "requests": "requests",
    "refused": "refused or failed",
    "clips_s": "clips a second",
    "p50_s": "wait, median, s",
    "p95_s": "wait, 95 %, s",
    "p99_s": "wait, 99 %, s",
    "ideal_s": "ideal wait, s",
    "p95_over_ideal": "95 % over the ideal",
    "differing_answers": "files with two different answers",
    "memory_first_mb": "memory but for what is kept of clips, first quarter, MB",
    "memory_last_mb": "the same, last quarter, MB",
}
OTHERS = {
    "ideal/clips_s": "`Classifier.predict` of the same clips in one call, clips a second",
    "relabel/p95_s": "a clip that is kept, asked 1,000 labels that were asked before: 95 %, s",
    "relabel/one_new_p95_s": "the same, one label of them new: 95 %, s",
    "relabel/first_known_s": "the first time that these 1,000 labels are asked, s",
    "relabel/first_s": "the first 1,000 labels of all, s",
    "page/first_paint_s": "first paint of the page, cold, s",
}


def serve_table(data: Data) -> str:
    """One column without bad files, one with."""
    figures = data["figures"]
    heads = ["", f"{figures['clients']:.0f} clients", "one file in four is bad"]
    rows = [[about, *(_number(figures[f"{part}/{name}"]) for part in ("load", "bad"))] for name, about in LOAD.items()]
    others = [[about, _number(figures[name])] for name, about in OTHERS.items() if name in figures]
    return markdown(heads, rows) + "\n" + markdown(["", "measured"], others)


def fuzz_table(data: Data) -> str:
    """What thousands of made-up requests found."""
    figures = data["figures"]
    about = {"cases": "requests made", "failures": "kinds of failures", "faults": "answers 5xx but 503 and 507"}
    return markdown(["", "measured"], [[text, f"{figures[name]:,.0f}"] for name, text in about.items()])


def texts_table(data: Data) -> str:
    """A line for every text tower."""
    figures = data["figures"]
    names = [key.removesuffix("/places_now") for key in figures if key.endswith("/places_now")]
    ways = ("places_before", "places_now", "less")
    rows = [[name, data["n"][f"{name}/less"], *(_number(figures[f"{name}/{way}"]) for way in ways)] for name in names]
    heads = [
        "text tower",
        "labels",
        "places a token, before",
        "now",
        "processor time, before over now",
    ]
    kept = [["the file that keeps olmv-lite's, before over now", _number(figures["known/smaller"])]]
    return markdown(heads, rows) + "\n" + markdown(["", "measured"], kept)


def _number(value: float) -> str:
    if value >= 100 or value == int(value):
        return f"{value:,.0f}"
    return f"{value:.3g}"
