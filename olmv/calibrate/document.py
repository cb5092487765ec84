"""What goes into the thresholds file: per label its threshold and how it came about, and what all of them belong to."""

import math
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np

from olmv.calibrate.fitting import Fit
from olmv.calibrate.loading import Loaded
from olmv.calibrate.objectives import Objective
from olmv.metrics.decisions import DecisionFigures
from olmv.scoring.run_settings import RunSettings
from olmv.scoring.scaling import Isotonic, Platt
from olmv.scoring.thresholds import SCOPES, LabelThreshold, Provenance, Thresholds, vocabulary_sha256, words_sha256

__all__ = ["entries_of", "promise_sentence", "provenance", "words_of"]


def entries_of(
    loaded: Loaded, fit: Fit, objective: Objective, after: DecisionFigures, scalings: Sequence[Platt | Isotonic | None]
) -> dict[str, LabelThreshold]:
    """Return label -> its entry in the file, for every label that has a threshold.

    Beside the declared fields an entry has `source` ("label", "pooled", "negatives"), for the last `false_alarms`, the
    share of videos without the label that are taken for it at most (with a confidence of 95 %), and `cross_fitted`,
    the precision, recall and F1 on videos that the threshold was not fitted to, where the label is true of some.
    """
    words, support = words_of(loaded), loaded.scored.truth.sum(axis=0)
    entries = {}
    for index in np.flatnonzero(np.isfinite(fit.threshold)).tolist():
        label, value = loaded.scored.labels[index], float(fit.value[index])
        crossed = {name: float(getattr(after, name)[index]) for name in ("precision", "recall", "f1")}
        about: dict[str, Any] = {"source": fit.source[index]}
        if not math.isnan(fit.false_alarms[index]):
            about["false_alarms"] = round(float(fit.false_alarms[index]), 6)
        if not any(math.isnan(figure) for figure in crossed.values()):
            about["cross_fitted"] = {name: round(figure, 4) for name, figure in crossed.items()}
        leave = None if fit.leave is None or math.isnan(fit.leave[index]) else float(fit.leave[index])
        entries[label] = LabelThreshold(
            threshold=float(fit.threshold[index]),
            leave=leave,
            objective=objective.name,
            value=None if math.isnan(value) else round(value, 6),
            support=int(support[index]),
            scaling=scalings[index],
            words_sha256=words.get(label),
            **about,
        )
    return entries


def words_of(loaded: Loaded) -> dict[str, str]:
    """Return label -> hash of its aliases and attributes; empty where the predictions have no settings beside them."""
    listed = loaded.settings.get("labels")
    if not isinstance(listed, list):
        return {}
    return {
        item[0]: words_sha256(item[1], item[2])
        for item in listed
        if isinstance(item, list) and len(item) == 3 and isinstance(item[1], list) and isinstance(item[2], list)
    }


def provenance(loaded: Loaded, objective: str, **more: Any) -> Provenance:
    """Make the head of the thresholds file; `more` are further fields of it."""
    document = RunSettings.from_document(loaded.settings).to_document()
    settings = {name: value for name, value in document.items() if name in loaded.settings}
    return Provenance(
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        objective=objective,
        videos=len(loaded.scored.videos),
        vocabulary_sha256=vocabulary_sha256(loaded.scored.labels),
        settings={"mode": loaded.mode} | settings,
        **more,
    )


def promise_sentence(thresholds: Thresholds) -> str:
    """Say what is promised, and what is not; empty where nothing is."""
    about, count = thresholds.provenance, len(thresholds)
    if about.guarantee is None:
        return ""
    promise, drawn, over = about.guarantee, f"{about.videos} videos", "all videos drawn as these were"
    if about.groups is not None:
        drawn, over = f"{about.groups} groups", "a random video of a random group, drawn as these were"
    holds = f"{promise.target} over {over}, with probability {promise.confidence:g} over the draw of these {drawn}"
    if promise.scope == SCOPES["all"]:
        return f"promised for all {count} labels at once: {holds}; it is no promise for videos of another kind"
    broken = count * (1 - promise.confidence)
    return (
        f"promised for each of {count} labels by itself: {holds}; it is no promise for all of them at once (up to "
        f"{broken:.2g} of the {count} are to be expected to fail), nor for videos of another kind"
    )
