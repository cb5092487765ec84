"""Compare every window of a library with some vectors, fragment by fragment, in bounded memory."""

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from olmv.library.library import Library

__all__ = ["similarities"]

_ROWS = 8192


def similarities(library: Library, queries: Tensor) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """Yield the cosines of windows and queries, a fragment at a time.

    Args:
        library: its windows; those of videos that were replaced or removed are among them, see `Library.live`.
        queries: [Q, D], L2-normalised.

    Returns:
        An iterator of (place of the fragment, cosines [N, Q]).
    """
    columns = queries.float().cpu().T.contiguous()
    for place, fragment in enumerate(library.fragments):
        vectors = fragment.window_vectors
        cosines = np.empty((len(vectors), columns.shape[1]), np.float32)
        for first in range(0, len(vectors), _ROWS):
            rows = torch.from_numpy(np.array(vectors[first : first + _ROWS])).float()
            cosines[first : first + _ROWS] = (rows @ columns).numpy()
        yield place, cosines
