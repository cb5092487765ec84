"""The page that shows what was traded: per label the old and the new threshold, and what they do to new videos."""

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from olmv.calibrate.document import promise_sentence
from olmv.models.default import model_note
from olmv.pages.figures import title
from olmv.pages.page import asset, write_page

if TYPE_CHECKING:
    from olmv.calibrate.options import CalibrateSummary
    from olmv.scoring.thresholds import LabelThreshold

__all__ = ["write_calibration_page"]

# Arrows in the picture, and names in a list of what was left out: a page of 10,000 labels must stay a page.
_ARROWS = 150
_LISTED = 200


def write_calibration_page(path: Path, summary: "CalibrateSummary") -> None:
    """Write the page, replacing the file in one step.

    Raises:
        OutputError: it cannot be written.
    """
    style = asset("tokens.css") + asset("parts.css") + asset("calibrate.css")
    rows = _rows(summary)
    write_page(
        path,
        "calibrate.html.j2",
        style=style,
        summary=summary,
        about=summary.thresholds.provenance,
        promise=promise_sentence(summary.thresholds),
        model=summary.loaded.scored.model,
        model_note=model_note(summary.loaded.scored.model),
        videos=len(summary.loaded.scored.videos),
        labels=len(summary.loaded.scored.labels),
        figures=_figures(summary),
        rows=rows,
        arrows=[row for row in rows if row["before"] and row["after"]][:_ARROWS],
        left_out=[(name, items[:_LISTED], len(items)) for name, items in summary.loaded.left_out.items()],
    )


def _figures(summary: "CalibrateSummary") -> list[tuple[str, str, str]]:
    """Return (name, before, after) of the headline figures."""
    if summary.before is None or summary.after is None:
        return []
    shares = [
        (f"{kind} {name}", getattr(summary.before, key), getattr(summary.after, key))
        for kind in ("macro", "micro")
        for name, key in ((name, f"{kind}_{name.lower()}") for name in ("F1", "precision", "recall"))
    ]
    counts = [
        ("false alarms", summary.before.false_alarms, summary.after.false_alarms),
        ("of them of labels that are true of no video", summary.before.never_true, summary.after.never_true),
    ]
    if summary.calibration is not None:
        before, after = (vars(figures) for figures in summary.calibration)
        shares += [(title(name), value, after[name]) for name, value in before.items()]
    return [
        *((name, _share(before), _share(after)) for name, before, after in shares),
        *((name, f"{before:,}", f"{after:,}") for name, before, after in counts),
    ]


def _rows(summary: "CalibrateSummary") -> list[dict[str, Any]]:
    """Return one row per label, the largest gain of F1 first; labels without a threshold last."""
    scored, thresholds = summary.loaded.scored, summary.thresholds
    rows = []
    for index, label in enumerate(scored.labels):
        entry = thresholds.entry(label) if label in thresholds else None
        probability = scored.probability[:, index]
        before, after = _triple(summary.before, index), _triple(summary.after, index)
        rows.append(
            {
                "label": label,
                "support": int(scored.truth[:, index].sum()),
                "old": f"{scored.threshold[index]:.3g}",
                "new": "" if entry is None else f"{entry.threshold:.3g}{_leave(entry)}",
                "shown": "" if entry is None or entry.scaling is None else f"{thresholds[label]:.3g}",
                "source": {"pooled": " (shared)", "negatives": " (above its negatives)"}.get(_source(entry), ""),
                "refusal": summary.refused.get(label, ""),
                "before": None if entry is None else before,
                "after": None if entry is None else after,
                "was": int((probability >= scored.threshold[index]).sum()),
                "now": None if entry is None else int((probability >= entry.threshold).sum()),
                "gain": after["f1"] - before["f1"] if entry is not None and before and after else -math.inf,
            }
        )
    return sorted(rows, key=lambda row: -row["gain"])


def _leave(entry: "LabelThreshold") -> str:
    """Say below which probability the label ends over time; nothing where that was not fitted."""
    return "" if entry.leave is None else f", ends below {entry.leave:.3g}"


def _source(entry: Any) -> str:
    return "" if entry is None else str((entry.model_extra or {}).get("source", ""))


def _triple(figures: Any, index: int) -> dict[str, float] | None:
    """Return precision, recall and F1 of a label; None where there is nothing to measure."""
    if figures is None:
        return None
    triple = {name: float(getattr(figures, name)[index]) for name in ("precision", "recall", "f1")}
    return None if any(np.isnan(value) for value in triple.values()) else triple


def _share(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.3f}"
