"""What is done to a training clip at random: one crop, one flip, one change of colour for all of its frames.

    plan = AugmentConfig().draw(rng)
    pixels = torch.cat([plan.crop(frame, preprocess) for frame in frames])     # [T, 3, S, S]
    pixels = plan.finish(pixels)

The plan is drawn before the picture's size is known, so that the same numbers serve every frame and every file.
"""

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

import numpy as np
import torch
from torch import Tensor

from olmv.video.transforms import Preprocess

__all__ = ["AugmentConfig", "Augmentation", "speaks_of_sides"]

Crop = Literal["random", "random-resized", "centre"]
LARGEST_SHORT_SIDE = 8 / 7  # of S; 256 for an input of 224 (Open-VCLIP)
AREA = (0.08, 1.0)  # share of the picture, and the log of width by height: Inception's crop (Szegedy et al., 2015)
LOG_RATIO = (math.log(3 / 4), math.log(4 / 3))
TRIES = 10
_SIDES = re.compile(
    r"(?<![a-z])(?:left|right|(?:left|right)wards?|(?:anti|counter)?-?clockwise)(?![a-z])", re.IGNORECASE
)


@dataclass(frozen=True, kw_only=True)
class AugmentConfig:
    """How training clips are varied.

    Attributes:
        crop: `random`: short side to U[S, S * 8/7], then a crop of S anywhere, as the code of Open-VCLIP (ICML 2023);
            `random-resized`: 8 to 100 % of the picture at an aspect of 3:4 to 4:3, stretched to S (Szegedy et al.,
            2015); `centre`: as at inference.
        flip: probability of a horizontal flip, 0 to 1.
        colour_jitter: strength in [0, 1]: brightness, contrast and saturation are each multiplied by
            U[1 - strength, 1 + strength].

    Raises:
        ValueError: a value out of range.
    """

    crop: Crop = "random"
    flip: float = 0.5
    colour_jitter: float = 0.0

    def __post_init__(self) -> None:
        if self.crop not in get_args(Crop):
            raise ValueError(f"unknown crop {self.crop!r}; use one of {', '.join(get_args(Crop))}")
        for name in ("flip", "colour_jitter"):
            value = getattr(self, name)
            if not 0 <= value <= 1:
                raise ValueError(f"{name} is {value}; use a number from 0 to 1")

    def draw(self, rng: np.random.Generator, *, may_flip: bool = True) -> "Augmentation":
        """Draw one clip's plan. Takes as many numbers from `rng` whatever the settings."""
        zoom = float(rng.uniform(1.0, LARGEST_SHORT_SIDE))
        place = rng.random(2)
        shapes = np.stack([rng.uniform(*AREA, TRIES), rng.uniform(*LOG_RATIO, TRIES)], 1)
        flipped = bool(rng.random() < self.flip) and may_flip
        brightness, contrast, saturation = (float(v) for v in 1 + self.colour_jitter * rng.uniform(-1, 1, 3))
        return Augmentation(
            kind=self.crop,
            zoom=zoom,
            place=(float(place[0]), float(place[1])),
            shapes=tuple((float(area), float(log_ratio)) for area, log_ratio in shapes),
            flipped=flipped,
            colours=(brightness, contrast, saturation) if self.colour_jitter else None,
        )


