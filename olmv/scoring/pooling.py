"""From embeddings to one similarity per label.

Shapes: B videos, T frames, C labels, A texts of all labels packed, D embedding.

    frames [B, T, D] --mean over T--> [B, D] --. bank--> [B, A] --attribute pooling--> similarity [B, C]
    frames [B, T, D] --. bank--> [B, T, A] --attribute pooling--> [B, T, C] --max, softmax or mean over T--> [B, C]

The last of these means is `logits`: frames that disagree count less there, because the mean of unit vectors that
point apart is short. With one frame all frame poolings agree; with one text a label, all attribute poolings do.
"""

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn.functional import normalize

from olmv.scoring.bank import TextBank
from olmv.scoring.options import FRAME_POOLINGS, POOLINGS, FramePooling, Pooling

__all__ = [
    "TEMPERATURE",
    "TOP_K",
    "TextBank",
    "average_frames",
    "frame_weights",
    "pool_attributes",
    "pool_frames",
    "score",
]

TOP_K = 3
TEMPERATURE = 0.02
"""In units of cosine: a frame or text this much more similar gets e times the attention."""

CHUNK_ELEMENTS = 1 << 24
"""At most this many similarities to single texts exist at a time (64 MiB of float32)."""


def average_frames(frames: Tensor, mask: Tensor | None = None) -> Tensor:
    """Return the mean of the frame embeddings, L2-normalised: the published baseline.

    Args:
        frames: `[B, T, D]`, L2-normalised.
        mask: `[B, T]`, True where there is a frame.

    Returns:
        `[B, D]`.
    """
    # the direction of the sum is that of the mean
    return normalize(_without_padding(frames, mask).sum(dim=1), dim=-1)


def frame_weights(
    similarity: Tensor, mask: Tensor | None = None, *, pooling: FramePooling, temperature: float = TEMPERATURE
) -> Tensor:
    """Return how much every label attends to every frame; the weights of a label sum to 1.

    Args:
        similarity: `[B, T, C]` of every frame to every label.
        mask: `[B, T]`, True where there is a frame.
        pooling: `max`, `softmax`, or `logits`: all frames alike, Open-VCLIP's mean of the frames' logits (arXiv
            2302.00624, its code). (`mean` works on embeddings: see `average_frames`.)
        temperature: of `softmax`, in units of cosine.

    Returns:
        `[B, T, C]`.

    Raises:
        ValueError: another pooling, or a temperature that is not positive.
    """
    if pooling == "logits":
        if mask is None:
            return torch.full_like(similarity, 1 / similarity.shape[1])
        return (mask / mask.sum(dim=1, keepdim=True)).to(similarity.dtype).unsqueeze(-1).expand_as(similarity)
    if mask is not None:
        similarity = similarity.masked_fill(~mask.unsqueeze(-1), -torch.inf)
    if pooling == "max":
        # one frame even where two are equally good
        return torch.zeros_like(similarity).scatter_(1, similarity.argmax(dim=1, keepdim=True), 1.0)
    if pooling == "softmax":
        return (similarity / _positive(temperature)).softmax(dim=1)
    raise ValueError(f"no frame weights for pooling {pooling!r}; it is max, softmax or logits")


def pool_frames(
    similarity: Tensor, mask: Tensor | None = None, *, pooling: FramePooling, temperature: float = TEMPERATURE
) -> Tensor:
    """Pool one similarity per frame and label into one per label: `[B, T, C]` -> `[B, C]`. See `frame_weights`.

    Raises:
        ValueError: as `frame_weights`.
    """
    weights = frame_weights(similarity, mask, pooling=pooling, temperature=temperature)
    if mask is not None:
        similarity = similarity.masked_fill(~mask.unsqueeze(-1), 0.0)
    return (weights * similarity).sum(dim=1)


def pool_attributes(
    embeddings: Tensor,
    bank: TextBank,
    *,
    pooling: Pooling = "mean",
    top_k: int = TOP_K,
    temperature: float = TEMPERATURE,
) -> Tensor:
    """Return the similarity of embeddings to labels, pooled over the texts of each label.

    Args:
        embeddings: `[M, D]`, L2-normalised.
        bank: the texts.
        pooling: `mean` (to the normalised mean of the texts), `max`, `topk` (the mean of the best `top_k`),
            or `softmax` (every text weighs exp(similarity / temperature)).
        top_k: of `topk`; a label with fewer texts takes all of them.
        temperature: of `softmax`, in units of cosine.

    Returns:
        `[M, C]`.

    Raises:
        ValueError: no such pooling, `top_k` under 1, or a temperature that is not positive.
    """
    embeddings = embeddings.to(bank.embeddings.dtype)
    if pooling == "mean":
        return embeddings @ bank.means.T
    check_pooling(pooling, top_k, temperature)
    grouped = embeddings.new_empty(len(embeddings), len(bank.labels))
    start = 0
    for texts in bank.groups:
        for rows, columns in _chunks(len(embeddings), *texts.shape[:2]):
            part = texts[:, columns]
            flat = embeddings[rows] @ part.reshape(-1, part.shape[-1]).T
            # [M, n, L]: the reduction runs over the middle, so that it is vectorised along the labels
            similarity = flat.view(-1, *part.shape[:2])
            place = slice(start + columns.start, start + columns.stop)
            grouped[rows, place] = _reduce_texts(similarity, pooling, top_k, temperature)
        start += texts.shape[1]
    return grouped if len(bank.groups) == 1 else grouped.index_select(1, bank.group_rank)


