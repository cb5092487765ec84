"""What indexes in other processes than the job's own."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from olmv.errors import VideoError
from olmv.placement import PlacementOptions
from olmv.video.options import DecodeOptions

if TYPE_CHECKING:
    from olmv.devices import Placement
    from olmv.library.writer import LibraryWriter

__all__ = ["IndexEngine", "IndexedVideo"]


@dataclass(frozen=True)
class IndexedVideo:
    """What became of a video.

    Attributes:
        video: as the user named it.
        windows: embeddings that the library has of it.
        error: why there are none, or None.
    """

    video: str
    windows: int
    error: VideoError | None


class IndexEngine(Protocol):
    """Indexes elsewhere, see `olmv.cluster.index`."""

    def placement(self, options: PlacementOptions) -> "Placement":
        """Choose device and dtype there."""

    def index(
        self,
        videos: Sequence[str],
        writer: "LibraryWriter",
        *,
        model: str,
        placement: "Placement",
        batch_size: int | None,
        decode: DecodeOptions,
    ) -> Iterator[IndexedVideo]:
        """Fill a library; yield the videos, in any order, when they are in it."""
