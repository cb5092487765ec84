"""Frames to model input: resize and crop on bytes in the worker, normalise on the device.

Resizing is Pillow's, with the sizes and the crop of open_clip's preprocessing: pixels agree within one level. Only
filters without antialiasing, which Pillow does not have, are torch's: torch is imported where it is needed, so that
workers do without it.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import torch

__all__ = ["ModelPixels", "Preprocess"]

ModelPixels = npt.NDArray[Any]
"""[T, 3, h, w], uint8, or float32 from 0 to 255."""

INTERPOLATIONS = ("bicubic", "bilinear")
RESIZE_MODES = ("shortest", "squash", "longest")
_MAX_SIDE = 4096
"""Pixels; more is a mistake, or meant to exhaust the memory."""


@dataclass(frozen=True, kw_only=True)
class Preprocess:
    """How a model wants its frames.

    Attributes:
        size: S, the side of the square input, in pixels.
        mean, std: per channel, on the 0-1 scale.
        interpolation: `bicubic` or `bilinear`.
        resize_mode: `shortest` side to S then centre crop; `squash` both sides to S; `longest` side to S then pad.
        fill_color: 0-255, of the padding.
        crop_ratio: of `shortest`: the crop's share of the short side, which is S / crop_ratio then; above 0, at most 1.
        antialias: whether shrinking averages over all pixels, as Pillow does; some published code does not.
    """

    size: int = 224
    mean: tuple[float, float, float] = (0.48145466, 0.4578275, 0.40821073)
    std: tuple[float, float, float] = (0.26862954, 0.26130258, 0.27577711)
    interpolation: str = "bicubic"
    resize_mode: str = "shortest"
    fill_color: int = 0
    crop_ratio: float = 1.0
    antialias: bool = True

    def __post_init__(self) -> None:
        if type(self.size) is not int or not 1 <= self.size <= _MAX_SIDE:
            raise ValueError(f"size is {self.size!r:.40}; give a whole number of pixels from 1 to {_MAX_SIDE}")
        for name, least in (("mean", -1e6), ("std", 1e-6)):
            value = getattr(self, name)
            if not isinstance(value, tuple) or len(value) != 3 or not all(_is_number(x, least, 1e6) for x in value):
                raise ValueError(f"{name} is {value!r:.80}; give three numbers from {least:g} to 1e+06")
        if type(self.fill_color) is not int or not 0 <= self.fill_color <= 255:
            raise ValueError(f"fill_color is {self.fill_color!r:.40}; give a whole number from 0 to 255")
        if type(self.antialias) is not bool:
            raise ValueError(f"antialias is {self.antialias!r:.40}; it is true or false")
        if self.interpolation not in INTERPOLATIONS:
            raise ValueError(
                f"unknown interpolation {self.interpolation!r:.40}; use one of {', '.join(INTERPOLATIONS)}"
            )
        if self.resize_mode not in RESIZE_MODES:
            raise ValueError(f"unknown resize_mode {self.resize_mode!r:.40}; use one of {', '.join(RESIZE_MODES)}")
        if not _is_number(self.crop_ratio, self.size / _MAX_SIDE, 1):  # the short side is resized to size / crop_ratio
            raise ValueError(
                f"crop_ratio is {self.crop_ratio!r:.40}; it is at most 1, and size / crop_ratio at most {_MAX_SIDE}"
            )

    def to_dict(self) -> dict[str, Any]:
        """Return what `preprocess.json` holds."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Read what `to_dict` wrote. Raises ValueError for a key it does not know, or a value that cannot be."""
        unknown = sorted(set(values) - {f.name for f in fields(cls)})
        if unknown:
            raise ValueError(f"unknown preprocess key {unknown[0]!r:.40}; it was written by a newer olmv, or by hand")
        triples = {k: tuple(values[k]) for k in ("mean", "std") if isinstance(values.get(k), list)}
        return cls(**{**values, **triples})

    @classmethod
    def from_open_clip(cls, config: Mapping[str, Any]) -> Self:
        """Read open_clip's `model.visual.preprocess_cfg`.

        Raises:
            ValueError: an input that is not square, or a mode that open_clip does not use for inference.
        """
        size = config.get("size", 224)
        height, width = (size, size) if isinstance(size, int) else (size[0], size[-1])
        if height != width:
            raise ValueError(f"model input of {height}x{width} is not square; choose a model with a square input")
        values: dict[str, Any] = {"size": int(height)}
        for key in ("mean", "std", "interpolation", "resize_mode", "fill_color"):
            if config.get(key) is not None:
                values[key] = config[key]
        if values.get("interpolation") == "random":  # a training setting; open_clip infers with bicubic
            values["interpolation"] = "bicubic"
        return cls.from_dict(values)

    def resize(self, frames: Any) -> ModelPixels:
        """Resize and crop.

        Args:
            frames: [T, H, W, 3] or [H, W, 3] uint8, numpy or torch.

        Returns:
            [T, 3, S, S] uint8 (T = 1 for a single frame).
        """
        pictures, size = _as_batch(frames), self.size
        if len(pictures) == 0:
            return np.zeros((0, 3, size, size), np.uint8)
        resized = self.resized(*pictures.shape[1:3])
        # round() half to even, as torchvision's CenterCrop does
        top, left = (round((side - size) / 2.0) for side in resized)
        if min(resized) < size:
            return self._padded(self._interpolated(pictures, resized))
        if resized == pictures.shape[1:3] or not self.antialias:
            pixels = self._interpolated(pictures, resized)
            return np.ascontiguousarray(pixels[..., top : top + size, left : left + size])
        return self._interpolated(pictures, resized, window=(top, left))

    def shrink(self, frames: Any, size: tuple[int, int], *, rounded: bool = True) -> ModelPixels:
        """Resize whole frames, without a crop: what is cropped later.

        Args:
            frames: [T, H, W, 3] or [H, W, 3] uint8, numpy or torch.
            size: (h, w) in pixels.
            rounded: to bytes.

        Returns:
            [T, 3, h, w] uint8, or float32 from 0 to 255 where it is not rounded (T = 1 for a single frame).
        """
        pictures = _as_batch(frames)
        return self._interpolated(pictures, size) if rounded else self._by_torch(pictures, size, rounded=False)

    def resized(self, height: int, width: int) -> tuple[int, int]:
        """Return (h, w), to which a frame of this size is resized before it is cropped or padded."""
        size = self.size
        if self.resize_mode == "squash":
            return size, size
        if self.resize_mode == "shortest":
            size = round(size / self.crop_ratio)
            # torchvision truncates the long side
            return (size, int(size * width / height)) if height <= width else (int(size * height / width), size)
        ratio = max(height, width) / size
        return max(round(height / ratio), 1), max(round(width / ratio), 1)

    def _interpolated(
        self, pictures: Any, size: tuple[int, int], *, window: tuple[int, int] | None = None
    ) -> ModelPixels:
        """Resize [T, H, W, 3] to [T, 3, h, w], or to the S x S at `window` (top, left) of that and nothing else."""
        if size == pictures.shape[1:3]:
            return np.ascontiguousarray(pictures.transpose(0, 3, 1, 2))
        if not self.antialias:
            return self._by_torch(pictures, size, rounded=True)
        from PIL import Image

        kernel = Image.Resampling[self.interpolation.upper()]
        height, width = pictures.shape[1:3]
        high, wide, (top, left) = (self.size, self.size, window) if window else (*size, (0, 0))
        down, across = height / size[0], width / size[1]
        box = (left * across, top * down, (left + wide) * across, (top + high) * down)
        small = np.empty((len(pictures), 3, high, wide), np.uint8)
        for place, picture in enumerate(pictures):
            resized = Image.fromarray(picture).resize((wide, high), kernel, box=box)
            for channel, plane in enumerate(resized.split()):
                small[place, channel] = np.asarray(plane)
        return small

    def _by_torch(self, pictures: Any, size: tuple[int, int], *, rounded: bool) -> ModelPixels:
        from torch import from_numpy
        from torch.nn.functional import interpolate

        # as it lies, channels last in memory, which torch resizes fastest; Pillow's arrays cannot be written, and
        # torch warns of those, once a process
        pixels = from_numpy(pictures if pictures.flags.writeable else pictures.copy()).permute(0, 3, 1, 2)
        pixels = pixels if rounded else pixels.float()
        if size != pictures.shape[1:3]:
            pixels = interpolate(
                pixels, size=size, mode=self.interpolation, antialias=self.antialias, align_corners=False
            )
        resized: ModelPixels = pixels.contiguous().numpy()
        return resized

    def _padded(self, pixels: ModelPixels) -> ModelPixels:
        """Lay [T, 3, h, w] in the middle of S x S; what is longer is cropped."""
        size = self.size
        whole = np.full((len(pixels), 3, size, size), self.fill_color, np.uint8)
        height, width = pixels.shape[-2:]
        top, left = max(size - height, 0) // 2, max(size - width, 0) // 2
        part = pixels[..., max(round((height - size) / 2.0), 0) :, max(round((width - size) / 2.0), 0) :]
        part = part[..., :size, :size]
        whole[..., top : top + part.shape[-2], left : left + part.shape[-1]] = part
        return whole

    def normalize(
        self, pixels: Any, *, dtype: "torch.dtype | None" = None, device: "torch.device | str | None" = None
    ) -> "torch.Tensor":
        """Turn bytes into model input: (pixels / 255 - mean) / std.

        Args:
            pixels: [..., 3, S, S] uint8, or float32 from 0 to 255; torch or numpy.
            dtype: of the result, None for float32; the arithmetic is float32.
            device: where to; bytes are moved before they become four times as many.

        Returns:
            [..., 3, S, S] of `dtype`.
        """
        import torch

        moved = torch.as_tensor(pixels)
        if device is not None:
            moved = moved.to(device=device, non_blocking=True)
        std = torch.tensor(self.std, device=moved.device).view(3, 1, 1)
        mean = torch.tensor(self.mean, device=moved.device).view(3, 1, 1)
        own = moved.to(torch.float32, copy=True)  # what is changed below must not be the caller's
        return own.mul_(1 / (255.0 * std)).sub_(mean / std).to(dtype or torch.float32)


def _is_number(value: object, least: float, most: float) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and least <= value <= most  # not of NaN


def _as_batch(frames: Any) -> Any:
    """Return [T, H, W, 3] uint8 of one frame or several."""
    pictures = np.asarray(frames)
    if pictures.ndim == 3:
        pictures = pictures[None]
    if pictures.ndim != 4 or pictures.shape[-1] != 3 or pictures.dtype != np.uint8:
        raise ValueError(f"frames are {pictures.dtype} {list(pictures.shape)}; expected uint8 [T, H, W, 3]")
    return pictures
