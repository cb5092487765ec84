"""Scores to calibrate with: a predictions file beside its truth, or a result folder; and the settings behind them."""

import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from olmv.errors import UsageError
from olmv.evaluate.joined import Scored
from olmv.scoring.logits import sigmoid
from olmv.scoring.run_settings import RunSettings

if TYPE_CHECKING:
    from olmv.evaluate.joined import Joined
    from olmv.evaluate.results import Result
    from olmv.metrics.temporal import Timeline

__all__ = ["Loaded", "load", "load_timed", "load_unlabelled"]

_NAMED = 3


@dataclass(frozen=True)
class Loaded:
    """What to fit to.

    Attributes:
        scored: truth is all False where there is none.
        mode: "multi-label" or "single-label", as the probabilities are.
        settings: of the prediction run, as its `.run.json` has them; empty where there is none.
        notes: what was left out and why, one line each.
        left_out: heading -> the videos or labels themselves, for the page.
    """

    scored: Scored
    mode: str
    settings: dict[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    left_out: dict[str, tuple[str, ...]] = field(default_factory=dict)


def load(predictions: Path, truth: Path | None, *, allow_unknown: bool = False) -> Loaded:
    """Load predictions of `olmv predict` beside a manifest, or a folder of `olmv evaluate`, which has its own truth.

    Raises:
        UsageError: neither, or no truth; probabilities that are calibrated already; a bad or unsuitable file.
        InputError: a bad manifest, or nothing in common.
    """
    from olmv.evaluate.joined import join, read_predictions

    if predictions.is_dir():
        if truth is not None:
            raise UsageError(
                f"{predictions} is a result folder and has its own truth; leave out the other", option="truth"
            )
        return _of_result(predictions)
    if truth is None:
        raise UsageError(
            "calibrating takes the truth: add a manifest of it, or calibrate unlabelled videos by a prevalence",
            option=("truth", "unlabelled", "prevalence"),
        )
    return _of_joined(join(read_predictions(predictions), truth, allow_unknown=allow_unknown), predictions)


def load_timed(
    predictions: Path, truth: Path | None, *, allow_unknown: bool = False
) -> tuple[Loaded, tuple["Timeline", ...]]:
    """Load rows with segments and their curves beside a truth over time.

    Returns:
        What `load` gives, a label being true of a video where it is true at some time; and a timeline for each video.

    Raises:
        UsageError: a result folder, or no truth; and as `load`.
        InputError: as `olmv.evaluate.timed.timelines.join_timed`.
    """
    from olmv.evaluate.timed.timelines import join_timed

    if predictions.is_dir():
        raise UsageError(f"{predictions} is a result folder, which has no curves; predict with a timeline, into .jsonl")
    if truth is None:
        raise UsageError("events take a truth over time: add a file of video, label, start_s, end_s", option="truth")
    timed = join_timed(predictions, truth, allow_unknown=allow_unknown)
    joined = replace(timed.joined, scored=replace(timed.joined.scored, notes=timed.notes))
    return _of_joined(joined, predictions), timed.timelines


def _of_joined(joined: "Joined", predictions: Path) -> Loaded:
    unknown = tuple(f"{label} ({count})" for label, count in joined.unknown_labels.items())
    left_out = {
        "videos of the truth without a prediction": joined.without_prediction,
        "predicted videos that the truth does not list": joined.without_truth,
        "videos whose prediction failed": joined.failed,
        "videos of the truth without labels": joined.unlabelled,
        "true labels that were not predicted": unknown,
    }
    return _loaded(
        joined.scored, _run_settings(predictions), {name: items for name, items in left_out.items() if items}
    )


def load_unlabelled(predictions: Path) -> Loaded:
    """Load predictions or a result folder as `load` does, without truth."""
    from olmv.evaluate.joined import read_predictions

    if predictions.is_dir():
        return _of_result(predictions)
    rows = read_predictions(predictions)
    scored = Scored(
        videos=rows.videos,
        labels=rows.labels,
        logit=rows.logit,
        probability=rows.probability,
        truth=np.zeros(rows.probability.shape, dtype=bool),
        threshold=rows.threshold,
        model=rows.model,
    )
    left_out = {"videos whose prediction failed": rows.failed} if rows.failed else {}
    return _loaded(scored, _run_settings(predictions), left_out)


def some(items: Sequence[str]) -> str:
    """Name the first few of them, in words."""
    more = f" and {len(items) - _NAMED} more" if len(items) > _NAMED else ""
    return ", ".join(repr(item) for item in items[:_NAMED]) + more


def _of_result(folder: Path) -> Loaded:
    from olmv.evaluate.results import Result, scored_of_result

    scored = scored_of_result(folder)
    if len(set(scored.labels)) < len(scored.labels):
        twice = next(label for i, label in enumerate(scored.labels) if label in scored.labels[:i])
        raise UsageError(f"two labels of {folder} read {twice!r}; thresholds need labels that differ")
    return _loaded(scored, _as_predict(Result.load(folder)), {})


def _as_predict(result: "Result") -> dict[str, Any]:
    """Return what `olmv evaluate` says of a result, under the names that `olmv predict` has for it."""
    views = result.settings.get("views")
    settings = replace(
        RunSettings.from_document(result.settings),
        mode="multi-label" if result.kind == "multi-label" else "single-label",
        sampling=views if views in (None, "uniform") else f"views {views}",
        templates=None,  # a result names them for the reader
    )
    return {name: value for name, value in settings.to_document().items() if value is not None}


def _loaded(scored: Scored, settings: dict[str, Any], left_out: dict[str, tuple[str, ...]]) -> Loaded:
    notes = [*scored.notes, *(f"{len(items)} {name}: {some(items)}" for name, items in left_out.items())]
    return Loaded(scored, _mode(scored, RunSettings.from_document(settings)), settings, tuple(notes), left_out)


def _mode(scored: Scored, settings: RunSettings) -> str:
    """Return how probabilities were made of logits, checked against the numbers; only these tell where a file has no
    settings beside it. Thresholds belong to the model's own probabilities.
    """
    if settings.mode != "single-label" and bool((np.abs(sigmoid(scored.logit) - scored.probability) < 1e-3).all()):
        return "multi-label"
    if settings.mode != "multi-label" and bool((np.abs(scored.probability.sum(axis=1) - 1) < 1e-2).all()):
        return "single-label"
    raise UsageError(
        "these probabilities are not the model's own, they are calibrated already; predict again without thresholds"
    )


def _run_settings(predictions: Path) -> dict[str, Any]:
    """Read the settings that `olmv predict` leaves beside its rows; empty if there are none that can be read."""
    with suppress(OSError, ValueError, RecursionError):
        document = json.loads(predictions.with_name(predictions.name + ".run.json").read_text(encoding="utf-8"))
        if isinstance(document, dict) and isinstance(document.get("settings"), dict):
            return dict(document["settings"])
    return {}
