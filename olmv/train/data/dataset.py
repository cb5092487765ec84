"""Training data: samples that follow from (seed, epoch, index), and batches of them, decoded ahead of the trainer.

    data = ManifestDataset("train.csv", frames=8, preprocess=model.preprocess, augment=AugmentConfig(), seed=0)
    order = epoch_order(len(data), seed=0, epoch=3)
    for batch in batches(data, order, epoch=3, batch_size=8): ...

To go on after batch k, pass `order[k * batch_size:]`.
"""

import queue
import threading
from abc import ABC, abstractmethod
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple, TypeVar

import numpy as np
import torch
from torch import Tensor

from olmv.errors import VideoError

__all__ = ["Batch", "Failed", "Sample", "VideoDataset", "batches", "epoch_order"]

AHEAD = 2  # batches
Item = TypeVar("Item")


@dataclass(frozen=True)
class Sample:
    """One training clip.

    Attributes:
        video: path, or `moji:SEED/INDEX`.
        pixels: [T, 3, S, S] uint8, or float32 from 0 to 255, augmented; T is smaller than asked for where the video is
            short or broken.
        labels: indices into the data set's `labels`.
        caption: a sentence about it, or None.
        labelled: False where only the caption is known, and no label is known to be false.
    """

    video: str
    pixels: Tensor
    labels: tuple[int, ...]
    caption: str | None
    labelled: bool = True


class Failed(NamedTuple):
    """A video that could not be read, and why."""

    video: str
    message: str


@dataclass(frozen=True)
class Batch:
    """B clips together.

    Attributes:
        pixels: [B, T, 3, S, S] uint8, or float32 from 0 to 255, zero where the mask is False; None where B is 0.
        mask: [B, T] bool, True for real frames.
        targets: [B, C] float32, 1 for the labels that are true.
        labelled: [B] bool, False for clips of which only the caption is known: their targets mean nothing.
        known: [B, C] bool, False where nobody has said whether the label is true of the clip; None: all are known.
        captions, videos: B each.
        failed: videos that could not be read; they are in none of the above.
    """

    pixels: Tensor | None
    mask: Tensor
    targets: Tensor
    labelled: Tensor
    captions: list[str | None]
    videos: list[str]
    failed: list[Failed]
    known: Tensor | None = None

    def __len__(self) -> int:
        return len(self.videos)


class VideoDataset(ABC):
    """Clips by number. `load` is a pure function of the data set, index and epoch.

    Attributes:
        labels: the vocabulary, in order.
        frames: T, the most frames of a clip.
        notes: what a user should know about the data, one line each.
    """

    labels: tuple[str, ...]
    frames: int
    notes: tuple[str, ...] = ()

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def video(self, index: int) -> str:
        """Return the name of a clip, for messages."""

    @abstractmethod
    def load(self, index: int, epoch: int) -> Sample:
        """Make one clip in this process.

        Raises:
            VideoError: the video cannot be read.
        """

    def batches(
        self, order: Sequence[int], epoch: int, *, batch_size: int, workers: int | None = None
    ) -> Iterator["Batch"]:
        """Yield batches of the clips of `order`, see the function `batches`."""
        return batches(self, order, epoch, batch_size=batch_size, workers=workers)

    def known(self, indices: Sequence[int]) -> Tensor | None:
        """Tell which labels these clips were looked at for, [B, C] bool; None: every clip for every label."""
        del indices
        return None

    def load_many(self, indices: Sequence[int], epoch: int) -> list[Sample | Failed]:
        """Make several clips at once, for data sets where that is faster."""
        return [self._attempt(index, epoch) for index in indices]

    def _attempt(self, index: int, epoch: int) -> Sample | Failed:
        try:
            return self.load(index, epoch)
        except VideoError as error:
            return Failed(self.video(index), str(error))

    def stream(
        self, order: Sequence[int], epoch: int, *, batch_size: int, workers: int | None, timeout_s: float
    ) -> Generator[Sample | Failed, None, None]:
        """Yield the clips of `order`, made by a thread that is at most two batches ahead."""
        del workers, timeout_s
        groups = (
            self.load_many(order[start : start + batch_size], epoch) for start in range(0, len(order), batch_size)
        )
        with closing(_ahead(groups, AHEAD)) as ready:
            for group in ready:
                yield from group


