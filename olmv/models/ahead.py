"""Decoding that begins before the model is loaded, before torch is imported even: it takes the other cores."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from olmv.errors import ModelError
from olmv.models.default import SHIPPED
from olmv.models.storage.json import read_object
from olmv.video.options import DecodeOptions

if TYPE_CHECKING:
    from olmv.video.workers.loader import FrameLoader

__all__ = ["decode_ahead"]


@contextmanager
def decode_ahead(
    model: str, videos: Sequence[str], complete: Callable[[int], DecodeOptions], *, unless: bool
) -> "Iterator[FrameLoader | None]":
    """Begin to decode for a model whose input stands in a folder; the loader is closed at the end.

    Args:
        model: as the user named it.
        videos: all files of the run.
        complete: makes the options of decoding of the number of frames that the model is made for.
        unless: do nothing.

    Raises:
        UsageError, MissingDependencyError: about the options, as `FrameLoader`.

    Yields:
        None where nothing is decoded yet: by a model that has to be fetched or described first, or that is made for
        a number of frames, or where something is wrong, which loading will say.
    """
    loader = None if unless or not videos else _loader(model, videos, complete)
    if loader is None:
        yield None
        return
    with loader.start():
        yield loader


def _loader(model: str, videos: Sequence[str], complete: Callable[[int], DecodeOptions]) -> "FrameLoader | None":
    folder, options = SHIPPED.get(model, Path(model)), complete(DecodeOptions.frames)
    if not (folder / "preprocess.json").is_file() or options.workers == 0:
        return None
    from olmv.video.transforms import Preprocess
    from olmv.video.workers.loader import FrameLoader

    try:
        config = read_object(folder / "config.json", "")
        preprocess = Preprocess.from_dict(read_object(folder / "preprocess.json", ""))
    except (ModelError, ValueError, TypeError, KeyError):
        return None
    if config.get("frames") is not None:
        return None
    return FrameLoader(videos, preprocess=preprocess, options=options)
