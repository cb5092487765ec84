"""A whole run: the folder it leaves, the model it saves, what it refuses."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import yaml

from olmv import Classifier
from olmv.errors import OutputError, UsageError
from olmv.models.clip.interpolation import interpolate
from olmv.models.clip.temporal import is_temporal_key
from olmv.models.registry import load_model
from olmv.train.checkpoint import load_tensors
from tests.support.missing import hide
from tests.support.samples import write_clip
from tests.train.runs import MOJI, equal, go, settings

SEEN = "data.validation.seen={moji: {seed: 2, clips: 6, objects: 'seen[:3]', labels: [objects, motions], counts: [1]}}"
GUARD = "data.validation.guard={moji: {seed: 3, clips: 6, objects: 'seen[3:6]', labels: [objects], counts: [1]}}"


def test_the_folder_of_a_run(tiny: str, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    config = settings(
        tiny, GUARD, SEEN, "sweep.ratios=[0, 0.5, 1]", "regularization={iwr: 0.5, swa_start: 0}",
        "model.temporal=attention", "description=a small one",
    )  # fmt: skip
    result, watcher = go(config, folder)
    assert result is not None
    names = {path.name for path in folder.iterdir()}
    assert names == {
        "config.yaml", "versions.json", "metrics.jsonl", "tensorboard", "original.safetensors", "checkpoints",
        "tuned.safetensors", "curve.json", "curve.png", "model", "history.json",
    }  # fmt: skip
    assert yaml.safe_load((folder / "config.yaml").read_text()) == config.to_dict()
    curve = json.loads((folder / "curve.json").read_text())
    assert [point["ratio"] for point in curve["points"]] == [0, 0.5, 1]
    # the guard stands first, but what is maximised is the other source
    assert curve["rule"].startswith("best seen/map with guard/map within")
    assert {"seen/map", "seen/objects_map", "seen/motions_map", "guard/map"} <= set(result.figures)
    card = (folder / "model" / "README.md").read_text()
    for told in ("# a small one", tiny, "interpolated weight", "drawn clips", "## Figures", "| original |", "```yaml"):
        assert told in card
    assert any(line.startswith("epoch 1: ") for line in watcher.notes)
    saved = load_tensors(folder / "model" / "model.safetensors")
    original, tuned = (load_tensors(folder / f"{name}.safetensors") for name in ("original", "tuned"))
    new = {name for name in tuned if is_temporal_key(name.removeprefix("model."))}
    assert new
    patched = interpolate(original, tuned, curve["ratio"], unmixed=new)
    assert any(not torch.equal(patched[name], original[name]) for name in new)
    assert equal({n: saved[n.removeprefix("model.")] for n in patched}, patched)
    model = load_model(folder / "model", device="cpu", dtype="float32")
    assert model.temporal == "attention"
    clip = write_clip(tmp_path / "a.mp4")
    (prediction,) = Classifier(model).predict([clip], ["dog", "spinning"])
    assert prediction.status == "ok"


def test_the_text_tower_and_the_original_stay(tiny: str, tmp_path: Path) -> None:
    go(settings(tiny), tmp_path / "run")
    before = load_tensors(Path(tiny) / "model.safetensors")
    after = load_tensors(tmp_path / "run" / "model" / "model.safetensors")
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed
    assert not [name for name in changed if name.startswith("towers.textual")]
    original = load_tensors(tmp_path / "run" / "original.safetensors")
    assert equal(original, {name: before[name.removeprefix("model.")] for name in original})


def test_a_ratio_of_one_s_own_without_validation(tiny: str, tmp_path: Path) -> None:
    result, _ = go(settings(tiny, "sweep.ratio=1"), tmp_path / "run")
    assert result is not None
    assert result.figures == {}
    assert equal(load_tensors(Path(tiny) / "model.safetensors"), load_tensors(result.model / "model.safetensors"))
    assert "Not measured: the run had no validation source." in (result.model / "README.md").read_text()


def test_starting_over(tiny: str, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    go(settings(tiny, "run.steps=1"), folder)
    (folder / "notes.txt").write_text("mine")
    result, watcher = go(settings(tiny, "run.steps=2"), folder, resume=False)
    assert result is not None
    assert watcher.starts == [(2, 0)]
    assert (folder / "notes.txt").read_text() == "mine"
    assert len((folder / "metrics.jsonl").read_text().splitlines()) == 3


def test_a_run_that_was_killed_before_its_model_was_written(
    tiny: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def pulled(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("olmv.train.job.save_pretrained", pulled)
        with pytest.raises(KeyboardInterrupt):
            go(settings(tiny), tmp_path / "run")
    result, watcher = go(settings(tiny), tmp_path / "run")
    assert result is not None
    assert watcher.steps == 0
    assert load_model(result.model, device="cpu").embed_dim == 16


def test_a_run_without_tensorboard_and_matplotlib_says_so(
    tiny: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hide(monkeypatch, "tensorboard", "matplotlib")
    result, watcher = go(settings(tiny, SEEN, "sweep.ratios=[0, 1]", "run.steps=1"), tmp_path / "run")
    assert result is not None
    assert [note for note in watcher.notes if "not installed" in note] == [
        f"{package} is not installed: the run writes {what}; to have both: pip install 'olmv[train]'"
        for package, what in (
            ("tensorboard", "metrics.jsonl, but no tensorboard folder"),
            ("matplotlib", "curve.json, but no curve.png"),
        )
    ]
    names = {path.name for path in (tmp_path / "run").iterdir()}
    assert {"metrics.jsonl", "curve.json", "model"} <= names
    assert not {"tensorboard", "curve.png"} & names


def test_what_a_killed_run_of_an_earlier_olmv_left_is_cleaned(tiny: str, tmp_path: Path) -> None:
    config = settings(tiny, "run.steps=1")
    go(config, tmp_path / "run")
    folder = tmp_path / "run"
    shutil.rmtree(folder / "model")
    (folder / ".model.tmp").mkdir()
    (folder / ".model.tmp" / "config.json").write_text("{}")
    (folder / ".olmv-0123456789ab.tmp").mkdir()
    (folder / "original.tmp").write_text("")
    result, _ = go(config, folder)
    assert result is not None
    assert not [path.name for path in folder.iterdir() if path.name.endswith(".tmp")]


def test_random_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.support.tiny import OPEN_CLIP_CONFIG

    monkeypatch.setattr("open_clip.get_model_config", lambda name: dict(OPEN_CLIP_CONFIG))
    import open_clip.factory

    monkeypatch.setitem(open_clip.factory._MODEL_CONFIGS, "Tiny-32", dict(OPEN_CLIP_CONFIG))
    result, _ = go(settings("Tiny-32/openai", "model.random_weights=true", "run.steps=1"), tmp_path / "run")
    assert result is not None
    assert "with RANDOM weights: it knows nothing" in (result.model / "README.md").read_text()


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("model.temporal_options={layers: 1}", r"temporal_options go with a new module; name it in model\.temporal"),
        ("run.precision=fp16", r"fp16 training needs a GPU; use run\.precision=fp32"),
        ("data.train.moji.objects=none", r"moji objects 'none' are none; write seen"),
        ("model.temporal_options={layrs: 1}", r"temporal"),
        ("run.device=tpu", "tpu"),
    ],
)
def test_what_does_not_fit(override: str, message: str, tiny: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=message):
        go(settings(tiny, override), tmp_path / "run")


def test_a_model_folder_that_cannot_be_replaced(tiny: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = Path.rename

    def rename(self: Path, target: Path) -> Path:
        if Path(target).name == "model":
            raise PermissionError(13, "Permission denied")
        return real(self, target)

    monkeypatch.setattr(Path, "rename", rename)
    with pytest.raises(OutputError, match=r"cannot write .*model: permission denied; choose"):
        go(settings(tiny, "run.steps=1"), tmp_path / "run")
    assert MOJI["clips"] == 12


def test_a_model_is_saved_with_the_filter_it_was_trained_with(tiny: str, videos: Path, tmp_path: Path) -> None:
    before = load_model(tiny, device="cpu").preprocess
    overrides = "model={interpolation: bilinear, antialias: false}", "run.steps=1", f"model.name={tiny}"
    result, _ = go(settings(tiny, *overrides, train={"manifest": str(videos)}), tmp_path / "run")
    assert result is not None
    after = load_model(result.model, device="cpu").preprocess
    assert after == replace(before, interpolation="bilinear", antialias=False) != before


def test_a_model_is_saved_with_the_frame_pooling_it_was_trained_with(tiny: str, tmp_path: Path) -> None:
    result, _ = go(settings(tiny, "run.steps=1", "objective.frame_pooling=softmax"), tmp_path / "run")
    assert result is not None
    assert load_model(result.model, device="cpu").frame_pooling == "softmax"
