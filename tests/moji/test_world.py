import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from olmv.moji.render import Renderer, render_clip
from olmv.moji.world import (
    BRIEF,
    MOTIONS,
    Actor,
    Scene,
    is_held_out_pairing,
    object_names,
    paraphrases,
    pose,
    sample_scene,
    scene_labels,
)

SEEN = object_names("seen")


@pytest.fixture(scope="module")
def renderer() -> Renderer:
    return Renderer(64)


def test_splits_are_large_enough_and_do_not_meet() -> None:
    unseen = object_names("unseen")
    assert len(SEEN) >= 600
    assert len(unseen) >= 60
    assert not set(SEEN) & set(unseen)
    assert len(paraphrases()) >= 100
    assert set(paraphrases()) <= set(SEEN)
    assert not set(paraphrases().values()) & set(SEEN)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**31), st.integers(0, 2**31))
def test_a_scene_follows_from_its_seed_alone(seed: int, index: int) -> None:
    scene = sample_scene(seed, index, names=SEEN)
    assert scene == sample_scene(seed, index, names=SEEN)
    assert 1 <= len(scene.actors) <= 3
    assert len({a.name for a in scene.actors}) == len(scene.actors)
    assert set(scene.scene_labels) <= set(scene_labels())
    assert not any(is_held_out_pairing(a.name, a.motion) for a in scene.actors)
    assert all(a.name in scene.sentence for a in scene.actors)
    assert all(label in (*SEEN, *scene_labels(), *MOTIONS) for label in scene.labels)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**31))
def test_held_out_pairings_are_shown_only_when_asked_for(seed: int) -> None:
    scene = sample_scene(seed, 0, names=SEEN, pairings="held-out")
    assert all(
        is_held_out_pairing(a.name, a.motion) or not any(is_held_out_pairing(a.name, m) for m in MOTIONS)
        for a in scene.actors
    )


def test_about_one_pairing_in_ten_is_held_out() -> None:
    held = np.mean([is_held_out_pairing(n, m) for n in SEEN for m in MOTIONS])
    assert 0.08 < held < 0.12


def test_brief_objects_are_there_for_a_quarter() -> None:
    for motion in BRIEF:
        scene = one("dog", motion)
        there = [scene.visible((t + 0.5) / 16)[0] for t in range(16)]
        assert sum(there) == 4


def test_motions_move_as_their_names_say() -> None:
    start, end = (pose(Actor("dog", "moving left", 0.5, 0.5, 0.5, 0.0, 1.0), p) for p in (0.0, 1.0))
    assert end[0] < start[0]
    start, end = (pose(Actor("dog", "falling", 0.5, 0.5, 0.5, 0.0, 1.0), p) for p in (0.0, 1.0))
    assert end[1] > start[1]
    start, end = (pose(Actor("dog", "growing", 0.5, 0.5, 0.5, 0.0, 1.0), p) for p in (0.0, 1.0))
    assert end[2] > start[2]
    start, end = (pose(Actor("dog", "spinning", 0.5, 0.5, 0.5, 0.0, 1.0), p) for p in (0.0, 0.5))
    assert end[3] != start[3]


def one(name: str, motion: str) -> Scene:
    actor = Actor(name, motion, 0.5, 0.5, 0.5, 0.5, 1.0)
    return Scene(3, 0, (actor,), "plain", ((0.1, 0.2, 0.9), (0.0, 0.0, 0.0)), ("blue", "black"), 0.0, 4.0, "none")


def test_pixels_do_not_depend_on_the_batch(renderer: Renderer) -> None:
    scenes = [sample_scene(5, i, names=SEEN) for i in range(12)]
    moments = [i / 12 for i in range(12)]
    together = renderer(scenes, moments)
    assert together.shape == (12, 3, 64, 64)
    assert together.dtype == torch.uint8
    alone = torch.cat([renderer([s], [p]) for s, p in zip(scenes, moments, strict=True)])
    assert (together.int() - alone.int()).abs().max() <= 1


def test_an_object_is_drawn_where_it_is_and_only_then(renderer: Renderer) -> None:
    clip = render_clip(one("dog", "vanishing"), frames=8, renderer=renderer).float()
    assert clip[1, :, 24:40, 24:40].std() > 20  # a dog in the middle
    assert clip[5].std(dim=(1, 2)).max() < 1  # plain background, dog gone


def test_weather_changes_from_frame_to_frame(renderer: Renderer) -> None:
    dry = one("dog", "vanishing")
    wet = Scene(**{**vars(dry), "weather": "rain"})
    clip = render_clip(wet, frames=8, renderer=renderer).float()
    assert (clip[6] - render_clip(dry, frames=8, renderer=renderer)[6].float()).abs().max() > 40
    assert (clip[6] - clip[7]).abs().max() > 40
