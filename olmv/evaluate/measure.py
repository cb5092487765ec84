"""A benchmark and its scores -> figures: per split, over all splits, per group of labels."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from olmv.datasets.benchmarks.registry import Benchmark
from olmv.datasets.groups import group_numbers
from olmv.errors import UsageError
from olmv.metrics import bootstrap
from olmv.metrics.multilabel import groups, harmonic_mean, multi_label
from olmv.metrics.retrieval import retrieval, retrieval_ranks
from olmv.metrics.single_label import ks_of, top_k_hits
from olmv.scoring.logits import log_softmax, log_sum_exp, sigmoid

__all__ = ["ONE_GROUP", "Combine", "Measured", "combined", "measure"]

Combine = Literal["logits", "probabilities"]

ONE_GROUP = "all videos are of one group, which tells nothing of others: there are no intervals"


@dataclass
class Measured:
    """What was measured; the fields are those of `olmv.evaluate.results.Result`."""

    metrics: dict[str, float] = field(default_factory=dict)
    intervals: dict[str, tuple[float, float]] = field(default_factory=dict)
    splits: list[dict[str, Any]] = field(default_factory=list)
    groups: dict[str, dict[str, float]] = field(default_factory=dict)
    never: tuple[str, ...] = ()
    always: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def combined(scores: NDArray[Any], combine: Combine = "logits") -> NDArray[np.float64]:
    """Combine views [N, V, C] to [N, C]: the mean of logits, or the logarithm of the mean of softmaxes (X-CLIP)."""
    if combine == "logits" or scores.shape[1] == 1:
        return np.asarray(scores.mean(axis=1, dtype=np.float64))
    of_views = log_softmax(scores, axis=2)
    return np.asarray(log_sum_exp(of_views, axis=1) - np.log(scores.shape[1]))


def measure(
    benchmark: Benchmark, scores: NDArray[np.float32], combine: Combine, thresholds: Sequence[float] = ()
) -> Measured:
    """Take all figures of a benchmark.

    Args:
        benchmark: what is true.
        scores: [N, V, C] logits; NaN for a video that failed, which is left out.
        combine: how views are combined.
        thresholds: [C], for multi-label; 0.5 by default.

    Raises:
        UsageError: no video was scored, or none of a split.
    """
    scored: NDArray[np.bool_] = np.asarray(np.isfinite(scores).all(axis=(1, 2)))
    if not scored.any():
        raise UsageError("no video could be scored; see videos.jsonl for the reasons")
    if benchmark.kind == "single-label":
        return _single_label(benchmark, scores, combine, scored)
    if benchmark.kind == "retrieval":
        return _retrieval(benchmark, scores, combine, scored)
    limits = np.array(thresholds or [0.5] * len(benchmark.labels), dtype=np.float64)
    return _multi_label(benchmark, scores, scored, limits)


def _single_label(benchmark: Benchmark, scores: NDArray[Any], combine: Combine, scored: NDArray[np.bool_]) -> Measured:
    result = Measured()
    truth = np.array([labels[0] for labels in benchmark.truth], dtype=np.int64)
    hits: dict[str, NDArray[np.bool_]] = {}
    ks = ks_of(max(len(split.labels) for split in benchmark.splits))
    for split in benchmark.splits:
        rows = [row for row in split.videos if scored[row]]
        if not rows:
            raise UsageError(f"no video of split '{split.name}' could be scored; see videos.jsonl for the reasons")
        place = {label: index for index, label in enumerate(split.labels)}
        own = np.array([place[int(truth[row])] for row in rows], dtype=np.int64)
        # cut to the labels of the split before the softmax: the classifier is over these alone
        logits = combined(scores[rows][:, :, list(split.labels)], combine)
        hits = dict(top_k_hits(logits, own, ks))
        shares = {name: float(values.mean()) for name, values in hits.items()}
        result.splits.append({"name": split.name, "videos": rows, "labels": list(split.labels), "metrics": shares})
    for name in hits:
        values = np.array([split["metrics"][name] for split in result.splits])
        result.metrics[name] = float(values.mean())
        if len(values) > 1:
            result.metrics[f"{name}_std"] = float(values.std(ddof=1))
    if len(result.splits) == 1:
        result.intervals = {name: _pair(bootstrap.mean_interval(v.astype(np.float64))) for name, v in hits.items()}
        there = set(truth[scored].tolist())
        result.never = tuple(benchmark.labels[c] for c in benchmark.splits[0].labels if c not in there)
    return result


def _retrieval(benchmark: Benchmark, scores: NDArray[Any], combine: Combine, scored: NDArray[np.bool_]) -> Measured:
    rows = np.flatnonzero(scored)
    relevant = truth_of(benchmark)[rows]
    columns = np.flatnonzero(relevant.any(axis=0))  # a sentence whose video failed cannot be found
    similarity, relevant = combined(scores[rows], combine)[:, columns], relevant[:, columns]
    result = Measured(metrics=dict(retrieval(similarity, relevant)))
    for direction, ranks in zip(("t2v", "v2t"), retrieval_ranks(similarity, relevant), strict=True):
        places = ranks[ranks > 0]  # 0: a video without a sentence
        for k in (1, 5, 10):
            result.intervals[f"{direction}_r{k}"] = _pair(bootstrap.mean_interval((places <= k).astype(np.float64)))
    return result


def _multi_label(
    benchmark: Benchmark, scores: NDArray[Any], scored: NDArray[np.bool_], thresholds: NDArray[np.float64]
) -> Measured:
    rows = np.flatnonzero(scored)
    truth = truth_of(benchmark)[rows]
    probability = sigmoid(combined(scores[rows]))
    whole = multi_label(probability, truth, thresholds)
    result = Measured(
        metrics=_floats(whole), never=_named(benchmark, whole.never), always=_named(benchmark, whole.always)
    )
    names = [benchmark.video_groups[row] for row in rows] if benchmark.video_groups else []
    intervals = bootstrap.multi_label_intervals(probability, truth, thresholds, groups=group_numbers(names))
    result.intervals = {name: _pair(interval) for name, interval in intervals.items() if interval.resamples}
    if not result.intervals:
        result.notes = (ONE_GROUP,)
    if benchmark.groups:
        figures = groups(probability, truth, thresholds, benchmark.groups)
        result.groups = {name: _floats(values) for name, values in figures.items()}
        if {"seen", "unseen"} <= set(result.groups):
            seen, unseen = (result.groups[name]["macro_map"] for name in ("seen", "unseen"))
            result.metrics["harmonic_map"] = harmonic_mean(seen, unseen)
    for split in benchmark.splits if len(benchmark.splits) > 1 else ():
        inside, columns = np.isin(rows, split.videos), list(split.labels)
        part = multi_label(probability[inside][:, columns], truth[inside][:, columns], thresholds[columns])
        size = {"videos": rows[inside].tolist(), "labels": columns}
        result.splits.append({"name": split.name, **size, "metrics": _floats(part)})
    return result


def truth_of(benchmark: Benchmark) -> NDArray[np.bool_]:
    """Tell which label is true of which video, [N, C]."""
    truth = np.zeros((len(benchmark.videos), len(benchmark.labels)), dtype=bool)
    for row, labels in zip(truth, benchmark.truth, strict=True):
        row[list(labels)] = True
    return truth


def _floats(values: Any) -> dict[str, float]:
    """Return the figures among the fields."""
    items = values.items() if isinstance(values, dict) else vars(values).items()
    return {name: float(value) for name, value in items if isinstance(value, float)}


def _named(benchmark: Benchmark, columns: Sequence[int]) -> tuple[str, ...]:
    return tuple(benchmark.labels[column] for column in columns)


def _pair(interval: Any) -> tuple[float, float]:
    return float(interval.low), float(interval.high)
