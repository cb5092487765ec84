"""Pictures through Pillow: opening one of a fixed list of formats, decoding what there is of it, bytes of any mode."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any

import numpy as np
from PIL import Image, ImageFile
from PIL.BmpImagePlugin import BmpImageFile
from PIL.GifImagePlugin import GifImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import TiffImageFile
from PIL.WebPImagePlugin import WebPImageFile

from olmv.video.frames import Pixels

__all__ = ["MAX_PIXELS", "decode", "open_image", "quiet", "rgb_pixels", "rgba"]

# without a handler of its own, what Pillow logs of a damaged file would go to the terminal
logging.getLogger("PIL").addHandler(logging.NullHandler())

# 8192 x 8192. No step from a file to a model's input holds 30 bytes for each pixel, in any mode, so that this many fit
# in the 2048 MB that a worker may allocate.
MAX_PIXELS = 2**26
# Nothing else is ever opened, whatever Pillow can: no EPS, which runs a program, and no format that hardly anyone uses.
# By class, not by `Image.open`, which refuses large JPEGs before one can ask for them at a smaller size.
_CLASSES: dict[str, Any] = {
    "bmp": BmpImageFile,
    "gif": GifImageFile,
    "jpeg": JpegImageFile,
    "png": PngImageFile,
    "tiff": TiffImageFile,
    "webp": WebPImageFile,
}
# A damaged picture is used if at least this share of its rows could be decoded.
LEAST_SHARE = 0.5
WHITE = (255, 255, 255)
TAG_BITS, TAG_PHOTOMETRIC = 258, 262  # of TIFF


@contextmanager
def quiet() -> Iterator[None]:
    """Keep Pillow's warnings (damaged EXIF, large pictures) from the terminal: what matters becomes an error row."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def open_image(source: str | IO[bytes], kind: str) -> ImageFile.ImageFile:
    """Open a picture without decoding it.

    Args:
        source: a path, or a file of bytes.
        kind: as from `olmv.video.pictures.formats.picture_format`.

    Raises:
        Exception: Pillow's own, of many classes, where it cannot be opened.
    """
    image: ImageFile.ImageFile = _CLASSES[kind](source)
    return image


def decode(image: ImageFile.ImageFile) -> bool:
    """Decode an opened picture, or what there is of it.

    Returns:
        Whether it is whole. False: cut off or damaged, and what is missing is black or transparent.

    Raises:
        Exception: Pillow's own, where less than half of the rows could be decoded.
        MemoryError: it needs more memory than there is.
    """
    try:
        image.load()
    except MemoryError:
        raise
    except Exception as error:
        if "out of memory" in str(error):
            raise MemoryError(str(error)) from None
        image.tile = []  # so that Pillow does not try again
        if _share_decoded(image) < LEAST_SHARE:
            raise
        return False
    return True


def rgba(image: Image.Image) -> Image.Image:
    """Return a decoded image as RGBA, whatever its mode."""
    if _is_deep(image):
        return Image.fromarray(_deep_grey(image)).convert("RGBA")
    return image.convert("RGBA")


def rgb_pixels(image: Image.Image) -> Pixels:
    """Return the pixels of a decoded image, [H, W, 3].

    Transparent pixels are laid over white: that is what pictures with transparency are drawn for, and what most viewers
    show behind them. To drop the transparency instead would show colours that nobody was meant to see, mostly black.
    """
    if _is_deep(image):
        return np.repeat(_deep_grey(image)[..., None], 3, axis=2)
    if image.mode in ("RGBA", "LA", "PA", "RGBa") or "transparency" in image.info:
        layer = image if image.mode == "RGBA" else image.convert("RGBA")
        image = Image.new("RGB", layer.size, WHITE)
        image.paste(layer, mask=layer)
        del layer
    return np.array(image if image.mode == "RGB" else image.convert("RGB"))


def _is_deep(image: Image.Image) -> bool:
    return image.mode == "F" or image.mode.startswith("I")


def _deep_grey(image: Image.Image) -> Pixels:
    """Return [H, W] of a grey picture with more than 8 bits, of which Pillow would clip most to white.

    16 bits (TIFF: as many as it says) are scaled to 8. Whole numbers of 32 bits and floats have no fixed white: it is
    the first of 1 (floats only), 255 and 65535 that no value exceeds; where none fits, the smallest value is black and
    the largest white.
    """
    tags: Any = getattr(image, "tag_v2", {})
    values: Any = np.asarray(image)
    if image.mode.startswith("I;16") or image.format == "PNG":
        bits = int(tags.get(TAG_BITS, (16,))[0])
        grey: Pixels = (values >> (bits - 8)).astype(np.uint8)
    else:
        values = values.astype(np.float32)
        np.nan_to_num(values, copy=False, nan=0.0, posinf=0.0, neginf=0.0)
        low, high = float(values.min()), float(values.max())
        tops = (1.0, 255.0, 65535.0) if image.mode == "F" else (255.0, 65535.0)
        if low >= 0 and high <= tops[-1]:
            low, high = 0.0, next(top for top in tops if high <= top)
        values -= low
        values *= 255 / (high - low) if high > low else 0
        grey = values.round(out=values).astype(np.uint8)
    return 255 - grey if tags.get(TAG_PHOTOMETRIC) == 0 else grey


def _share_decoded(image: Image.Image) -> float:
    """Share of the rows that are not empty: decoders begin with an empty picture."""
    try:
        pixels = np.asarray(image)
    except MemoryError:
        raise
    except Exception:  # not even begun
        return 0.0
    return float(pixels.any(axis=tuple(range(1, pixels.ndim))).mean())
