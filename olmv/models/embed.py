"""Clips of pixels to what a model makes of them, many clips at a time.

Frames of several videos share a forward pass. Where the tower looks at one frame at a time, a short batch is filled up
with black frames to one of few sizes, because matrix kernels are chosen by size and add up in different orders: so what
a video gets does not depend, to the bit, on which videos it was batched with.
"""

from collections.abc import Iterator, Sequence
from itertools import accumulate

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import normalize

from olmv.models.base import VideoEmbedding, VideoModel
from olmv.models.clip.model import VideoCLIP
from olmv.models.clip.temporal import FrameFeatures
from olmv.models.uploads import upload
from olmv.video.sampling import even_places

__all__ = ["default_batch_size", "embed_clips", "embed_windows", "encode_features", "video_vector"]

# On a CPU, batches are filled up to a multiple of this: measured to give bit-equal embeddings at 8, 16, 24, 64.
_CPU_STEP = 8
# Of windows that go through the temporal module together; they overlap, so there are more than frames.
MOST_WINDOW_FRAMES = 512


def default_batch_size(model: VideoModel) -> int:
    """Return the frames per forward pass: 64 on a GPU, 16 on a CPU."""
    return _CPU_STEP * 2 if model.device.type == "cpu" else 64


@torch.inference_mode()
def embed_clips(model: VideoModel, pixels: Sequence[Tensor], *, batch_size: int | None = None) -> list[VideoEmbedding]:
    """Embed several clips.

    Args:
        model: any.
        pixels: [T_i, 3, S, S] each, uint8 or float32 from 0 to 255, of the model's input size.
        batch_size: frames per forward pass; None for `default_batch_size`.

    Returns:
        For each its rows [R_i, D] (see `VideoCLIP.row_mask`), or [D] where the model gives one embedding; float32, on
        the model's device.
    """
    batch_size = batch_size or default_batch_size(model)
    if not pixels:
        return []
    if isinstance(model, VideoCLIP) and model.encodes_stills:
        return _embed_packed(model, pixels, batch_size)
    return [embedding for part in _parts(pixels, batch_size) for embedding in _embed_together(model, part)]


@torch.inference_mode()
def embed_windows(
    model: VideoModel,
    pixels: Sequence[Tensor],
    windows: Sequence[Sequence[NDArray[np.int64]]],
    *,
    batch_size: int | None = None,
) -> list[list[VideoEmbedding]]:
    """Embed windows of several clips. A frame is encoded once for all windows that have it, where the tower allows.

    Args:
        model: any.
        pixels: [U_i, 3, S, S] each, as `embed_clips`.
        windows: of each clip, which of its pixels [T] each window sees, in the order of time; one may come again.
        batch_size: frames per forward pass; None for `default_batch_size`.

    Returns:
        For each window of each clip what `embed_clips` gives for a clip of these frames. A model that is made for a
        number of frames sees no more, spread over the window.
    """
    batch_size = batch_size or default_batch_size(model)
    if not pixels:
        return []
    if not (isinstance(model, VideoCLIP) and model.encodes_stills):
        clips = [
            [clip[_spread(window, model.frames)] for window in parts]
            for clip, parts in zip(pixels, windows, strict=True)
        ]
        embedded = iter(embed_clips(model, [clip for parts in clips for clip in parts], batch_size=batch_size))
        return [[next(embedded) for _ in parts] for parts in clips]
    stills = _encode_stills(model, pixels, batch_size)
    ends = list(accumulate(len(part) for part in pixels))
    return [
        _encode_windows(model, stills.as_video(end - len(part), end), parts)
        for part, end, parts in zip(pixels, ends, windows, strict=True)
    ]


def _spread(window: NDArray[np.int64], frames: int | None) -> Tensor:
    if frames is not None and len(window) > frames:
        window = window[even_places(len(window), frames)]
    return torch.from_numpy(window)


