"""The page of a result: one HTML file with its pictures inside, that opens from disk with no network."""

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path, PurePath
from typing import Any

import numpy as np

from olmv.evaluate.results import Result
from olmv.io.atomic import write_atomic
from olmv.models.default import model_note
from olmv.pages import plots
from olmv.pages.figures import HEADLINES, deviation, shown, title
from olmv.pages.latex import latex_table
from olmv.pages.page import asset, data_uri, write_page

__all__ = ["pictures", "write_result_page"]

# A page with 10,000 labels or failed videos must stay a page.
ROWS_MOST = 2000
NAMES_MOST = 100
WORST_LABELS = 8
EXAMPLES = 5

_HEADS: Mapping[str, str] = {
    "label": "Label",
    "group": "Group",
    "class": "Class",
    "support": "Videos",
    "events": "True events",
    "seconds": "True seconds",
    "predicted": "Predicted",
    "ap": "AP",
    "ap30": "AP at IoU 0.3",
    "ap50": "AP at IoU 0.5",
    "ap70": "AP at IoU 0.7",
    "frame_ap": "AP, frame level",
    "precision": "Precision",
    "recall": "Recall",
    "f1": "F1",
    "threshold": "Threshold",
    "best_threshold": "Best threshold",
    "best_f1": "Best F1",
    "accuracy": "Accuracy",
    "confused_with": "Most taken for",
    "confused": "How often",
}
_TEXTS = ("label", "group", "class", "confused_with")
_COUNTS = ("support", "events", "seconds", "predicted", "confused")


def pictures(result: Result) -> dict[str, tuple[str, plots.Picture]]:
    """Draw the pictures that suit the kind: file stem -> (what it shows, picture). Empty where there are no scores."""
    ok = result.ok
    drawings: dict[str, tuple[str, plots.Picture]] = {}
    if len(result.splits) > 1:
        metric = HEADLINES[result.kind][0]
        values = {str(split["name"]): split["metrics"].get(metric, math.nan) for split in result.splits}
        if all(math.isfinite(value) for value in values.values()):
            drawings["splits"] = (f"{title(metric)} on every split", plots.splits(values, metric=title(metric)))
    if result.scores is None or not (result.truth & ok[:, None]).any():
        return drawings
    if result.kind == "retrieval":
        from olmv.metrics.retrieval import retrieval_ranks

        relevant = result.truth[ok]
        has_video = relevant.any(axis=0)  # a sentence whose video failed cannot be found
        ranks = retrieval_ranks(result.logit()[ok][:, has_video], relevant[:, has_video])
        drawings["ranks"] = ("Recall over the rank", plots.rank_histogram(*ranks))
    elif result.kind == "single-label":
        known = ok & result.truth.any(axis=1)
        if known.any():
            best, truth = result.logit()[known].argmax(axis=1), result.truth[known].argmax(axis=1)
            counts = plots.confusion(best, truth, len(result.labels))
            heading = f"What is taken for what{_of(len(result.labels), 'classes')}"
            drawings["confusion"] = (heading, plots.heat_map(counts, counts.sum(axis=1), result.labels, title=heading))
    else:
        drawings |= _multi_label(result)
    return drawings


def _multi_label(result: Result) -> dict[str, tuple[str, plots.Picture]]:
    from olmv.metrics.multilabel import multi_label

    probability, truth = result.probability()[result.ok], result.truth[result.ok]
    thresholds = np.array(result.thresholds or [0.5] * len(result.labels), dtype=np.float64)
    measured = multi_label(probability, truth, thresholds)
    counts = plots.co_occurrence(probability >= thresholds, truth)
    heading = f"Wrongly predicted where the label of the row is true{_of(len(result.labels), 'labels')}"
    return {
        "precision-recall": (
            "Precision and recall",
            plots.pr_curves(probability, truth, result.labels, measured.per_label.ap),
        ),
        "calibration": ("Calibration", plots.reliability(measured)),
        "thresholds": ("One threshold for all labels", plots.threshold_sweep(probability, truth, measured)),
        "co-occurrence": (heading, plots.heat_map(counts, truth.sum(axis=0), result.labels, title=heading)),
    }


def _of(count: int, what: str) -> str:
    most = plots.LABELS_SHOWN
    return f" (the {most} {what} with the most errors)" if count > most else ""


