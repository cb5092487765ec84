"""Data sets of a few small clips, for the tests of this room."""

import os
from pathlib import Path
from typing import Any

import torch

from olmv.datasets.manifests import ManifestRow
from olmv.train.data.augment import AugmentConfig
from olmv.train.data.dataset import VideoDataset
from olmv.train.data.manifest_data import ManifestDataset
from olmv.video.transforms import Preprocess
from tests.support.samples import write_clip

PREPROCESS = Preprocess(size=32)


def rows_of(videos: list[str]) -> list[ManifestRow]:
    labels: list[tuple[str, ...] | None] = [("dog",), ("cat", "dog"), None, ("bird",)]
    captions = [None, "a cat", "a dog turns left", None]
    return [ManifestRow(*row) for row in zip(videos, labels, captions, strict=True)]


def dataset(videos: list[str], **options: Any) -> ManifestDataset:
    return ManifestDataset(
        rows_of(videos), **{"preprocess": PREPROCESS, "frames": 4, "augment": AugmentConfig(), "seed": 1, **options}
    )


def pixels_of(data: VideoDataset, epoch: int = 0) -> list[torch.Tensor]:
    return [data.load(index, epoch).pixels for index in range(len(data))]


def equal(a: list[torch.Tensor], b: list[torch.Tensor]) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


def make_clips(folder: Path) -> list[str]:
    """Write four clips that differ."""
    return [os.fspath(write_clip(folder / f"{number}.mp4", seed=number)) for number in range(4)]
