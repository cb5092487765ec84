"""One video to one vector, and how near it is to a text: for whoever compares, and asks no labels."""

from typing import Any

import numpy as np
from torch import Tensor, from_numpy
from torch.nn.functional import normalize

from olmv.arguments import kind_of
from olmv.errors import DecodeError, UsageError
from olmv.models.base import VideoModel
from olmv.models.embed import default_batch_size, embed_clips, video_vector
from olmv.scoring.windows import sampled
from olmv.stream import embedded_parts
from olmv.video.inputs import VideoInput, check_input, input_name, prepared
from olmv.video.options import DecodeOptions
from olmv.video.workers.fork_server import ForkServer
from olmv.video.workers.loader import FrameLoader

__all__ = ["embed_one", "similarity_of"]


def embed_one(model: VideoModel, video: VideoInput, *, fork_server: ForkServer | None = None) -> Tensor:
    """Return the embedding [D] of one video, L2-normalised, on the CPU.

    Args:
        model: that makes it.
        video: as `Classifier.embed_video`.
        fork_server: whose workers decode a file; None for one of its own.

    Raises:
        UsageError: it is nothing that can be looked at.
        VideoError: it cannot be read.
    """
    if isinstance(video, Tensor | np.ndarray):
        pixels = from_numpy(model.preprocess.resize(_colours_last(video)))
        return video_vector(embed_clips(model, [pixels], batch_size=len(pixels))[0])
    check_input(video, 0)
    decode = sampled(
        DecodeOptions(workers=1), frames=None, every_s=None, timeline=None, model_frames=model.default_frames
    )
    loader = FrameLoader(prepared([video]), preprocess=model.preprocess, options=decode, fork_server=fork_server)
    vectors, error = [], None
    with loader:
        for part in embedded_parts(loader, model, decode, batch_size=default_batch_size(model)):
            error = error or part.video.error
            vectors += [video_vector(embedding) for embedding in part.embeddings]
    if not vectors:
        raise error or DecodeError(f"{input_name(video, 0)}: has no frames; give at least one")
    return normalize(sum(vectors[1:], start=vectors[0]), dim=0)


def similarity_of(model: VideoModel, embedding: Any, text: str) -> float:
    """Return the cosine of an embedding [D] and a text.

    Raises:
        UsageError: the texts of this model depend on the video, the embedding is another model's, or there is no text.
    """
    if model.prompts_texts:
        raise UsageError(f"the texts of {model.name} depend on the whole video; compare with a video CLIP")
    if not isinstance(text, str) or not text.strip():
        given = "empty" if isinstance(text, str) else kind_of(text)
        raise UsageError(f"the text is {given}; give one, such as 'a dog in the yard'")
    vector = from_numpy(embedding) if isinstance(embedding, np.ndarray) else embedding
    if len(vector) != model.embed_dim:
        raise UsageError(
            f"the embedding has {len(vector)} numbers, those of {model.name} have {model.embed_dim}; compare within "
            "one model"
        )
    return float(vector.float().cpu() @ model.encode_texts([text])[0])


def _colours_last(frames: "Tensor | np.ndarray[Any, Any]") -> "np.ndarray[Any, Any]":
    """Return frames [T, H, W, 3] that are these, or [T, 3, H, W]."""
    if frames.ndim == 4 and frames.shape[1] == 3:
        frames = frames.permute(0, 2, 3, 1) if isinstance(frames, Tensor) else frames.transpose(0, 2, 3, 1)
    check_input(frames, 0)
    if not len(frames):
        raise UsageError("the video has no frames; give at least one")
    return frames.detach().cpu().numpy() if isinstance(frames, Tensor) else frames