@dataclass(frozen=True, kw_only=True)
class Augmentation:
    """What happens to one clip, the same for all its frames.

    Attributes:
        kind: see `AugmentConfig.crop`.
        zoom: the short side before a crop of S, in units of S.
        place: of the crop, top and left, each 0 to 1 of the room there is.
        shapes: (area share, log of width by height) to try in turn for `random-resized`.
        flipped: left and right change places.
        colours: factors of brightness, contrast and saturation, or None.
    """

    kind: Crop = "centre"
    zoom: float = 1.0
    place: tuple[float, float] = (0.5, 0.5)
    shapes: tuple[tuple[float, float], ...] = ()
    flipped: bool = False
    colours: tuple[float, float, float] | None = None

    def box(self, height: int, width: int) -> tuple[int, int, int, int]:
        """Return top, left, height and width of what is cut out of a picture of this size before it is resized."""
        high, wide = height, width
        if self.kind == "random":  # for a model that sees the whole frame: keep the frame's shape
            high, wide = max(round(height / self.zoom), 1), max(round(width / self.zoom), 1)
        elif self.kind == "random-resized":
            high, wide = self._inception(height, width)
        return round((height - high) * self.place[0]), round((width - wide) * self.place[1]), high, wide

    def _inception(self, height: int, width: int) -> tuple[int, int]:
        for share, log_ratio in self.shapes:
            area, ratio = share * height * width, math.exp(log_ratio)
            high, wide = max(round(math.sqrt(area / ratio)), 1), max(round(math.sqrt(area * ratio)), 1)
            if high <= height and wide <= width:
                return high, wide
        # a very long picture: as much of it as an allowed aspect holds
        limits = tuple(math.exp(value) for value in LOG_RATIO)
        return min(height, max(round(width / limits[0]), 1)), min(width, max(round(height * limits[1]), 1))

    def crop(self, frames: Any, preprocess: Preprocess) -> Tensor:
        """Crop and resize, with the model's filter.

        Args:
            frames: [T, H, W, 3] or [H, W, 3] uint8.
            preprocess: the model's input.

        Returns:
            [T, 3, S, S] uint8 (T = 1 for a single frame); float32 from 0 to 255 of a `random` crop for a model that
            resizes the shortest side without antialiasing.
        """
        if self.kind == "centre":
            return torch.from_numpy(preprocess.resize(frames))
        if self.kind == "random" and preprocess.resize_mode == "shortest":
            return self._resize_then_crop(frames, preprocess)
        height, width = frames.shape[-3:-1]
        top, left, high, wide = self.box(height, width)
        if self.kind == "random-resized":
            preprocess = replace(preprocess, resize_mode="squash")
        return torch.from_numpy(preprocess.resize(frames[..., top : top + high, left : left + wide, :]))

    def _resize_then_crop(self, frames: Any, preprocess: Preprocess) -> Tensor:
        """Resize whole frames, then cut S by S out of them at a whole pixel (PySlowFast, which Open-VCLIP trains with).

        The authors resize in floating point, bilinear, without antialiasing, after normalising. Normalising is affine
        and the filter linear, so that before or after makes no difference; rounding to bytes does. On 64 real frames
        it changed pixels by 0.2 of 255 in the mean, 1.0 at most, and features of olmv-lite by a cosine distance of
        0.002 in the mean (antialiased bicubic, CLIP's own filter: 0.008). So without antialiasing nothing is rounded.
        """
        size = preprocess.size
        height, width = frames.shape[-3:-1]
        short = round(size * self.zoom)
        high, wide = (int(height / width * short), short) if width < height else (short, int(width / height * short))
        pixels = preprocess.shrink(frames, (high, wide), rounded=preprocess.antialias)
        # places below the last one, as there
        top, left = int((high - size) * self.place[0]), int((wide - size) * self.place[1])
        return torch.from_numpy(np.ascontiguousarray(pixels[..., top : top + size, left : left + size]))

    def finish(self, pixels: Tensor) -> Tensor:
        """Apply flip and colours: [T, 3, S, S] uint8, or float32 from 0 to 255 -> the same shape and type."""
        if self.flipped:
            pixels = pixels.flip(-1)
        if self.colours is not None:
            from torchvision.transforms.v2 import functional

            brightness, contrast, saturation = self.colours
            full = 255.0 if pixels.is_floating_point() else 1  # what torchvision takes for white is 1.0 or 255
            changed: Any = functional.adjust_brightness(pixels / full if full > 1 else pixels, brightness)
            changed = functional.adjust_contrast(changed, contrast)
            pixels = torch.as_tensor(functional.adjust_saturation(changed, saturation)) * full
        return pixels


def speaks_of_sides(texts: Iterable[str]) -> bool:
    """Tell whether a text has the word left, right or clockwise (also "left-hand", "turn_left", "TurnLeft").

    A mirrored clip would make such a label or caption wrong. English only: with labels in other languages that tell
    left from right, set `flip` to 0.
    """
    return any(_SIDES.search(re.sub(r"(?<=[a-z])(?=[A-Z])", " ", text)) for text in texts)
