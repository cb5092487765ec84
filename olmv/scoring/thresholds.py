"""From which probability on a label is positive."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from olmv.arguments import check_labelled, check_probability, kind_of, plain_number
from olmv.errors import VocabularyError
from olmv.io.atomic import write_atomic
from olmv.io.digests import sha256_json
from olmv.labels.attributes import load_document, one_line
from olmv.labels.vocabulary import Vocabulary
from olmv.scoring.run_settings import RunSettings
from olmv.scoring.scaling import Scaler, Scaling
from olmv.scoring.segments import default_leave

__all__ = [
    "DEFAULT_THRESHOLD",
    "FORMAT",
    "SCOPES",
    "Guarantee",
    "LabelThreshold",
    "Provenance",
    "Thresholds",
    "leaves_for",
    "thresholds_for",
    "vocabulary_sha256",
    "words_sha256",
]

FORMAT = "olmv-thresholds/1"
DEFAULT_THRESHOLD = 0.5
SCOPES = {"each": "per label", "all": "all labels"}
"""Scope of a guarantee as it is asked for -> as the file has it."""

Probability = Annotated[float, Field(strict=True, ge=0, le=1, allow_inf_nan=False)]


class LabelThreshold(BaseModel):
    """The threshold of one label and how it was found. Fields that are not known are kept.

    Args:
        threshold: positive from this probability on; always the model's own probability, not the calibrated one.
        leave: over time, the label ends where the probability falls below this one, at most the threshold; None for
            `default_leave`.
        objective: what was asked for ("f1", "precision=0.9").
        value: what was reached, on the videos it was fitted to.
        support: the number of videos that have the label among these.
        scaling: from the model's probability to a calibrated one.
        words_sha256: of the label's aliases and attributes, see the function of this name.
    """

    model_config = ConfigDict(frozen=True, extra="allow")

    threshold: Probability
    leave: Probability | None = None
    objective: str | None = None
    value: float | None = None
    support: int | None = None
    scaling: Scaling | None = None
    words_sha256: str | None = None

    @model_validator(mode="after")
    def _leaves_below(self) -> "LabelThreshold":
        if self.leave is not None and self.leave > self.threshold:
            raise ValueError(f"leave is {self.leave:g}, above the threshold {self.threshold:g}")
        return self


class Guarantee(BaseModel):
    """What is promised: `target` ("recall=0.9") holds with probability `confidence`, see `olmv.calibrate.guarantee`.

    Args:
        target: the objective.
        confidence: between 0 and 1, over the draw of the videos that were calibrated with.
        scope: "per label": for every label by itself, not for all of them at once; "all labels": for all at once.
    """

    model_config = ConfigDict(frozen=True, extra="allow")

    target: str
    confidence: float
    scope: str = "per label"


class Provenance(BaseModel):
    """How a thresholds file came about. Fields that are not known are kept.

    Args:
        created: ISO date and time, UTC.
        objective: what was asked for.
        scaling: "platt" or "isotonic".
        guarantee: what is promised, if anything.
        videos: how many it was fitted to.
        groups: of how many groups (sources, cameras, days) they are; None where the truth does not say.
        vocabulary_sha256: of the names of all labels that were predicted, see the function of this name.
        settings: those of the prediction run that move probabilities.
        refused: label -> why it has no threshold.
    """

    model_config = ConfigDict(frozen=True, extra="allow")

    created: str | None = None
    objective: str | None = None
    scaling: str | None = None
    guarantee: Guarantee | None = None
    videos: int | None = None
    groups: int | None = None
    vocabulary_sha256: str | None = None
    settings: dict[str, Any] | None = None
    refused: dict[str, str] | None = None


class _Document(Provenance):
    format: str = FORMAT
    model: str | None = None
    labels: dict[str, LabelThreshold]


class Thresholds(Mapping[str, float]):
    """Label -> threshold, as `olmv calibrate` or a person wrote it; immutable.

    Where a label has a scaling, `thresholds[label]` is on the scale of the calibrated probability, which rows then
    show; compare it with what `scaler` makes of the model's probabilities. Both are rounded to 6 digits in rows.

    Args:
        labels: for every label its threshold, bare or with how it was found.
        model: the model whose probabilities these thresholds belong to.
        provenance: how they came about.

    Raises:
        VocabularyError: a threshold is not a number from 0 to 1.
    """

    def __init__(
        self,
        labels: Mapping[str, LabelThreshold | float],
        *,
        model: str | None = None,
        provenance: Provenance | None = None,
    ) -> None:
        if not isinstance(labels, Mapping):
            raise VocabularyError(f"thresholds are {kind_of(labels)}; give a dict by label, or Thresholds.load(FILE)")
        self.model = model
        self.provenance = provenance or Provenance()
        self._labels: dict[str, LabelThreshold] = {}
        for label, value in labels.items():
            if not isinstance(value, LabelThreshold):
                try:
                    value = LabelThreshold(threshold=plain_number(value))
                except ValidationError:
                    raise VocabularyError(f"threshold of {label!r} is {value!r}; give a number from 0 to 1") from None
            self._labels[label] = value
        self._shown = {label: _shown(entry, entry.threshold) for label, entry in self._labels.items()}

    @classmethod
    def of(cls, thresholds: Mapping[str, float], labels: Sequence[str]) -> "Thresholds":
        """Return thresholds of these labels that were given as a dict; a `Thresholds` stays, whatever it is of.

        Raises UsageError for what is no dict, or has another label, and as the class.
        """
        if isinstance(thresholds, cls):
            return thresholds
        check_labelled("thresholds", thresholds, labels, loader="Thresholds.load")
        return cls(thresholds)

    @classmethod
    def load(cls, path: str | Path) -> "Thresholds":
        """Read a thresholds file.

        Raises:
            VocabularyError: no such file, not UTF-8, not JSON, or not a thresholds file of a known format.
        """
        content = load_document(path, FORMAT, what="olmv thresholds file")
        try:
            document = _Document.model_validate(content)
        except ValidationError as failure:
            raise VocabularyError(f"{path}: {one_line(failure)}; correct it there") from None
        about = document.model_dump(exclude={"format", "model", "labels"}, exclude_none=True)
        return cls(document.labels, model=document.model, provenance=Provenance(**about))

    def save(self, path: str | Path) -> None:
        """Write the file, whole or not at all.

        Raises:
            OutputError: it cannot be written there.
        """
        write_atomic(path, self.to_json())

    def to_json(self) -> str:
        """Return the content of the file that `save` writes."""
        labels = {label: entry.model_dump(mode="json", exclude_none=True) for label, entry in self._labels.items()}
        about = self.provenance.model_dump(mode="json", exclude_none=True)
        document = {"format": FORMAT, "model": self.model, **about, "labels": labels}
        return json.dumps(document, ensure_ascii=False, indent=1) + "\n"

    def entry(self, label: str) -> LabelThreshold:
        """Return the threshold of a label and how it was found.

        Raises:
            KeyError: the file has no such label.
        """
        return self._labels[label]

    def leave_of(self, label: str, threshold: float) -> float:
        """Return the probability below which a label ends that begins at `threshold`: the fitted one, if any.

        Where the label has a scaling it is of the calibrated probability, as `thresholds[label]` is.

        Args:
            label: any; one that is not in the file has the default.
            threshold: what the label begins at, as rows show it; the result is not above it.
        """
        entry = self._labels.get(label)
        if entry is None or entry.leave is None:
            return default_leave(threshold)
        return min(_shown(entry, entry.leave), threshold)

    def for_vocabulary(
        self, vocabulary: Vocabulary, *, threshold: float | None = None, default: float = DEFAULT_THRESHOLD
    ) -> list[float]:
        """Return the threshold of every label, in order; see `thresholds_for`."""
        return thresholds_for(vocabulary, thresholds=self, threshold=threshold, default=default)

    def scaler(self, labels: Sequence[str]) -> Scaler | None:
        """Return what calibrates the model's probabilities, for these labels in this order; None if nothing does."""
        scalings = [entry.scaling if (entry := self._labels.get(label)) else None for label in labels]
        return Scaler(scalings) if any(scalings) else None

    def scalings(self, labels: Sequence[str]) -> list[dict[str, Any]]:
        """Return the scalings of these labels as plain data, for a run's settings; empty if there is none."""
        entries = [entry for label in labels if (entry := self._labels.get(label)) is not None]
        return [entry.scaling.model_dump(mode="json") for entry in entries if entry.scaling is not None]

    def notes_for(
        self, vocabulary: Vocabulary, *, model: str | None = None, settings: RunSettings | None = None
    ) -> list[str]:
        """Return remarks for the user: what differs from that which these thresholds were fitted to.

        Args:
            vocabulary: the labels to predict, with their attributes.
            model: the model that predicts.
            settings: of the prediction run; None is what the model chooses, which may be the same.
        """
        notes = []
        if model is not None and self.model is not None and model != self.model:
            notes.append(f"these thresholds were fitted to {self.model}, not to {model}; calibrate again")
        unknown = [name for name in vocabulary.names if name not in self]
        if unknown:
            notes.append(
                f"{len(unknown)} of {len(vocabulary)} labels are not in the thresholds file, {unknown[0]!r} for one"
            )
        notes += self._other_words(vocabulary)
        notes += self._other_settings(settings or RunSettings())
        return notes

    def _other_words(self, vocabulary: Vocabulary) -> Iterator[str]:
        fitted = self.provenance
        single = (fitted.settings or {}).get("mode") == "single-label"
        if single and fitted.vocabulary_sha256 not in (None, vocabulary_sha256(vocabulary.names)):
            yield "these thresholds were fitted with another list of labels, which share out 1; calibrate again"
        other = [
            label.name
            for label in vocabulary
            if (entry := self._labels.get(label.name)) is not None
            and entry.words_sha256 not in (None, words_sha256(label.aliases, label.attributes))
        ]
        if other:
            yield (
                f"{len(other)} of {len(vocabulary)} labels have other attributes or aliases than their thresholds were "
                f"fitted with, {other[0]!r} for one; calibrate again"
            )

    def _other_settings(self, settings: RunSettings) -> Iterator[str]:
        differences = RunSettings.from_document(self.provenance.settings or {}).differences(settings)
        if differences:
            changes = "; ".join(f"{name} {then} then, {now} now" for name, then, now in differences)
            yield f"these thresholds were fitted with other settings ({changes}); calibrate again"

    def __getitem__(self, label: str) -> float:
        return self._shown[label]

    def __iter__(self) -> Iterator[str]:
        return iter(self._labels)

    def __len__(self) -> int:
        return len(self._labels)

    def __repr__(self) -> str:
        return f"Thresholds({len(self)} labels, model={self.model!r})"


