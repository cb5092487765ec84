"""Photos and animated pictures behind the protocol of a video reader: a photo is a video of one frame.

A photo lasts 0 s and has 0 frames a second; an animation has the times of its pictures. EXIF orientation is applied,
transparent pixels lie over white. Of a TIFF with several pages, and of a JPEG with several pictures, the first is read.

Damage is told as with videos. A photo that is cut off is used, and counted as corrupt, if at least half of its rows are
there; else it is an error. A WebP that is cut off is always an error: its decoder gives all or nothing. Of an animation
that is cut off, the pictures before the cut are its frames. A JPEG with wrong bytes in it that still decode looks wrong
and is not noticed: JPEG has no checksum.
"""

import math
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageFile

from olmv.errors import DecodeError, NotAVideoError, VideoError, reason
from olmv.video.frames import Indices, PickedFrame, Pixels, VideoInfo, distinct
from olmv.video.pictures.animation import read_animation
from olmv.video.pictures.pixels import MAX_PIXELS, decode, open_image, quiet, rgb_pixels
from olmv.video.readers.orientation import IDENTITY, Orientation
from olmv.video.readers.video_reader import VideoReader

__all__ = ["PictureReader", "exif_orientation"]

LUMA_SIZE = (32, 18)  # width, height
# Of an animation the canvas, what was there before and the next picture are held at the same time.
MAX_CANVAS_PIXELS = MAX_PIXELS // 2
MAX_RATIO = 500  # of a picture's sides: a model's resizing enlarges the short one to some hundred pixels
# A progressive JPEG is unpacked whole before it is made smaller, at 6 bytes a pixel.
MAX_PROGRESSIVE_PIXELS = 3 * MAX_PIXELS
TAG_SUBFILE, TAG_DNG = 254, 50706  # of TIFF
TAG_ORIENTATION = 274  # of EXIF


