"""Keep the memory of a process that runs for months as small as what it uses.

Pixels of a video are large and short-lived, what is kept of it is small and long-lived. glibc gives each thread an
arena of its own and puts both side by side, so that after some hundred videos most of an arena is holes, several times
what is used. Few arenas, and giving holes back now and then, keep it near that; `bench_serve` shows it.
"""

import contextlib
import ctypes
import sys

__all__ = ["few_arenas", "give_back"]

_M_ARENA_MAX = -8  # of malloc.h
_ARENAS = 2


def few_arenas() -> None:
    """Let all threads share few arenas; to be called before they are started. Where there is no glibc, do nothing."""
    with contextlib.suppress(OSError, AttributeError):
        if sys.platform == "linux":
            ctypes.CDLL("libc.so.6").mallopt(_M_ARENA_MAX, _ARENAS)


def give_back() -> None:
    """Give memory that is free back to the system; takes some milliseconds. Where there is no glibc, do nothing."""
    with contextlib.suppress(OSError, AttributeError):
        if sys.platform == "linux":
            ctypes.CDLL("libc.so.6").malloc_trim(0)
