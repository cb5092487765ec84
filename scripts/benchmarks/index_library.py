"""A made library for `bench_index.py`: windows without videos, as many as are asked for.

A window is the unit vector of a mean that all share, of one of `CLUSTERS` topics, of its video, and of itself, over
axes whose deviations fall as 1/sqrt(i): alike within a video, of some 100 dimensions that count, as the embeddings of
a CLIP are. A query is such a vector of a topic with an offset of its own, as texts lie beside pictures.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import normalize

from olmv.labels.background import background_texts
from olmv.labels.texts import build_texts
from olmv.labels.vocabulary import Vocabulary
from olmv.library.encode import LibraryPart
from olmv.library.fragment import WindowTable
from olmv.library.library import Library
from olmv.library.records import FileState, PartRecord
from olmv.library.settings import LibrarySettings
from olmv.library.writer import LibraryWriter
from olmv.scoring.bank import TextBank
from olmv.video.decode import VideoFrames
from olmv.video.frames import VideoInfo

__all__ = ["WIDTH", "World", "made_library"]

WIDTH, CLUSTERS, OF_A_VIDEO, WINDOW_S = 512, 2000, 20, 4.0
MEAN, TOPIC, VIDEO, WINDOW, OFFSET = 0.8, 0.5, 0.4, 0.3, 0.8  # lengths of what a vector is the sum of
SETTINGS = LibrarySettings(
    model="made",
    digest="0" * 32,
    dtype="float32",
    dimension=WIDTH,
    rows="frames",
    frame_pooling="mean",
    frames=8,
    every_s=0.5,
    max_frames=None,
    sampling="uniform",
    window_s=WINDOW_S,
    step_s=WINDOW_S,
)


@dataclass(frozen=True)
class World:
    """What vectors are drawn from."""

    width: int = WIDTH
    seed: int = 0

    @cached_property
    def axes(self) -> Tensor:
        """Return [D, D]: directions that are orthogonal, in rows, each as long as it counts."""
        generator = torch.Generator().manual_seed(self.seed)
        turned: Tensor = torch.linalg.qr(torch.randn(self.width, self.width, generator=generator)).Q
        lengths = torch.arange(1, self.width + 1).rsqrt()
        return turned * lengths[:, None] / float(lengths.square().sum().sqrt())

    @cached_property
    def topics(self) -> Tensor:
        """Return [CLUSTERS, D], with the mean."""
        generator = torch.Generator().manual_seed(self.seed + 1)
        mean = normalize(torch.randn(self.width, generator=generator), dim=0)
        return MEAN * mean + TOPIC * self.drawn(CLUSTERS, generator)

    def drawn(self, count: int, generator: torch.Generator) -> Tensor:
        """Draw [count, D] of length 1, about."""
        return torch.randn(count, self.width, generator=generator) @ self.axes

    def videos(self, number: int, count: int, windows: int) -> NDArray[np.float16]:
        """Draw the windows of videos: [count, windows, D]."""
        generator = torch.Generator().manual_seed(self.seed + 1000 + number)
        topics = torch.randint(CLUSTERS, (count,), generator=generator)
        videos = self.topics[topics] + VIDEO * self.drawn(count, generator)
        each = videos[:, None] + WINDOW * self.drawn(count * windows, generator).view(count, windows, -1)
        return np.asarray(normalize(each, dim=-1).half().numpy())

    def texts(self, count: int, *, number: int = 0) -> Tensor:
        """Draw the vectors of texts, [count, D]."""
        generator = torch.Generator().manual_seed(self.seed + 2 + number)
        offset = normalize(self.topics[0].flip(0), dim=0)
        topics = torch.randint(CLUSTERS, (count,), generator=generator)
        return normalize(self.topics[topics] + VIDEO * self.drawn(count, generator) + OFFSET * offset, dim=-1)

    def bank(self, labels: int, texts: int) -> TextBank:
        """Make a bank of new labels with so many texts each."""
        vocabulary = Vocabulary.from_names([f"label {number}" for number in range(labels)])
        single = build_texts(vocabulary, ["{}"])
        return TextBank(
            embeddings=self.texts(labels * texts, number=1),
            label_index=torch.arange(labels).repeat_interleave(texts),
            texts=tuple(f"text {number}" for number in range(labels * texts)),
            labels=single.labels,
        )

    @cached_property
    def background(self) -> Tensor:
        """Return the vectors of as many everyday words as olmv has, [W, D]."""
        return self.texts(len(background_texts(("{}",)).texts), number=2)


def made_library(folder: Path, windows: int, *, world: World, of_a_video: int = OF_A_VIDEO) -> Library:
    """Open the library of so many windows in a folder; it is written where it is not there."""
    if not (folder / "done").exists():
        with LibraryWriter(folder, replace(SETTINGS, dimension=world.width)) as writer:
            for part in _parts(world, windows, of_a_video):
                writer.add(part)
            writer.flush()
        (folder / "done").touch()
    return Library.open(folder)


def _parts(world: World, windows: int, of_a_video: int) -> Iterator[LibraryPart]:
    together = max(1, 20_000 // of_a_video)
    for number, first in enumerate(range(0, windows // of_a_video, together)):
        vectors = world.videos(number, min(together, windows // of_a_video - first), of_a_video)
        similarity = torch.from_numpy(vectors).float() @ world.background.T
        deviation, mean = torch.std_mean(similarity, dim=2, correction=0)
        for place, own in enumerate(vectors):
            yield _part(f"video-{first + place:08d}.mp4", own, mean[place].numpy(), deviation[place].numpy())


def _part(
    video: str, vectors: NDArray[np.float16], mean: NDArray[np.float32], deviation: NDArray[np.float32]
) -> LibraryPart:
    count = len(vectors)
    starts = np.arange(count, dtype=np.float64) * np.float64(WINDOW_S)
    duration = count * WINDOW_S
    info = VideoInfo(
        path=video, width=640, height=360, duration_s=duration, num_frames=count, fps=25, rotation=0, codec="h264"
    )
    frames = VideoFrames(
        index=0,
        path=video,
        times_s=np.zeros(0),
        span_s=(0.0, duration),
        info=info,
        requested=count,
        decoded=count,
    )
    table = WindowTable(
        part=np.zeros(count, np.int32),
        start_s=starts,
        end_s=starts + WINDOW_S,
        shot=np.zeros(count, np.int32),
        first_row=np.zeros(count, np.int64),
        rows=np.zeros(count, np.int32),
        background_mean=mean,
        background_deviation=deviation,
    )
    record = PartRecord(video=video, path=f"/films/{video}", file=FileState(1000, 1), frames=frames, encoded=count)
    return LibraryPart(record, vectors[:0], vectors, table)
