"""What was made of videos, kept in memory: their labels can be changed without decoding them again."""

import secrets
import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

from olmv.scorer import EmbeddedPart
from olmv.scoring.windows import TimelineOptions
from olmv.video.options import DecodeOptions

__all__ = ["ClipStore", "StoredClip"]


@dataclass(frozen=True, eq=False)
class StoredClip:
    """A video as the model has seen it; its pixels are gone.

    Attributes:
        name: as the client calls it.
        parts: of it, in order; the last one may be an error.
        decode: how it was sampled.
        timeline: the windows over its moments; None where it was seen as a whole.
        id: by which it is asked for again; nobody can guess it.
    """

    name: str
    parts: Sequence[EmbeddedPart]
    decode: DecodeOptions
    timeline: TimelineOptions | None
    id: str = field(default_factory=lambda: secrets.token_urlsafe(12))

    @cached_property
    def nbytes(self) -> int:
        """Return about how many bytes it takes."""
        total = 4096
        for part in self.parts:
            total += sum(embedding.rows.nbytes for embedding in part.embeddings)
            total += sum(len(jpeg) for jpeg in part.video.thumbnails) + part.video.times_s.nbytes
        return total

    @property
    def has_error(self) -> bool:
        """Tell whether nothing of it could be decoded."""
        return not any(part.embeddings for part in self.parts)


def without_pixels(part: EmbeddedPart) -> EmbeddedPart:
    """Return a part that keeps what is scored, but not its pixels."""
    return replace(part, video=replace(part.video, pixels=None))


class ClipStore:
    """The videos that were asked for last, within a limit of memory. Safe to share between threads.

    Args:
        most_bytes: of all of them; one that is larger by itself is kept until the next comes.
    """

    def __init__(self, most_bytes: int) -> None:
        self._most = most_bytes
        self._clips: OrderedDict[str, StoredClip] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    def add(self, clip: StoredClip) -> None:
        """Keep a video, and forget those that were not asked for the longest where there is no room."""
        with self._lock:
            self._clips[clip.id] = clip
            self._bytes += clip.nbytes
            while self._bytes > self._most and len(self._clips) > 1:
                _, oldest = self._clips.popitem(last=False)
                self._bytes -= oldest.nbytes

    def get(self, clip_id: str) -> StoredClip | None:
        """Return a video; None where it was forgotten, or never known."""
        with self._lock:
            clip = self._clips.get(clip_id)
            if clip is not None:
                self._clips.move_to_end(clip_id)
            return clip

    def remove(self, clip_id: str) -> bool:
        """Forget a video; tell whether it was there."""
        with self._lock:
            clip = self._clips.pop(clip_id, None)
            if clip is not None:
                self._bytes -= clip.nbytes
            return clip is not None

    @property
    def nbytes(self) -> int:
        """Return how many bytes are kept."""
        return self._bytes

    def __len__(self) -> int:
        return len(self._clips)
