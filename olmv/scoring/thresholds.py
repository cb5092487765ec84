"""From which probability on a label is positive."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from olmv.errors import UsageError, VocabularyError
from olmv.files import write_atomic
from olmv.labels.attributes import load_document, one_line
from olmv.labels.vocabulary import Vocabulary

__all__ = ["DEFAULT_THRESHOLD", "FORMAT", "LabelThreshold", "Thresholds", "thresholds_for"]

FORMAT = "olmv-thresholds/1"
DEFAULT_THRESHOLD = 0.5

Probability = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]


class LabelThreshold(BaseModel):
    """The threshold of one label and how it was found. Fields that are not known are kept.

    Args:
        threshold: positive from this probability on.
        objective: what was asked for ("f1", "precision=0.9").
        value: what was reached, on the videos it was fitted to.
        support: the number of videos that have the label among these.
    """

    model_config = ConfigDict(frozen=True, extra="allow")

    threshold: Probability
    objective: str | None = None
    value: float | None = None
    support: int | None = None


class _Document(BaseModel):
    format: str = FORMAT
    model: str | None = None
    labels: dict[str, LabelThreshold]


class Thresholds(Mapping[str, float]):
    """Label -> threshold, as `olmv calibrate` or a person wrote it; immutable.

    Args:
        labels: for every label its threshold, bare or with how it was found.
        model: the model whose probabilities these thresholds belong to.

    Raises:
        VocabularyError: a threshold is not a number from 0 to 1.
    """

    def __init__(self, labels: Mapping[str, LabelThreshold | float], *, model: str | None = None) -> None:
        self.model = model
        self._labels: dict[str, LabelThreshold] = {}
        for label, given in labels.items():
            if not isinstance(given, LabelThreshold):
                try:
                    given = LabelThreshold(threshold=given)
                except ValidationError:
                    raise VocabularyError(f"threshold of {label!r} is {given!r}; give a number from 0 to 1") from None
            self._labels[label] = given

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
        return cls(document.labels, model=document.model)

    def save(self, path: str | Path) -> None:
        """Write the file, whole or not at all.

        Raises:
            OutputError: it cannot be written there.
        """
        labels = {label: entry.model_dump(mode="json", exclude_none=True) for label, entry in self._labels.items()}
        document = {"format": FORMAT, "model": self.model, "labels": labels}
        write_atomic(path, json.dumps(document, ensure_ascii=False, indent=1) + "\n")

    def entry(self, label: str) -> LabelThreshold:
        """The threshold of a label and how it was found.

        Raises:
            KeyError: the file has no such label.
        """
        return self._labels[label]

    def for_vocabulary(
        self, vocabulary: Vocabulary, *, threshold: float | None = None, default: float = DEFAULT_THRESHOLD
    ) -> list[float]:
        """The threshold of every label, in order; see `thresholds_for`."""
        return thresholds_for(vocabulary, thresholds=self, threshold=threshold, default=default)

    def notes_for(self, vocabulary: Vocabulary, *, model: str | None = None) -> list[str]:
        """Remarks for the user: fitted to another model, or labels that the file does not know."""
        notes = []
        if model is not None and self.model is not None and model != self.model:
            notes.append(f"these thresholds were fitted to {self.model}, not to {model}; calibrate again")
        unknown = [name for name in vocabulary.names if name not in self]
        if unknown:
            notes.append(
                f"{len(unknown)} of {len(vocabulary)} labels are not in the thresholds file, {unknown[0]!r} for one"
            )
        return notes

    def __getitem__(self, label: str) -> float:
        return self._labels[label].threshold

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
    """The threshold of every label, in order. The first of these that speaks of a label decides:

    1. `threshold`, given by hand for all labels (`--threshold P`);
    2. `thresholds`, the file fitted by `olmv calibrate` (`--thresholds FILE`);
    3. the label's own threshold in the vocabulary file;
    4. `default`.

    Raises:
        UsageError: `threshold` or `default` is not a number from 0 to 1.
    """
    for name, value in (("threshold", threshold), ("default threshold", default)):
        if value is not None and not 0 <= value <= 1:
            raise UsageError(f"{name} is {value}; give a number from 0 to 1")
    if threshold is not None:
        return [float(threshold)] * len(vocabulary)
    found = thresholds if thresholds is not None else {}
    return [found.get(label.name, default if label.threshold is None else label.threshold) for label in vocabulary]
