"""Figures of a model on labelled videos, while it is trained and for the ratio sweep."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from olmv.metrics.ranked import average_precision
from olmv.metrics.single_label import top_k_accuracy
from olmv.scoring.bank import TextBank
from olmv.train.data.features import Clips, on_device
from olmv.train.losses import UNKNOWN
from olmv.train.trainable import Output, Trainable

__all__ = ["Scores", "macro_map", "score_videos", "top1"]


@dataclass(frozen=True)
class Scores:
    """The logits and the truth of all videos of a source that could be read.

    Attributes:
        logits: [N, C] float32; of pairs that nobody judged `UNKNOWN`, below all others: they are in no figure.
        targets: [N, C] 0 or 1.
        failed: videos left out.
    """

    logits: Tensor
    targets: Tensor
    failed: int


@torch.no_grad()
def score_videos(
    trainable: Trainable,
    dataset: Clips,
    bank: TextBank,
    *,
    batch_size: int = 16,
    workers: int | None = None,
) -> Scores:
    """Score every video of a data set, in order; the model is left in training or evaluation as it was."""
    training = trainable.training
    trainable.eval()
    device = trainable.model.device
    logits, targets, failed = [], [], 0
    for batch in dataset.batches(range(len(dataset)), 0, batch_size=batch_size, workers=workers):
        failed += len(batch.failed)
        if batch.pixels is None:
            continue
        mask = None if bool(batch.mask.all()) else batch.mask.to(device)
        output = Output(*trainable(on_device(batch.pixels, device), mask, bank))
        known = None if batch.known is None else batch.known.cpu()
        scores = output.logits.float().cpu()
        logits.append(scores if known is None else scores.masked_fill(~known, UNKNOWN))
        targets.append(batch.targets.cpu())
    trainable.train(training)
    if not logits:
        empty = torch.zeros(0, len(bank.labels))
        return Scores(empty, empty, failed)
    return Scores(torch.cat(logits), torch.cat(targets), failed)


def macro_map(scores: Scores, columns: Sequence[int] | None = None) -> float:
    """Return the mean average precision over the labels that are true of some videos (of `columns`), not of all of
    them; NaN if there is none.
    """
    chosen = slice(None) if columns is None else list(columns)
    truth = scores.targets.numpy()[:, chosen] > 0
    ap = average_precision(scores.logits.numpy()[:, chosen], truth)
    ap = ap[truth.any(axis=0) & ~truth.all(axis=0)]
    return float(ap.mean()) if len(ap) else float("nan")


def top1(scores: Scores) -> float:
    """Return the share of videos whose best label is the true one, where each has exactly one; NaN without videos."""
    if len(scores.targets) == 0:
        return float("nan")
    return top_k_accuracy(scores.logits.numpy(), scores.targets.numpy().argmax(axis=1), (1,))["top1"]