class PictureReader(VideoReader):
    """Reads one picture, or the frames of an animated one.

    Args:
        path: the file.
        kind: as from `olmv.video.pictures.formats.picture_format`.

    Raises:
        DecodeError: it is damaged, or has more pixels than are read.
        NotAVideoError: a camera's raw picture.
    """

    def __init__(self, path: str | os.PathLike[str], kind: str) -> None:
        super().__init__(path)
        self._kind = kind
        self._size = 0, 0  # as stored
        self._orientation: Orientation | None = None
        with self._explained():
            with Path(self._path).open("rb") as file:
                self._animation = read_animation(file, kind)
            self._is_still = kind != "gif" and len(self._animation.pieces) < 2
            if self._is_still:
                self._open().close()
            else:
                self._check_animation()
        durations = [0.0] if self._is_still else [piece.duration_s for piece in self._animation.pieces]
        starts = np.cumsum([0.0, *durations])
        self.timestamps_s = starts[:-1]
        # a picture that never changes does not last, whatever time a GIF gives it
        self.end_s = float(starts[-1]) if len(durations) > 1 else 0.0
        # no picture is worth more than another: all of them are drawn
        self.keyframes = np.arange(len(durations), dtype=np.int64)

    def close(self) -> None:
        """Do nothing: the file is open only while it is read."""

    @property
    def info(self) -> VideoInfo:
        """Tell facts about the file; `codec` is the picture's format, such as `jpeg`.

        Decodes a photo that was not decoded yet: some tell only at their end how they are turned.
        """
        if self._orientation is None:
            self._still()
        orientation = self._orientation or IDENTITY
        width, height = orientation.size(*self._size)
        return self._make_info(width=width, height=height, rotation=orientation.degrees, codec=self._kind)

    def frames(self, indices: Sequence[int] | Indices) -> Iterator[PickedFrame]:
        """Yield frames, see `VideoReader.frames`. A frame that cannot be decoded is absent."""
        targets = distinct(indices, len(self.timestamps_s))
        for index, (pixels, whole) in zip(targets, self._pictures(targets), strict=True):
            yield PickedFrame(index, index, float(self.timestamps_s[index]), pixels, not whole)

    def luma(self, indices: Sequence[int] | Indices) -> Pixels:
        """Return small grey pictures, see `VideoReader.luma`."""
        width, height = LUMA_SIZE
        rows = [np.zeros((0, height, width), np.uint8)]
        for picked in self.frames(indices):
            pixels = np.zeros((1, 1, 3), np.uint8) if picked.pixels is None else picked.pixels
            small = Image.fromarray(pixels).resize(LUMA_SIZE, Image.Resampling.BOX).convert("L")
            rows.append(np.asarray(small)[None])
        return np.concatenate(rows)

    def _pictures(self, targets: list[int]) -> Iterator[tuple[Pixels | None, bool]]:
        """Yield (pixels, whole) of each wanted frame, in order."""
        if not targets:
            return
        if self._is_still:
            yield self._still()
            return
        todo = set(targets)
        with Path(self._path).open("rb") as file:
            for index, (canvas, whole) in enumerate(self._animation.frames(file)):
                if index in todo:
                    todo.remove(index)
                    yield None if canvas is None else self._shown(canvas), whole
                if not todo:
                    return

    def _still(self) -> tuple[Pixels, bool]:
        """Return a photo's pixels, and whether it is whole; sets what `info` tells of it."""
        with self._explained(), closing(self._open()) as image:
            whole = decode(image)
            if self._kind == "tiff":
                self._size = image.size  # turned by Pillow
            self._orientation = exif_orientation(image.getexif)
            return self._shown(image), whole

    def _shown(self, image: Image.Image) -> Pixels:
        return (self._orientation or IDENTITY).apply(rgb_pixels(image))

    def _open(self) -> ImageFile.ImageFile:
        """Open the photo, not yet decoded; a JPEG of too many pixels at a half, a quarter or an eighth of its size."""
        image = open_image(self._path, self._kind)
        self._size = width, height = image.size
        try:
            self._check_photo(image)
        except BaseException:
            image.close()
            raise
        if width * height > MAX_PIXELS:  # an eighth of the largest that a JPEG can be is not
            part = next(part for part in (2, 4, 8) if width * height <= MAX_PIXELS * part**2)
            image.draft(None, (width // part, height // part))
        return image

    def _check_photo(self, image: Image.Image) -> None:
        tags: Any = getattr(image, "tag_v2", {})
        if TAG_DNG in tags or tags.get(TAG_SUBFILE, 0) & 1:  # the picture that comes first is a thumbnail
            raise NotAVideoError(
                f"{self._path}: is a camera's raw picture, which is not read; convert it to JPEG or PNG"
            )
        if self._kind != "jpeg":
            self._check_pixels(*image.size, most=MAX_PIXELS, remedy="save it as JPEG")
        elif image.info.get("progressive"):
            self._check_pixels(*image.size, most=MAX_PROGRESSIVE_PIXELS, remedy="save it as a baseline JPEG")
        self._check_ratio(*image.size)

    def _check_animation(self) -> None:
        self._size = self._animation.size
        self._orientation = IDENTITY
        if not self._animation.pieces or min(self._size) < 1:
            raise DecodeError(f"{self._path}: has no picture in it; copy or download it again")
        if exif := self._animation.exif:
            self._orientation = exif_orientation(lambda: _read_exif(exif))
        largest = max((piece.box[2:] for piece in self._animation.pieces), key=math.prod)
        for size in (self._size, largest):
            self._check_pixels(*size, most=MAX_CANVAS_PIXELS, remedy="convert it to MP4 (H.264)")
        self._check_ratio(*self._size)

    def _check_pixels(self, width: int, height: int, *, most: int, remedy: str) -> None:
        if width * height > most:
            raise DecodeError(
                f"{self._path}: has {width} x {height} pixels, more than the {most:,} that are read; "
                f"make it smaller, or {remedy}"
            )

    def _check_ratio(self, width: int, height: int) -> None:
        if max(width, height) > MAX_RATIO * min(width, height):
            raise DecodeError(
                f"{self._path}: has {width} x {height} pixels, one side more than {MAX_RATIO} times the other; crop it"
            )

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Turn what Pillow raises, which is of many classes, into one error, and keep its warnings quiet."""
        try:
            with quiet():
                yield
        except (MemoryError, VideoError):
            raise
        except Image.DecompressionBombError:
            raise DecodeError(
                f"{self._path}: has more than the {MAX_PIXELS:,} pixels that are read; make it smaller"
            ) from None
        except Exception as error:
            raise DecodeError(
                f"{self._path}: is a {self._kind.upper()} picture that cannot be decoded ({reason(error)}); "
                "copy or download it again, or save it as PNG"
            ) from None


def exif_orientation(read: Callable[[], Image.Exif]) -> Orientation:
    """Tell how EXIF wants a picture turned; EXIF that cannot be read wants nothing."""
    try:
        return Orientation.of_exif(read().get(TAG_ORIENTATION))
    except MemoryError:
        raise
    except Exception:  # Pillow's, of many classes
        return IDENTITY


def _read_exif(block: bytes) -> Image.Exif:
    exif = Image.Exif()
    exif.load(block)
    return exif
