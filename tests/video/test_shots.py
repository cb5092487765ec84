"""Cuts are found where a picture is pasted in, and nowhere else; signatures read every pixel format alike."""

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from olmv.video.frames import Floats, Pixels
from olmv.video.shots import SIGNATURE_BYTES, changed, find_cuts, signature, signature_of_pixels

seeds = st.integers(0, 2**32 - 1)
few = settings(max_examples=30, deadline=None)


def scene(seed: int, *, height: int = 72, width: int = 128) -> Pixels:
    """Return a picture of large patches of colour."""
    patches = np.random.default_rng(seed).integers(0, 256, (4, 6, 3), np.uint8)
    rows, columns = np.arange(height) * 4 // height, np.arange(width) * 6 // width
    return patches[rows[:, None], columns]


def noisy(picture: Pixels, seed: int, sigma: float = 3.0) -> Pixels:
    noise = np.random.default_rng(seed).normal(0, sigma, picture.shape)
    return np.clip(picture + noise, 0, 255).astype(np.uint8)


def signatures(pictures: list[Pixels]) -> Pixels:
    return np.stack([signature_of_pixels(picture) for picture in pictures])


def times(count: int, fps: float = 25.0) -> Floats:
    return np.arange(count) / fps


def film(*shots: tuple[int, int]) -> list[Pixels]:
    """Return noisy pictures of shots (seed, frames)."""
    return [noisy(scene(seed), n) for seed, frames in shots for n in range(frames)]


@few
@given(seeds, st.integers(0, 60), st.floats(0.02, 0.5))
def test_a_constant_stream_has_no_cut(seed: int, count: int, gap: float) -> None:
    rows = np.repeat(signatures([scene(seed)]), count, axis=0)
    assert find_cuts(times(count, 1 / gap), rows).size == 0


@few
@given(seeds, st.integers(10, 30), st.integers(10, 30), st.sampled_from([2.0, 10.0, 25.0, 50.0]))
def test_a_pasted_cut_is_found_at_its_first_frame(seed: int, before: int, after: int, fps: float) -> None:
    rows = signatures(film((seed, before), (seed ^ 1, after)))
    assert find_cuts(times(len(rows), fps), rows).tolist() == [before / fps]


@few
@given(seeds, st.integers(-10_000, 10_000))
def test_an_offset_of_the_times_moves_the_cuts_with_it(seed: int, offset: int) -> None:
    rows = signatures(film((seed, 15), (seed ^ 1, 20), (seed ^ 2, 12)))
    cuts = find_cuts(times(len(rows)), rows)
    assert len(cuts) == 2
    np.testing.assert_allclose(find_cuts(times(len(rows)) + offset, rows), cuts + offset, atol=1e-6)


@few
@given(seeds)
def test_cuts_are_found_between_uneven_gaps(seed: int) -> None:
    rows = signatures(film((seed, 20), (seed ^ 1, 20)))
    gaps = np.random.default_rng(seed).uniform(0.02, 0.5, len(rows))
    when: Floats = np.cumsum(gaps).astype(np.float64)
    assert find_cuts(when, rows).tolist() == [when[20]]


@few
@given(seeds, st.integers(12, 60))
def test_a_fade_and_a_dissolve_are_no_cuts(seed: int, frames: int) -> None:
    first, second = scene(seed).astype(float), scene(seed ^ 1).astype(float)
    for end in (np.zeros_like(first), second):
        shares = [0.0] * 10 + np.linspace(0, 1, frames).tolist() + [1.0] * 10
        rows = signatures([((1 - s) * first + s * end).astype(np.uint8) for s in shares])
        assert find_cuts(times(len(rows)), rows).size == 0


@few
@given(seeds, st.integers(1, 2), st.booleans())
def test_a_flash_is_no_cut(seed: int, length: int, white: bool) -> None:
    rows = signatures(film((seed, 40)))
    odd = np.full((72, 128, 3), 255, np.uint8) if white else scene(seed ^ 1)
    rows[20 : 20 + length] = signature_of_pixels(odd)
    assert find_cuts(times(40), rows).size == 0


@few
@given(seeds, st.integers(1, 4))
def test_a_camera_pan_is_no_cut(seed: int, speed: int) -> None:
    wide = np.concatenate([scene(seed), scene(seed ^ 1), scene(seed ^ 2)], axis=1)
    rows = signatures([np.roll(wide, -speed * n, axis=1)[:, :128] for n in range(60)])
    assert find_cuts(times(60), rows).size == 0


