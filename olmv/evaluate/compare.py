"""Two results side by side, on the videos and labels that both have: `olmv evaluate --compare A B`."""

import csv
import io
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from olmv.errors import InputError, UsageError
from olmv.evaluate.common import Common, common_part
from olmv.evaluate.page import setting_rows
from olmv.evaluate.results import Result
from olmv.io.paths import read_text
from olmv.metrics.bootstrap import Difference, multi_label_differences, paired, paired_statistic
from olmv.metrics.multilabel import multi_label
from olmv.metrics.retrieval import retrieval_ranks
from olmv.metrics.single_label import ks_of, top_k_hits

__all__ = ["Comparison", "compare"]

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Comparison:
    """What changes from result `a` to result `b`.

    Attributes:
        a, b: what was compared; with the names of their folders.
        videos, labels: how many both have.
        figures: metric -> a, b, b - a with its 95 % interval, and p; from resampling the common videos.
        splits: the same per split, for protocols of several.
        groups: the same per group of labels.
        table: per label `{"label", "support", "a", "b", "difference"}` of the AP or the accuracy, worst loss first.
        settings: what was done differently: (name, in a, in b).
        notes: what was left out, one line each.
    """

    a: Result
    b: Result
    names: tuple[str, str]
    videos: int
    labels: int
    figures: Mapping[str, Difference]
    splits: Mapping[str, Mapping[str, Difference]]
    groups: Mapping[str, Mapping[str, Difference]]
    table: tuple[Mapping[str, Any], ...]
    settings: tuple[tuple[str, str, str], ...]
    notes: tuple[str, ...]


def compare(a: str | Path, b: str | Path) -> Comparison:
    """Compare two result folders.

    Videos are matched by path, else by file name where it is unique on both sides; labels by what the data set
    calls them, else by their text. What only one side has is left out and counted.

    Raises:
        InputError, UsageError: as `Result.load`; or they are one folder, of different kinds, or have no video or label
            in common.
    """
    results = (Result.load(a), Result.load(b))
    first, second = results
    if first.kind != second.kind:
        raise UsageError(f"{a} is {first.kind} and {b} is {second.kind}; compare two of one kind")
    if first.kind == "timed":
        raise UsageError("results over time cannot be compared here; their figures and intervals stand on their pages")
    if Path(a).resolve() == Path(b).resolve():
        raise UsageError(f"{a} is compared with itself; name two results")
    common = common_part(first, second)
    if first.kind == "single-label":
        figures, splits, table = _single_label(results, common)
        groups: dict[str, dict[str, Difference]] = {}
    elif first.kind == "retrieval":
        figures, splits, groups, table = _retrieval(results, common), {}, {}, []
    else:
        figures, table = _multi_label(results, common)
        splits, groups = {}, _groups(results, common, Path(a))
    table.sort(key=lambda row: (math.isnan(row["difference"]), row["difference"]))
    return Comparison(
        a=first,
        b=second,
        names=_names(Path(a), Path(b)),
        videos=len(common.truth),
        labels=common.truth.shape[1],
        figures=figures,
        splits=splits,
        groups=groups,
        table=tuple(table),
        settings=_settings(first, second),
        notes=(*common.notes, *_same(results, common)),
    )


def _same(results: tuple[Result, Result], common: Common) -> list[str]:
    """Return a remark where there is nothing to compare."""
    first, second = (common.logits(result, side) for side, result in enumerate(results))
    return ["both results have the same scores"] if np.array_equal(first, second, equal_nan=True) else []


def _single_label(
    results: tuple[Result, Result], common: Common
) -> tuple[dict[str, Difference], dict[str, dict[str, Difference]], list[dict[str, Any]]]:
    logits = [common.logits(result, side) for side, result in enumerate(results)]
    truth = common.truth.argmax(axis=1)
    parts = _parts(results, common, truth)
    figures: dict[str, Difference] = {}
    splits: dict[str, dict[str, Difference]] = {name: {} for name in parts}
    ks = ks_of(max(len(columns) for _, columns in parts.values()))
    names = tuple(f"top{k}" for k in ks)
    member = np.stack([np.isin(np.arange(len(truth)), rows) for rows, _ in parts.values()], axis=1)
    hits = {name: [np.zeros(member.shape), np.zeros(member.shape)] for name in names}
    for place, (split, (rows, columns)) in enumerate(parts.items()):
        own = np.searchsorted(columns, truth[rows])
        for side in (0, 1):
            for name, values in top_k_hits(logits[side][np.ix_(rows, columns)], own, ks).items():
                hits[name][side][rows, place] = values
        for name in names:
            splits[split][name] = paired(*(hits[name][side][rows, place] for side in (0, 1)))
    for name in names:
        if len(parts) == 1:
            figures[name] = next(iter(splits.values()))[name]
        else:
            of_a, of_b = hits[name]
            figures[name] = paired_statistic(_mean_of_splits(of_a, member), _mean_of_splits(of_b, member), len(truth))
    right = [(scores.argmax(axis=1) == truth).astype(np.float64) for scores in logits]
    support = np.bincount(truth, minlength=common.truth.shape[1])
    accuracy = [
        np.bincount(truth, weights=side, minlength=len(support)) / np.where(support > 0, support, np.nan)
        for side in right
    ]
    return figures, splits if len(parts) > 1 else {}, _rows(results[0], common, support, accuracy)


def _mean_of_splits(hits: Floats, member: Bools) -> Callable[[Ints], float]:
    """Return the mean over splits of their videos' hits, both [N, S], for drawn videos."""

    def statistic(drawn: Ints) -> float:
        counts = member[drawn].sum(axis=0)
        right = hits[drawn].sum(axis=0)
        return float((right[counts > 0] / counts[counts > 0]).mean()) if counts.any() else math.nan

    return statistic


