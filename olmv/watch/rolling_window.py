"""The newest frames of a stream, as what the model makes of them: each frame is encoded once."""

from collections import deque
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from olmv.errors import UsageError
from olmv.models.base import VideoEmbedding, VideoModel
from olmv.models.clip.model import VideoCLIP
from olmv.models.clip.temporal import FrameFeatures
from olmv.models.embed import embed_clips, encode_features
from olmv.models.uploads import upload
from olmv.video.sampling import even_places
from olmv.video.transforms import ModelPixels

__all__ = ["MOST_FRAMES", "RollingWindow"]

MOST_FRAMES = 512


@dataclass
class _Entry:
    at_s: float
    features: FrameFeatures | None  # of a tower that looks at one frame at a time
    pixels: Tensor | None  # else


class RollingWindow:
    """The frames of the last seconds; its memory is that of `window_s * fps` frames.

    Args:
        model: any.
        window_s: how far back it looks; the newest frame is always in it.
        fps: at most so many frames a second come.

    Raises:
        UsageError: more than `MOST_FRAMES` frames.
    """

    def __init__(self, model: VideoModel, *, window_s: float, fps: float) -> None:
        most = int(window_s * fps) + 1
        if most > MOST_FRAMES:
            raise UsageError(
                f"a window of {window_s:g} s at {fps:g} frames a second is {most} frames; the most is {MOST_FRAMES}",
                option=("window", "fps"),
            )
        self._model, self._window_s = model, window_s
        self._entries: deque[_Entry] = deque(maxlen=most)

    def __len__(self) -> int:
        return len(self._entries)

    def clear(self) -> None:
        """Forget every frame."""
        self._entries.clear()

    @torch.inference_mode()
    def add(self, pixels: ModelPixels, at_s: float) -> None:
        """Take the next frame, [3, S, S] uint8; those that are `window_s` older leave."""
        model, frame = self._model, torch.from_numpy(np.ascontiguousarray(pixels))
        while self._entries and self._entries[0].at_s <= at_s - self._window_s:
            self._entries.popleft()
        if not isinstance(model, VideoCLIP) or not model.encodes_stills:
            self._entries.append(_Entry(at_s, None, frame))
            return
        normalized = model.preprocess.normalize(upload(frame[None], model.device), dtype=model.dtype)
        self._entries.append(_Entry(at_s, model.encode_stills(normalized.unsqueeze(1)), None))

    @torch.inference_mode()
    def embedding(self) -> VideoEmbedding:
        """Return the embedding of the frames that are in it, by the model's own temporal module.

        A model that is made for a number of frames gets that many: some are left out, or stand for several.
        """
        model = self._model
        features = [entry.features for entry in self._entries if entry.features is not None]
        if isinstance(model, VideoCLIP) and features:
            return encode_features(model, FrameFeatures.join(features).as_video(0, len(features)))
        pixels = torch.stack([entry.pixels for entry in self._entries if entry.pixels is not None])
        if model.frames is not None:
            pixels = pixels[torch.from_numpy(even_places(len(pixels), model.frames))]
        return embed_clips(model, [pixels])[0]
