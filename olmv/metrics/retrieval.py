"""Figures of ranked lists: top-k accuracy where one label is true, recall at k and median rank in retrieval.

Every figure but a rank is a fraction (0..1), never a percentage.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from olmv.errors import UsageError

__all__ = [
    "SingleLabelTable",
    "check_scores",
    "retrieval",
    "retrieval_ranks",
    "single_label_table",
    "top_k_accuracy",
    "top_k_hits",
]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class SingleLabelTable:
    """Figures of each label where exactly one is true of a video, arrays [C].

    Attributes:
        support: videos of this label.
        accuracy: the share of them that got it; NaN without support.
        confused_with: index of the label that most of the others got; -1 if there are none.
        confused: how many of them.
    """

    support: Ints
    accuracy: Floats
    confused_with: Ints
    confused: Ints


def ks_of(labels: int) -> tuple[int, ...]:
    """The k of the accuracies worth telling: the true label is always among the five best of five."""
    return (1, 5) if labels > 5 else (1,)


def top_k_hits(logits: Floats, truth: Ints, ks: Sequence[int] = (1, 5)) -> dict[str, Bools]:
    """{"top1": [N], ...}: whether the true label is among the k best.

    Equal scores rank by the label's index, as in `argmax` and in prediction rows: a model that scores all labels
    alike gets what chance gives, not everything right.

    Args:
        logits: [N, C].
        truth: [N], index of the true label.
        ks: a k beyond C counts as C.

    Raises:
        UsageError: no videos, shapes that do not fit, a score that is not a number, or an index out of range.
    """
    logits, truth = np.asarray(logits, dtype=np.float64), np.asarray(truth)
    check_scores(logits, "score")
    if truth.shape != logits.shape[:1] or truth.min() < 0 or truth.max() >= logits.shape[1]:
        raise UsageError(f"truth must be a label index below {logits.shape[1]} for each of {len(logits)} videos")
    true = np.take_along_axis(logits, truth[:, None], axis=1)
    ties = (logits == true) & (np.arange(logits.shape[1]) < truth[:, None])
    rank = (logits > true).sum(axis=1) + ties.sum(axis=1)
    return {f"top{k}": rank < k for k in ks}


def top_k_accuracy(logits: Floats, truth: Ints, ks: Sequence[int] = (1, 5)) -> dict[str, float]:
    """{"top1": share, ...}: the mean of `top_k_hits`, which documents arguments, ties and errors."""
    return {name: float(hits.mean()) for name, hits in top_k_hits(logits, truth, ks).items()}


def single_label_table(logits: Floats, truth: Ints) -> SingleLabelTable:
    """Accuracy per label from logits [N, C] and true indices [N]; errors as in `top_k_hits`."""
    hits = top_k_hits(logits, truth, (1,))["top1"]
    count = np.asarray(logits).shape[1]
    support = np.bincount(truth, minlength=count)
    right = np.bincount(np.asarray(truth)[hits], minlength=count)
    confusion = np.zeros((count, count), dtype=np.int64)  # [true, predicted], without the diagonal
    np.add.at(confusion, (np.asarray(truth)[~hits], np.argmax(np.asarray(logits)[~hits], axis=1)), 1)
    confused = confusion.max(axis=1)
    return SingleLabelTable(
        support=support,
        accuracy=np.where(support > 0, right / np.maximum(support, 1), np.nan),
        confused_with=np.where(confused > 0, confusion.argmax(axis=1), -1),
        confused=confused,
    )


def retrieval_ranks(similarity: Floats, relevant: Bools) -> tuple[Ints, Ints]:
    """The rank of the best relevant item for each query: text to video [C], video to text [V]; 1 is best.

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
    """Recall at 1, 5, 10 and the median rank, text to video (`t2v_r1` ... `t2v_median_rank`) and back (`v2t_...`).

    Arguments, ties and errors as in `retrieval_ranks`. Queries without a relevant item are left out.

    Raises:
        UsageError: no caption belongs to a video.
    """
    found: dict[str, float] = {}
    for direction, ranks in zip(("t2v", "v2t"), retrieval_ranks(similarity, relevant), strict=True):
        ranks = ranks[ranks > 0]
        if not len(ranks):
            raise UsageError("no caption belongs to a video; check the data set's caption file")
        found |= {f"{direction}_r{k}": float((ranks <= k).mean()) for k in (1, 5, 10)}
        found[f"{direction}_median_rank"] = float(np.median(ranks))
    return found


def check_scores(scores: Floats, what: str) -> None:
    """Raise UsageError unless scores are [N, C] with N, C >= 1 and no NaN; `what` they are is for the message."""
    if scores.ndim != 2 or not scores.size:
        raise UsageError(f"nothing to measure: {what} has the shape {scores.shape}; give at least one video and label")
    bad = np.argwhere(np.isnan(scores))
    if len(bad):
        video, label = bad[0].tolist()
        raise UsageError(f"{what} [{video}, {label}] is not a number; leave out the videos that failed")


def _ranks(scores: Floats, relevant: Bools) -> Ints:
    """[Q, I] -> [Q]."""
    best = np.where(relevant, scores, -np.inf).max(axis=1, keepdims=True)
    first = (relevant & (scores == best)).argmax(axis=1)[:, None]
    ahead = (scores > best) | ((scores == best) & (np.arange(scores.shape[1]) < first))
    return np.where(relevant.any(axis=1), 1 + (ahead & ~relevant).sum(axis=1), 0)
