"""Decode in an actor as on the command line: in processes of its own, with limits of time and memory."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from olmv.errors import VideoError
from olmv.video.decode import VideoFrames
from olmv.video.options import DecodeOptions
from olmv.video.transforms import Preprocess
from olmv.video.workers.loader import FrameLoader, start_workers

__all__ = ["ActorDecoding"]


class ActorDecoding:
    """The decoding processes of an actor, which serve one block after the other.

    Args:
        preprocess: the model's input.
        options: how files are decoded; `workers` are those of the actor.
    """

    def __init__(self, preprocess: Preprocess, options: DecodeOptions) -> None:
        self._preprocess, self._options = preprocess, options
        self._fork_server = start_workers(preprocess=preprocess)

    def loader(self, paths: Sequence[str], error: VideoError | None = None) -> FrameLoader:
        """Return a loader of these files; with an error it opens none, and that is what becomes of each."""
        if error is not None:
            options = replace(self._options, workers=0)
            return FrameLoader(paths, preprocess=self._preprocess, options=options, decode=_Refusal(error))
        return FrameLoader(paths, preprocess=self._preprocess, options=self._options, fork_server=self._fork_server)


@dataclass(frozen=True)
class _Refusal:
    error: VideoError

    def __call__(self, path: str, preprocess: Preprocess, options: DecodeOptions, part: int = 0) -> VideoFrames:
        raise self.error
