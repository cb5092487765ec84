"""ONNX graphs: equal to torch for sizes that were not traced; nothing is left of what is not equal."""

import importlib.util
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

from olmv.errors import MissingDependencyError, ModelError, OutputError, UsageError
from olmv.models.base import VideoModel
from olmv.models.clip.model import VideoCLIP
from olmv.models.export import graphs
from olmv.models.export.onnx import Export, export_onnx
from olmv.models.export.runtimes import load_graph
from olmv.models.open_clip.towers import OpenClipTowers
from olmv.models.registry import load_model
from olmv.models.storage.saving import save_pretrained
from olmv.video.transforms import Preprocess
from tests.models.kinds import make, randomise, tiny_timm, towers_of
from tests.support.tiny import tiny_model, write_open_clip_folder

__all__ = ["tiny_timm"]  # the fixture
LAYOUT = {"width": 16, "heads": 2, "layout": 3, "keep": True}


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Export:
    return export_onnx(tiny_model(), tmp_path_factory.mktemp("export") / "mini")


@pytest.fixture
def copied(exported: Export, monkeypatch: pytest.MonkeyPatch) -> Export:
    """Exporting takes the graphs of `exported`, whatever the model is."""

    def copy(_: Any, __: Any, ___: Any, path: Path, ____: str) -> int:
        shutil.copy(exported.folder / path.name, path)
        return 20

    monkeypatch.setattr(graphs, "trace", copy)
    return exported


def _video_difference(model: VideoCLIP, folder: Path) -> float:
    graphs.export_video(model, folder / "video.onnx", "out")
    return graphs.check_video(model, folder / "video.onnx")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("temporal", "options"),
    [
        ("transformer", LAYOUT),
        ("cross-frame", {"edges": "mask"}),
        ("divided", None),
    ],
)
def test_temporal_modules(temporal: str, options: dict[str, Any] | None, tmp_path: Path) -> None:
    model = randomise(tiny_model(temporal=temporal, temporal_options=options))
    assert _video_difference(model, tmp_path) < 1e-5


@pytest.mark.slow
@pytest.mark.usefixtures("tiny_timm")
@pytest.mark.parametrize(
    ("kind", "temporal", "options"),
    [
        ("siglip", "transformer", LAYOUT | {"layout": 2}),
        ("pe", "cross-frame", {"edges": "zero"}),
        ("eva", "divided", None),
        ("resnet", "mean", None),
    ],
)
def test_towers(kind: str, temporal: str, options: dict[str, Any] | None, tmp_path: Path) -> None:
    assert _video_difference(randomise(make(kind, temporal=temporal, options=options)), tmp_path) < 1e-5


@pytest.mark.slow
def test_open_clip_as_a_whole(tmp_path: Path) -> None:
    source = write_open_clip_folder(tmp_path / "source", siglip=True)
    model = load_model(f"local-dir:{source}", device="cpu", dtype="float32", temporal="attention")
    made = export_onnx(model, tmp_path / "out")
    assert made.video_output == "video"
    assert max(made.video_difference, made.text_difference) < 1e-5
    described = json.loads((tmp_path / "out" / "export.json").read_text())
    assert described["video.onnx"]["outputs"]["video"]["shape"] == ["B", 16]
    assert described["text.onnx"]["inputs"] == {"ids": {"dtype": "int64", "shape": ["A", 77]}}
    assert described["tokenizer"] == {"kind": "open_clip.SimpleTokenizer", "context_length": 77}
    assert described["logit_bias"] == pytest.approx(-10)
    ids = towers_of(model, OpenClipTowers).tokenizer(["dog"] * 3)
    texts = load_graph("onnx", tmp_path / "out" / "text.onnx")({"ids": ids.numpy()})
    torch.testing.assert_close(torch.from_numpy(texts), model.encode_texts(["dog"] * 3), atol=1e-5, rtol=0)


def test_what_is_written(exported: Export) -> None:
    assert sorted(path.name for path in exported.folder.iterdir()) == ["export.json", "text.onnx", "video.onnx"]
    assert sorted(exported.files) == ["export.json", "text.onnx", "video.onnx"]
    assert max(exported.video_difference, exported.text_difference) < 1e-5
    described = json.loads((exported.folder / "export.json").read_text())
    assert described["video.onnx"]["inputs"]["pixels"]["shape"] == ["B", "T", 3, 32, 32]
    assert described["video.onnx"]["outputs"] == {
        "rows": {"dtype": "float32", "shape": ["B", "T", 16], "normalised": "L2"}
    }
    assert described["video.onnx"]["max_abs_diff"] == exported.video_difference
    assert set(described["text.onnx"]["inputs"]) == {"ids", "mask"}
    assert described["preprocess"] == json.loads(json.dumps(tiny_model().preprocess.to_dict()))
    assert described["opset"] >= 18
    assert described["versions"]["torch"] == torch.__version__


