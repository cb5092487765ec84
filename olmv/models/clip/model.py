"""A video CLIP: image tower on every frame, a temporal module over frames, text tower for labels."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import normalize

from olmv.models.base import VideoEmbedding, VideoModel
from olmv.models.clip.in_tower import FrameGrouping, attach, refuse_attached
from olmv.models.clip.temporal import IN_TOWER, FrameFeatures, build_context, build_pool, check_temporal, to_cells
from olmv.models.clip.towers import Towers
from olmv.video.transforms import Preprocess

__all__ = ["VideoCLIP"]


class VideoCLIP(VideoModel):
    """A CLIP on frames and a temporal module over them.

    Args:
        towers: the image and text encoders.
        name: as the user wrote it; goes into every prediction row.
        preprocess: how a decoded frame becomes the tower's input.
        temporal: one of `TEMPORALS` (see `olmv.models.clip.temporal`). Those that act inside the image tower change its
            blocks, with copies of the weights that it has now.
        temporal_options: of that module; for `transformer` layers, heads, width, layout, cell and keep, for
            `cross-frame` edges (`zero` or `mask`), for `st-adapter` width and kernel.
        templates: the template set this model was made for, the default of `Classifier`.
        frame_pooling: over frames, the one it was trained with, the default of `Classifier`.

    Raises:
        UsageError: unknown temporal module or option.
        ModelError: the temporal module cannot work with this image tower.

    Shapes: B videos, T frames, A texts, D embedding, S pixels a side.
    """

    def __init__(
        self,
        towers: Towers,
        *,
        name: str,
        preprocess: Preprocess,
        temporal: str = "mean",
        temporal_options: Mapping[str, Any] | None = None,
        templates: str = "video",
        frame_pooling: str = "mean",
    ) -> None:
        super().__init__(name=name, preprocess=preprocess, templates=templates, frame_pooling=frame_pooling)
        self.towers = towers
        self.temporal = temporal
        self.temporal_options = check_temporal(temporal, temporal_options)
        self.grouping = FrameGrouping()
        refuse_attached(towers)
        if temporal in IN_TOWER:
            attach(towers, temporal, self.temporal_options, self.grouping)
        self.context = build_context(temporal, self.temporal_options, towers)
        self.pool = build_pool(temporal, towers.embed_dim)

    @property
    def embed_dim(self) -> int:
        """Return D, the dimension of the embeddings."""
        return self.towers.embed_dim

    @property
    def context_length(self) -> int:
        """Return how many tokens the text tower reads, special ones included."""
        return self.towers.context_length

    @property
    def logit_scale(self) -> float:
        """Return the factor on a cosine (already exponentiated)."""
        return float(self.towers.logit_scale.detach())

    @property
    def logit_bias(self) -> float | None:
        """Return the bias of a sigmoid-trained model; None for softmax-trained CLIP, scored against a background."""
        bias = self.towers.logit_bias
        return None if bias is None else float(bias.detach())

    def save_parts(self, folder: Path) -> dict[str, Any]:
        return {
            "temporal": self.temporal,
            "temporal_options": self.temporal_options,
            "templates": self.templates,
            "frame_pooling": self.frame_pooling,
            "embed_dim": self.embed_dim,
            **self.towers.save_parts(folder),
        }

    @property
    def yields_video_embedding(self) -> bool:
        """Tell whether the temporal module makes one embedding a video, so that no frame pooling is left to do."""
        return self.temporal == "attention"

    @property
    def mixes_frames(self) -> bool:
        """Tell whether a frame's embedding depends on the other frames, so that a video is encoded as a whole."""
        return self.temporal == "transformer" or self.temporal in IN_TOWER

    @property
    def encodes_stills(self) -> bool:
        """Tell whether the image tower looks at one frame at a time, so that frames of several videos can be packed."""
        return self.temporal not in IN_TOWER

    def encode_stills(self, frames: Tensor, mask: Tensor | None = None) -> FrameFeatures:
        """Run the image tower over frames; of a frozen tower the result can be kept instead of computed again.

        Args:
            frames: [B, T, 3, S, S], normalised pixels.
            mask: [B, T] True for real frames, which come first; used by the modules that act inside the tower.

        Returns:
            Embeddings [B, T, D], not normalised; for a transformer with a layout also tokens [B, T, G * G, W].
        """
        batch, time = frames.shape[:2]
        pictures = frames.flatten(0, 1)
        layout = self.temporal_options.get("layout", 0)
        with self.grouping.frames(time, mask):
            if not layout:
                return FrameFeatures(self.towers.image(pictures).view(batch, time, -1))
            embedded, tokens = self.towers.image_and_tokens(pictures)
        cells = to_cells(tokens, layout)
        return FrameFeatures(embedded.view(batch, time, -1), cells.view(batch, time, *cells.shape[1:]))

    def contextualise(self, features: FrameFeatures, mask: Tensor | None = None) -> Tensor:
        """Mix features of `encode_stills`, mask [B, T] True where real -> [B, R, D], L2-normalised; see `row_mask`."""
        frames = _unit(features.embeddings)
        return frames if self.context is None else _unit(self.context(frames, features.tokens, mask))

    def row_mask(self, mask: Tensor | None) -> Tensor | None:
        """Turn mask [B, T] of frames -> [B, R] of the rows that `encode_frames` gives.

        R = T, one row a frame; R = 2T for a `transformer` that keeps the frames beside its own.
        """
        return mask if mask is None or not self.temporal_options.get("keep") else mask.repeat(1, 2)

    def encode_frames(self, frames: Tensor, mask: Tensor | None = None) -> Tensor:
        """Encode frames [B, T, 3, S, S], normalised pixels -> [B, R, D], L2-normalised, in the model's dtype.

        mask [B, T] is True for real frames, which come first; padded frames influence no real one. Where the model
        `mixes_frames`, an embedding already knows of the video's other frames. For R see `row_mask`.
        """
        return self.contextualise(self.encode_stills(frames, mask), mask)

    def encode_video(self, frames: Tensor, mask: Tensor | None = None) -> Tensor:
        """Encode frames [B, T, 3, S, S], mask [B, T] True for real frames -> [B, D], L2-normalised."""
        return self.pool_frames(self.encode_frames(frames, mask), self.row_mask(mask))

    def encode_clips(self, frames: Tensor, mask: Tensor) -> list[VideoEmbedding]:
        encoded = self.encode_frames(frames, mask)
        if self.yields_video_embedding:
            return [VideoEmbedding(video) for video in self.pool_frames(encoded, mask).float()]
        real = mask if (rows := self.row_mask(mask)) is None else rows
        return [VideoEmbedding(video[there]) for video, there in zip(encoded.float(), real, strict=True)]

    def pool_frames(self, embeddings: Tensor, mask: Tensor | None = None) -> Tensor:
        """Pool rows [B, R, D] of `encode_frames`, mask [B, R] -> [B, D], L2-normalised: by mean, or by `attention`."""
        out: Tensor = self.pool(embeddings, mask)
        return out

    def encode_texts(self, texts: Sequence[str], *, batch_size: int = 256) -> Tensor:
        """Encode A texts -> [A, D] float32 on the CPU, L2-normalised. Texts past `context_length` are cut."""
        if not texts:
            return torch.zeros(0, self.embed_dim)
        order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
        out = torch.empty(len(texts), self.embed_dim)
        with torch.inference_mode():
            for k in range(0, len(order), batch_size):
                rows = order[k : k + batch_size]
                out[rows] = normalize(self.towers.text([texts[i] for i in rows]).float(), dim=-1).cpu()
        return out

    def token_counts(self, texts: Sequence[str]) -> list[int]:
        """Count the tokens of every text before cutting, special tokens included."""
        return self.towers.token_counts(texts)

    def text_parameters(self) -> list[tuple[str, Tensor]]:
        return self.towers.text_parameters()

    def text_facts(self) -> tuple[object, ...]:
        return self.towers.text_facts()

    def __repr__(self) -> str:
        return f"VideoCLIP({self.name!r}, temporal={self.temporal!r}, D={self.embed_dim}, {self.device}, {self.dtype})"


def _unit(x: Tensor) -> Tensor:
    """L2-normalise in float32: in bfloat16 the lengths would differ by half a per cent, and with them similarities."""
    return normalize(x.float(), dim=-1).to(x.dtype)
