"""The curves from signal to light against values that the standards print, and what mapping may never do."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from olmv.video.readers.tone_mapping import SDR_WHITE, ToneMap, hlg_to_scene, pq_to_light, shoulder

PQ, HLG, SDR = 16, 18, 1
BT709, BT2020, DCI_P3, DISPLAY_P3 = 1, 9, 11, 12


def card(*rgb: float, dtype: type = np.uint16) -> np.ndarray:
    """[8, 8, 3] of one signal, 0 to 1."""
    return np.broadcast_to(np.array(rgb) * np.iinfo(dtype).max, (8, 8, 3)).round().astype(dtype)


def test_pq_has_the_light_that_bt_2408_tables() -> None:
    """BT.2408-7, table 1: 203 cd/m2 is 58 % of the PQ signal, 1000 is 75 %; 100 cd/m2 is 51 %."""
    light = pq_to_light(np.array([0.0, 0.508, 0.5807, 0.7518, 1.0]))
    np.testing.assert_allclose(light, [0, 100, 203, 1000, 10000], rtol=0.005, atol=1e-6)


def test_hlg_has_reference_white_at_75_percent() -> None:
    """BT.2100-2 table 5 joins its halves at 1/12; BT.2408: 75 % is 203 cd/m2 on a screen of 1000."""
    scene = hlg_to_scene(np.array([0.0, 0.5, 0.75, 1.0]))
    np.testing.assert_allclose(scene, [0, 1 / 12, 0.265, 1], atol=1e-3)
    assert 1000 * scene[2] ** 1.2 == pytest.approx(203, abs=1)


@pytest.mark.parametrize(("transfer", "white"), [(PQ, 0.5807), (HLG, 0.75)])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_reference_white_becomes_white_and_black_stays(transfer: int, white: float, dtype: type) -> None:
    tone_map = ToneMap.of_tags(transfer, BT2020)
    assert tone_map is not None
    assert tone_map.apply(card(white, white, white, dtype=dtype)).min() >= 253
    assert not tone_map.apply(card(0, 0, 0, dtype=dtype)).any()


def test_colours_keep_their_place_in_wide_primaries() -> None:
    """BT.709's red written in BT.2020 (BT.2087: 0.6274, 0.0691, 0.0164 of linear light) comes back as it was."""
    tone_map = ToneMap.of_tags(SDR, BT2020)
    assert tone_map is not None
    red = tone_map.apply(card(*(np.array([0.6274, 0.0691, 0.0164]) ** (1 / 2.4))))[0, 0]
    np.testing.assert_allclose(red, [255, 0, 0], atol=8)
    assert tone_map.apply(card(0.2, 0.9, 0.3))[0, 0, 0] < 0.2 * 255  # a green outside BT.709 has no red in it


@pytest.mark.parametrize("primaries", [BT2020, DCI_P3, DISPLAY_P3])
@given(level=st.integers(0, 255))
@settings(max_examples=20, deadline=None)
def test_grey_stays_grey_in_all_primaries(primaries: int, level: int) -> None:
    tone_map = ToneMap.of_tags(SDR, primaries)
    assert tone_map is not None
    np.testing.assert_allclose(tone_map.apply(card(*[level / 255] * 3, dtype=np.uint8)), level, atol=3)


@given(peak=st.floats(SDR_WHITE, 10_000))
@settings(max_examples=50, deadline=None)
def test_the_shoulder_rises_to_white_and_leaves_the_dark_alone(peak: float) -> None:
    light = np.geomspace(0.01, peak, 200)
    shown = shoulder(light, peak)
    assert (np.diff(shown) >= -1e-9).all()
    assert shown[-1] == pytest.approx(SDR_WHITE, rel=1e-3)
    np.testing.assert_allclose(shown[light < 20], light[light < 20], rtol=1e-6)
    assert (shown <= light * (1 + 1e-6)).all()


def test_highlights_do_not_wash_out_into_one_white() -> None:
    tone_map = ToneMap.of_tags(PQ, BT2020)
    assert tone_map is not None
    picture = np.concatenate([card(*[signal] * 3) for signal in (0.4, 0.5807, 0.66, 0.7518)])
    greys = tone_map.apply(picture)[::8, 0, 0].astype(int)
    assert (np.diff(greys) >= 3).all()
    assert greys[-1] == 255


def test_plain_video_is_left_alone() -> None:
    for transfer in (1, 2, 6, 13, 14):
        for primaries in (1, 2, 5, 6):
            assert ToneMap.of_tags(transfer, primaries) is None
    assert ToneMap.of_tags(PQ, 2) == ToneMap(PQ, BT2020)


@given(st.integers(0, 2**32 - 1), st.sampled_from([PQ, HLG, SDR]), st.sampled_from([BT2020, DCI_P3, DISPLAY_P3]))
@settings(max_examples=20, deadline=None)
def test_any_pixels_give_pixels(seed: int, transfer: int, primaries: int) -> None:
    values = np.random.default_rng(seed).integers(0, 65536, (5, 300, 3)).astype(np.uint16)
    tone_map = ToneMap.of_tags(transfer, primaries)
    assert tone_map is not None
    shown = tone_map.apply(values)
    assert shown.dtype == np.uint8
    assert shown.shape == values.shape
