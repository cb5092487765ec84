"""Training of other kinds of model: losses, adapters, gradient checkpointing, captions."""

import json
import math
from pathlib import Path

import pytest
import torch

from olmv.errors import UsageError
from olmv.models.clip.model import VideoCLIP
from olmv.models.registry import load_model
from olmv.train.checkpoint import load_tensors
from tests.train.runs import go, last_weights, losses, rows, settings, write_manifest


def test_cross_entropy_on_open_clip(clip: str, tmp_path: Path) -> None:
    source = "{moji: {seed: 2, clips: 6, objects: 'seen[:3]', labels: [objects], counts: [1]}}"
    config = settings(
        clip, "objective.label=cross-entropy", "data.train.moji.labels=[objects]", f"data.validation.seen={source}",
        "regularization.iwr=0.5", "sweep.ratios=[0, 1]", "model.temporal=cross-frame",
    )  # fmt: skip
    result, _ = go(config, tmp_path / "run")
    assert result is not None
    assert set(result.figures) == {"seen/map", "seen/top1"}
    assert result.curve is not None
    assert "seen/top1" in result.curve.rule
    assert load_model(result.model, device="cpu").logit_bias is None


def test_bce_gives_a_softmax_model_a_bias(clip: str, tmp_path: Path) -> None:
    from olmv import Classifier

    manifest = write_manifest(tmp_path / "videos")
    config = settings(clip, "optimizer.lr=1e-6", train={"manifest": str(manifest)})
    result, _ = go(config, tmp_path / "run")
    assert result is not None
    model = load_model(result.model, device="cpu", dtype="float32")
    assert model.logit_bias is not None
    assert "model.towers.model.logit_bias" in load_tensors(tmp_path / "run" / "original.safetensors")
    predictions = list(Classifier(model).predict([tmp_path / "videos" / f"{i}.mp4" for i in range(6)], ["cat", "dog"]))
    mean = sum(label.probability for p in predictions for label in p.labels) / 12
    assert mean == pytest.approx(0.5, abs=0.1)  # half of all labels are true
    # from the bias on, the first loss is no worse than saying 0.5 of everything, or little
    assert losses(tmp_path / "run")[0] < 2 * math.log(2) + 0.5


@pytest.mark.parametrize("temporal", ["cross-frame", "divided", "st-adapter", "transformer"])
def test_gradient_checkpointing_changes_nothing(temporal: str, clip: str, tmp_path: Path) -> None:
    found = []
    for on in ("false", "true"):
        config = settings(
            clip, f"model.gradient_checkpointing={on}", f"model.temporal={temporal}", "run.steps=3",
            "regularization.iwr=0.5",
        )  # fmt: skip
        go(config, tmp_path / on)
        found.append((losses(tmp_path / on), last_weights(tmp_path / on)))
    assert found[0][0] == pytest.approx(found[1][0], rel=1e-5)
    for name, weight in found[0][1].items():
        assert torch.allclose(weight, found[1][1][name], atol=2e-5), name


def test_adapters_under_all_that_keeps_near_the_original(tiny: str, tmp_path: Path) -> None:
    """IWR, the mean of epochs and the sweep mix the tower and leave the adapters as they were tuned."""
    config = settings(
        tiny, "model.temporal=st-adapter", "regularization={iwr: 0.5, swa_start: 0}",
        "data.validation.seen={moji: {seed: 2, clips: 4, objects: 'seen[:3]', labels: [objects, motions]}}",
        "sweep={ratios: [0, 1], ratio: 1}",
    )  # fmt: skip
    result, _ = go(config, tmp_path / "run")
    assert result is not None
    assert result.curve is not None
    assert all(map(math.isfinite, losses(tmp_path / "run")))
    first = load_tensors(tmp_path / "run" / "original.safetensors")
    tuned = load_tensors(tmp_path / "run" / "tuned.safetensors")
    kernels = [name for name in tuned if name.endswith("temporal.kernel")]
    assert kernels
    assert all(not first[name].any() and tuned[name].any() for name in kernels)
    frozen, made = (load_model(name, device="cpu", dtype="float32") for name in (tiny, result.model))
    assert isinstance(frozen, VideoCLIP)
    assert isinstance(made, VideoCLIP)
    assert made.temporal == "st-adapter"
    assert made.temporal_options == {"width": None, "kernel": 3}
    mine = made.towers.state_dict()
    assert all(torch.equal(weight, mine[name]) for name, weight in frozen.towers.state_dict().items())
    saved = load_tensors(result.model / "model.safetensors")
    assert all(torch.equal(saved[name.removeprefix("model.")], tuned[name]) for name in kernels)
    curve = json.loads((tmp_path / "run" / "curve.json").read_text())
    assert set(curve["original"]) == set(curve["points"][1]) - {"ratio"}
    card = (result.model / "README.md").read_text()
    assert "| the original itself | " in card
    assert "Weights that the original did not have are the tuned ones at every ratio." in card


def test_no_gradient_checkpointing_for_mini(tiny: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"has no gradient checkpointing; set model\.gradient_checkpointing=false"):
        go(settings(tiny, "model.gradient_checkpointing=true"), tmp_path / "run")


def test_caption_weight(tiny: str, tmp_path: Path) -> None:
    for weight in (0, 4):
        go(settings(tiny, f"objective.caption_weight={weight}", "run.steps=1"), tmp_path / str(weight))
    plain, with_captions = (next(r for r in rows(tmp_path / w) if r["kind"] == "train") for w in ("0", "4"))
    assert "caption" not in plain
    assert with_captions["label"] == pytest.approx(plain["label"], rel=1e-6)
    assert with_captions["loss"] == pytest.approx(plain["loss"] + 4 * with_captions["caption"], rel=1e-5)


def test_videos_with_captions_only(tiny: str, tmp_path: Path) -> None:
    manifest = write_manifest(tmp_path / "videos")
    text = manifest.read_text().splitlines()
    manifest.write_text("\n".join([text[0], *text[1:3], *(line.replace(",dog,", ",,") for line in text[3:])]) + "\n")
    config = settings(tiny, "objective.caption_weight=1", train={"manifest": str(manifest)})
    result, _ = go(config, tmp_path / "run")
    assert result is not None
    assert all(map(math.isfinite, losses(tmp_path / "run")))
