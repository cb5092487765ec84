"""The page of a comparison of two results."""

import math
from pathlib import Path
from typing import Any

from olmv.evaluate.compare import Comparison
from olmv.evaluate.page import ROWS_MOST, moment
from olmv.metrics.bootstrap import Difference
from olmv.models.default import model_note
from olmv.pages.figures import HEADLINES, NAMES, shown, title
from olmv.pages.page import asset, write_page

__all__ = ["write_comparison_page"]


def write_comparison_page(path: Path, comparison: Comparison) -> None:
    """Write the page.

    Raises:
        OutputError: it cannot be written.
    """
    lines = [("", comparison.figures), *comparison.splits.items(), *comparison.groups.items()]
    head = HEADLINES[comparison.a.kind]
    sides = [
        {"name": name, "model": result.model, "protocol": result.protocol, "created": moment(result.created)}
        for name, result in zip(comparison.names, (comparison.a, comparison.b), strict=True)
    ]
    write_page(
        path,
        "compare.html.j2",
        style=asset("predict.css") + asset("evaluate.css"),
        script=asset("evaluate.js"),
        comparison=comparison,
        sides=sides,
        note=model_note(comparison.a.model) or model_note(comparison.b.model),
        tiles=[_line("", name, comparison.figures[name]) for name in head if name in comparison.figures],
        lines=[_line(part, name, figures[name]) for part, figures in lines for name in sorted(figures, key=_place)],
        table=_table(comparison),
        left_out=max(0, len(comparison.table) - ROWS_MOST),
    )


def _place(name: str) -> int:
    return list(NAMES).index(name) if name in NAMES else len(NAMES)


def _line(part: str, name: str, found: Difference) -> dict[str, str]:
    sure = found.low > 0 or found.high < 0
    return {
        "part": part,
        "title": title(name),
        "a": shown(name, found.a),
        "b": shown(name, found.b),
        "difference": _points(found.difference),
        "interval": f"{_points(found.low)} to {_points(found.high)}",
        "p": "–" if math.isnan(found.p) else f"{found.p:.3f}" if found.p >= 0.001 else "< 0.001",
        "mark": ("better" if found.difference > 0 else "worse") if sure else "",
    }


def _points(value: float) -> str:
    return "–" if math.isnan(value) else f"{100 * value:+.1f}"


def _table(comparison: Comparison) -> dict[str, Any] | None:
    if not comparison.table:
        return None
    measure = "AP" if comparison.a.kind == "multi-label" else "Accuracy"
    heads = [("Label", True), ("Videos", False)]
    heads += [(f"{measure}, {name}", False) for name in comparison.names]
    rows = []
    for row in comparison.table[:ROWS_MOST]:
        marks = {"difference": "worse" if row["difference"] < 0 else "better" if row["difference"] > 0 else ""}
        cells: list[dict[str, Any]] = [{"text": row["label"], "sort": None}]
        cells.append({"text": str(row["support"]), "sort": row["support"]})
        for name in ("a", "b", "difference"):
            value = row[name]
            text = _points(value) if name == "difference" else shown(name, value).removesuffix(" %")
            cells.append({"text": text, "sort": -2 if math.isnan(value) else value, "mark": marks.get(name, "")})
        rows.append(cells)
    return {"heads": [*heads, ("Difference", False)], "rows": rows}
