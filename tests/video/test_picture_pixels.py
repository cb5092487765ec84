"""Pictures of every mode become the colours that a viewer shows."""

import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.support.pictures import near, photo, pixels_of, png, png_chunk, tiff


def test_modes_become_the_colours_that_are_meant(tmp_path: Path) -> None:
    grey = photo()[..., 0]
    greys = np.repeat(grey[..., None], 3, 2)
    Image.fromarray(grey).save(tmp_path / "l.png")
    assert np.array_equal(pixels_of(tmp_path / "l.png"), greys)
    Image.fromarray(grey > 120).save(tmp_path / "one.png")
    assert np.array_equal(pixels_of(tmp_path / "one.png"), np.where(greys > 120, 255, 0))
    Image.fromarray(photo()).convert("CMYK").save(tmp_path / "cmyk.jpg", quality=95)  # Adobe's: inverted
    assert b"Adobe" in (tmp_path / "cmyk.jpg").read_bytes()[:4096]
    assert near(pixels_of(tmp_path / "cmyk.jpg"), photo(), 8)
    Image.fromarray(photo()).convert("CMYK").save(tmp_path / "cmyk.tiff")
    assert near(pixels_of(tmp_path / "cmyk.tiff"), photo(), 8)
    Image.fromarray(photo()).quantize(64).save(tmp_path / "p.png")
    assert near(pixels_of(tmp_path / "p.png"), photo(), 8)


def test_sixteen_bits_are_scaled_not_clipped(tmp_path: Path) -> None:
    grey = photo()[..., 0]
    deep = grey.astype(np.uint16) * 257
    greys = np.repeat(grey[..., None], 3, 2)
    for name in ("d.png", "d.tiff"):
        Image.fromarray(deep).save(tmp_path / name)
        assert np.array_equal(pixels_of(tmp_path / name), greys), name
    rgb = photo().astype("<u2") * 257
    (tmp_path / "rgb.png").write_bytes(png(60, 40, rgb.astype(">u2").tobytes(), bits=16))
    assert np.array_equal(pixels_of(tmp_path / "rgb.png"), photo())
    (tmp_path / "rgb.tiff").write_bytes(tiff(60, 40, rgb.tobytes(), bits=16, samples=3, photometric=2))
    assert np.array_equal(pixels_of(tmp_path / "rgb.tiff"), photo())
    values = deep.reshape(-1, 2).astype(int) >> 4  # two numbers of 12 bits in three bytes
    packed = np.stack([values[:, 0] >> 4, (values[:, 0] & 15) << 4 | values[:, 1] >> 8, values[:, 1] & 255], 1)
    (tmp_path / "twelve.tiff").write_bytes(tiff(60, 40, packed.astype(np.uint8).tobytes(), bits=12))
    assert np.array_equal(pixels_of(tmp_path / "twelve.tiff"), greys)
    (tmp_path / "inverse.tiff").write_bytes(tiff(60, 40, deep.astype("<u2").tobytes(), bits=16, photometric=0))
    assert np.array_equal(pixels_of(tmp_path / "inverse.tiff"), 255 - greys)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.array([0, 0.5, 1], np.float32), [0, 128, 255]),
        (np.array([0, 0.5, 200], np.float32), [0, 0, 200]),
        (np.array([0, 257, 65535], np.float32), [0, 1, 255]),
        (np.array([-2, 0, 2], np.float32), [0, 128, 255]),
        (np.array([0, np.nan, 1], np.float32), [0, 0, 255]),
        (np.array([7e5, 7e5, 7e5], np.float32), [0, 0, 0]),
        (np.array([0, 1, 255], np.int32), [0, 1, 255]),
        (np.array([0, 257, 65535], np.int32), [0, 1, 255]),
        (np.array([-100, 0, 100], np.int32), [0, 128, 255]),
    ],
)
def test_numbers_without_a_fixed_white(tmp_path: Path, values: np.ndarray, expected: list[int]) -> None:
    Image.fromarray(values[None]).save(tmp_path / "a.tiff")
    assert pixels_of(tmp_path / "a.tiff")[0, :, 0].tolist() == expected


def test_transparent_pixels_lie_over_white(tmp_path: Path) -> None:
    alpha = np.full((40, 60), 255, np.uint8)
    alpha[:, :30] = 0
    shown = photo()
    shown[:, :30] = 255
    layered = np.concatenate([photo(), alpha[..., None]], -1)
    Image.fromarray(layered).save(tmp_path / "rgba.png")
    Image.fromarray(layered).save(tmp_path / "rgba.webp", lossless=True)
    Image.fromarray(layered).save(tmp_path / "rgba.tiff")
    for name in ("rgba.png", "rgba.webp", "rgba.tiff"):
        assert np.array_equal(pixels_of(tmp_path / name), shown), name
    Image.fromarray(layered).convert("LA").save(tmp_path / "la.png")
    Image.fromarray(layered).quantize(64).save(tmp_path / "p.png")  # a palette with an alpha for each colour
    Image.fromarray(layered).save(tmp_path / "p.gif")
    for name in ("la.png", "p.png", "p.gif"):
        pixels = pixels_of(tmp_path / name)
        assert (pixels[:, :30] == 255).all(), name
        assert (pixels[:, 30:].min(axis=-1) < 255).all(), name
    half = np.concatenate([photo(), alpha[..., None] // 2 + 64], -1)
    Image.fromarray(half).save(tmp_path / "half.png")
    weight = half[..., 3:] / 255
    assert near(pixels_of(tmp_path / "half.png"), photo() * weight + 255 * (1 - weight), 1)
    key = png_chunk(b"tRNS", struct.pack(">3H", 1, 2, 3))  # one colour that is transparent
    picture = photo()
    picture[0, 0] = 1, 2, 3
    (tmp_path / "key.png").write_bytes(png(60, 40, picture.tobytes(), extra=key))
    picture[0, 0] = 255
    assert np.array_equal(pixels_of(tmp_path / "key.png"), picture)
