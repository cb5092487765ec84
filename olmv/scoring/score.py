"""What a model made of videos, scored against texts: the model's own scale, bias and prompting, one call for all."""

from collections.abc import Sequence

import torch
from torch import Tensor

from olmv.models.base import VideoEmbedding, VideoModel
from olmv.scoring.bank import TextBank
from olmv.scoring.options import FramePooling, Mode, Pooling
from olmv.scoring.pooling import score
from olmv.scoring.probabilities import measure_background, to_logits
from olmv.scoring.prompted import PromptedBank

__all__ = ["score_clips", "score_ragged"]


@torch.inference_mode()
def score_clips(
    model: VideoModel,
    clips: Sequence[VideoEmbedding],
    texts: TextBank | PromptedBank,
    *,
    mode: Mode = "multi-label",
    pooling: Pooling = "mean",
    frame_pooling: FramePooling = "mean",
) -> tuple[Tensor, Tensor]:
    """Score B clips of `Classifier.embed_clips`, all with as many rows: similarity and logits, each [B, C].

    Raises:
        ValueError: texts without the background that the mode takes of this model (see `Classifier.text_bank`).
    """
    if isinstance(texts, TextBank):  # one for all
        shared = [(torch.stack([clip.rows for clip in clips]), texts)]
    else:
        shared = [(clip.rows[None], texts.for_video(clip.context)) for clip in clips]
    scale, bias = model.logit_scale, model.logit_bias
    similarities, logits = [], []
    for rows, bank in shared:
        background = None
        if bias is None and mode == "multi-label":
            background = measure_background(rows, None, bank, frame_pooling=frame_pooling)
        similarities.append(score(rows, None, bank, pooling=pooling, frame_pooling=frame_pooling))
        logits.append(to_logits(similarities[-1], scale=scale, bias=bias, background=background, mode=mode))
    return torch.cat(similarities), torch.cat(logits)


def score_ragged(
    model: VideoModel,
    clips: Sequence[VideoEmbedding],
    texts: TextBank | PromptedBank,
    *,
    mode: Mode = "multi-label",
    pooling: Pooling = "mean",
    frame_pooling: FramePooling = "mean",
    together: int | None = None,
) -> tuple[Tensor, Tensor]:
    """Score W clips with any number of rows each: similarity and logits, each [W, C], on the CPU.

    Args:
        model, clips, texts, mode, pooling, frame_pooling: as `score_clips`.
        together: so many of as many rows go at a time, filled up with the last one, so that what a clip gets does not
            depend on the others; None for all at once.

    Raises:
        ValueError: as `score_clips`.
    """
    parts: dict[int, tuple[Tensor, Tensor]] = {}
    step = together or len(clips)
    lengths = [clip.rows.shape[0] if clip.rows.ndim > 1 else 0 for clip in clips]
    for length in set(lengths):
        places = [place for place, own in enumerate(lengths) if own == length]
        for some in (places[first : first + step] for first in range(0, len(places), step)):
            filled = some if together is None else some + some[-1:] * (together - len(some))
            own = [clips[place] for place in filled]
            scored = score_clips(model, own, texts, mode=mode, pooling=pooling, frame_pooling=frame_pooling)
            parts.update(zip(some, zip(*(values.cpu() for values in scored), strict=True), strict=False))
    similarity, logits = (torch.stack([parts[place][column] for place in range(len(clips))]) for column in (0, 1))
    return similarity, logits
