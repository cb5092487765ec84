"""What a frozen tower gives, kept on disk: the same training, whatever happens while it is written."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from olmv.errors import InputError, OutputError, UsageError
from olmv.io.journal import open_locked
from olmv.labels.texts import build_texts
from olmv.labels.vocabulary import Vocabulary
from olmv.models.clip.model import VideoCLIP
from olmv.models.clip.temporal import IN_TOWER
from olmv.moji.world import object_names
from olmv.train.checkpoint import load_tensors
from olmv.train.config import Source
from olmv.train.data.dataset import batches
from olmv.train.data.features import FeatureStore, _mapped
from olmv.train.data.manifest_data import ManifestDataset
from olmv.train.data.moji_data import MojiDataset
from olmv.train.setup import file_digest
from olmv.train.trainable import Trainable, label_bank
from tests.support.tiny import tiny_model
from tests.train.runs import go, losses, save_tiny, settings, write_manifest

TRANSFORMER = {"layers": 1, "heads": 2, "layout": 2, "cell": 4}
FROZEN = ("model={temporal: transformer, train: new, temporal_options: {layers: 1, heads: 2, layout: 2, cell: 4}}",)


def moji(clips: int = 5) -> MojiDataset:
    names = object_names("seen")[:3]
    return MojiDataset(1, clips, frames=3, size=32, names=names, counts=(1, 2), labels=("objects",))


def model(temporal: str = "transformer", **options: Any) -> VideoCLIP:
    return tiny_model(temporal=temporal, temporal_options=TRANSFORMER if temporal == "transformer" else None, **options)


def prepared(folder: Path, dataset: Any = None, of: VideoCLIP | None = None) -> FeatureStore:
    store = FeatureStore(folder, of or model(), moji() if dataset is None else dataset, "train")
    store.prepare()
    return store


@pytest.mark.parametrize("temporal", ["mean", "attention", "transformer"])
def test_features_give_what_pixels_give(temporal: str, tmp_path: Path) -> None:
    dataset, clip = moji(), model(temporal)
    trainable = Trainable(clip, frozen_tower=True)
    bank = label_bank(clip, build_texts(Vocabulary.from_names(list(dataset.labels)), "none"))
    store = prepared(tmp_path, dataset, clip)
    order = [4, 0, 2, 1]
    pairs = zip(batches(dataset, order, 0, batch_size=3), store.batches(order, batch_size=3), strict=True)
    for plain, kept in pairs:
        assert plain.videos == kept.videos
        assert plain.captions == kept.captions
        assert torch.equal(plain.mask, kept.mask)
        assert torch.equal(plain.targets, kept.targets)
        assert torch.equal(plain.labelled, kept.labelled)
        with torch.no_grad():
            assert plain.pixels is not None
            a = trainable(plain.pixels, None, bank)[0]
            b = trainable(kept.pixels, None, bank)[0]
        assert torch.allclose(a, b, atol=2e-3)


def test_short_and_broken_videos(tmp_path: Path) -> None:
    path = write_manifest(tmp_path / "videos", bad=[1], count=3)
    from tests.support.samples import write_clip

    write_clip(tmp_path / "videos" / "2.mp4", frames=2)
    clip = model()
    dataset = ManifestDataset(path, preprocess=clip.preprocess, frames=3)
    store = prepared(tmp_path / "features", dataset, clip)
    (batch,) = store.batches([0, 1, 2], batch_size=3)
    assert len(batch.videos) == 2
    assert [failed.video for failed in batch.failed] == [dataset.video(1)]
    assert sorted(batch.mask.sum(1).tolist()) == [2, 3]
    assert batch.pixels is not None
    empty = [b for i in range(3) for b in store.batches([i], batch_size=1) if not b.videos]
    assert len(empty) == 1
    assert empty[0].pixels is None
    assert empty[0].failed


def test_a_cached_run_is_an_uncached_one(tmp_path: Path) -> None:
    name = save_tiny(tmp_path / "tiny")
    source = "{moji: {seed: 2, clips: 4, objects: 'seen[:3]', labels: [objects, motions], counts: [1]}}"
    trained, tuned = [], []
    for run, cache in (("plain", "null"), ("kept", str(tmp_path / "features")), ("again", str(tmp_path / "features"))):
        overrides = f"data.feature_cache={cache}", "optimizer.epochs=1", f"data.validation.seen={source}"
        go(settings(name, *FROZEN, *overrides), tmp_path / run)
        trained.append(losses(tmp_path / run))
        tuned.append(load_tensors(tmp_path / run / "tuned.safetensors"))
    assert trained[1] == trained[2]
    assert trained[0] == pytest.approx(trained[1], rel=1e-3)
    gate = "model.context.gate"
    assert tuned[0][gate] != 0
    assert torch.allclose(tuned[0][gate], tuned[1][gate], atol=1e-4)
    assert len(list((tmp_path / "features").iterdir())) == 2  # training and validation, shared by both runs


def test_runs_share_and_others_do_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prepared(tmp_path)
    prepared(tmp_path, moji(6))
    prepared(tmp_path, of=model(seed=1))
    assert len(list(tmp_path.iterdir())) == 3
    monkeypatch.setattr("olmv.train.data.features.batches", None)  # nothing is encoded again
    prepared(tmp_path)


def test_a_changed_manifest_is_another(tmp_path: Path) -> None:
    path = write_manifest(tmp_path, count=2)
    before = file_digest(Source(manifest=path))
    assert before == file_digest(Source(manifest=path))
    path.write_text(path.read_text().replace("cat", "dog"))
    assert before != file_digest(Source(manifest=path))
    assert file_digest(Source(dataset="x")) is None
    with pytest.raises(InputError, match=r"cannot read '.*missing\.csv': No such file"):
        file_digest(Source(manifest=tmp_path / "missing.csv"))


def test_a_killed_preparation_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("olmv.train.data.features.CHUNK", 2)
    whole = prepared(tmp_path / "whole")

    def stop(done: int, total: int) -> None:
        if done == 4:
            raise KeyboardInterrupt

    store = FeatureStore(tmp_path / "parts", model(), moji(), "train")
    with pytest.raises(KeyboardInterrupt):
        store.prepare(stop)
    journal = next((tmp_path / "parts").glob("*/clips.jsonl"))
    with journal.open("a") as file:
        file.write('{"video": "moji:1/4", "fra')
    progress: list[int] = []
    store.prepare(lambda done, total: progress.append(done))
    assert progress == [5]
    for name in ("embeddings.npy", "tokens.npy"):
        a, b = (np.load(next((tmp_path / run).glob(f"*/{name}"))) for run in ("whole", "parts"))
        assert np.array_equal(a, b)
    a, b = (json.loads(next((tmp_path / run).glob("*/clips.json")).read_text()) for run in ("whole", "parts"))
    assert a == b
    assert not journal.exists()
    assert len(whole) == 5


def test_arrays_cut_off_in_their_first_moments(tmp_path: Path) -> None:
    store = FeatureStore(tmp_path, model(), moji(), "train")
    store._folder.mkdir(parents=True)
    (store._folder / "embeddings.npy").write_bytes(b"")
    (store._folder / "tokens.npy").write_bytes(b"\x93NUMPY")
    store.prepare()
    (batch,) = store.batches([0], batch_size=1)
    assert batch.videos == ["moji:1/0"]


def test_a_full_disk_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.posix_fallocate", full)
    with pytest.raises(OutputError, match=r"cannot keep features in '.*': No space left on device"):
        prepared(tmp_path)


def test_towers_that_are_not_still(tmp_path: Path) -> None:
    for temporal in IN_TOWER:
        with pytest.raises(UsageError, match=f"module '{temporal}' works inside .*; leave data.feature_cache out"):
            prepared(tmp_path, of=model(temporal))
    config = settings(save_tiny(tmp_path / "tiny"), f"data.feature_cache={tmp_path / 'features'}")
    with pytest.raises(UsageError, match=r"data\.feature_cache needs a frozen image tower; set model\.train=new"):
        go(config, tmp_path / "run")


def test_only_one_run_writes_the_features(tmp_path: Path) -> None:
    store = FeatureStore(tmp_path, model(), moji(), "train")
    store._folder.mkdir(parents=True)
    lock = open_locked(store._folder / "lock")
    with pytest.raises(OutputError, match=r"another run is writing .*lock; wait for it"):
        store.prepare()
    assert [path.name for path in store._folder.iterdir()] == ["lock"]
    os.close(lock)
    store.prepare()
    assert (store._folder / "clips.json").is_file()


def test_features_with_holes_are_filled_before_they_are_mapped(tmp_path: Path) -> None:
    path = tmp_path / "x.npy"
    _mapped(path, (300, 1000))
    blocks = path.stat().st_blocks
    size = path.stat().st_size
    os.truncate(path, 128)  # the header; what follows becomes a hole
    os.truncate(path, size)
    assert path.stat().st_blocks < blocks
    _mapped(path, (300, 1000))
    assert path.stat().st_blocks >= size // 512
