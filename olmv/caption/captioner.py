"""Name and open a captioning model, and clean what it writes.

    blip2:MODEL      BLIP-2 through transformers' own classes; one caption a frame
    hf:MODEL         any image-text-to-text model of transformers with a chat template; one caption a frame
    labels:MODEL     no captioning model: the classifier's own positive labels, told as a sentence

MODEL is a hub id or a folder; for `labels` a model name as for `olmv predict`.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from olmv.errors import UsageError

if TYPE_CHECKING:
    from torch import Tensor

    from olmv.video.transforms import Preprocess

__all__ = ["FrameCaption", "FrameCaptioner", "clean_caption", "open_captioner"]

MAX_CAPTION_CHARS = 300


@dataclass(frozen=True)
class FrameCaption:
    """What one frame shows.

    Args:
        time_s: of the frame, in seconds.
        text: one line, at most 300 characters.
    """

    time_s: float
    text: str


class FrameCaptioner(Protocol):
    """A model that says what a picture shows. Weights are loaded by the first `caption`."""

    name: str
    """As the user wrote it; goes into every row."""

    @property
    def preprocess(self) -> "Preprocess":
        """Tell how frames are resized before they come here; reads no weights.

        Raises:
            CaptionerUnavailableError: the model's files cannot be had.
        """

    def caption(self, frames: "Tensor") -> list[str]:
        """Caption frames uint8 [N, 3, S, S]: N texts as the model wrote them, in order.

        Raises:
            CaptionerUnavailableError: the model cannot be loaded.
        """

    def close(self) -> None:
        """Give back memory. May be called twice."""


def open_captioner(
    spec: str,
    *,
    device: str = "auto",
    dtype: str = "auto",
    max_tokens: int = 40,
    options: Mapping[str, str] | None = None,
) -> FrameCaptioner:
    """Open the frame captioner that `spec` names; `labels:` is not one, see `olmv.caption.from_labels`.

    Args:
        spec: `blip2:MODEL` or `hf:MODEL`.
        device: as for `olmv.load_model`.
        dtype: as for `olmv.load_model`; `auto` is half precision on a GPU.
        max_tokens: a caption is cut off here.
        options: passed on to `from_pretrained` (`device_map`, `attn_implementation`, ...), values as YAML.

    Raises:
        UsageError: the spec or an option cannot be used.
    """
    family, _, model = spec.partition(":")
    if family not in ("blip2", "hf") or not model.strip():
        raise UsageError(f"captioner {spec!r} is not blip2:MODEL, hf:MODEL or labels:MODEL", option="captioner")
    from olmv.caption.hf_captioner import Blip2Captioner, ChatCaptioner

    kind = Blip2Captioner if family == "blip2" else ChatCaptioner
    return kind(model, name=spec, device=device, dtype=dtype, max_tokens=max_tokens, options=dict(options or {}))


def clean_caption(text: str) -> str:
    """Make a caption one line of data: no control characters, no endless repetition, at most 300 characters."""
    # what is far too long is cut before the search for repetitions, which is slow on endless words
    text = "".join(char if char.isprintable() else " " for char in text[: 10 * MAX_CAPTION_CHARS])
    text = " ".join(text.split())
    text = _REPEATED.sub(r"\1", text)
    if len(text) <= MAX_CAPTION_CHARS:
        return text
    return text[:MAX_CAPTION_CHARS].rsplit(" ", 1)[0].rstrip(" ,;")


# one to eight words said three times or more in a row: a captioner that is stuck
_REPEATED = re.compile(r"\b((?:[\w'-]+\W{1,3}){0,7}?[\w'-]+)(?:\W{1,3}\1\b){2,}", re.IGNORECASE)


def captions_with_times(texts: Sequence[str], times_s: Sequence[float]) -> list[FrameCaption]:
    """Return the captions that say something, with their times."""
    cleaned = [(time, clean_caption(text)) for time, text in zip(times_s, texts, strict=True)]
    return [FrameCaption(round(float(time), 3), text) for time, text in cleaned if text]
