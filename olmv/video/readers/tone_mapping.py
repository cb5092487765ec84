"""High dynamic range and wide gamut to what a plain screen shows (BT.709 primaries, 8 bits), as players do.

PyAV's FFmpeg is built without zscale and libplacebo, so the curves are here, each from its standard:

    signal -> light      ITU-R BT.2100-2: the PQ EOTF; the HLG inverse OETF and OOTF for a screen of 1000 cd/m2
    white                ITU-R BT.2408: HDR reference white is 203 cd/m2, which becomes the white of SDR
    too bright -> white  ITU-R BT.2390: the EETF, applied to the largest of R, G and B so that hues stay
    primaries            ITU-R BT.2087 (BT.2020), SMPTE EG 432-1 (P3), through XYZ; what is outside is cut off
    light -> signal      ITU-R BT.1886: a power of 1 / 2.4

The brightest light is measured in each frame (as mpv and libplacebo do), not taken from the file's metadata, which are
mostly missing or the mastering screen's: a frame without highlights is then not darkened.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from olmv.video.frames import Pixels

__all__ = ["SDR_WHITE", "ToneMap", "hlg_to_scene", "pq_to_light", "shoulder"]

Array = npt.NDArray[np.floating[Any]]
SDR_WHITE = 203.0  # cd/m2
PQ_PEAK, HLG_PEAK = 10_000.0, 1000.0
HLG_GAMMA = 1.2  # of the OOTF at 1000 cd/m2
SDR_GAMMA = 2.4
PEAK_PERCENTILE = 99.9  # a few stray pixels do not darken the rest
ROWS = 128  # at a time: the arithmetic takes 30 bytes a pixel
STEPS = 4096  # of the tables; more than 10 bits have
# ITU-T H.273, as FFmpeg numbers them
PQ, HLG = 16, 18
BT709, BT2020, DCI_P3, DISPLAY_P3 = 1, 9, 11, 12
_D65, _DCI_WHITE = (0.3127, 0.3290), (0.314, 0.351)
_PRIMARIES = {  # x, y of red, green, blue and white
    BT709: ((0.640, 0.330), (0.300, 0.600), (0.150, 0.060), _D65),
    BT2020: ((0.708, 0.292), (0.170, 0.797), (0.131, 0.046), _D65),
    DCI_P3: ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060), _DCI_WHITE),
    DISPLAY_P3: ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060), _D65),
}
_LUMINANCE = np.array([0.2627, 0.6780, 0.0593], np.float32)  # of BT.2020


@dataclass(frozen=True)
class ToneMap:
    """How the pixels of one kind of video are shown.

    Attributes:
        transfer: 16 (PQ), 18 (HLG), or anything else: the curve of SDR.
        primaries: 9 (BT.2020), 11 (DCI-P3) or 12 (Display P3), or anything else: BT.709.
    """

    transfer: int
    primaries: int

    @classmethod
    def of_tags(cls, transfer: int, primaries: int) -> "ToneMap | None":
        """Read a stream's or frame's tags (ITU-T H.273); None for what is shown as it is.

        PQ and HLG without primaries are BT.2020: nothing else is made with them.
        """
        if transfer in (PQ, HLG) and primaries not in _PRIMARIES:
            primaries = BT2020
        wide = primaries in _PRIMARIES and primaries != BT709
        return cls(transfer, primaries) if wide or transfer in (PQ, HLG) else None

    def apply(self, signal: npt.NDArray[np.unsignedinteger[Any]]) -> Pixels:
        """Map full-range R'G'B', [H, W, 3] uint8 or uint16, to [H, W, 3] uint8 for a plain screen."""
        step = max(1, min(signal.shape[:2]) // 256)
        peak = float(np.percentile(self._light(signal[::step, ::step]).max(axis=-1), PEAK_PERCENTILE))
        scales = _scales(max(peak, SDR_WHITE))
        matrix = (_to_xyz(BT709, inverse=True) @ _to_xyz(self.primaries)).T / SDR_WHITE
        shown = np.empty(signal.shape, np.uint8)
        for top in range(0, len(signal), ROWS):
            light = self._light(signal[top : top + ROWS])
            brightest = np.sqrt(light.max(axis=-1) / PQ_PEAK)
            light *= scales[(brightest * (STEPS - 1)).round().astype(np.int32)][..., None]
            light = light @ matrix.astype(np.float32)
            np.clip(light, 0, 1, out=light)
            shown[top : top + ROWS] = _sdr_codes()[(light * 65535).round().astype(np.uint16)]
        return shown

    def _light(self, signal: npt.NDArray[np.unsignedinteger[Any]]) -> npt.NDArray[np.float32]:
        """Return [H, W, 3] in cd/m2, in the video's own primaries."""
        codes = signal if signal.dtype == np.uint8 else signal >> 4
        if self.transfer == PQ:
            return np.take(_table(pq_to_light, _length(signal)), codes)
        if self.transfer == HLG:
            scene: npt.NDArray[np.float32] = np.take(_table(hlg_to_scene, _length(signal)), codes)
            luminance = scene @ _LUMINANCE
            scene *= (HLG_PEAK * luminance ** np.float32(HLG_GAMMA - 1))[..., None]
            return scene
        return np.take(_table(_sdr_to_light, _length(signal)), codes)


def pq_to_light(signal: Array) -> Array:
    """Turn signal, 0 to 1, into cd/m2, 0 to 10000: the EOTF of PQ (BT.2100-2 table 4, also SMPTE ST 2084)."""
    m1, m2, c1, c2, c3 = 2610 / 16384, 2523 / 4096 * 128, 3424 / 4096, 2413 / 4096 * 32, 2392 / 4096 * 32
    power = np.asarray(signal, np.float64) ** (1 / m2)
    light: Array = PQ_PEAK * (np.maximum(power - c1, 0) / (c2 - c3 * power)) ** (1 / m1)
    return light


def light_to_pq(light: Array) -> Array:
    """Undo `pq_to_light`."""
    m1, m2, c1, c2, c3 = 2610 / 16384, 2523 / 4096 * 128, 3424 / 4096, 2413 / 4096 * 32, 2392 / 4096 * 32
    power = (np.asarray(light, np.float64) / PQ_PEAK) ** m1
    signal: Array = ((c1 + c2 * power) / (1 + c3 * power)) ** m2
    return signal


def hlg_to_scene(signal: Array) -> Array:
    """Turn signal, 0 to 1, into the scene's light, 0 to 1: the inverse OETF of HLG (BT.2100-2 table 5)."""
    a = 0.17883277
    b, c = 1 - 4 * a, 0.5 - a * np.log(4 * a)
    signal = np.asarray(signal, np.float64)
    scene: Array = np.where(signal <= 0.5, signal**2 / 3, (np.exp((signal - c) / a) + b) / 12)
    return scene


def shoulder(light: Array, peak: float) -> Array:
    """Compress light of up to `peak` cd/m2 into `SDR_WHITE`: the EETF of BT.2390, without its lift of black.

    In PQ, signals below a knee stay as they are; a Hermite spline leads from there to white.
    """
    top = float(light_to_pq(np.asarray(peak)))
    white = float(light_to_pq(np.asarray(SDR_WHITE))) / top
    knee = 1.5 * white - 0.5
    signal = np.minimum(light_to_pq(light) / top, 1)
    t = (signal - knee) / max(1 - knee, 1e-9)
    bent = (2 * t**3 - 3 * t**2 + 1) * knee + (t**3 - 2 * t**2 + t) * (1 - knee) + (3 * t**2 - 2 * t**3) * white
    return pq_to_light(np.where(signal > knee, bent, signal) * top)


def _scales(peak: float) -> npt.NDArray[np.float32]:
    """Return what to multiply light with, [STEPS], by the square root of its share of 10000 cd/m2."""
    light = np.linspace(0, 1, STEPS) ** 2 * PQ_PEAK
    light[0] = 1e-4
    return (shoulder(light, peak) / light).astype(np.float32)


def _sdr_to_light(signal: Array) -> Array:
    light: Array = SDR_WHITE * signal**SDR_GAMMA
    return light


@cache
def _sdr_codes() -> Pixels:
    """Return the 8-bit signal of light, [65536], 0 to `SDR_WHITE`."""
    return np.asarray(255 * np.linspace(0, 1, 65536) ** (1 / SDR_GAMMA)).round().astype(np.uint8)


@cache
def _table(curve: Callable[[Array], Array], length: int) -> npt.NDArray[np.float32]:
    return curve(np.linspace(0, 1, length)).astype(np.float32)


def _length(signal: npt.NDArray[np.unsignedinteger[Any]]) -> int:
    """Give the tables an entry for each code of 8 bits, or of the upper 12 of 16."""
    return 256 if signal.dtype == np.uint8 else STEPS


@cache
def _to_xyz(primaries: int, inverse: bool = False) -> npt.NDArray[np.float64]:
    """Return the matrix [3, 3] from linear RGB to XYZ with white at 1, 1, 1.

    White is divided out, so that the DCI white becomes the screen's white as on a projector.
    """
    *colors, white = (np.array([x / y, 1, (1 - x - y) / y]) for x, y in _PRIMARIES.get(primaries, _PRIMARIES[BT709]))
    matrix = np.stack(colors, axis=1)
    matrix = matrix * np.linalg.solve(matrix, white)
    if primaries == DCI_P3:  # von Kries in XYZ: grey stays grey
        d65 = np.array([_D65[0] / _D65[1], 1, (1 - sum(_D65)) / _D65[1]])
        matrix = matrix * (d65 / white)[:, None]
    return np.asarray(np.linalg.inv(matrix) if inverse else matrix)
