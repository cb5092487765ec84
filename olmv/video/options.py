"""How videos are decoded: every option once, with its default and its check."""

import contextlib
import os
from dataclasses import dataclass
from typing import Literal, get_args

__all__ = [
    "DECODERS",
    "EVERY_S",
    "LEAST_EVERY_S",
    "MAX_FRAMES",
    "SAMPLINGS",
    "TIMELINE_SAMPLINGS",
    "DecodeOptions",
    "Decoder",
    "Sampling",
    "check_sampling",
]

Sampling = Literal["uniform", "dense", "adaptive", "keyframes"]
Decoder = Literal["auto", "pyav", "decord", "torchcodec"]
SAMPLINGS: tuple[Sampling, ...] = get_args(Sampling)
DECODERS: tuple[Decoder, ...] = get_args(Decoder)
TIMELINE_SAMPLINGS: tuple[Sampling, ...] = ("uniform", "adaptive")
EVERY_S = 2.0
"""Seconds between the frames of a long video, where nobody says."""
LEAST_EVERY_S = 0.001
MAX_FRAMES = 512
"""Of a video, where nobody says how many or how often."""


@dataclass(frozen=True, kw_only=True)
class DecodeOptions:
    """What is done to every file of a run, and what it may cost.

    Attributes:
        frames: T, how many are sampled from a video; a short or broken one may give fewer. With `every_s`, the fewest.
        every_s: a longer video gives a frame for so many seconds each; None for `frames` however long it is.
        max_frames: the most with `every_s`, but for a timeline; None for no most.
        timeline: sample a grid of moments, each `every_s`, and look for the shots.
        sampling: `uniform`, `dense`, `adaptive` or `keyframes`; of a timeline `uniform`, or `adaptive`, which takes no
            frame in which nothing changed.
        decoder: `auto`, `pyav`, `decord` or `torchcodec`.
        workers: decoding processes; None takes one for each core, 0 decodes in this process (no isolation, no limits).
        timeout_s: seconds that one file may take, from the moment a worker takes it.
        memory_limit_mb: how much a worker may allocate beyond its start, per worker (Linux).
        thumbnails: also make a JPEG of each frame.
        thumbnail_step: of one in so many frames, the middle one.
    """

    frames: int = 8
    every_s: float | None = None
    max_frames: int | None = None
    timeline: bool = False
    sampling: Sampling = "uniform"
    decoder: Decoder = "auto"
    workers: int | None = None
    timeout_s: float = 60.0
    memory_limit_mb: int = 2048
    thumbnails: bool = False
    thumbnail_step: int = 1

    def check(self) -> None:
        """Check every value but the decoder, see `check_decoder`.

        Raises:
            ValueError: a count or limit out of range, or an unknown sampling.
        """
        check_sampling(self.sampling, self.frames)
        if self.every_s is not None and not LEAST_EVERY_S <= self.every_s < float("inf"):
            raise ValueError(f"every_s is {self.every_s:g}; give a number of seconds from {LEAST_EVERY_S:g} up")
        if self.max_frames is not None and self.max_frames < self.frames and self.every_s is not None:
            raise ValueError(f"max_frames is {self.max_frames}; use at least {self.frames}, the fewest of a video")
        if self.timeline and self.every_s is None:
            raise ValueError("a timeline takes every_s; say how often to look")
        if self.timeline and self.sampling not in TIMELINE_SAMPLINGS:
            raise ValueError(f"a timeline is not sampled {self.sampling!r}; use {' or '.join(TIMELINE_SAMPLINGS)}")
        if self.workers is not None and self.workers < 0:
            raise ValueError(f"workers is {self.workers}; use 0 for none, or None for one per core")
        if self.timeout_s <= 0:
            raise ValueError(f"timeout_s is {self.timeout_s}; use a positive number of seconds")
        if self.thumbnail_step < 1:
            raise ValueError(f"thumbnail_step is {self.thumbnail_step}; use at least 1")
        if self.memory_limit_mb < 1:
            raise ValueError(f"memory_limit_mb is {self.memory_limit_mb}; use at least 1")


def usable_cores() -> int:
    """Return how many cores this process may use (containers, taskset): so many files are decoded at once."""
    with contextlib.suppress(AttributeError):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def check_sampling(sampling: str, frames: int) -> None:
    """Raise ValueError for an unknown sampling or a count below 1."""
    if sampling not in SAMPLINGS:
        raise ValueError(f"unknown sampling {sampling!r}; use one of {', '.join(SAMPLINGS)}")
    if frames < 1:
        raise ValueError(f"frames is {frames}; ask for at least 1")