def thresholds_for(
    vocabulary: Vocabulary,
    *,
    thresholds: Mapping[str, float] | None = None,
    threshold: float | None = None,
    default: float = DEFAULT_THRESHOLD,
) -> list[float]:
    """Return the threshold of every label, in order. The first of these that speaks of a label decides:

    1. `threshold`, given by hand for all labels (`--threshold P`);
    2. `thresholds`, the file fitted by `olmv calibrate` (`--thresholds FILE`);
    3. the label's own threshold in the vocabulary file;
    4. `default`.

    Raises:
        UsageError: `threshold` or `default` is not a number from 0 to 1.
    """
    for name, value in (("threshold", threshold), ("default threshold", default)):
        if value is not None:
            check_probability(name, value, option="threshold")
    if threshold is not None:
        return [float(threshold)] * len(vocabulary)
    by_label = thresholds if thresholds is not None else {}
    return [by_label.get(label.name, default if label.threshold is None else label.threshold) for label in vocabulary]


def leaves_for(
    vocabulary: Vocabulary, limits: Sequence[float], *, thresholds: Thresholds | None, threshold: float | None = None
) -> list[float]:
    """Return the probability below which every label ends over time, in order, that begins at `limits` [C].

    Empty, which means `default_leave` for all, where there is no file or `threshold` was given by hand.
    """
    if thresholds is None or threshold is not None:
        return []
    return [thresholds.leave_of(label, limit) for label, limit in zip(vocabulary.names, limits, strict=True)]


def words_sha256(aliases: Iterable[str], attributes: Iterable[str]) -> str:
    """Return the SHA-256 of what a label is described with, beside its name."""
    return sha256_json([list(aliases), list(attributes)])


def vocabulary_sha256(labels: Iterable[str]) -> str:
    """Return the SHA-256 of a list of labels, whatever their order."""
    return sha256_json(sorted(labels))


def _shown(entry: LabelThreshold, probability: float) -> float:
    """Return the model's own probability as rows show it."""
    if entry.scaling is None:
        return probability
    # rounded as probabilities are in rows: what is not below it stays so
    return float(f"{float(Scaler([entry.scaling])(np.array([probability]))[0]):.6g}")
