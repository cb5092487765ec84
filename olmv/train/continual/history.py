"""The labels that a model was trained on, run after run: `history.json` of a run folder.

    {"format": "olmv-train-history/1", "model": "olmv-mini", "runs": [{"run": ..., "seed": ..., "labels": [...],
     "data": {...}}, ...], "figures": {"before": {...}, "after": {...}}}

The oldest run comes first and the folder's own last, so that a chain of runs needs only the folder before. `data` is
the `data` section of the run's config: its training source is what a replay buffer draws from, its validation sources
are what tells how well the labels are still known. `figures` are there once a run that adds labels has measured them.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from olmv.errors import InputError, UsageError, reason
from olmv.io.atomic import write_atomic
from olmv.labels.lists import label_key
from olmv.models.storage.folder import read_config
from olmv.train.config import Data, TrainConfig
from olmv.train.run_folder import RunFolder

__all__ = [
    "History",
    "TrainedLabels",
    "begin_from",
    "check_new_labels",
    "read_figures",
    "read_history",
    "write_history",
]

FORMAT = "olmv-train-history/1"


@dataclass(frozen=True)
class TrainedLabels:
    """What one run trained.

    Attributes:
        run: its folder, as it was called.
        seed: `run.seed`.
        labels: its training vocabulary, in order.
        data: the `data` section of its config.
    """

    run: str
    seed: int
    labels: tuple[str, ...]
    data: Data


@dataclass(frozen=True)
class History:
    """The runs that led to a model, oldest first.

    Attributes:
        model: what the first of them started from.
        runs: at least one.
    """

    model: str
    runs: tuple[TrainedLabels, ...]

    @property
    def labels(self) -> tuple[str, ...]:
        """Return all labels, each once, as first written."""
        first: dict[str, str] = {}
        for run in self.runs:
            for label in run.labels:
                first.setdefault(label_key(label), label)
        return tuple(first.values())


def begin_from(config: TrainConfig, output: Path) -> tuple[TrainConfig, History | None]:
    """Let a config that adds labels start from the model of its earlier run.

    Returns:
        The config with that model in place of its own, and the runs that led to it; None where it adds none.

    Raises:
        InputError: the earlier run is missing, unfinished, or without a history.
        UsageError: it is the run itself, or of another model or temporal module.
    """
    if config.continual is None:
        return config, None
    path = config.continual.run
    if path.resolve() == output.resolve():
        raise UsageError(f"'{path}' cannot start from itself; choose another folder", option="output")
    history = read_history(path)
    folder = path / "model"
    given = config.model
    if given.name not in (history.model, str(folder)):
        raise UsageError(
            f"'{path}' tuned {history.model}, and this config is for {given.name}; set model.name={history.model}, "
            "or start from another run",
            option="from_",
        )
    if given.soft_attributes is not None:
        raise UsageError("soft attributes start anew in every run and would lose the earlier labels; leave "
                         "model.soft_attributes out")  # fmt: skip
    saved = read_config(folder)
    options = {**saved["temporal_options"], **given.temporal_options}
    if given.temporal not in (None, saved["temporal"]) or options != saved["temporal_options"]:
        raise UsageError(
            f"'{path}' has the temporal module '{saved['temporal']}' with other options or weights than this config "
            f"would begin with; leave model.temporal and model.temporal_options out"
        )
    model = replace(given, name=str(folder), temporal=None, temporal_options={}, random_weights=False)
    return replace(config, model=model), history


def read_history(path: Path) -> History:
    """Read the history of a finished run.

    Raises:
        InputError: there is no such run, it is not finished, or its history cannot be read.
    """
    if not (path / "config.yaml").is_file():
        hint = f"; name the run's folder, '{path.parent}'" if (path.parent / "config.yaml").is_file() else ""
        raise InputError(f"'{path}' is no run folder{hint or '; name one that a training run has written'}",
                         option="from_")  # fmt: skip
    folder = RunFolder(path)
    if not folder.finished:
        raise InputError(
            f"the run in '{path}' is not finished; run it to its end first, it goes on where it stopped", option="from_"
        )
    plain = _read(folder)
    try:
        runs = TypeAdapter(tuple[TrainedLabels, ...]).validate_python(plain["runs"])
        history = History(str(plain["model"]), runs)
        known = plain["format"] == FORMAT and len(runs) > 0
    except (KeyError, TypeError, ValidationError):
        known = False
    if not known:
        raise InputError(
            f"{folder.history} is not of format {FORMAT}; train the run anew, or start from its model with "
            f"model.name={folder.model}"
        )
    return history


def write_history(
    folder: RunFolder, history: History, *, before: Mapping[str, float] | None = None,
    after: Mapping[str, float] | None = None,
) -> None:  # fmt: skip
    """Write the history of a run, and the figures of a run that adds labels.

    Raises:
        OutputError: it cannot be written.
    """
    runs = TypeAdapter(tuple[TrainedLabels, ...]).dump_python(history.runs, mode="json")
    plain: dict[str, Any] = {"format": FORMAT, "model": history.model, "runs": runs}
    figures = {name: dict(values) for name, values in (("before", before), ("after", after)) if values is not None}
    if figures:
        plain["figures"] = figures
    write_atomic(folder.history, json.dumps(plain, indent=1, ensure_ascii=False) + "\n")


def read_figures(folder: RunFolder) -> dict[str, float] | None:
    """Return the figures before the first step, where a run that was stopped has measured them."""
    if not folder.history.is_file():
        return None
    before: dict[str, float] | None = _read(folder).get("figures", {}).get("before")
    return before


def _read(folder: RunFolder) -> dict[str, Any]:
    try:
        plain = json.loads(folder.history.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(
            f"cannot read {folder.history}: {reason(error)}; train the run anew, or start from its model with "
            f"model.name={folder.model}"
        ) from None
    return plain if isinstance(plain, dict) else {}


def check_new_labels(history: History, labels: Sequence[str], path: Path) -> str | None:
    """Check that a run adds labels; return a note where it also trains earlier ones.

    Raises:
        UsageError: all of its labels are known to the earlier runs.
    """
    earlier = {label_key(label): label for label in history.labels}
    shared = [(earlier[label_key(label)], label) for label in labels if label_key(label) in earlier]
    if len(shared) == len(labels):
        raise UsageError(
            f"all {len(labels)} labels of this run were trained in '{path}' before ({labels[0]!r} for one), so it "
            f"adds none; to train them further set model.name={path / 'model'} and leave continual out"
        )
    if not shared:
        return None
    old, new = next((pair for pair in shared if pair[0] != pair[1]), shared[0])
    spelling = f"{old!r}" if old == new else f"{new!r} as {old!r}"
    return f"{len(shared)} of the {len(labels)} labels were trained before, {spelling} for one; the others are new"
