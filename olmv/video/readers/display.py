"""A decoded frame as a player shows it: upright colours of a plain screen, transparency laid over white, square pixels.

Turning and mirroring come after it, see `olmv.video.readers.orientation`.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from olmv.errors import DecodeError
from olmv.video.frames import Pixels
from olmv.video.readers.tone_mapping import ToneMap

__all__ = ["GROUND", "Display", "full_decoder", "is_transparent"]

GROUND = 255  # what is behind transparent pixels: white, as most viewers have it
# A pixel that is said to be longer than this is a mistake, or meant to exhaust the memory; real ones go to 3.
LONGEST_PIXEL = 4.0
MAX_PIXELS = 2**26  # as for photos; larger frames are squeezed instead of stretched
# FFmpeg's own decoders of these leave out the transparency that WebM keeps beside each frame.
_WITH_ALPHA = {"vp8": "libvpx", "vp9": "libvpx-vp9"}

# Many programs write these and leave the last 8 bits empty: an alpha of 0 everywhere counts as none.
_32_BITS = ("rgba", "bgra", "argb", "abgr")
_UNSPECIFIED, _BT2020 = 2, 9  # matrices, ITU-T H.273


@dataclass(frozen=True)
class Display:
    """How the frames of one stream are shown.

    Attributes:
        pixel_aspect: width of a pixel by its height.
        tone_map: of the stream; a frame's own tags, where it has some, go before.
    """

    pixel_aspect: float = 1.0
    tone_map: ToneMap | None = None

    @classmethod
    def of_stream(cls, stream: Any) -> "Display":
        """Read what container and codec say of a PyAV video stream."""
        aspect = float(stream.sample_aspect_ratio or 1)
        context = stream.codec_context
        return cls(
            aspect if 1 / LONGEST_PIXEL <= aspect <= LONGEST_PIXEL else 1.0,
            ToneMap.of_tags(int(context.color_trc), int(context.color_primaries)),
        )

    def size(self, width: int, height: int) -> tuple[int, int]:
        """Return the size in square pixels of a stored picture: no side shrinks, unless it would be too large."""
        aspect = self.pixel_aspect
        stretches = width * height * max(aspect, 1 / aspect) <= MAX_PIXELS
        if stretches == (aspect > 1):
            return max(round(width * aspect), 1), height
        return width, max(round(height / aspect), 1)

    def stretch(self, pixels: Pixels, *, transposed: bool = False) -> Pixels:
        """Resize [H, W, 3] pixels to square ones; `transposed`: they are already turned by a quarter."""
        height, width = pixels.shape[:2]
        size = self.size(height, width)[::-1] if transposed else self.size(width, height)
        if size == (width, height):
            return pixels
        from PIL import Image

        return np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC))

    def rgb(self, frame: Any) -> Pixels:
        """Return [h, w, 3] uint8 of a PyAV frame, in square pixels."""
        tone_map = ToneMap.of_tags(int(frame.color_trc), int(frame.color_primaries)) or self.tone_map
        alpha = _has_alpha(frame.format)
        name = ("rgba64le" if alpha else "rgb48le") if tone_map else ("rgba" if alpha else "rgb24")
        if tone_map is not None and frame.colorspace == _UNSPECIFIED:
            frame.colorspace = _BT2020  # as primaries and curve are; FFmpeg would take BT.601
        values = frame.reformat(format=name, threads=1).to_ndarray()
        pixels: Pixels = tone_map.apply(values[..., :3]) if tone_map else values[..., :3]
        if alpha and not (frame.format.name in _32_BITS and not values[..., 3].any()):
            pixels = _over_ground(pixels, values[..., 3])
        return self.stretch(np.ascontiguousarray(pixels))

    def luma(self, frame: Any, width: int, height: int) -> Pixels:
        """Return [height, width] uint8 brightness of a PyAV frame, quickly: the colours are not mapped."""
        if _has_alpha(frame.format):
            from av import VideoFrame

            frame = VideoFrame.from_ndarray(np.ascontiguousarray(self.rgb(frame)), format="rgb24")
        small: Pixels = frame.reformat(width, height, "gray", interpolation="AREA", threads=1).to_ndarray()
        return small


def is_transparent(stream: Any) -> bool:
    """Tell whether a PyAV video stream has transparency."""
    return _hides_alpha(stream) or (
        stream.codec_context.pix_fmt is not None and _has_alpha(stream.codec_context.format)
    )


def full_decoder(path: str, stream: Any) -> Any:
    """Return the codec context that decodes all of a stream: its own, unless that one would leave out the transparency.

    Raises:
        DecodeError: this FFmpeg has no decoder for the transparency.
    """
    if not _hides_alpha(stream):
        return stream.codec_context
    import av

    own = stream.codec_context
    try:
        context: Any = av.CodecContext.create(_WITH_ALPHA[own.name], "r")
    except ValueError:
        raise DecodeError(
            f"{path}: is transparent, and this FFmpeg has no {_WITH_ALPHA[own.name]} to see by how much; "
            "install PyAV's own build: pip install --force-reinstall --only-binary av av"
        ) from None
    context.width, context.height = own.width, own.height
    context.color_trc, context.color_primaries = own.color_trc, own.color_primaries
    return context


def _hides_alpha(stream: Any) -> bool:
    # FFmpeg spells the tag as the writing program did
    tags = {name.lower(): value for name, value in stream.metadata.items()}
    return stream.codec_context.name in _WITH_ALPHA and tags.get("alpha_mode") == "1"


def _has_alpha(pixel_format: Any) -> bool:
    return any(component.is_alpha for component in pixel_format.components)


def _over_ground(pixels: Pixels, alpha: Any) -> Pixels:
    """Lay [H, W, 3] over `GROUND` by [H, W] alpha of 8 or 16 bits."""
    share = (alpha if alpha.dtype == np.uint8 else alpha >> 8).astype(np.uint16)[..., None]
    shown: Pixels = ((pixels * share + GROUND * (255 - share) + 127) // 255).astype(np.uint8)
    return shown
