"""From the `data` section of a config to data sets with their label texts."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

from olmv.datasets.hub_rows import hf_rows
from olmv.errors import UsageError
from olmv.labels.attributes import AttributeBook
from olmv.labels.texts import LabelTexts, build_texts
from olmv.labels.vocabulary import Vocabulary
from olmv.moji.world import MOTIONS, OPPOSITES, object_names, scene_labels
from olmv.train.config import Data, MojiSource, Source
from olmv.train.data.augment import AugmentConfig
from olmv.train.data.dataset import VideoDataset
from olmv.train.data.manifest_data import ManifestDataset
from olmv.train.data.moji_data import MojiDataset
from olmv.video.transforms import Preprocess

__all__ = ["Labelled", "open_source", "open_sources"]

_OBJECTS = re.compile(r"(seen|unseen)(?:\[(\d*):(\d*)(?::(\d+))?\])?")


@dataclass(frozen=True)
class Labelled:
    """Videos with the texts of their vocabulary.

    Attributes:
        dataset: the videos; `dataset.labels` is the vocabulary.
        vocabulary: the same with the attributes of the book.
        texts: of every label.
        groups: kinds of labels that are also worth a figure of their own -> their columns.
        sources: where the videos come from: one, or with a replay buffer several.
    """

    dataset: VideoDataset
    vocabulary: Vocabulary
    texts: LabelTexts
    groups: Mapping[str, tuple[int, ...]]
    sources: tuple[Source, ...]


def open_sources(
    data: Data, *, preprocess: Preprocess, templates: str, seed: int
) -> tuple[Labelled, dict[str, Labelled]]:
    """Open the training videos and, by name, the validation videos.

    A validation source without labels of its own has the training vocabulary.

    Raises:
        InputError, VocabularyError: a bad manifest, data set, label file or attribute book.
        UsageError: bad objects, counts or motions of a Moji source.
    """
    vocabulary = None if data.labels is None else Vocabulary.load(str(data.labels))
    open_one = partial(open_source, data=data, preprocess=preprocess, templates=templates, seed=seed)
    training = open_one(data.train, vocabulary, train=True)
    words = vocabulary or Vocabulary.from_names(list(training.dataset.labels))
    return training, {name: open_one(s, words, train=False) for name, s in data.validation.items()}


def open_source(
    source: Source,
    vocabulary: Vocabulary | None,
    *,
    data: Data,
    preprocess: Preprocess,
    templates: str,
    seed: int,
    train: bool,
) -> Labelled:
    """Open one source.

    Args:
        source: the videos.
        vocabulary: its labels, where it has none of its own; None for all that occur.
        data: attributes and frames.
        preprocess, templates: the model's.
        seed: of everything random.
        train: vary the clips.

    Raises:
        InputError, VocabularyError, UsageError: as `open_sources`.
    """
    book = None if data.attributes is None else AttributeBook.load(data.attributes)
    own = vocabulary if source.labels is None else Vocabulary.load(str(source.labels))
    groups: dict[str, tuple[int, ...]] = {}
    dataset: VideoDataset
    if source.moji is not None:
        dataset = _moji(source.moji, data, preprocess, train=train)
        groups = _kinds(dataset.labels) if len(source.moji.labels) > 1 else {}
        own = Vocabulary.from_names(list(dataset.labels))
    else:
        dataset = _videos(source, own, data, preprocess, train=train, seed=seed)
        own = own or Vocabulary.from_names(list(dataset.labels))
    named = own if book is None else own.with_attributes(book)
    return Labelled(dataset, named, build_texts(named, templates), groups, (source,))


def _videos(
    source: Source, vocabulary: Vocabulary | None, data: Data, preprocess: Preprocess, *, train: bool, seed: int
) -> VideoDataset:
    options = data.augmentation
    augment = AugmentConfig(crop=options.crop, flip=options.flip, colour_jitter=options.colour_jitter)
    manifest = source.manifest
    rows = (
        manifest
        if manifest is not None
        else hf_rows(
            str(source.dataset), source.split, video_column=source.video_column, label_column=source.label_column
        )
    )
    return ManifestDataset(
        rows,
        vocabulary,
        preprocess=preprocess,
        split=source.split if manifest is not None else None,
        frames=data.frames,
        sampling=data.sampling,
        augment=augment if train else None,
        seed=seed,
        cache=data.cache,
        name=str(manifest or source.dataset),
    )


def _moji(source: MojiSource, data: Data, preprocess: Preprocess, *, train: bool) -> VideoDataset:
    names, motions = _objects(source.objects), source.motions or (tuple(OPPOSITES) if source.reversals else MOTIONS)
    if max(source.counts) > len(names):
        raise UsageError(
            f"moji counts has {max(source.counts)}, but objects {source.objects!r} are {len(names)}; "
            "draw fewer at a time, or name more objects"
        )
    if unknown := [motion for motion in motions if motion not in MOTIONS]:
        raise UsageError(f"unknown moji motion {unknown[0]!r}; choose from {', '.join(MOTIONS)}")
    if source.reversals and (lacking := [motion for motion in motions if motion not in OPPOSITES]):
        raise UsageError(
            f"moji motion {lacking[0]!r} has no opposite; with reversals choose from {', '.join(OPPOSITES)}"
        )
    return MojiDataset(
        source.seed,
        source.clips,
        frames=data.frames,
        labels=source.labels,
        names=names,
        counts=source.counts,
        motions=motions,
        pairings=source.pairings,
        size=preprocess.size,
        fresh=source.fresh and train,
        train=train,
        reversals=source.reversals,
        captions=source.captions,
    )


def _objects(text: str | tuple[str, ...]) -> tuple[str, ...]:
    """Return names as they are; or `seen`, `unseen`, or a slice of either such as `seen[200:300]` or `seen[::5]`."""
    if not isinstance(text, str):
        if unknown := set(text) - {*object_names("seen"), *object_names("unseen")}:
            raise UsageError(f"the Moji world has no object '{min(unknown)}'; see olmv/moji/moji_objects.json")
        return text
    match = _OBJECTS.fullmatch(text)
    names: tuple[str, ...] = ()
    if match:
        place = slice(*(int(n) if n else None for n in match.groups()[1:]))
        names = object_names("seen" if match[1] == "seen" else "unseen")[place]
    if not names:
        raise UsageError(f"moji objects {text!r} are none; write seen, unseen, or a slice such as seen[:200]")
    return names


def _kinds(labels: tuple[str, ...]) -> dict[str, tuple[int, ...]]:
    kind_of = dict.fromkeys(scene_labels(), "scenes") | dict.fromkeys(MOTIONS, "motions")
    groups: dict[str, list[int]] = {}
    for column, label in enumerate(labels):
        groups.setdefault(kind_of.get(label, "objects"), []).append(column)
    return {kind: tuple(columns) for kind, columns in groups.items()}
