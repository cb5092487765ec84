"""Figures of a model on labelled videos, while it is trained and for the ratio sweep."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torchmetrics.functional.classification import binary_average_precision

from olmv.scoring.bank import TextBank
from olmv.train.data.dataset import Batch, VideoDataset, batches
from olmv.train.data.features import FeatureBatch, FeatureStore, on_device
from olmv.train.trainable import Output, Trainable

__all__ = ["Scores", "average_precisions", "macro_map", "score_videos", "top1"]


@dataclass(frozen=True)
class Scores:
    """Of all videos of a source that could be read.

    Attributes:
        logits: [N, C] float32.
        targets: [N, C] 0 or 1.
        failed: videos left out.
    """

    logits: Tensor
    targets: Tensor
    failed: int


@torch.no_grad()
def score_videos(
    trainable: Trainable,
    dataset: VideoDataset | FeatureStore,
    bank: TextBank,
    *,
    batch_size: int = 16,
    workers: int | None = None,
) -> Scores:
    """Logits of every video of a data set, in order; the model is left in training or evaluation as it was."""
    training = trainable.training
    trainable.eval()
    device = trainable.model.device
    logits, targets, failed = [], [], 0
    ready: Iterable[Batch | FeatureBatch] = (
        dataset.batches(range(len(dataset)), batch_size=batch_size)
        if isinstance(dataset, FeatureStore)
        else batches(dataset, range(len(dataset)), 0, batch_size=batch_size, workers=workers)
    )
    for batch in ready:
        failed += len(batch.failed)
        if batch.pixels is None:
            continue
        mask = None if bool(batch.mask.all()) else batch.mask.to(device)
        output = Output(*trainable(on_device(batch.pixels, device), mask, bank))
        logits.append(output.logits.float().cpu())
        targets.append(batch.targets.cpu())
    trainable.train(training)
    if not logits:
        empty = torch.zeros(0, len(bank.labels))
        return Scores(empty, empty, failed)
    return Scores(torch.cat(logits), torch.cat(targets), failed)


def average_precisions(scores: Scores) -> Tensor:
    """Average precision of every label [C]; NaN where no video has it."""
    found = torch.full((scores.targets.shape[1],), torch.nan)
    if len(scores.targets) == 0:
        return found
    low, high = scores.logits.aminmax()
    ranked = (scores.logits - low) / (high - low).clamp(min=1e-12)  # torchmetrics would squash logits, into ties
    for column in scores.targets.sum(0).nonzero().flatten().tolist():
        found[column] = binary_average_precision(ranked[:, column], scores.targets[:, column].long())
    return found


def macro_map(scores: Scores, columns: Sequence[int] | None = None) -> float:
    """Mean average precision over the labels that occur (of `columns`); NaN if none does."""
    found = average_precisions(scores)
    if columns is not None:
        found = found[list(columns)]
    return float(found.nanmean())


def top1(scores: Scores) -> float:
    """Share of videos whose best label is true; NaN without videos."""
    if len(scores.targets) == 0:
        return float("nan")
    return float(scores.targets.gather(1, scores.logits.argmax(1, keepdim=True)).mean())
