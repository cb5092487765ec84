"""Labels are added to a tuned model: what is known of the earlier ones, and what becomes of them."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate import Accelerator

from olmv.errors import InputError, UsageError
from olmv.labels.texts import build_texts
from olmv.models.registry import load_video_clip
from olmv.moji.world import object_names
from olmv.train.checkpoint import load_tensors
from olmv.train.config import TrainConfig
from olmv.train.continual.history import read_history
from olmv.train.data.dataset import batches
from olmv.train.data.replay import with_replay
from olmv.train.data.sources import open_sources
from olmv.train.losses import BatchLoss
from olmv.train.trainable import Trainable, label_bank
from tests.train.runs import equal, go, killed, losses, settings, write_manifest


def moji(objects: str, seed: int = 1, clips: int = 12) -> dict[str, Any]:
    return {"moji": {"seed": seed, "clips": clips, "objects": objects, "labels": ["objects"], "counts": [1]}}


def adding(model: str, objects: str, *overrides: str) -> TrainConfig:
    """A run of a few steps on these objects, which it also validates on; the guard holds others."""
    check = json.dumps({"seen": moji(objects, 2, 6), "guard": moji("seen[9:12]", 3, 6)})
    return settings(model, f"data.validation={check}", *overrides, train=moji(objects))


@pytest.fixture(scope="module")
def first(tiny: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "first"
    go(adding(tiny, "seen[:3]"), folder)
    return folder


def test_a_chain_of_three_runs(tiny: str, first: Path, tmp_path: Path) -> None:
    second, third = tmp_path / "second", tmp_path / "third"
    go(adding(tiny, "seen[3:5]", f"continual.run={first}", "model.templates=none"), second)
    result, watcher = go(adding(tiny, "seen[5:7]", f"continual.run={second}", "continual.replay=6"), third)
    assert result is not None
    history = read_history(third)
    assert history.model == tiny
    assert [run.run for run in history.runs] == [str(first), str(second), str(third)]
    assert [len(run.labels) for run in history.runs] == [3, 2, 2]
    plain = json.loads((third / "history.json").read_text())
    assert list(plain["figures"]["before"]) == list(plain["figures"]["after"])
    assert {"earlier1/seen/map", "earlier2/seen/map", "seen/map", "guard/map"} <= set(plain["figures"]["after"])
    assert plain["figures"]["after"] == result.figures
    # what was measured before this run is what the run before ended with
    ended = json.loads((second / "history.json").read_text())["figures"]["after"]
    assert plain["figures"]["before"]["earlier2/seen/map"] == pytest.approx(ended["seen/map"], abs=1e-6)
    assert plain["figures"]["before"]["earlier1/seen/map"] == pytest.approx(ended["earlier1/seen/map"], abs=1e-6)
    told = [line for line in watcher.notes if "labels:" in line or "labels, mean" in line]
    assert len(told) == 4
    assert told[0].startswith("earlier labels: earlier1/seen/map ")
    assert told[2].startswith("earlier labels, mean of 2 sources: map ")
    assert told[3].startswith("new labels: seen/map ")
    card = (third / "model" / "README.md").read_text()
    assert "| `earlier2/seen/map` | earlier | " in card
    assert "| `guard/map` | other | " in card
    assert "6 clips of the runs before (replay buffer)" in card
    # it started from the model of the run before
    saved = load_tensors(second / "model" / "model.safetensors")
    original = load_tensors(third / "original.safetensors")
    assert equal(original, {name: saved[name.removeprefix("model.")] for name in original})


def test_a_killed_run_that_adds_labels_ends_as_an_uninterrupted_one(tiny: str, first: Path, tmp_path: Path) -> None:
    config = adding(
        tiny, "seen[3:5]", f"continual={{run: {first}, replay: 6}}", "regularization={iwr: 0.5, l2: 0.01}",
        "run.checkpoint_minutes=0",
    )  # fmt: skip
    whole, _ = go(config, tmp_path / "whole")
    for after in (2, 3):
        killed(config, tmp_path / "parts", after)
    kept = json.loads((tmp_path / "parts" / "history.json").read_text())["figures"]
    assert list(kept) == ["before"]
    parts, watcher = go(config, tmp_path / "parts")
    assert whole is not None
    assert parts is not None
    assert any("going on after step 3 of 10" in line for line in watcher.notes)
    assert losses(tmp_path / "whole") == losses(tmp_path / "parts")
    assert equal(*(load_tensors(tmp_path / run / "model" / "model.safetensors") for run in ("whole", "parts")))
    assert whole.changes == parts.changes
    _, watcher = go(config, tmp_path / "parts")
    assert any("is finished" in line for line in watcher.notes)


def test_replayed_clips_keep_the_gradient_of_earlier_labels_and_of_no_others(tiny: str) -> None:
    model = load_video_clip(tiny, device="cpu", dtype="float32")
    parts = [
        open_sources(
            settings(tiny, train=moji(o, clips=9)).data, preprocess=model.preprocess, templates="none", seed=0
        )[0]
        for o in ("seen[:2]", "seen[1:4]", "seen[4:6]")
    ]
    joint = with_replay(parts[2], parts[:2], clips=5, seed=0, templates="none")
    names = object_names("seen")
    assert joint.dataset.labels == joint.texts.labels == joint.vocabulary.names == names[:6]
    assert len(joint.dataset) == 9 + 3 + 2
    assert len(joint.sources) == 3
    again = with_replay(parts[2], parts[:2], clips=5, seed=0, templates="none")
    assert [again.dataset.video(i) for i in range(14)] == [joint.dataset.video(i) for i in range(14)]
    (batch,) = batches(joint.dataset, [13, 0, 9], 0, batch_size=3)
    assert batch.known is not None
    assert batch.known.int().tolist() == [[0, 1, 1, 1, 0, 0], [0, 0, 0, 0, 1, 1], [1, 1, 0, 0, 0, 0]]
    # the truth of a replayed clip is the one that it had
    sample = parts[1].dataset.load(int(batch.videos[0].rpartition("/")[2]), 0)
    assert batch.videos[0] == sample.video
    assert [names[i] for i in batch.targets[0].nonzero().flatten()] == [names[1 + i] for i in sample.labels]


@pytest.mark.parametrize(("label", "masked"), [("bce", True), ("asymmetric", True), ("cross-entropy", False)])
def test_pairs_that_nobody_judged_cost_nothing(label: str, masked: bool, tiny: str) -> None:
    model = load_video_clip(tiny, device="cpu", dtype="float32")
    config = settings(tiny, f"objective.label={label}")
    part = open_sources(config.data, preprocess=model.preprocess, templates="none", seed=0)[0]
    trainable = Trainable(model)
    loss = BatchLoss(config, trainable, trainable, label_bank(model, part.texts), Accelerator(cpu=True))
    (batch,) = batches(part.dataset, range(4), 0, batch_size=4)
    columns = 5
    known = torch.zeros_like(batch.targets, dtype=torch.bool)
    known[:, :columns] = True
    batch = replace(batch, targets=batch.targets * known)
    partly, _ = loss(replace(batch, known=known), 0)
    whole, _ = loss(batch, 0)
    if not masked:
        assert float(partly) == float(whole)
        return
    loss.bank = label_bank(model, build_texts(part.vocabulary[:columns], "none"))
    own, _ = loss(replace(batch, targets=batch.targets[:, :columns]), 0)
    assert float(partly) == pytest.approx(float(own), rel=1e-6)
    assert float(whole) > float(partly) * 1.002  # the others cost something where they are known


def test_a_frozen_tower_replays_features(tiny: str, tmp_path: Path) -> None:
    frozen = ("model.train=new", f"data.feature_cache={tmp_path / 'features'}")
    go(adding(tiny, "seen[:3]", "model.temporal=attention", *frozen), tmp_path / "a")
    config = adding(
        tiny, "seen[3:5]", f"continual={{run: {tmp_path / 'a'}, replay: 6}}", "model.temporal=attention", *frozen
    )
    result, watcher = go(config, tmp_path / "b")
    assert result is not None
    assert any("18 training videos, 5 labels" in line for line in watcher.notes)
    begun, ended = (load_tensors(tmp_path / run / "model" / "model.safetensors") for run in ("a", "b"))
    changed = [name for name in begun if not torch.equal(begun[name], ended[name])]
    assert changed
    assert all("towers" not in name for name in changed)


def test_replay_of_files(tiny: str, videos: Path, tmp_path: Path) -> None:
    go(settings(tiny, "run.steps=1", f"data.validation.own.manifest={videos}", train={"manifest": str(videos)}),
       tmp_path / "a")  # fmt: skip
    (tmp_path / "more").mkdir()
    more = write_manifest(tmp_path / "more", count=4)
    more.write_text(more.read_text().replace(",cat,", ",bird,").replace(",dog,", ",Dog,"))
    config = settings(
        tiny, f"continual={{run: {tmp_path / 'a'}, replay: 4}}", "data.workers=1", train={"manifest": str(more)}
    )
    result, watcher = go(config, tmp_path / "b")
    assert result is not None
    assert "1 of the 2 labels were trained before, 'Dog' as 'dog' for one; the others are new" in watcher.notes
    assert any("8 training videos, 3 labels" in line for line in watcher.notes)
    # footage of long ago is gone: told, and no reason to stop
    (tmp_path / "old").mkdir()
    gone = write_manifest(tmp_path / "old", count=4)
    own = f"data.validation.own.manifest={gone}"
    go(settings(tiny, "run.steps=1", own, train={"manifest": str(gone)}), tmp_path / "c")
    for clip in gone.parent.glob("*.mp4"):
        clip.unlink()
    config = settings(tiny, f"continual.run={tmp_path / 'c'}", "run.steps=1", train=moji("seen[:3]"))
    _, watcher = go(config, tmp_path / "d")
    assert (
        f"the validation source 'own' of '{tmp_path / 'c'}' is left out: none of its videos is there any more"
        in watcher.notes
    )
    assert any("so what becomes of them is not measured" in line for line in watcher.notes)
    gone.unlink()
    config = settings(tiny, f"continual={{run: {tmp_path / 'c'}, replay: 2}}", "run.steps=1", train=moji("seen[:3]"))
    with pytest.raises(InputError, match=r"train\.csv cannot be read: No such file"):
        go(config, tmp_path / "e")


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (("continual.run=nowhere",), r"'nowhere' is no run folder; name one that a training run has written$"),
        (("continual.run={first}/model",), r"'.*first/model' is no run folder; name the run's folder, '.*first'$"),
        (("continual.run={first}", "model.name=olmv-lite"),
         r"first' tuned .*tiny\d, and this config is for olmv-lite; set model\.name=.*, or start from another run$"),
        (("continual.run={first}", "model.temporal=transformer"),
         r"has the temporal module 'mean' .* leave model\.temporal and model\.temporal_options out$"),
        (("continual.run={first}", "model.soft_attributes={llm: x}"), r"leave model\.soft_attributes out$"),
        (("continual.replay=5",), r"'continual\.run' is missing; add it"),
    ],
)  # fmt: skip
def test_a_run_that_cannot_be_added_to(
    overrides: tuple[str, ...], message: str, tiny: str, first: Path, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=message):
        go(adding(tiny, "seen[3:5]", *(item.replace("{first}", str(first)) for item in overrides)), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_run_that_adds_nothing_is_unfinished_broken_or_itself(tiny: str, first: Path, tmp_path: Path) -> None:
    with pytest.raises(
        UsageError, match=r"all 2 labels of this run were trained in '.*first' before .* leave continual out$"
    ):
        go(adding(tiny, "seen[:2]", f"continual.run={first}"), tmp_path / "none")
    config = adding(tiny, "seen[:3]", "run.checkpoint_minutes=0")
    killed(config, tmp_path / "killed", 2)
    with pytest.raises(
        InputError, match=r"killed' is not finished; run it to its end first, it goes on where it stopped$"
    ):
        go(adding(tiny, "seen[3:5]", f"continual.run={tmp_path / 'killed'}"), tmp_path / "run")
    with pytest.raises(UsageError, match=r"killed' cannot start from itself; choose another folder$"):
        go(adding(tiny, "seen[3:5]", f"continual.run={tmp_path / 'killed'}"), tmp_path / "killed", resume=False)
    go(config, tmp_path / "killed")
    (tmp_path / "killed" / "history.json").write_text('{"format": "other"}')
    with pytest.raises(
        InputError, match=r"history.json is not of format .*train the run anew, or start from its model"
    ):
        go(adding(tiny, "seen[3:5]", f"continual.run={tmp_path / 'killed'}"), tmp_path / "run")
    (tmp_path / "killed" / "history.json").unlink()
    with pytest.raises(InputError, match=r"cannot read .*history.json: .*train the run anew, or start from its model"):
        go(adding(tiny, "seen[3:5]", f"continual.run={tmp_path / 'killed'}"), tmp_path / "run")
