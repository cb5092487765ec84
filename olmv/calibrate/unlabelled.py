"""Thresholds without any truth: from the scores of the user's own videos, and how often a label is stated to be true.

Of N videos the N x prevalence with the highest scores are made positive, label by label ("proportional" or PCut
thresholding: Yang 2001, "A study on thresholding strategies for text categorization", SIGIR). It needs scores that
rank well and a prevalence that is about right; nothing is promised about precision.
"""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from olmv.calibrate.objectives import Cuts
from olmv.errors import InputError, UsageError

__all__ = ["prevalence_threshold", "read_prevalence"]


def prevalence_threshold(probability: NDArray[np.float64], prevalence: float) -> float | None:
    """Find the threshold that makes about N x prevalence of the N videos [N] positive; equal scores stay together.

    None where that is less than one video: the scores cannot tell where the threshold should be.
    """
    positives = prevalence * len(probability)
    if positives < 1 - 1e-9:
        return None
    cuts = Cuts.of(probability, np.zeros(len(probability), dtype=bool))
    return float(cuts.threshold[np.abs(cuts.predicted - positives).argmin()])


def read_prevalence(text: str, labels: Sequence[str]) -> dict[str, float]:
    """Read the prevalence of every label: one number for all, or a csv file with the columns label and prevalence.

    A label that the file does not name is left out; one that is not in `labels` is passed over.

    Args:
        text: "0.05" or the path of the file.
        labels: the labels that were predicted.

    Raises:
        UsageError: a prevalence that is not between 0 and 1, or none of the labels is in the file.
        InputError: no such file, not UTF-8, not csv with these columns, or a label twice.
    """
    try:
        shared = float(text)
    except ValueError:
        pass
    else:
        return dict.fromkeys(labels, _checked(shared))
    listed = _read(Path(text))
    prevalence = {label: listed[label] for label in labels if label in listed}
    if not prevalence:
        raise UsageError(f"none of the {len(labels)} labels is in {text}, {labels[0]!r} for one; add them there")
    return prevalence


def _read(path: Path) -> Mapping[str, float]:
    prevalence: dict[str, float] = {}
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            if not {"label", "prevalence"} <= set(reader.fieldnames or ()):
                raise InputError(f"{path} lacks the columns label and prevalence; put them in its first line")
            for row in reader:
                where = f"{path} line {reader.line_num}"
                label = (row["label"] or "").strip()
                if label in prevalence:
                    raise InputError(f"{where}: the label {label!r} is there twice; remove one")
                try:
                    value = float(row["prevalence"] or "")
                except ValueError:
                    value = float("nan")
                prevalence[label] = _checked(value, where=f"{where}: ")
    except FileNotFoundError:
        raise UsageError(f"the prevalence is neither a number nor a file: {path}; give 0.05 or a csv file") from None
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8 (byte {error.start}); save it as UTF-8") from None
    except (OSError, csv.Error) as error:
        raise InputError(f"cannot read {path}: {getattr(error, 'strerror', None) or error}; check the file") from None
    return prevalence


def _checked(value: float, *, where: str = "") -> float:
    if not 0 < value < 1:
        raise UsageError(f"{where}the prevalence is {value:g}; give a number between 0 and 1", option="prevalence")
    return value
