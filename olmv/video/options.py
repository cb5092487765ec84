"""How videos are decoded: every option once, with its default and its check."""

import contextlib
import os
from dataclasses import dataclass
from typing import Literal, get_args

from olmv.arguments import check_count, check_number
from olmv.errors import UsageError

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
            UsageError: a count or limit that is none or out of range, or an unknown sampling.
        """
        check_sampling(self.sampling, self.frames)
        if self.every_s is not None:
            check_number("every_s", self.every_s, what="a number of seconds")
            if not LEAST_EVERY_S <= self.every_s < float("inf"):
                raise UsageError(
                    f"every_s is {self.every_s:g}; give a number of seconds from {LEAST_EVERY_S:g} up", option="every_s"
                )
        if self.max_frames is not None:
            check_count("max_frames", self.max_frames)
            if self.max_frames < self.frames and self.every_s is not None:
                raise UsageError(
                    f"max_frames is {self.max_frames}; use at least {self.frames}, the fewest of a video",
                    option="max_frames",
                )
        if self.timeline and self.every_s is None:
            raise UsageError("a timeline takes every_s; say how often to look", option="every_s")
        if self.timeline and self.sampling not in TIMELINE_SAMPLINGS:
            choices = " or ".join(TIMELINE_SAMPLINGS)
            raise UsageError(f"a timeline is not sampled '{self.sampling}'; choose {choices}", option="sampling")
        if self.workers is not None:
            check_count("workers", self.workers, least=0)
        check_number("timeout_s", self.timeout_s, what="a number of seconds")
        if not self.timeout_s > 0:
            raise UsageError(f"timeout_s is {self.timeout_s:g}; give a number of seconds above 0", option="timeout_s")
        check_count("thumbnail_step", self.thumbnail_step)
        check_count("memory_limit_mb", self.memory_limit_mb)


def usable_cores() -> int:
    """Return how many cores this process may use (containers, taskset): so many files are decoded at once."""
    with contextlib.suppress(AttributeError):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def check_sampling(sampling: str, frames: int) -> None:
    """Raise UsageError for an unknown sampling or a count below 1."""
    if sampling not in SAMPLINGS:
        raise UsageError(f"unknown sampling '{sampling}'; choose {', '.join(SAMPLINGS)}", option="sampling")
    check_count("frames", frames)
