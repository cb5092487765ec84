"""From embeddings to one similarity per label, and from there to logits and probabilities.

Shapes: B videos, T frames, C labels, A texts of all labels packed, D embedding, N null prompts.

    frames [B, T, D] --mean over T--> [B, D] --. bank--> [B, A] --attribute pooling--> similarity [B, C]
    frames [B, T, D] --. bank--> [B, T, A] --attribute pooling--> [B, T, C] --max, softmax or mean over T--> [B, C]

The last of these means is `logits`: frames that disagree count less there, because the mean of unit vectors that
point apart is short. With one frame all frame poolings agree; with one text a label, all attribute poolings do.
"""

from collections.abc import Iterator
from typing import Literal, get_args

import torch
from torch import Tensor
from torch.nn.functional import normalize

from olmv.scoring.bank import TextBank

__all__ = [
    "FRAME_POOLINGS",
    "POOLINGS",
    "TEMPERATURE",
    "TOP_K",
    "FramePooling",
    "Mode",
    "Pooling",
    "TextBank",
    "average_frames",
    "frame_weights",
    "pool_attributes",
    "pool_frames",
    "score",
    "score_and_null",
    "to_logits",
    "to_probabilities",
]

Pooling = Literal["mean", "max", "topk", "softmax"]
FramePooling = Literal["mean", "max", "softmax", "logits"]
Mode = Literal["multi-label", "single-label"]
POOLINGS: tuple[Pooling, ...] = get_args(Pooling)
FRAME_POOLINGS: tuple[FramePooling, ...] = get_args(FramePooling)

TOP_K = 3
TEMPERATURE = 0.02
"""In units of cosine: a frame or text this much more similar gets e times the attention."""

CHUNK_ELEMENTS = 1 << 24
"""At most this many similarities to single texts exist at a time (64 MiB of float32)."""


def average_frames(frames: Tensor, mask: Tensor | None = None) -> Tensor:
    """The mean of the frame embeddings, L2-normalised: the published baseline.

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
    """How much every label attends to every frame; the weights of a label sum to 1.

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
    """One similarity per label from one per frame and label: `[B, T, C]` -> `[B, C]`. See `frame_weights`.

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
    """The similarity of embeddings to labels, pooled over the texts of each label.

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
    """The similarity of videos to labels. As `score_and_null` without the null; see there.

    Returns:
        `[B, C]`.

    Raises:
        ValueError: as `score_and_null`.
    """
    similarity, _ = score_and_null(
        frames,
        mask,
        bank,
        scale=None,
        pooling=pooling,
        frame_pooling=frame_pooling,
        top_k=top_k,
        temperature=temperature,
        frame_temperature=frame_temperature,
    )
    return similarity


