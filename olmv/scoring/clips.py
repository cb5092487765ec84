"""What a model made of videos, scored against texts: the model's own scale, bias and prompting, one call for all."""

from collections.abc import Sequence

import torch
from torch import Tensor

from olmv.models.video_model import VideoEmbedding, VideoModel
from olmv.scoring.bank import TextBank
from olmv.scoring.ensemble import FramePooling, Mode, Pooling, score_and_null, to_logits
from olmv.scoring.prompted import PromptedBank

__all__ = ["score_clips"]


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
    """B clips of `Classifier.embed_clips`, all with as many rows -> similarity and logits, each [B, C]."""
    bias = model.logit_bias
    if isinstance(texts, TextBank):  # one for all
        shared = [(torch.stack([clip.rows for clip in clips]), texts)]
    else:
        shared = [(clip.rows[None], texts.for_video(clip.context)) for clip in clips]
    scored = [
        score_and_null(
            rows,
            None,
            bank,
            scale=model.logit_scale if bias is None else None,
            pooling=pooling,
            frame_pooling=frame_pooling,
        )
        for rows, bank in shared
    ]
    similarity = torch.cat([similarity for similarity, _ in scored])
    nulls = [null for _, null in scored if null is not None]
    null = torch.cat(nulls) if nulls else None
    return similarity, to_logits(similarity, null, scale=model.logit_scale, bias=bias, mode=mode)
