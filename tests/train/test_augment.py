"""Augmentation: one plan for every frame, crops inside the picture, no flip where sides matter."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from olmv.train.data.augment import Augmentation, AugmentConfig, speaks_of_sides
from olmv.video.transforms import Preprocess

PREPROCESS = Preprocess(size=28)
sides = st.integers(1, 400)
seeds = st.integers(0, 2**32)
CROPS = ("random", "random-resized", "centre")


def picture(height: int = 40, width: int = 60, frames: int = 3) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (frames, height, width, 3), np.uint8)


@given(seeds, sides, sides, st.sampled_from(CROPS))
def test_crops_lie_in_the_picture(seed: int, height: int, width: int, crop: str) -> None:
    plan = AugmentConfig(crop=crop).draw(np.random.default_rng(seed))  # type: ignore[arg-type]
    top, left, high, wide = plan.box(height, width)
    assert 0 <= top <= top + high <= height
    assert 0 <= left <= left + wide <= width
    assert min(high, wide) >= 1


@given(seeds, sides, sides, st.booleans())
def test_a_random_crop_is_that_of_open_vclip(seed: int, height: int, width: int, tall: bool) -> None:
    """Normalise, resize the short side bilinearly without antialiasing, cut at a whole pixel; nothing is rounded."""
    height, width = (max(height, width), min(height, width)) if tall else (min(height, width), max(height, width))
    frames = picture(height, width, 2)
    preprocess = Preprocess(size=28, interpolation="bilinear", antialias=False)
    plan = AugmentConfig(flip=0.0).draw(np.random.default_rng(seed))
    found = preprocess.normalize(plan.crop(frames, preprocess))

    short = round(28 * plan.zoom)
    assert 28 <= short <= 32
    size = (
        (math.floor(height / width * short), short) if width < height else (short, math.floor(width / height * short))
    )
    mean, std = (torch.tensor(value).view(3, 1, 1) for value in (preprocess.mean, preprocess.std))
    normal = (torch.from_numpy(frames).permute(0, 3, 1, 2).float() / 255 - mean) / std
    whole = torch.nn.functional.interpolate(normal, size=size, mode="bilinear", align_corners=False)
    # numpy's randint(0, room) there: every place but the last
    top, left = (math.floor((side - 28) * place) for side, place in zip(size, plan.place, strict=True))
    assert torch.allclose(found, whole[..., top : top + 28, left : left + 28], atol=1e-4)


@pytest.mark.parametrize("antialias", [True, False])
def test_what_is_antialiased_stays_bytes(antialias: bool) -> None:
    preprocess = Preprocess(size=28, antialias=antialias)
    plan = AugmentConfig(flip=0.0, colour_jitter=0.4).draw(np.random.default_rng(3))
    pixels = plan.crop(picture(), preprocess)
    assert pixels.dtype == (torch.uint8 if antialias else torch.float32)
    changed = plan.finish(pixels)
    assert changed.dtype == pixels.dtype
    if not antialias:  # the same colours as of bytes
        assert float(changed.min()) >= 0
        assert float(changed.max()) <= 255
        assert (changed - plan.finish(pixels.round().clamp(0, 255).to(torch.uint8)).float()).abs().mean() < 1.5


@given(seeds)
def test_plans_follow_from_the_seed_alone(seed: int) -> None:
    first, second = np.random.default_rng(seed), np.random.default_rng(seed)
    config = AugmentConfig(colour_jitter=0.3)
    assert config.draw(first) == config.draw(second)
    # as many numbers are drawn whatever the settings
    config.draw(first, may_flip=False)
    AugmentConfig(crop="centre", flip=0.0).draw(second)
    assert first.random() == second.random()


@pytest.mark.parametrize("crop", CROPS)
def test_frames_get_the_same_crop_together_or_one_by_one(crop: str) -> None:
    plan = AugmentConfig(crop=crop).draw(np.random.default_rng(3))  # type: ignore[arg-type]
    frames = picture()
    together = plan.crop(frames, PREPROCESS)
    assert together.shape == (3, 3, 28, 28)
    assert together.dtype == torch.uint8
    assert torch.equal(together, torch.cat([plan.crop(frame, PREPROCESS) for frame in frames]))


def test_a_squashing_model_sees_the_frame_in_its_shape() -> None:
    plan = AugmentConfig().draw(np.random.default_rng(3))
    _, _, high, wide = plan.box(100, 300)
    assert wide / high == pytest.approx(3, rel=0.03)


def test_random_resized_takes_parts_of_allowed_shape() -> None:
    areas = []
    for seed in range(200):
        _, _, high, wide = AugmentConfig(crop="random-resized").draw(np.random.default_rng(seed)).box(200, 200)
        assert 0.73 <= wide / high <= 1.37
        areas.append(high * wide / 200**2)
    assert min(areas) < 0.2
    assert max(areas) > 0.8


def test_a_long_picture_still_has_a_crop() -> None:
    plan = AugmentConfig(crop="random-resized").draw(np.random.default_rng(0))
    _, _, high, wide = plan.box(2000, 3)
    assert wide == 3
    assert high <= 4


def test_flip_mirrors_all_frames_and_can_be_refused() -> None:
    config = AugmentConfig(crop="centre", flip=1.0)
    pixels = torch.from_numpy(picture(28, 28)).permute(0, 3, 1, 2)
    assert torch.equal(config.draw(np.random.default_rng(0)).finish(pixels), pixels.flip(-1))
    assert torch.equal(config.draw(np.random.default_rng(0), may_flip=False).finish(pixels), pixels)


def test_flip_happens_as_often_as_asked() -> None:
    flips = [AugmentConfig(flip=0.25).draw(np.random.default_rng(seed)).flipped for seed in range(1000)]
    assert 0.2 < np.mean(flips) < 0.3


def test_colours_change_alike_in_all_frames() -> None:
    frame = torch.from_numpy(picture(28, 28, 1)).permute(0, 3, 1, 2)
    clip = frame.repeat(4, 1, 1, 1)
    changed = AugmentConfig(colour_jitter=0.4).draw(np.random.default_rng(1), may_flip=False).finish(clip)
    assert changed.dtype == torch.uint8
    assert not torch.equal(changed, clip)
    assert torch.equal(changed, changed[:1].expand(4, -1, -1, -1))
    assert torch.equal(Augmentation(colours=(1.0, 1.0, 1.0)).finish(clip), clip)
    assert Augmentation(colours=(0.5, 1.0, 1.0)).finish(clip).float().mean() == pytest.approx(
        clip.float().mean().item() / 2, abs=1
    )


@pytest.mark.parametrize(
    "text",
    ["moving left", "Right", "turn_left", "TurnLeft", "a left-hand turn", "spinning clockwise", "counter-clockwise",
     "leftwards", "looks rightward"],
)  # fmt: skip
def test_words_for_sides(text: str) -> None:
    assert speaks_of_sides(["dog", text])


@pytest.mark.parametrize("text", ["bright", "copyright", "leftovers", "cleft", "dog", "frighten", "wright", ""])
def test_words_that_only_look_like_it(text: str) -> None:
    assert not speaks_of_sides([text])


def test_bad_settings() -> None:
    with pytest.raises(ValueError, match=r"unknown crop 'middle'; use one of random, random-resized, centre"):
        AugmentConfig(crop="middle")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"flip is 1\.5; use a number from 0 to 1"):
        AugmentConfig(flip=1.5)
    with pytest.raises(ValueError, match=r"colour_jitter is -1; use a number from 0 to 1"):
        AugmentConfig(colour_jitter=-1)
