"""What a benchmark is once it has been read from disk, whatever its own files look like."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from olmv.errors import InputError
from olmv.labels.vocabulary import Vocabulary

__all__ = ["Benchmark", "BenchmarkOptions", "Kind", "LabelStyle", "Split"]

Kind = Literal["single-label", "multi-label", "retrieval"]
LabelStyle = Literal["words", "raw"]


@dataclass(frozen=True)
class Split:
    """One part that figures are computed for; where there are several, they are told as mean and deviation.

    Attributes:
        name: such as "test 1", "draw 0".
        videos: indices into the benchmark's videos.
        labels: indices into the benchmark's labels: the classifier knows only these.
    """

    name: str
    videos: tuple[int, ...]
    labels: tuple[int, ...]


@dataclass(frozen=True)
class Benchmark:
    """Videos, labels and what is true of which, as a protocol wants them.

    Attributes:
        name: the name it was loaded by.
        kind: which figures make sense.
        labels: as they are given to the text tower; distinct, except for retrieval, where two videos may have the
            same sentence.
        classes: as the data set writes them; for retrieval the video id of each sentence.
        videos: paths, each once.
        truth: for every video its true labels, as indices; () where none of them is true.
        splits: at least one.
        groups: such as "seen" and "unseen": label indices.
        video_groups: for every video the name of its group, "" for none: what is drawn or split keeps groups whole; ()
            where there are none.
        choices: every choice of the protocol that is not the model's: list files, seed, label strings.
        notes: what was left out and why, one line each.

    Raises:
        InputError: two classes have the same label.
    """

    name: str
    kind: Kind
    labels: tuple[str, ...]
    classes: tuple[str, ...]
    videos: tuple[str, ...]
    truth: tuple[tuple[int, ...], ...]
    splits: tuple[Split, ...]
    groups: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    video_groups: tuple[str, ...] = ()
    choices: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.kind == "retrieval" or len(set(self.labels)) == len(self.labels):
            return
        label, _ = Counter(self.labels).most_common(1)[0]
        raise InputError(f"{self.name}: two classes have the label {label!r}; rename one, or use raw label strings")


@dataclass(frozen=True)
class BenchmarkOptions:
    """What a user may decide about a protocol.

    Attributes:
        label_style: "words" as Open-VCLIP ("Apply Eye Makeup", "brush hair"), "raw" as the data set ("ApplyEyeMakeup").
        lists: a folder or file with the user's own lists: draws of classes, drawn training videos, class splits,
            annotations. They take the place of a draw and of the lists below the data set's folder.
        shots: training videos for each class, few-shot only.
        seed: of the draw; None for the protocol's own.
        labels: the vocabulary, manifests only; None takes the manifest's labels.
        unseen: labels of the group "unseen"; all others are "seen".
        split: rows of this `split` only, manifests only.
        allow_unknown: go on where many labels of a manifest are not in the vocabulary; they are left out.
    """

    label_style: LabelStyle = "words"
    lists: Path | None = None
    shots: int | None = None
    seed: int | None = None
    labels: Vocabulary | None = None
    unseen: tuple[str, ...] = ()
    split: str | None = None
    allow_unknown: bool = False