def score_and_null(
    frames: Tensor,
    mask: Tensor | None,
    bank: TextBank,
    *,
    scale: float | None,
    pooling: Pooling = "mean",
    frame_pooling: FramePooling = "mean",
    top_k: int = TOP_K,
    temperature: float = TEMPERATURE,
    frame_temperature: float = TEMPERATURE,
) -> tuple[Tensor, Tensor | None]:
    """The similarity of videos to labels, and to "nothing in particular" where each label looked.

    The null of a label is read in the frames that the label attends to, with the same weights: a label that
    shows in two of eight frames must beat nothing in those two.

    Args:
        frames: `[B, T, D]` frame embeddings, L2-normalised; or `[B, D]`, one embedding a video.
        mask: `[B, T]` bool, True where there is a frame; None if all are. Padding may hold anything.
        bank: the texts.
        scale: the model's logit scale; None leaves the null out. (A log-mean-exp depends on it.)
        pooling, top_k, temperature: over the texts of a label, see `pool_attributes`.
        frame_pooling, frame_temperature: over frames: `mean` of embeddings, or see `frame_weights`.

    Returns:
        similarity `[B, C]`, and null `[B, C]` or None if there is no scale or no null prompt.

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
    with_null = scale is not None and bank.null is not None

    def pooled(embeddings: Tensor) -> Tensor:
        return pool_attributes(embeddings, bank, pooling=pooling, top_k=top_k, temperature=temperature)

    if frame_pooling == "mean" or frames.shape[1] == 1:
        video = average_frames(frames, mask)
        null = null_similarity(video, bank, scale=scale) if with_null and scale is not None else None
        return pooled(video), None if null is None else null.unsqueeze(1).expand(-1, labels)
    if frame_pooling == "logits" and pooling == "mean":
        # a mean of products with one vector a label is one product of the mean
        null = None
        if with_null and scale is not None:
            per_frame = null_similarity(frames.flatten(0, 1), bank, scale=scale).view(*frames.shape[:2], 1)
            null = pool_frames(per_frame, mask, pooling="logits").expand(-1, labels)
        return pooled(_mean_frames(frames, mask)), null

    similarities, nulls = [], []
    videos = max(1, CHUNK_ELEMENTS // (frames.shape[1] * labels))
    for first in range(0, len(frames), videos):
        part = slice(first, first + videos)
        chosen = frames[part]
        chosen_mask = None if mask is None else mask[part]
        flat = chosen.flatten(0, 1)
        similarity = pooled(flat).view(*chosen.shape[:2], labels)
        weights = frame_weights(similarity, chosen_mask, pooling=frame_pooling, temperature=frame_temperature)
        similarities.append((weights * similarity).sum(dim=1))
        if with_null and scale is not None:
            null = null_similarity(flat, bank, scale=scale).view(chosen.shape[:2])
            nulls.append(torch.einsum("btc,bt->bc", weights, null))
    return torch.cat(similarities), torch.cat(nulls) if with_null else None


def null_similarity(embeddings: Tensor, bank: TextBank, *, scale: float) -> Tensor:
    """Similarity to "nothing in particular": log-mean-exp over the null prompts, in units of cosine.

    Args:
        embeddings: `[M, D]`, L2-normalised.
        bank: with null prompts.
        scale: the model's logit scale.

    Returns:
        `[M]`.

    Raises:
        ValueError: the bank has no null prompts.
    """
    if bank.null is None:
        raise ValueError("this text bank has no null prompts; build it with null=...")
    logits = scale * (embeddings.to(bank.null.dtype) @ bank.null.T)
    count = torch.tensor(float(len(bank.null)), device=logits.device)
    return (logits.logsumexp(dim=-1) - count.log()) / scale


def to_logits(
    similarity: Tensor,
    null: Tensor | None,
    *,
    scale: float,
    bias: float | None = None,
    mode: Mode = "multi-label",
) -> Tensor:
    """Similarities as logits.

    Args:
        similarity: `[B, C]`.
        null: `[B, C]` or `[B, 1]` from `score_and_null`; needed for multi-label without a bias.
        scale: the model's logit scale.
        bias: the logit bias of a model trained with a sigmoid loss; None for a softmax-trained one.
        mode: `multi-label`: scale * similarity + bias, or scale * (similarity - null), the two-way softmax of
            the label against nothing in particular. `single-label`: scale * similarity.

    Returns:
        `[B, C]`.

    Raises:
        ValueError: no such mode, or neither bias nor null for multi-label.
    """
    if mode == "single-label":
        return scale * similarity
    if mode != "multi-label":
        raise ValueError(f"no mode {mode!r}; choose multi-label or single-label")
    if bias is not None:
        return scale * similarity + bias
    if null is None:
        raise ValueError("multi-label logits of a softmax-trained model need the null similarity")
    return scale * (similarity - null)


def to_probabilities(logits: Tensor, *, mode: Mode = "multi-label") -> Tensor:
    """Logits `[B, C]` as probabilities `[B, C]`: one sigmoid a label, or a softmax over the labels.

    Raises:
        ValueError: no such mode.
    """
    if mode == "single-label":
        return logits.softmax(dim=-1)
    if mode != "multi-label":
        raise ValueError(f"no mode {mode!r}; choose multi-label or single-label")
    return logits.sigmoid()


def _reduce_texts(similarity: Tensor, pooling: Pooling, top_k: int, temperature: float) -> Tensor:
    """`[M, n, L]` -> `[M, L]`."""
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
    """Rows and labels to take together so that `rows * count * labels` stays within `CHUNK_ELEMENTS`."""
    row_step = max(1, min(rows, CHUNK_ELEMENTS // count))
    label_step = max(1, min(labels, CHUNK_ELEMENTS // (row_step * count)))
    for row in range(0, rows, row_step):
        for label in range(0, labels, label_step):
            yield slice(row, row + row_step), slice(label, min(label + label_step, labels))


def check_pooling(pooling: str, top_k: int, temperature: float) -> None:
    """Raises:
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
    """`[B, T, D]`, padding zeroed -> `[B, D]`, not normalised."""
    return frames.mean(dim=1) if mask is None else frames.sum(dim=1) / mask.sum(dim=1, keepdim=True)


def _positive(temperature: float) -> float:
    if not temperature > 0:
        raise ValueError(f"temperature is {temperature}; it must be above 0")
    return temperature
