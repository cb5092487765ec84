"""A decoder that does what a file's name says; workers import this, so it is small."""

import os
import time
from pathlib import Path

import numpy as np

from olmv.video.decode import VideoFrames, decode_video
from olmv.video.options import DecodeOptions
from olmv.video.transforms import Preprocess

__all__ = ["GATE", "PID", "acting_decode"]

GATE, PID = "gate", "pid"
"""Beside the file: a pipe at which `held` and `hang` wait until it is closed, and the number of who waits."""


def acting_decode(path: str, preprocess: Preprocess, options: DecodeOptions) -> VideoFrames:
    """Wait at the gate, hang, or take 10 GiB of memory; all others are decoded."""
    here = Path(path)
    if here.stem in ("held", "hang"):
        (here.parent / PID).write_text(str(os.getpid()), encoding="utf-8")
        (here.parent / GATE).read_bytes()
    if here.stem == "hang":
        time.sleep(600)
    if here.stem == "memory":
        np.ones(10 * 2**27)
    return decode_video(path, preprocess, options)