def write_result_page(folder: str | Path, result: Result, table: Sequence[Mapping[str, Any]] = ()) -> list[Path]:
    """Write the pictures, each as PNG and PDF, the figures as LaTeX, and index.html.

    Args:
        folder: there already; see `olmv.evaluate.results.write_result`.
        result: what was measured.
        table: the rows of `olmv.evaluate.label_table.label_table`.

    Returns:
        The files, index.html first.

    Raises:
        OutputError: they cannot be written.
    """
    folder = Path(folder)
    drawn = pictures(result)
    files = {f"{stem}.{kind}": data for stem, (_, drawing) in drawn.items() for kind, data in drawing._asdict().items()}
    files["figures.tex"] = _latex(result).encode()
    for name, data in files.items():
        write_atomic(folder / name, data)
    index = folder / "index.html"
    write_page(
        index,
        "evaluate.html.j2",
        style=asset("tokens.css") + asset("parts.css") + asset("evaluate.css"),
        script=asset("evaluate.js"),
        result=result,
        created=moment(result.created),
        note=model_note(result.model),
        headlines=_headlines(result),
        figures=_figures(result),
        splits=_splits(result),
        groups=_groups(result),
        table=_table(table),
        left_out=max(0, len(table) - ROWS_MOST),
        pictures=[(stem, caption, data_uri(drawing.png)) for stem, (caption, drawing) in drawn.items()],
        worst=_worst(result, table),
        settings=setting_rows(result.settings),
        versions=setting_rows({f"{name} version": value for name, value in result.versions.items()}),
        failed=[_failed(video) for video in result.videos if video["status"] != "ok"],
        most=NAMES_MOST,
    )
    return [index, *(folder / name for name in files)]


def moment(created: str) -> str:
    """Write an ISO time as `2026-11-21 18:40 UTC`; what is no such time is left as it is."""
    try:
        time = datetime.fromisoformat(created)
    except ValueError:
        return created
    return f"{(time if time.tzinfo is None else time.astimezone(UTC)):%Y-%m-%d %H:%M} UTC"


