"""Which pairs of video and label a truth tells of: all of them, or those that somebody has judged."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from olmv.datasets.manifests import ManifestRow
from olmv.errors import InputError
from olmv.labels.lookup import LabelLookup

__all__ = ["check_complete", "judged_pairs"]

Bools = NDArray[np.bool_]


def judged_pairs(rows: Sequence[ManifestRow], lookup: LabelLookup) -> Bools | None:
    """Tell which labels each video was judged for, [N, C]; None where all were for all.

    Args:
        rows: N, each with labels.
        lookup: of the C labels; others in the rows are not looked at.
    """
    if all(row.absent is None for row in rows):
        return None
    known = np.zeros((len(rows), len(lookup.labels)), dtype=bool)
    for place, row in enumerate(rows):
        if row.absent is None:
            known[place] = True
            continue
        columns = map(lookup.find, (*(row.labels or ()), *row.absent))
        known[place, [column for column in columns if column is not None]] = True
    return None if known.all() else known


def check_complete(known: Bools | None, what: str) -> None:
    """Refuse a truth that leaves pairs of video and label unjudged, for what takes all of them.

    Args:
        known: as `judged_pairs` gives it.
        what: takes all, such as "an evaluation".

    Raises:
        InputError: some pairs were not judged.
    """
    if known is not None:
        raise InputError(
            f"{int((~known).sum())} of {known.size} pairs of video and label were not judged (they are in neither "
            f"'labels' nor 'absent'), and {what} takes all of them; judge the rest, or leave these labels out"
        )
