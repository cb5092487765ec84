"""Training clips from video files: a manifest or other rows, a vocabulary, and a reader in worker processes."""

import difflib
import os
import weakref
from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from olmv.datasets.judged import judged_pairs
from olmv.datasets.manifests import ManifestRow, join_rows, read_manifest
from olmv.errors import InputError, OutputError, UsageError
from olmv.io.atomic import check_writable
from olmv.labels.lookup import LabelLookup, first_spellings
from olmv.labels.vocabulary import Vocabulary
from olmv.train.data.augment import AugmentConfig, speaks_of_sides
from olmv.train.data.clip_reader import ClipReader, Task
from olmv.train.data.dataset import AHEAD, Failed, Sample, VideoDataset
from olmv.video.options import DecodeOptions, Decoder
from olmv.video.readers.open import check_decoder
from olmv.video.transforms import Preprocess
from olmv.video.workers.fork_server import ForkServer
from olmv.video.workers.loader import FrameLoader, start_workers

__all__ = ["ManifestDataset"]

_SHOWN = 3  # labels in a note


class ManifestDataset(VideoDataset):
    """Video files with labels, captions, or both.

    Rows for one video are joined, one label each or several. A row that has neither a label nor a caption, but whose
    labels are told to be none, shows that no label is true; beside a caption, no label means that none is known. Rows
    that say what is absent leave the labels in neither list unknown: these pairs teach nothing.

    Args:
        source: a csv, jsonl or parquet manifest, or rows (see `olmv.datasets.hub_rows.hf_rows`).
        labels: the vocabulary; None takes all labels of the source (every split), in order of first appearance.
        split: use the rows of this split only.
        preprocess: the model's input.
        frames: T, of a clip.
        sampling: `uniform` (whole video) or `window` (a few seconds of it).
        augment: how clips are varied; None for validation: centres of segments, centre crop, no chance.
        seed: of everything random.
        cache: folder for decoded frames; made if it is missing. Only with `uniform` sampling.
        cache_frames: frames kept of each video; 4 * T by default.
        decoder: what reads the files.
        name: of the source in messages; its path by default.

    Attributes:
        notes: what was guessed, joined or forgiven in the rows, one line each.

    Raises:
        InputError: a bad manifest, an unknown split, a row with an unknown label, or without labels and caption.
        OutputError: the cache folder cannot be written.
        UsageError, MissingDependencyError: `window` with a cache; a decoder that is not there.
        ValueError: a count below 1, or an unknown sampling.
    """

    def __init__(
        self,
        source: str | Path | Sequence[ManifestRow],
        labels: Vocabulary | None = None,
        *,
        preprocess: Preprocess,
        split: str | None = None,
        frames: int = 8,
        sampling: Literal["uniform", "window"] = "uniform",
        augment: AugmentConfig | None = None,
        seed: int = 0,
        cache: str | Path | None = None,
        cache_frames: int | None = None,
        decoder: Decoder = "auto",
        name: str | None = None,
    ) -> None:
        if sampling not in ("uniform", "window"):
            raise ValueError(f"unknown sampling {sampling!r}; use uniform or window")
        cache_count = 4 * frames if cache_frames is None else cache_frames
        if frames < 1 or cache_count < 1:
            raise ValueError(f"frames is {frames}, cache_frames {cache_count}; ask for at least 1")
        check_decoder(decoder)
        notes: list[str] = []
        if cache is not None:
            _prepare_cache(Path(cache), sampling)
        if isinstance(source, str | Path):
            name = name or os.fspath(source)
            rows = read_manifest(source, labels=None if labels is None else labels.names, note=notes.append)
        else:
            rows = list(source)
        self._name = name or "the data"
        self.frames = frames
        self.labels = _names(rows) if labels is None else labels.names
        self._rows, joined = join_rows(_of_split(rows, split, self._name))
        if joined:
            notes.append(f"{joined} rows are for a video met before; their labels were put together")
        self._targets = self._indices(notes)
        self._known = judged_pairs(self._rows, LabelLookup(self.labels))
        if self._known is not None:
            unknown = int((~self._known).sum())
            notes.append(f"{unknown} of {self._known.size} pairs of video and label were not judged and teach nothing")
        if empty := sum(row.labels == () and row.absent is None and not row.caption for row in self._rows):
            notes.append(f"{empty} videos have an empty list of labels: none is true of them")
        notes += self._label_notes(split)
        self.notes = tuple(f"{self._name}: {note}" for note in notes)
        self._flip = not speaks_of_sides(self.labels)
        self._preprocess, self._options = preprocess, DecodeOptions(frames=frames, decoder=decoder)
        self._fork_server: ForkServer | None = None
        self._reader = ClipReader(
            seed=seed,
            sampling=sampling,
            augment=augment,
            cache=None if cache is None else os.fspath(cache),
            cache_frames=cache_count,
        )

    def __len__(self) -> int:
        return len(self._rows)

    def video(self, index: int) -> str:
        return self._rows[index].video

    def known(self, indices: Sequence[int]) -> Tensor | None:
        return None if self._known is None else torch.from_numpy(self._known[list(indices)])

    def load(self, index: int, epoch: int) -> Sample:
        return self._sample(index, self._reader(self._task(index, epoch), self._preprocess, self._options).tensor)

    def stream(
        self, order: Sequence[int], epoch: int, *, batch_size: int, workers: int | None, timeout_s: float
    ) -> Generator[Sample | Failed, None, None]:
        """Yield the clips of `order`, decoded in worker processes with a time limit and a memory cap for each file."""
        loader = FrameLoader(
            (self._task(index, epoch) for index in order),
            preprocess=self._preprocess,
            prefetch=AHEAD * batch_size + 8,
            decode=self._reader,
            options=replace(self._options, workers=workers, timeout_s=timeout_s),
            fork_server=None if workers == 0 else self._workers(),
        )
        with closing(loader):
            for index, clip in zip(order, loader, strict=True):
                if clip.pixels is None:
                    yield Failed(self._rows[index].video, str(clip.error))
                else:
                    yield self._sample(index, clip.tensor)

    def _workers(self) -> ForkServer:
        """Return the workers of all epochs: they import torch for the augmentation, which takes seconds."""
        if self._fork_server is None:
            self._fork_server = start_workers(self._reader, self._preprocess)
            weakref.finalize(self, self._fork_server.close)
        return self._fork_server

    def _task(self, index: int, epoch: int) -> Task:
        row = self._rows[index]
        may_flip = self._flip and not (row.caption and speaks_of_sides([row.caption]))
        return Task(row.video, index, epoch, may_flip)

    def _sample(self, index: int, pixels: Tensor) -> Sample:
        row = self._rows[index]
        return Sample(row.video, pixels, self._targets[index], row.caption, labelled=_tells_labels(row))

    def _label_notes(self, split: str | None) -> list[str]:
        """Return what is odd about the labels, one line each: two spellings of one, and labels without a clip."""
        notes = []
        if pairs := LabelLookup(self.labels).ambiguous():
            (one, other), more = pairs[0], f", and {len(pairs) - 1} more such pairs" if len(pairs) > 1 else ""
            notes.append(
                f"the labels {one!r} and {other!r} differ by case or white space alone and count as two, so that a "
                f"clip of one says that the other is false{more}; write them alike"
            )
        there = {index for indices in self._targets for index in indices}
        missing = [label for index, label in enumerate(self.labels) if index not in there]
        if missing:
            where = "" if split is None else f" of the split {split!r}"
            shown = ", ".join(repr(label) for label in missing[:_SHOWN])
            more = f" and {len(missing) - _SHOWN} more" if len(missing) > _SHOWN else ""
            notes.append(f"{len(missing)} of the {len(self.labels)} labels are true of no video{where}: {shown}{more}")
        return notes

    def _indices(self, notes: list[str]) -> list[tuple[int, ...]]:
        """Return for each row its labels as indices into the vocabulary."""
        lookup = LabelLookup(self.labels)
        targets = []
        for place, row in enumerate(self._rows, start=1):
            where = f"{self._name} row {place if row.number is None else row.number}"
            if row.labels is None and not row.caption:
                raise InputError(f"{where} has neither labels nor a caption; fill one in, or take the row out")
            indices: dict[int, None] = {}
            for label in row.labels or ():
                index = lookup.find(label)
                if index is None:
                    close = difflib.get_close_matches(label, self.labels, n=1)
                    hint = f"did you mean {close[0]!r}?" if close else "add it there, or take it out of the row"
                    raise InputError(f"{where} has the label {label!r}, which is not in the vocabulary; {hint}")
                indices[index] = None
            targets.append(tuple(indices))
        notes += lookup.notes()
        return targets


def _tells_labels(row: ManifestRow) -> bool:
    return bool(row.labels) or row.absent is not None or (row.labels is not None and not row.caption)


def _names(rows: Sequence[ManifestRow]) -> tuple[str, ...]:
    labels = first_spellings(label for row in rows for label in row.labels or ())
    return Vocabulary(labels).names if labels else ()


def _of_split(rows: Sequence[ManifestRow], split: str | None, name: str) -> list[ManifestRow]:
    chosen = [row for row in rows if split is None or row.split == split]
    if not chosen:
        if split is None:
            raise InputError(f"{name} has no rows; name a source that has some")
        there = ", ".join(dict.fromkeys(row.split for row in rows if row.split))
        cure = f"it has {there}" if there else "it has no 'split' column, so leave the split out"
        raise InputError(f"{name} has no rows of the split {split!r}; {cure}")
    return chosen


def _prepare_cache(folder: Path, sampling: str) -> None:
    if sampling == "window":
        raise UsageError("a window needs frames close together, which the cache does not keep; leave one of them out")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot make the cache folder {folder}: {error.strerror}; choose another one") from None
    check_writable(folder / "probe.npy")
