"""A replay buffer: clips of earlier runs among the new ones, so that earlier labels keep their gradient.

Nobody has looked at earlier clips for the new labels, nor at new clips for the earlier ones: `known` tells which pairs
of clip and label were judged, and a sigmoid loss leaves the others out.
"""

from collections.abc import Generator, Sequence
from contextlib import ExitStack, closing
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from olmv.labels.lists import label_key
from olmv.labels.texts import build_texts
from olmv.labels.vocabulary import Vocabulary
from olmv.train.data.dataset import Failed, Sample, VideoDataset
from olmv.train.data.sources import Labelled

__all__ = ["ReplayDataset", "with_replay"]


class ReplayDataset(VideoDataset):
    """New clips, then those of earlier runs, over one vocabulary.

    Args:
        labels: the joint vocabulary; labels of the parts are found in it whatever their case and white space.
        parts: data sets of one number of frames, the new one first.
        chosen: for every part the indices of its clips that are in.
    """

    def __init__(self, labels: Sequence[str], parts: Sequence[VideoDataset], chosen: Sequence[Sequence[int]]) -> None:
        self.labels = tuple(labels)
        self.frames = parts[0].frames
        self.notes = tuple(note for part in parts for note in part.notes)
        places = {label_key(label): index for index, label in enumerate(self.labels)}
        self._parts = tuple(parts)
        self._columns = [tuple(places[label_key(label)] for label in part.labels) for part in parts]
        self._clips = [(number, index) for number, indices in enumerate(chosen) for index in indices]
        self._known = torch.zeros(len(parts), len(self.labels), dtype=torch.bool)
        for number, columns in enumerate(self._columns):
            self._known[number, list(columns)] = True

    def __len__(self) -> int:
        return len(self._clips)

    def video(self, index: int) -> str:
        number, inner = self._clips[index]
        return self._parts[number].video(inner)

    def known(self, indices: Sequence[int]) -> Tensor:
        clips = [self._clips[index] for index in indices]
        known = self._known[[number for number, _ in clips]]
        for row, (number, inner) in enumerate(clips):
            if (of_part := self._parts[number].known([inner])) is not None:
                known[row, list(self._columns[number])] = of_part[0]
        return known

    def load(self, index: int, epoch: int) -> Sample:
        number, inner = self._clips[index]
        return self._joint(number, self._parts[number].load(inner, epoch))

    def stream(
        self, order: Sequence[int], epoch: int, *, batch_size: int, workers: int | None, timeout_s: float
    ) -> Generator[Sample | Failed, None, None]:
        """Yield the clips of `order`, each from the stream of its own part.

        The new part has the workers; of the others, which are drawn from less often, each has one.
        """
        numbers = [self._clips[index][0] for index in order]
        with ExitStack() as stack:
            streams = {
                number: stack.enter_context(closing(part.stream(
                    [inner for n, inner in (self._clips[index] for index in order) if n == number], epoch,
                    batch_size=batch_size, workers=workers if number == 0 or workers == 0 else 1, timeout_s=timeout_s,
                )))
                for number, part in enumerate(self._parts)
                if number in numbers
            }  # fmt: skip
            for number in numbers:
                item = next(streams[number])
                yield item if isinstance(item, Failed) else self._joint(number, item)

    def _joint(self, number: int, sample: Sample) -> Sample:
        columns = self._columns[number]
        return replace(sample, labels=tuple(columns[label] for label in sample.labels))


def with_replay(training: Labelled, earlier: Sequence[Labelled], *, clips: int, seed: int, templates: str) -> Labelled:
    """Put clips of earlier runs among the new ones: as many of each run as it has, the same in every epoch.

    Args:
        training: the new clips.
        earlier: the training clips of earlier runs, oldest first.
        clips: of all earlier runs together.
        seed: of the choice.
        templates: of the label texts.
    """
    vocabulary = Vocabulary(
        {label_key(label.name): label for part in (*earlier, training) for label in part.vocabulary}.values()
    )
    shares = [len(part) for part in np.array_split(np.arange(clips), len(earlier))]
    chosen: list[Sequence[int]] = [range(len(training.dataset))]
    for number, (part, share) in enumerate(zip(earlier, shares, strict=True)):
        there = len(part.dataset)
        picked = np.random.default_rng([seed, number, 0x5EB]).permutation(there)[:share]
        chosen.append(np.sort(picked).tolist())
    dataset = ReplayDataset(vocabulary.names, [training.dataset, *(part.dataset for part in earlier)], chosen)
    sources = (*training.sources, *(source for part in earlier for source in part.sources))
    return Labelled(dataset, vocabulary, build_texts(vocabulary, templates), {}, sources)