def batches(
    dataset: VideoDataset,
    order: Sequence[int],
    epoch: int,
    *,
    batch_size: int,
    workers: int | None = None,
    timeout_s: float = 60.0,
) -> Iterator[Batch]:
    """Yield batches of `batch_size` clips in the given order, made while the trainer computes.

    Args:
        dataset: what to load from.
        order: indices, see `epoch_order`.
        epoch: what random choices depend on.
        batch_size: clips for each batch, those that fail included; the last one may be smaller.
        workers: decoding processes; None for one per core, 0 for this process (no isolation, no limits).
        timeout_s: per file.

    Raises:
        ValueError: a size, count or limit out of range.
    """
    if batch_size < 1:
        raise ValueError(f"batch_size is {batch_size}; use at least 1")
    with closing(dataset.stream(order, epoch, batch_size=batch_size, workers=workers, timeout_s=timeout_s)) as stream:
        start = 0
        while group := list(islice(stream, batch_size)):
            indices = order[start : start + len(group)]
            start += len(group)
            yield _collate(group, indices, dataset)


def epoch_order(length: int, seed: int, epoch: int, *, rank: int = 0, world: int = 1) -> list[int]:
    """Return the indices that one of `world` processes takes in an epoch: every `world`-th of a permutation of all.

    The permutation is padded with its own beginning to a multiple of `world`, so that all ranks have as many.

    Raises:
        ValueError: a rank outside 0 .. world - 1.
    """
    if not 0 <= rank < world:
        raise ValueError(f"rank is {rank} of {world}; use 0 to {world - 1}")
    permutation = np.random.default_rng([seed, epoch]).permutation(length)
    padded = np.resize(permutation, -(-length // world) * world)
    order: list[int] = padded[rank::world].tolist()
    return order


def _collate(group: Sequence[Sample | Failed], indices: Sequence[int], dataset: VideoDataset) -> Batch:
    frames, labels = dataset.frames, len(dataset.labels)
    samples = [item for item in group if isinstance(item, Sample)]
    mask = torch.zeros(len(samples), frames, dtype=torch.bool)
    targets = torch.zeros(len(samples), labels)
    pixels = None
    if samples:
        pixels = torch.zeros(len(samples), frames, *samples[0].pixels.shape[1:], dtype=samples[0].pixels.dtype)
        for place, sample in enumerate(samples):
            count = len(sample.pixels)
            pixels[place, :count] = sample.pixels
            mask[place, :count] = True
            targets[place, list(sample.labels)] = 1
    return Batch(
        pixels=pixels,
        mask=mask,
        targets=targets,
        labelled=torch.tensor([sample.labelled for sample in samples], dtype=torch.bool),
        captions=[sample.caption for sample in samples],
        videos=[sample.video for sample in samples],
        failed=[item for item in group if isinstance(item, Failed)],
        known=dataset.known([i for i, item in zip(indices, group, strict=True) if isinstance(item, Sample)]),
    )


def _ahead(items: Iterator[Item], depth: int) -> Generator[Item, None, None]:
    """Yield the same items, made by a thread that is at most `depth` ahead; its errors are raised here."""
    ready: queue.Queue[tuple[Item] | BaseException | None] = queue.Queue(depth)
    stopped = threading.Event()

    def put(entry: tuple[Item] | BaseException | None) -> None:
        while not stopped.is_set():
            try:
                ready.put(entry, timeout=0.1)
            except queue.Full:
                continue
            return

    def work() -> None:
        try:
            for item in items:
                put((item,))
                if stopped.is_set():
                    return
            put(None)
        except BaseException as error:
            put(error)

    thread = threading.Thread(target=work, name="olmv-samples", daemon=True)
    thread.start()
    try:
        while (entry := ready.get()) is not None:
            if isinstance(entry, BaseException):
                raise entry
            yield entry[0]
    finally:
        stopped.set()
        thread.join()