def test_beside_a_saved_model(copied: Export, tmp_path: Path) -> None:
    model = tiny_model()
    export_onnx(model, tmp_path / "m")
    save_pretrained(model, tmp_path / "m")
    loaded = load_model(tmp_path / "m", device="cpu", dtype="float32")
    torch.testing.assert_close(loaded.encode_texts(["dog"]), model.encode_texts(["dog"]))
    assert set(copied.files) <= {path.name for path in (tmp_path / "m").iterdir()}


@pytest.mark.usefixtures("copied")
def test_other_results_leave_nothing(exported: Export, tmp_path: Path) -> None:
    other = tiny_model(seed=1)
    with pytest.raises(ModelError, match=r"other results than torch on 1 videos of 1 frames \(a difference of 0\."):
        export_onnx(other, tmp_path / "new")
    assert not (tmp_path / "new").exists()
    shutil.copytree(exported.folder, tmp_path / "old")
    with pytest.raises(ModelError, match="other results than torch"):
        export_onnx(other, tmp_path / "old")
    for name in exported.files:
        assert (tmp_path / "old" / name).read_bytes() == (exported.folder / name).read_bytes()
    assert len(list((tmp_path / "old").iterdir())) == 3


@pytest.mark.usefixtures("copied")
def test_nan_is_a_difference(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny_model()
    monkeypatch.setattr(model, "encode_frames", lambda frames: torch.full((*frames.shape[:2], 16), torch.nan))
    with pytest.raises(ModelError, match="a difference of nan"):
        export_onnx(model, tmp_path / "out")


@pytest.mark.usefixtures("copied")
def test_an_earlier_export_goes(tmp_path: Path) -> None:
    for name in ("export.json", "video.onnx", "video.onnx.data", "mine.txt"):
        (tmp_path / name).write_text("old")
    export_onnx(tiny_model(), tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["export.json", "mine.txt", "text.onnx", "video.onnx"]
    assert json.loads((tmp_path / "export.json").read_text())["format"] == "olmv-export/1"


@pytest.mark.usefixtures("copied")
def test_a_graph_that_does_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: Mapping[str, Any]) -> Any:
        raise RuntimeError("bad node")

    monkeypatch.setattr(graphs, "load_graph", lambda *_: broken)
    with pytest.raises(ModelError, match=r"does not run on 1 videos of 1 frames \(bad node\); use the model"):
        export_onnx(tiny_model(), tmp_path / "out")


def test_what_cannot_be_traced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def export_fails(*_: Any, **__: Any) -> None:
        raise RuntimeError("no such operator")

    monkeypatch.setattr(torch.onnx, "export", export_fails)
    with pytest.raises(ModelError, match=r"cannot be exported to ONNX \(no such operator\); use it with olmv"):
        export_onnx(tiny_model(), tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert torch.backends.mha.get_fastpath_enabled()


class PromptedModel(VideoModel):
    """As an X-CLIP is."""

    embed_dim = context_length = logit_scale = 1
    encode_clips = encode_texts = token_counts = text_parameters = None  # type: ignore[assignment]


def test_refused_models(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="its texts depend on the video"):
        export_onnx(PromptedModel(name="x-clip", preprocess=Preprocess()), tmp_path / "out")
    with pytest.raises(UsageError, match="only a float32 model on the CPU is exported; load it with"):
        export_onnx(tiny_model().to(torch.bfloat16), tmp_path / "out")
    with pytest.raises(UsageError, match="only a float32 model"):
        export_onnx(tiny_model().train(), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_packages_that_are_not_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "onnxscript" else found(name))
    with pytest.raises(MissingDependencyError, match=r"exporting needs onnxscript.*pip install 'olmv\[onnx\]'"):
        export_onnx(tiny_model(), tmp_path / "out")


def test_a_folder_that_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match=r"cannot write into the folder .*; choose another folder"):
        export_onnx(tiny_model(), tmp_path / "file" / "out")


@pytest.mark.usefixtures("copied")
def test_no_path_of_this_machine_is_written(tmp_path: Path) -> None:
    save_pretrained(tiny_model(), tmp_path / "pets")
    export_onnx(load_model(tmp_path / "pets", device="cpu", dtype="float32"), tmp_path / "out")
    assert json.loads((tmp_path / "out" / "export.json").read_text())["model"] == "pets"
