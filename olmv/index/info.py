"""Tell what a library has."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from olmv.library.columns import values
from olmv.library.files import LibraryFiles
from olmv.library.settings import TARGET_BYTES

__all__ = ["LibraryInfo", "library_info"]

_MUCH_DEAD = 0.2
_MANY_FRAGMENTS = 16  # more than compacting would leave


@dataclass(frozen=True, kw_only=True)
class LibraryInfo:
    """What a library has.

    Attributes:
        library: its folder.
        model, digest, dtype, dimension, rows: of its embeddings, see `LibrarySettings`.
        sampling: frames, every_s, max_frames, sampling, window_s, step_s.
        videos, failed: all, and of them those that could not be read.
        windows: embeddings of videos as they are now.
        hours: of video.
        bytes, fragments: on disk.
        dead: share of the windows that are of videos that were indexed again or removed.
        compactable: it has much that is dead, or many small fragments.
        verified: its files were compared with their digests.
    """

    library: str
    model: str
    digest: str
    dtype: str
    dimension: int
    rows: str
    sampling: dict[str, Any]
    videos: int
    failed: int
    windows: int
    hours: float
    bytes: int
    fragments: int
    dead: float
    compactable: bool
    verified: bool

    def to_document(self) -> dict[str, Any]:
        """Return it as plain data."""
        return asdict(self)


def library_info(folder: str | Path, *, verify: bool = False) -> LibraryInfo:
    """Look what a library has.

    Args:
        folder: of it.
        verify: compare all files with their digests.

    Raises:
        InputError: there is no library, or it is damaged.
    """
    library = LibraryFiles.open(folder)
    if verify:
        library.verify()
    settings = library.settings
    spans: list[list[tuple[int, int]]] = [[] for _ in library.fragments]
    for entry in library:
        spans[entry.fragment].append((entry.first, entry.stop))
    failed, seconds = 0, 0.0
    for fragment, own in zip(library.fragments, spans, strict=True):
        first, stop = np.array(own, np.int64).reshape(-1, 2).T
        failed += int(fragment.failed(first, stop).sum())
        seconds += float(np.nansum(values(fragment.parts["duration_s"])[first]))
    windows, everything = library.windows, sum(fragment.windows for fragment in library.fragments)
    size = sum(fragment.size for fragment in library.fragments)
    dead = 1 - windows / everything if everything else 0.0
    return LibraryInfo(
        library=str(folder),
        model=settings.model,
        digest=settings.digest,
        dtype=settings.dtype,
        dimension=settings.dimension,
        rows=settings.rows,
        sampling={
            name: getattr(settings, name)
            for name in ("frames", "every_s", "max_frames", "sampling", "window_s", "step_s")
        },
        videos=len(library),
        failed=failed,
        windows=windows,
        hours=seconds / 3600,
        bytes=size,
        fragments=len(library.fragments),
        dead=dead,
        compactable=dead > _MUCH_DEAD or len(library.fragments) > size / TARGET_BYTES + _MANY_FRAGMENTS,
        verified=verify,
    )