def _parts(results: tuple[Result, Result], common: Common, truth: Ints) -> dict[str, tuple[Ints, Ints]]:
    """Return split -> its rows and columns among the common ones, where both results have it."""
    everything = {"all": (np.arange(len(truth)), np.arange(common.truth.shape[1]))}
    if max(len(result.splits) for result in results) < 2:
        return everything
    splits = [{str(split["name"]): split for split in result.splits} for result in results]
    parts: dict[str, tuple[Ints, Ints]] = {}
    for name in splits[0]:
        pair = [side.get(name) for side in splits]
        if any(split is None or not isinstance(split.get("videos"), Sequence) for split in pair):
            continue
        rows, columns = (
            np.flatnonzero(np.logical_and(*(np.isin(places[s], split[key]) for s, split in enumerate(pair) if split)))
            for key, places in (("videos", common.rows), ("labels", common.columns))
        )
        rows = rows[np.isin(truth[rows], columns)]
        if rows.size:
            parts[name] = (rows, columns)
    if len(parts) < max(map(len, splits)):
        common.notes.append(
            f"{len(parts)} splits can be compared, of {len(splits[0])} in the first and {len(splits[1])} in the second"
            + ("" if parts else "; the figures are over all videos and labels")
        )
    return parts or everything


def _retrieval(results: tuple[Result, Result], common: Common) -> dict[str, Difference]:
    columns = np.flatnonzero(common.truth.any(axis=0))  # a sentence whose video failed cannot be found
    relevant = common.truth[:, columns]
    ranks = [retrieval_ranks(common.logits(r, side)[:, columns], relevant) for side, r in enumerate(results)]
    figures = {}
    for way, direction in enumerate(("t2v", "v2t")):
        for k in (1, 5, 10):
            hits = [(ranks[side][way] <= k).astype(np.float64) for side in (0, 1)]
            figures[f"{direction}_r{k}"] = paired(*hits)
    return figures


def _multi_label(results: tuple[Result, Result], common: Common) -> tuple[dict[str, Difference], list[dict[str, Any]]]:
    both = _probabilities(results, common)
    figures = multi_label_differences(*both[0], *both[1], common.truth, groups=common.groups)
    measured = [multi_label(probability, common.truth, thresholds) for probability, thresholds in both]
    return figures, _rows(results[0], common, measured[0].per_label.support, [m.per_label.ap for m in measured])


def _probabilities(results: tuple[Result, Result], common: Common) -> list[tuple[Floats, Floats]]:
    """Return per side the probabilities [N, C] and thresholds [C]."""
    sides = []
    for side, result in enumerate(results):
        thresholds = np.array(result.thresholds or [0.5] * len(result.labels), dtype=np.float64)
        probability = result.probability()[np.ix_(common.rows[side], common.columns[side])]
        sides.append((probability, thresholds[common.columns[side]]))
    return sides


def _groups(results: tuple[Result, Result], common: Common, folder: Path) -> dict[str, dict[str, Difference]]:
    """Compare the mAP and F1 of every group of labels, as the first folder's labels.csv tells them."""
    path = folder / "labels.csv"
    if not path.is_file() or not results[0].groups:
        return {}
    try:
        groups = [row.get("group") or "" for row in csv.DictReader(io.StringIO(read_text(path)))]
    except csv.Error as failure:
        raise InputError(f"{path} is not csv ({failure}); evaluate again") from None
    if len(groups) != len(results[0].labels):
        raise InputError(f"{path} has {len(groups)} labels, not {len(results[0].labels)}; evaluate again")
    members: dict[str, list[int]] = {}
    for index, place in enumerate(common.columns[0]):
        for name in filter(None, groups[place].split("; ")):
            members.setdefault(name, []).append(index)
    both, figures = _probabilities(results, common), {}
    for name, columns in members.items():
        truth = common.truth[:, columns]
        if len(members) > 1 and truth.any():
            (of_a, limits_a), (of_b, limits_b) = ((p[:, columns], limits[columns]) for p, limits in both)
            differences = multi_label_differences(of_a, limits_a, of_b, limits_b, truth, groups=common.groups)
            figures[name] = {metric: differences[metric] for metric in ("macro_map", "macro_f1")}
    return figures


def _rows(result: Result, common: Common, support: Ints, values: Sequence[Floats]) -> list[dict[str, Any]]:
    return [
        {
            "label": result.labels[place],
            "support": int(support[index]),
            "a": float(values[0][index]),
            "b": float(values[1][index]),
            "difference": float(values[1][index] - values[0][index]),
        }
        for index, place in enumerate(common.columns[0])
    ]


def _settings(a: Result, b: Result) -> tuple[tuple[str, str, str], ...]:
    sides = []
    for result in (a, b):
        head = [("protocol", result.protocol), ("model", result.model), ("views are combined by", result.combine)]
        versions = {f"{name} version": value for name, value in result.versions.items()}
        sides.append(dict([*setting_rows(result.settings), *setting_rows(versions), *head]))
    names = dict.fromkeys([*sides[0], *sides[1]])
    return tuple(
        (name, sides[0].get(name, "–"), sides[1].get(name, "–"))
        for name in names
        if sides[0].get(name) != sides[1].get(name)
    )


def _names(a: Path, b: Path) -> tuple[str, str]:
    """Return the folders' own names; with their parents' where these are the same."""
    a, b = a.resolve(), b.resolve()
    return (a.name, b.name) if a.name != b.name else (f"{a.parent.name}/{a.name}", f"{b.parent.name}/{b.name}")
