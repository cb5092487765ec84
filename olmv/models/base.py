"""What the classifier needs of a model, whichever family it is of."""

import os
from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor, nn

from olmv.arguments import kind_of
from olmv.devices import Placement
from olmv.errors import ModelError, UsageError
from olmv.models.fingerprint import digest_weights
from olmv.models.storage.label_embeddings import LabelEmbeddings
from olmv.video.transforms import Preprocess

__all__ = ["DEFAULT_FRAMES", "VideoEmbedding", "VideoModel", "checked_model"]

DEFAULT_FRAMES = 8


@dataclass(frozen=True)
class VideoEmbedding:
    """What a model makes of one video.

    Attributes:
        rows: [R, D] of its frames, L2-normalised, where frames are left to pool; or [D], one for the video.
        context: [N, D], what the embeddings of texts depend on, where they do (X-CLIP); else None.
    """

    rows: Tensor
    context: Tensor | None = None


class VideoModel(nn.Module):
    """Frames, videos and texts to unit vectors in one space.

    Args:
        name: as the user wrote it; goes into every prediction row.
        preprocess: how a decoded frame becomes the model's input.
        templates: the template set this model was made for, the default of `Classifier`.
        frame_pooling: over frames, the one it was trained with, the default of `Classifier`.
        frames: the number of frames of a video it is made for; None where any number will do.

    Attributes:
        temporal: how frames come together, in a word.

    Shapes: B videos, T frames, R rows, A texts, D embedding, S pixels a side.
    """

    temporal: str

    def __init__(
        self,
        *,
        name: str,
        preprocess: Preprocess,
        templates: str = "video",
        frame_pooling: str = "mean",
        frames: int | None = None,
    ) -> None:
        super().__init__()
        self.name = name
        self.preprocess = preprocess
        self.templates = templates
        self.frame_pooling = frame_pooling
        self.frames = frames
        self._label_embeddings: LabelEmbeddings | None = None

    @property
    @abstractmethod
    def embed_dim(self) -> int:
        """Return D, the dimension of the embeddings."""

    @property
    @abstractmethod
    def context_length(self) -> int:
        """Return how many tokens the text tower reads, special ones included."""

    @property
    @abstractmethod
    def logit_scale(self) -> float:
        """Return the factor on a cosine (already exponentiated)."""

    @property
    def logit_bias(self) -> float | None:
        """Return the bias of a sigmoid-trained model; None for softmax-trained CLIP, scored against a background."""
        return None

    @property
    def prompts_texts(self) -> bool:
        """Tell whether the embeddings of texts depend on the video (`condition`), so that no bank serves all."""
        return False

    @property
    def yields_video_embedding(self) -> bool:
        """Tell whether a video gets one embedding, so that no frame pooling is left to do."""
        return False

    @property
    def default_frames(self) -> int:
        """Return how many frames of a video to look at where nobody says."""
        return self.frames or DEFAULT_FRAMES

    def check_frames(self, frames: int) -> None:
        """Raise UsageError where the model is made for another number of frames."""
        if self.frames is not None and frames != self.frames:
            raise UsageError(
                f"{self.name} is made for {self.frames} frames, got {frames}; look at {self.frames}", option="frames"
            )

    @abstractmethod
    def encode_clips(self, frames: Tensor, mask: Tensor) -> list[VideoEmbedding]:
        """Encode frames [B, T, 3, S, S], normalised pixels, mask [B, T] True for real frames -> B videos.

        Real frames come first. What a video gets does not depend on its padding.
        """

    @abstractmethod
    def encode_texts(self, texts: Sequence[str], *, batch_size: int = 256) -> Tensor:
        """Encode A texts -> [A, D] float32 on the CPU; L2-normalised, except where the model `prompts_texts`.

        Texts past `context_length` are cut.
        """

    def condition(self, texts: Tensor, context: Tensor) -> Tensor:
        """Prompt texts [A, D] of `encode_texts`, context [N, D] of a `VideoEmbedding` -> [A, D], L2-normalised.

        Only of a model that `prompts_texts`.
        """
        raise NotImplementedError(f"the texts of {self.name} do not depend on the video")

    @abstractmethod
    def token_counts(self, texts: Sequence[str]) -> list[int]:
        """Count the tokens of every text before cutting, special tokens included."""

    @abstractmethod
    def text_parameters(self) -> list[tuple[str, Tensor]]:
        """Return the named weights of the text tower."""

    @property
    def label_embeddings(self) -> LabelEmbeddings | None:
        """Return embeddings of labels that are not those of their names, such as from soft attributes.

        Setting raises ModelError where they are not of dimension D, or the model prompts its texts.
        """
        return self._label_embeddings

    @label_embeddings.setter
    def label_embeddings(self, stored: LabelEmbeddings | None) -> None:
        if stored is not None and self.prompts_texts:
            raise ModelError(f"the texts of '{self.name}' depend on the video, so labels have no embedding to store")
        if stored is not None and stored.embeddings.shape[1] != self.embed_dim:
            raise ModelError(
                f"label embeddings of dimension {stored.embeddings.shape[1]} do not fit '{self.name}', which has "
                f"{self.embed_dim}; compute them with this model"
            )
        self._label_embeddings = stored

    def save_parts(self, folder: Path) -> dict[str, Any]:
        """Write the files that only this family has into `folder`, and return what its config.json says of the model.

        Raises:
            ModelError: a model that only runs.
            OutputError: a file cannot be written.
        """
        raise ModelError(f"a {type(self).__name__} cannot be saved; save the model that it was made from")

    def ready_on(self, placement: Placement) -> Self:
        """Move the model there, for inference only."""
        return self.to(device=placement.device, dtype=placement.dtype).eval().requires_grad_(False)

    @property
    def device(self) -> torch.device:
        return next(self.parameters()).device

    @property
    def dtype(self) -> torch.dtype:
        """Return the dtype of all weights but the scalars."""
        return next(weight for weight in self.parameters() if weight.ndim).dtype

    @property
    def dtype_name(self) -> str:
        """Return what frames are encoded in: `float32`, `float16`, `bfloat16` or `int8`."""
        return str(self.dtype).removeprefix("torch.")

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        """Do what `to`, `half`, `cuda` and the like ask for, but keep scalars (scale, bias, gates) in float32.

        bfloat16 has no number between 4.75 and 4.78, and the logarithm of SigLIP's scale is 4.765: its logits would be
        1.5 % off.
        """
        exact = {name: weight.detach().float() for name, weight in self.named_parameters() if weight.ndim == 0}
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        self.__dict__.pop("fingerprint", None)  # of the weights as they were
        for name, weight in self.named_parameters():
            if name in exact and not exact[name].is_meta:  # of a meta tensor there is nothing to keep
                weight.data = exact[name].to(weight.device)
                if weight.grad is not None:
                    weight.grad.data = weight.grad.data.float()
        return self

    @cached_property
    def fingerprint(self) -> str:
        """Return a stable name for the weights of the text tower, for caches of text embeddings."""
        facts = (self.embed_dim, self.context_length, self.dtype, *self.text_facts())
        return digest_weights(self.text_parameters(), *facts)[:32]

    def text_facts(self) -> tuple[object, ...]:
        """Return what the text tower depends on besides its weights, such as its activation."""
        return ()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r}, D={self.embed_dim}, {self.device}, {self.dtype})"


def checked_model(model: Any) -> VideoModel:
    """Return a model that is one.

    Raises:
        UsageError: it is something else, such as the name of one.
    """
    if isinstance(model, VideoModel):
        return model
    name = repr(os.fspath(model)) if isinstance(model, str | os.PathLike) else "NAME"
    raise UsageError(f"the model is {kind_of(model)}, not loaded; load it with olmv.load_model({name:.80})")