def score(
    frames: Tensor,
    mask: Tensor | None,
    bank: TextBank,
    *,
    pooling: Pooling = "mean",
    frame_pooling: FramePooling = "mean",
    top_k: int = TOP_K,
    temperature: float = TEMPERATURE,
    frame_temperature: float = TEMPERATURE,
) -> Tensor:
    """Return the similarity of videos to labels, pooled over frames and texts.

    Args:
        frames: `[B, T, D]` frame embeddings, L2-normalised; or `[B, D]`, one embedding a video.
        mask: `[B, T]` bool, True where there is a frame; None if all are. Padding may hold anything.
        bank: the texts.
        pooling, top_k, temperature: over the texts of a label, see `pool_attributes`.
        frame_pooling, frame_temperature: over frames: `mean` of embeddings, or see `frame_weights`.

    Returns:
        `[B, C]`.

    Raises:
        ValueError: shapes that do not fit, a video without frames, or an unknown pooling.
    """
    if frames.ndim == 2:
        frames, mask = frames.unsqueeze(1), None
    _check_frames(frames, mask, bank)
    if frame_pooling not in FRAME_POOLINGS:
        raise ValueError(f"no frame pooling {frame_pooling!r}; choose from {', '.join(FRAME_POOLINGS)}")
    frames = _without_padding(frames.to(bank.embeddings.dtype), mask)
    labels = len(bank.labels)

    def pooled(embeddings: Tensor) -> Tensor:
        return pool_attributes(embeddings, bank, pooling=pooling, top_k=top_k, temperature=temperature)

    if frame_pooling == "mean" or frames.shape[1] == 1:
        return pooled(average_frames(frames, mask))
    if frame_pooling == "logits" and pooling == "mean":
        # a mean of products with one vector a label is one product of the mean
        return pooled(_mean_frames(frames, mask))
    similarities = []
    videos = max(1, CHUNK_ELEMENTS // (frames.shape[1] * labels))
    for first in range(0, len(frames), videos):
        part = slice(first, first + videos)
        chosen = frames[part]
        per_frame = pooled(chosen.flatten(0, 1)).view(*chosen.shape[:2], labels)
        chosen_mask = None if mask is None else mask[part]
        similarities.append(pool_frames(per_frame, chosen_mask, pooling=frame_pooling, temperature=frame_temperature))
    return torch.cat(similarities)


def _reduce_texts(similarity: Tensor, pooling: Pooling, top_k: int, temperature: float) -> Tensor:
    """Pool the similarities to the n texts of every label: `[M, n, L]` -> `[M, L]`."""
    if similarity.shape[1] == 1:
        return similarity.squeeze(1)
    if pooling == "max":
        return similarity.amax(dim=1)
    if pooling == "topk":
        if top_k >= similarity.shape[1]:
            return similarity.mean(dim=1)
        return similarity.topk(top_k, dim=1, sorted=False).values.mean(dim=1)
    return ((similarity / temperature).softmax(dim=1) * similarity).sum(dim=1)


def _chunks(rows: int, count: int, labels: int) -> Iterator[tuple[slice, slice]]:
    """Yield rows and labels to take together so that `rows * count * labels` stays within `CHUNK_ELEMENTS`."""
    row_step = max(1, min(rows, CHUNK_ELEMENTS // count))
    label_step = max(1, min(labels, CHUNK_ELEMENTS // (row_step * count)))
    for row in range(0, rows, row_step):
        for label in range(0, labels, label_step):
            yield slice(row, row + row_step), slice(label, min(label + label_step, labels))


def check_pooling(pooling: str, top_k: int, temperature: float) -> None:
    """Check the options of pooling over texts.

    Raises:
        ValueError: no such pooling, `top_k` under 1, or a temperature that is not positive.
    """
    if pooling not in POOLINGS:
        raise ValueError(f"no pooling {pooling!r}; choose from {', '.join(POOLINGS)}")
    if top_k < 1:
        raise ValueError(f"top_k is {top_k}; it must be at least 1")
    _positive(temperature)


def _check_frames(frames: Tensor, mask: Tensor | None, bank: TextBank) -> None:
    if frames.ndim != 3 or frames.shape[2] != bank.embeddings.shape[1]:
        raise ValueError(f"frames {list(frames.shape)} do not fit a bank of {list(bank.embeddings.shape)}")
    if mask is not None and mask.shape != frames.shape[:2]:
        raise ValueError(f"mask {list(mask.shape)} does not fit frames {list(frames.shape)}")
    if frames.shape[1] == 0 or (mask is not None and not bool(mask.any(dim=1).all())):
        raise ValueError("a video without frames cannot be scored")


def _without_padding(frames: Tensor, mask: Tensor | None) -> Tensor:
    # zeros, not a product with the mask: padding may hold NaN
    return frames if mask is None else frames.masked_fill(~mask.unsqueeze(-1), 0.0)


def _mean_frames(frames: Tensor, mask: Tensor | None) -> Tensor:
    """Return the mean over frames: `[B, T, D]`, padding zeroed -> `[B, D]`, not normalised."""
    return frames.mean(dim=1) if mask is None else frames.sum(dim=1) / mask.sum(dim=1, keepdim=True)


def _positive(temperature: float) -> float:
    if not temperature > 0:
        raise ValueError(f"temperature is {temperature}; it must be above 0")
    return temperature
