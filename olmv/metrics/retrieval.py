"""Figures of retrieval, text to video and video to text: ranks, recall at k, median rank.

Every figure but a rank is a fraction (0..1), never a percentage.
"""

import numpy as np
from numpy.typing import NDArray

from olmv.errors import UsageError
from olmv.metrics.checks import check_scores

__all__ = ["retrieval", "retrieval_ranks"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


def retrieval_ranks(similarity: Floats, relevant: Bools) -> tuple[Ints, Ints]:
    """Return the rank of the best relevant item for each query: text to video [C], video to text [V]; 1 is best.

    Only items that are not relevant push it down: those with a better score, and those with an equal one that come
    earlier. So a model that scores everything alike gets what chance gives. A query without a relevant item has rank 0.

    Args:
        similarity: [V, C], videos by captions.
        relevant: [V, C]; a video may have several captions.

    Raises:
        UsageError: nothing there, shapes that do not fit, or a score that is not a number.
    """
    similarity, relevant = np.asarray(similarity, dtype=np.float64), np.asarray(relevant, dtype=bool)
    check_scores(similarity, "similarity")
    if relevant.shape != similarity.shape:
        raise UsageError(f"relevant is {relevant.shape}, similarity {similarity.shape}; give them the same shape")
    return _ranks(similarity.T, relevant.T), _ranks(similarity, relevant)


def retrieval(similarity: Floats, relevant: Bools) -> dict[str, float]:
    """Return recall at 1, 5, 10 and median rank, text to video (`t2v_r1` ... `t2v_median_rank`) and back (`v2t_...`).

    Arguments, ties and errors as in `retrieval_ranks`. Queries without a relevant item are left out.

    Raises:
        UsageError: no caption belongs to a video.
    """
    figures: dict[str, float] = {}
    for direction, ranks in zip(("t2v", "v2t"), retrieval_ranks(similarity, relevant), strict=True):
        ranks = ranks[ranks > 0]
        if not len(ranks):
            raise UsageError("no caption belongs to a video; check the data set's caption file")
        figures |= {f"{direction}_r{k}": float((ranks <= k).mean()) for k in (1, 5, 10)}
        figures[f"{direction}_median_rank"] = float(np.median(ranks))
    return figures


def _ranks(scores: Floats, relevant: Bools) -> Ints:
    """Return the rank of each query's best relevant item: [Q, I] -> [Q]."""
    best = np.where(relevant, scores, -np.inf).max(axis=1, keepdims=True)
    first = (relevant & (scores == best)).argmax(axis=1)[:, None]
    ahead = (scores > best) | ((scores == best) & (np.arange(scores.shape[1]) < first))
    return np.where(relevant.any(axis=1), 1 + (ahead & ~relevant).sum(axis=1), 0)