def setting_rows(settings: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return settings as (name, text); lists are joined, nested ones are spelt out as `outer · inner`."""
    rows: list[tuple[str, str]] = []
    for name, value in settings.items():
        if isinstance(value, Mapping):
            rows += [(f"{name} · {inner}", text) for inner, text in setting_rows(value)]
        elif isinstance(value, list | tuple):
            rows.append((name, "; ".join(str(item) for item in value[:NAMES_MOST])))
            if len(value) > NAMES_MOST:
                rows[-1] = (name, f"{rows[-1][1]}; and {len(value) - NAMES_MOST} more")
        else:
            words = {None: "–", True: "yes", False: "no"} if value is None or isinstance(value, bool) else {}
            rows.append((name, words.get(value, str(value))))
    return rows


def interval(result: Result, name: str) -> str:
    """Write `81.2 – 84.0`, or nothing where there is none."""
    if not all(map(math.isfinite, result.intervals.get(name, (math.nan,)))):
        return ""
    low, high = (shown(name, value).removesuffix(" %") for value in result.intervals[name])
    return f"{low} – {high}"


def _headlines(result: Result) -> list[dict[str, str]]:
    names = [name for name in HEADLINES[result.kind] if name in result.metrics]
    names = names or [name for name in result.metrics if not name.endswith("_std")][:6]
    return [
        {"title": title(name), "value": shown(name, result.metrics[name])} | _spread(result, name) for name in names
    ]


def _spread(result: Result, name: str) -> dict[str, str]:
    values = [split["metrics"].get(name, math.nan) for split in result.splits]
    spread = f"± {100 * deviation(values)[1]:.1f} over {len(values)} splits" if len(values) > 1 else ""
    limits = interval(result, name)
    return {"interval": f"95 %: {limits}" if limits else "", "spread": "" if "nan" in spread else spread}


def _figures(result: Result) -> list[dict[str, str]]:
    return [
        {"title": title(name), "name": name, "value": shown(name, value), "interval": interval(result, name)}
        for name, value in result.metrics.items()
        if not name.endswith("_std")
    ]


def _latex(result: Result) -> str:
    rows = [[row["title"], row["value"], row["interval"]] for row in _figures(result)]
    caption = f"{result.protocol}, {result.model}: {len(result.videos)} videos, {len(result.labels)} labels."
    return latex_table(caption, ["Figure", "Value", "95 % interval"], rows)


def _splits(result: Result) -> dict[str, Any] | None:
    if len(result.splits) < 2:
        return None
    names = list(dict.fromkeys(name for split in result.splits for name in split["metrics"]))
    rows = [
        {
            "name": split["name"],
            "videos": _count(split.get("videos")),
            "labels": _count(split.get("labels")),
            "values": [shown(name, split["metrics"].get(name)) for name in names],
        }
        for split in result.splits
    ]
    spread = []
    for name in names:
        mean, around = deviation(split["metrics"].get(name, math.nan) for split in result.splits)
        spread.append(f"{shown(name, mean).removesuffix(' %')} ± {shown(name, around).removesuffix(' %')}")
    return {"heads": [title(name) for name in names], "rows": rows, "spread": spread}


def _count(indices: Any) -> str:
    return str(len(indices)) if isinstance(indices, Sequence) else "" if indices is None else str(indices)


def _groups(result: Result) -> dict[str, Any] | None:
    if not result.groups:
        return None
    every = dict.fromkeys(name for metrics in result.groups.values() for name in metrics)
    names = [name for name in HEADLINES[result.kind] if name in every] or list(every)
    rows = [(group, [shown(name, metrics.get(name)) for name in names]) for group, metrics in result.groups.items()]
    return {"heads": [title(name) for name in names], "rows": rows}


def _table(table: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    if not table:
        return None
    columns = [name for name in table[0] if any(row[name] not in ("", None) for row in table)]
    if "class" in columns and all(row["class"] == row["label"] for row in table):
        columns.remove("class")
    columns.sort(key=list(_HEADS).index)
    rows = [[_cell(name, row[name]) for name in columns] for row in table[:ROWS_MOST]]
    return {"heads": [(_HEADS[name], name in _TEXTS) for name in columns], "rows": rows}


def _cell(name: str, value: Any) -> dict[str, Any]:
    if name in _TEXTS:
        return {"text": value, "sort": None}
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return {"text": "–", "sort": -1}
    return {"text": str(value) if name in _COUNTS else shown(name, value).removesuffix(" %"), "sort": value}


def _failed(video: Mapping[str, Any]) -> dict[str, str]:
    error = video.get("error") or {}
    failure = error if isinstance(error, Mapping) else {"type": "", "message": str(error)}
    return file_name(video["video"]) | {"type": failure.get("type") or "", "message": failure.get("message") or ""}


def file_name(video: str) -> dict[str, str]:
    """Return a path and its last part, which is what a page has room for."""
    return {"path": video, "name": PurePath(video).name or video}


def _worst(result: Result, table: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """List the labels that fail most, with the files on which they do."""
    if result.scores is None or result.kind == "retrieval":
        return []
    measure = "ap" if result.kind == "multi-label" else "accuracy"
    scored = [(row[measure], index) for index, row in enumerate(table) if row["support"] and row[measure] < 1]
    probability, truth, ok = result.probability(), result.truth, result.ok
    rows = []
    for value, index in sorted(scored)[:WORST_LABELS]:
        column, true = probability[:, index], truth[:, index]
        if result.kind == "multi-label":
            positive = column >= (result.thresholds[index] if result.thresholds else 0.5)
        else:
            positive = result.logit().argmax(axis=1) == index
        rows.append(
            {
                "label": result.labels[index],
                "measure": f"{_HEADS[measure]} {shown(measure, value)}, {table[index]['support']} videos",
                "false": _files(result, np.flatnonzero(ok & positive & ~true), -column, column),
                "missed": _files(result, np.flatnonzero(ok & ~positive & true), column, column),
            }
        )
    return rows


def _files(result: Result, indices: Any, order: Any, column: Any) -> dict[str, Any]:
    first = sorted(indices, key=lambda index: order[index])[:EXAMPLES]
    rows = [file_name(result.videos[i]["video"]) | {"probability": f"{100 * column[i]:.1f} %"} for i in first]
    return {"rows": rows, "count": len(indices)}
