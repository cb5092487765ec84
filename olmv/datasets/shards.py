"""Part the inputs of a run among several runs, such as the tasks of a job array."""

import hashlib
import os
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from olmv.errors import UsageError

__all__ = ["Shard", "selected"]

_FORM = re.compile(r"(\d{1,9})/(\d{1,9})")


@dataclass(frozen=True)
class Shard:
    """One of several parts of the inputs, such as `3/16`.

    Where a video goes is told by its absolute path alone, not by its place among the others: a file that is added or
    deleted between two tasks, or before one is taken up again, moves no other one to another shard. Shards are
    therefore only about equal, and one of few videos may be empty.

    Attributes:
        number: which one, 1 to `count`.
        count: how many there are.

    Raises:
        UsageError: there is no such part.
    """

    number: int
    count: int

    def __post_init__(self) -> None:
        if not 1 <= self.number <= self.count:
            raise UsageError(
                f"there is no shard {self.number}/{self.count}; count from 1/{max(self.count, 1)} to "
                f"{max(self.count, 1)}/{max(self.count, 1)}",
                option="shard",
            )

    @classmethod
    def parse(cls, text: str) -> "Shard":
        """Read `3/16`.

        Raises:
            UsageError: it is something else, or there is no such part.
        """
        form = _FORM.fullmatch(text.strip())
        if form is None:
            raise UsageError(f"a shard is two numbers, such as 3/16, not {text[:40]!r}", option="shard")
        return cls(int(form[1]), int(form[2]))

    def of(self, videos: Iterable[str]) -> list[str]:
        """Return the videos of this shard, in their order."""
        here = os.getcwd()  # noqa: PTH109 - asked once, not for each of a million paths
        return [video for video in videos if _place(here, video) % self.count == self.number - 1]

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"


def _place(here: str, video: str) -> int:
    path = video if "://" in video else os.path.normpath(os.path.join(here, video))  # noqa: PTH118 - links stay
    return int.from_bytes(hashlib.sha256(os.fsencode(path)).digest()[:8], "big")


def selected(videos: list[str], shard: Shard | None, *, note: Callable[[str], None]) -> list[str]:
    """Return the videos of a shard, all without one.

    Args:
        videos: of the whole run.
        shard: which part of them; None for all.
        note: is told how many there are.
    """
    if shard is None:
        return videos
    own = shard.of(videos)
    note(f"shard {shard}: {len(own):,} of {len(videos):,} videos")
    return own
