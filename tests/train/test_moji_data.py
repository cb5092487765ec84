"""Drawn training clips: exact truth, the same ones again, other ones when asked."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from olmv.moji.render import Renderer
from olmv.moji.world import MOTIONS, OPPOSITES, object_names, sample_scene, scene_labels
from olmv.train.data.dataset import Failed, Sample, batches, epoch_order
from olmv.train.data.moji_data import MojiDataset

NAMES = object_names("seen")[:6]


def moji(**changes: object) -> MojiDataset:
    options: dict[str, Any] = {"frames": 4, "size": 16, "names": NAMES, **changes}
    return MojiDataset(5, 7, **options)


def same(a: Sample | Failed, b: Sample | Failed) -> bool:
    assert isinstance(a, Sample)
    assert isinstance(b, Sample)
    # a drawing's last bit may depend on what is drawn beside it
    close = (a.pixels.int() - b.pixels.int()).abs().max() <= 1
    return bool(close) and (a.video, a.labels, a.caption) == (b.video, b.labels, b.caption)


def test_labels_and_captions_are_the_scene_s_own() -> None:
    data = moji()
    assert data.labels == (*NAMES, *scene_labels(), *MOTIONS)
    for index in range(len(data)):
        sample, scene = data.load(index, 0), data.scene(index)
        assert sample.pixels.shape == (4, 3, 16, 16)
        assert sample.pixels.dtype == torch.uint8
        assert sample.video == f"moji:5/{index}"
        assert {data.labels[i] for i in sample.labels} == set(scene.labels)
        assert sample.caption == scene.sentence
        assert sample.labelled


def test_a_part_of_the_labels() -> None:
    data = moji(labels=("motions", "objects"), motions=("spinning", "falling"), captions=None, pairings="all")
    assert data.labels == ("spinning", "falling", *NAMES)
    sample = data.load(0, 0)
    assert {data.labels[i] for i in sample.labels} == set(data.scene(0).labels) - set(data.scene(0).scene_labels)
    assert sample.caption is None


def test_captions_about_less_than_the_scene() -> None:
    scene = moji(counts=(2,)).scene(0)
    first, second = scene.actors
    sentence = moji(counts=(2,)).load(0, 0).caption
    assert sentence is not None
    actors, motions = (moji(counts=(2,), captions=about).load(0, 0).caption for about in ("actors", "motions"))
    assert actors is not None
    assert sentence.startswith(actors)
    assert first.name in actors
    assert scene.scene_labels[0] not in actors
    assert motions == f"something {first.motion} and something {second.motion}"


@settings(max_examples=10, deadline=None)
@given(st.lists(st.integers(0, 6), min_size=1, max_size=9), st.integers(0, 3))
def test_together_is_as_one_by_one(indices: list[int], epoch: int) -> None:
    data = moji()
    together = data.load_many(indices, epoch)
    assert all(same(sample, data.load(i, epoch)) for i, sample in zip(indices, together, strict=True))


def test_epochs_look_at_other_moments_or_other_clips() -> None:
    data = moji()
    assert data.load(1, 0).video == data.load(1, 4).video
    assert not same(data.load(1, 0), data.load(1, 4))
    fresh = moji(fresh=True)
    assert fresh.load(1, 4).video == f"moji:5/{4 * 7 + 1}"
    assert same(fresh.load(1, 4), moji(fresh=True).load(1, 4))


def test_validation_takes_the_centres() -> None:
    data = moji(train=False)
    assert same(data.load(1, 0), data.load(1, 4))
    assert data._progress(1, 0) == pytest.approx([0.125, 0.375, 0.625, 0.875])
    moments = moji()._progress(1, 0)
    assert all(t / 4 <= moment < (t + 1) / 4 for t, moment in enumerate(moments))


def test_drawing_in_parts_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = moji().load_many(range(7), 0)
    monkeypatch.setattr("olmv.train.data.moji_data.PIXELS_AT_ONCE", 2 * 4 * 16 * 16)
    assert all(same(a, b) for a, b in zip(whole, moji().load_many(range(7), 0), strict=True))


def test_batches_and_going_on_after_a_stop() -> None:
    data, order = moji(), epoch_order(7, 0, 2)
    whole = list(batches(data, order, 2, batch_size=3))
    assert [len(batch) for batch in whole] == [3, 3, 1]
    rest = list(batches(moji(), order[3:], 2, batch_size=3))
    for before, after in zip(whole[1:], rest, strict=True):
        assert before.videos == after.videos
        assert before.captions == after.captions
        assert torch.equal(before.targets, after.targets)
        assert before.pixels is not None
        assert after.pixels is not None
        assert torch.equal(before.pixels, after.pixels)
    assert whole[0].mask.all()
    assert whole[0].targets.sum(1).tolist() == [len(data.load(i, 2).labels) for i in order[:3]]
    assert np.array_equal(whole[0].videos, [f"moji:5/{i}" for i in order[:3]])


def test_stopping_early_ends_the_thread() -> None:
    import threading

    for batch in batches(moji(), [0, 1, 2, 3, 4, 5, 6] * 20, 0, batch_size=2):
        assert len(batch) == 2
        break
    del batch
    import gc

    gc.collect()
    assert not [t for t in threading.enumerate() if t.name == "olmv-samples"]


def test_bad_settings() -> None:
    with pytest.raises(ValueError, match=r"clips is 0; use at least 1"):
        MojiDataset(0, 0)
    with pytest.raises(ValueError, match=r"unknown labels \['verbs'\]; use some of objects, scenes, motions"):
        moji(labels=("verbs",))
    with pytest.raises(IndexError, match=r"clip 7 of 7; indices run from 0 to 6"):
        moji().load(7, 0)


def test_reversals_differ_in_time_alone() -> None:
    data = moji(motions=tuple(OPPOSITES), reversals=True)
    for index in range(0, 6, 2):
        forwards, backwards = data.load_many([index, index + 1], 0)
        assert isinstance(forwards, Sample)
        assert isinstance(backwards, Sample)
        assert (forwards.pixels.int() - backwards.pixels.flip(0).int()).abs().max() <= 1
        scene, twin = data.scene(index), data.scene(index + 1)
        assert [a.motion for a in twin.actors] == [OPPOSITES[a.motion] for a in scene.actors]
        assert [a.name for a in twin.actors] == [a.name for a in scene.actors]
        assert {data.labels[i] for i in backwards.labels} == set(twin.labels)
        assert backwards.caption == twin.sentence
        assert backwards.video == f"{forwards.video} backwards"
    assert data.video(2) != data.video(0)
    assert [data.scene(1).backwards()] == [data.scene(0)]


def test_a_clip_played_backwards_is_one_of_the_opposite_motion() -> None:
    """The names are right: what a scene shows backwards is what the scene of the opposite motion shows."""
    draw = Renderer(32)
    for motion, opposite in OPPOSITES.items():
        scene = sample_scene(3, 1, names=NAMES, counts=(1,), motions=(motion,), pairings="all")
        scene = replace(scene, weather="none")
        twin = scene.backwards()
        assert [a.motion for a in twin.actors] == [opposite]
        moments = [0.1, 0.4, 0.9]
        shown = draw([scene] * 3, moments)
        mirrored = draw([twin] * 3, [1 - p for p in moments])
        assert (shown.int() - mirrored.int()).abs().max() <= 2


def test_reversals_need_an_opposite() -> None:
    with pytest.raises(ValueError, match="'spinning' has no opposite; with reversals use motions of moving left"):
        moji(motions=("growing", "spinning"), reversals=True)