def test_a_shot_too_short_to_be_one_is_left_out() -> None:
    rows = signatures(film((1, 30), (2, 5), (3, 30)))
    assert len(find_cuts(times(len(rows)), rows)) == 1


def test_other_places_of_the_same_colours_are_a_cut() -> None:
    picture = scene(4)
    rows = signatures([picture] * 20 + [picture[::-1, ::-1]] * 20)
    assert find_cuts(times(40), rows).tolist() == [0.8]


def test_a_grey_picture_cut_to_a_coloured_one_of_its_brightness_is_found() -> None:
    grey = np.full((72, 128, 3), 76, np.uint8)
    red = np.broadcast_to(np.array([255, 0, 0], np.uint8), grey.shape)
    rows = signatures([grey] * 20 + [red] * 20)
    assert find_cuts(times(40), rows).tolist() == [0.8]


def test_the_first_frame_is_no_cut() -> None:
    assert find_cuts(times(0), np.zeros((0, SIGNATURE_BYTES), np.uint8)).size == 0
    assert find_cuts(times(1), signatures([scene(1)])).size == 0
    assert find_cuts(times(2), signatures([scene(1), scene(2)])).tolist() == [0.04]


@pytest.mark.parametrize("size", [(128, 72), (321, 241), (17, 9), (1920, 1080)])
@pytest.mark.parametrize("name", ["yuv420p", "yuvj420p", "yuv422p", "yuv444p", "yuv420p10le", "yuv444p12le", "nv12"])
def test_every_pixel_format_has_nearly_the_same_signature(name: str, size: tuple[int, int]) -> None:
    width, height = size
    frame = av.VideoFrame.from_ndarray(scene(5, height=height, width=width), format="rgb24")
    plain = signature(frame.reformat(format="yuv444p")).astype(int)
    full_range = name == "yuvj420p"
    assert np.abs(signature(frame.reformat(format=name)) - plain).mean() < (16 if full_range else 8)


@pytest.mark.parametrize("name", ["rgb24", "bgra", "gbrp", "rgb8", "yuva420p", "p010le"])
def test_formats_that_cannot_be_read_in_place_are_converted(name: str) -> None:
    pictures = [av.VideoFrame.from_ndarray(scene(seed), format="rgb24").reformat(format=name) for seed in (5, 6)]
    one, other = (signature(picture).astype(int) for picture in pictures)
    assert one.shape == (SIGNATURE_BYTES,)
    assert np.abs(one - other).mean() > 20


def test_grey_has_no_colour() -> None:
    frame = av.VideoFrame.from_ndarray(scene(5), format="rgb24")
    for name in ("gray", "gray10le"):
        grey = signature(frame.reformat(format=name)).astype(int)
        same = signature(frame.reformat(format="gray").reformat(format="yuv444p")).astype(int)
        assert np.abs(grey - same).mean() < 12


def test_the_padding_of_lines_is_not_looked_at() -> None:
    frame = av.VideoFrame(33, 20, "yuv420p")
    for plane in frame.planes:
        assert plane.line_size > plane.width
        content = np.full((plane.height, plane.line_size), 255, np.uint8)
        content[:, : plane.width] = 100
        plane.update(content.tobytes())
    even = av.VideoFrame.from_ndarray(np.full((96, 64), 100, np.uint8), format="yuv420p")
    np.testing.assert_array_equal(signature(frame), signature(even))


def static(seed: int) -> Pixels:
    return noisy(np.broadcast_to(np.linspace(40, 200, 32), (18, 32)), seed, sigma=1.5)


@few
@given(seeds, seeds)
def test_noise_is_no_change(first: int, second: int) -> None:
    assert not changed(static(first), static(second))


@few
@given(seeds, st.integers(0, 13), st.integers(0, 29))
def test_a_small_figure_is_a_change(seed: int, top: int, left: int) -> None:
    now = static(seed).astype(int)
    now[top : top + 5, left : left + 2] += 45
    assert changed(static(seed + 1), np.clip(now, 0, 255).astype(np.uint8))


def test_light_that_goes_out_slowly_is_a_change_in_the_end() -> None:
    first = static(0)
    told = [changed(first, (first * share).astype(np.uint8)) for share in (0.999, 0.9)]
    assert told == [False, True]
