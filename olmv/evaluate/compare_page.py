"""Write a comparison of two results: a page to look at, and the same as JSON."""

import math
from dataclasses import asdict
from pathlib import Path
from typing import Any

from olmv.errors import OutputError
from olmv.evaluate.compare import Comparison
from olmv.evaluate.page import ROWS_MOST, moment
from olmv.evaluate.results import json_text
from olmv.evaluate.tables import plain
from olmv.io.atomic import write_atomic
from olmv.metrics.bootstrap import Difference
from olmv.models.default import model_note
from olmv.pages.figures import ERRORS, HEADLINES, NAMES, shown, title
from olmv.pages.page import asset, write_page

__all__ = ["write_comparison", "write_comparison_page"]


def write_comparison(folder: str | Path, comparison: Comparison) -> list[Path]:
    """Write comparison.json and index.html; the folder is made if need be.

    Returns:
        The files, index.html first.

    Raises:
        OutputError: the folder cannot be made or written to.
    """
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(
            f"cannot make the folder '{folder}': {error.strerror}; choose another", option="output"
        ) from None
    sides = [
        {"name": name, "protocol": result.protocol, "model": result.model, "created": result.created}
        for name, result in zip(comparison.names, (comparison.a, comparison.b), strict=True)
    ]
    document = {
        "format": "olmv-comparison/1",
        "kind": comparison.a.kind,
        "a": sides[0],
        "b": sides[1],
        "videos": comparison.videos,
        "labels": comparison.labels,
        "metrics": {name: asdict(figure) for name, figure in comparison.figures.items()},
        "splits": {s: {name: asdict(figure) for name, figure in part.items()} for s, part in comparison.splits.items()},
        "groups": {g: {name: asdict(figure) for name, figure in part.items()} for g, part in comparison.groups.items()},
        "table": comparison.table,
        "settings": [{"name": name, "a": a, "b": b} for name, a, b in comparison.settings],
        "notes": comparison.notes,
    }
    data, index = folder / "comparison.json", folder / "index.html"
    write_atomic(data, json_text(plain(document)))
    write_comparison_page(index, comparison)
    return [index, data]


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
        style=asset("tokens.css") + asset("parts.css") + asset("evaluate.css"),
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


def _line(part: str, name: str, figure: Difference) -> dict[str, str]:
    sure = figure.low > 0 or figure.high < 0
    better = (figure.difference < 0) == (name in ERRORS)
    points = _thousandths if "skill" in name else _points
    return {
        "part": part,
        "title": title(name),
        "a": shown(name, figure.a),
        "b": shown(name, figure.b),
        "difference": points(figure.difference),
        "interval": f"{points(figure.low)} to {points(figure.high)}",
        "p": "–" if math.isnan(figure.p) else f"{figure.p:.3f}" if figure.p >= 0.001 else "< 0.001",
        "mark": ("better" if better else "worse") if sure else "",
    }


def _points(value: float) -> str:
    return "–" if math.isnan(value) else f"{100 * value:+.1f}"


def _thousandths(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:+.3f}"


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