def _encode_windows(
    model: VideoCLIP, features: FrameFeatures, windows: Sequence[NDArray[np.int64]]
) -> list[VideoEmbedding]:
    """Encode the windows of one clip from its features [1, U, ...], those of one length together."""
    count = features.embeddings.shape[1]
    embedded: dict[int, VideoEmbedding] = {}
    for length in {len(window) for window in windows}:
        places = [place for place, window in enumerate(windows) if len(window) == length]
        step = max(MOST_WINDOW_FRAMES // length, 1)
        for some in [places[first : first + step] for first in range(0, len(places), step)]:
            indices = torch.from_numpy(np.stack([windows[place] for place in some])).to(features.embeddings.device)
            if len(some) == 1 and length == count:  # to the bit what the clip gets by itself
                embedded[some[0]] = encode_features(model, features.frames(indices[0]))
                continue
            frames = model.contextualise(features.windows(indices))
            rows = (model.pool_frames(frames) if model.yields_video_embedding else frames).float()
            embedded.update({place: VideoEmbedding(row) for place, row in zip(some, rows, strict=True)})
    return [embedded[place] for place in range(len(windows))]


def video_vector(embedding: VideoEmbedding) -> Tensor:
    """Return one vector [D] for a video, L2-normalised, on the CPU."""
    rows = embedding.rows
    mean = rows if rows.ndim == 1 else rows.mean(0)
    return normalize(mean.float(), dim=0).cpu()


def _embed_packed(model: VideoCLIP, pixels: Sequence[Tensor], batch_size: int) -> list[VideoEmbedding]:
    stills = _encode_stills(model, pixels, batch_size)
    ends = list(accumulate(len(part) for part in pixels))
    return [
        encode_features(model, stills.as_video(end - len(part), end)) for part, end in zip(pixels, ends, strict=True)
    ]


def _encode_stills(model: VideoCLIP, pixels: Sequence[Tensor], batch_size: int) -> FrameFeatures:
    """Encode the frames of all clips, one after the other, with a tower that looks at one at a time."""
    packed = torch.cat(list(pixels))
    step = _CPU_STEP if model.device.type == "cpu" else batch_size
    parts = []
    for part in packed.split_with_sizes([len(packed[i : i + batch_size]) for i in range(0, len(packed), batch_size)]):
        filled = _fill_to(part, -(-len(part) // step) * step)
        parts.append(model.encode_stills(_normalized(model, filled).unsqueeze(1)).first(len(part)))
    return FrameFeatures.join(parts)


def encode_features(model: VideoCLIP, features: FrameFeatures) -> VideoEmbedding:
    """Encode the features [1, T, ...] of one video, by itself: no padding, no mates."""
    frames = model.contextualise(features)
    return VideoEmbedding((model.pool_frames(frames) if model.yields_video_embedding else frames)[0].float())


def _embed_together(model: VideoModel, pixels: Sequence[Tensor]) -> list[VideoEmbedding]:
    """Embed clips with a model whose layers look at several frames."""
    longest = max(len(part) for part in pixels)
    mask = torch.tensor([[frame < len(part) for frame in range(longest)] for part in pixels])
    padded = torch.stack([_fill_to(part, longest) for part in pixels])
    frames = _normalized(model, padded.flatten(0, 1)).view(padded.shape)
    return model.encode_clips(frames, mask.to(model.device))


def _parts(pixels: Sequence[Tensor], batch_size: int) -> Iterator[Sequence[Tensor]]:
    """Yield as many clips at a time as `batch_size` frames hold when all are as long as the longest, at least one."""
    step = max(1, batch_size // max(len(part) for part in pixels))
    for first in range(0, len(pixels), step):
        yield pixels[first : first + step]


def _normalized(model: VideoModel, pixels: Tensor) -> Tensor:
    return model.preprocess.normalize(upload(pixels, model.device), dtype=model.dtype)


def _fill_to(pixels: Tensor, length: int) -> Tensor:
    """Fill [N, ...] -> [length, ...], black behind the frames there are."""
    if len(pixels) == length:
        return pixels
    return torch.cat([pixels, pixels.new_zeros(length - len(pixels), *pixels.shape[1:])])
