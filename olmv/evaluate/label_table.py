"""Make the table of an evaluation: a row for each label."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from olmv.evaluate.results import Result

__all__ = ["label_table"]


def label_table(result: "Result", groups: Mapping[str, Sequence[int]] | None = None) -> list[dict[str, Any]]:
    """Make one row per label with the `COLUMNS` of the kind, from the videos that have scores; empty for retrieval.

    Args:
        result: with scores.
        groups: group name -> label indices; where they overlap the names are joined with "; ".

    Raises:
        UsageError: the result has no scores.
    """
    if result.kind == "retrieval":
        return []
    ok = result.ok
    if result.kind == "single-label":
        return _single_label(result, ok)
    from olmv.metrics.multilabel import multi_label

    thresholds = np.array(result.thresholds or [0.5] * len(result.labels), dtype=np.float64)
    per_label = multi_label(result.probability()[ok], result.truth[ok], thresholds).per_label
    members = {name: set(indices) for name, indices in (groups or {}).items()}
    return [
        {
            "label": label,
            "group": "; ".join(name for name, indices in members.items() if index in indices),
            "threshold": float(thresholds[index]),
            **{
                name: getattr(per_label, name)[index].item()
                for name in ("support", "predicted", "ap", "precision", "recall", "f1", "best_threshold", "best_f1")
            },
        }
        for index, label in enumerate(result.labels)
    ]


def _single_label(result: "Result", ok: Any) -> list[dict[str, Any]]:
    from olmv.metrics.single_label import single_label_table

    known = ok & result.truth.any(axis=1)
    table = single_label_table(result.logit()[known], result.truth[known].argmax(axis=1))
    classes = result.classes or result.labels
    return [
        {
            "label": label,
            "class": classes[index],
            "support": int(table.support[index]),
            "accuracy": float(table.accuracy[index]),
            "confused_with": result.labels[table.confused_with[index]] if table.confused_with[index] >= 0 else "",
            "confused": int(table.confused[index]),
        }
        for index, label in enumerate(result.labels)
    ]
