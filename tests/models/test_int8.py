"""int8: near to float32 on frames that calibrated nothing, a graph of its own, alone in its batch, clear refusals."""

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import onnx
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from olmv import Classifier, MissingDependencyError, ModelError, UsageError
from olmv.cli import main
from olmv.models.clip.model import VideoCLIP
from olmv.models.export import int8
from olmv.models.export.onnx import export_onnx
from olmv.models.export.runtime_model import RuntimeModel, with_runtime
from olmv.models.export.runtimes import load_graph
from olmv.models.registry import load_model, placement_for
from olmv.models.storage.saving import save_pretrained
from tests.models.test_lite import tiny_lite
from tests.models.xclip_folders import tiny_xclip
from tests.support.samples import write_clip
from tests.support.tiny import CONFIG, tiny_model


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OLMV_CACHE", str(tmp_path / "cache"))


def _pixels(count: int, time: int = 4) -> Tensor:
    """Soft patches of colour: noise is not what ranges are fixed for."""
    patches = torch.rand(count * time, 3, 4, 4, generator=torch.Generator().manual_seed(count)) * 255
    size = CONFIG.image_size
    return functional.interpolate(patches, size=(size, size), mode="bilinear").byte().view(count, time, 3, size, size)


def _operators(path: Path) -> set[str]:
    return {node.op_type for node in onnx.load(path).graph.node}


@pytest.mark.slow
def test_alone_it_chooses_the_runtime(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    save_pretrained(tiny_model(), tmp_path / "m")
    exact = Classifier.from_pretrained(tmp_path / "m", device="cpu", dtype="float32")
    clips = list(_pixels(3))
    expected = [made.rows for made in exact.embed_clips(clips)]
    with caplog.at_level(logging.WARNING):
        for options in ({}, {"runtime": "onnx"}):
            fast = Classifier.from_pretrained(tmp_path / "m", dtype="int8", **options)
            assert isinstance(fast.model, RuntimeModel)
            assert (fast.model.dtype_name, exact.model.dtype_name) == ("int8", "float32")
            rows = [made.rows for made in fast.embed_clips(clips)]
            cosines = torch.stack([(a * b).sum(-1) for a, b in zip(rows, expected, strict=True)])
            assert 0.99 < cosines.mean() < 1 - 1e-7, "near, and not float32 itself"
            alone = fast.embed_clips(clips[1:2])[0].rows
            torch.testing.assert_close(alone, rows[1], atol=1e-6, rtol=0)  # whatever is beside it in a batch
            assert fast.model.fingerprint == exact.model.fingerprint, "texts are kept once"
            assert fast.model.state_dict().keys() == exact.model.state_dict().keys()
    exporting = [r.getMessage() for r in caplog.records if "exporting" in r.getMessage()]
    assert len(exporting) == 1
    assert "in int8 for the runtime onnx, once" in exporting[0]
    [graph] = (tmp_path / "cache" / "onnx").glob("*/video.onnx")
    assert {"QuantizeLinear", "DequantizeLinear"} <= _operators(graph)
    with_runtime(exact.model, "onnx")
    graphs = list((tmp_path / "cache" / "onnx").glob("*/video.onnx"))
    assert sorted("QuantizeLinear" in _operators(path) for path in graphs) == [False, True]


@pytest.mark.slow
def test_rows_say_it(tmp_path: Path) -> None:
    save_pretrained(tiny_model(), tmp_path / "m")
    write_clip(tmp_path / "clips" / "a.mp4", seed=1)
    out = tmp_path / "rows.jsonl"
    arguments = ["predict", str(tmp_path / "clips"), "-l", "dog", "-m", str(tmp_path / "m"), "-q", "-o", str(out)]
    assert main([*arguments, "--dtype", "int8"]) == 0
    described = "".join(path.read_text() for path in tmp_path.glob("*rows*") if path != out)
    assert '"int8"' in described
    assert '"onnx"' in described


def test_placement() -> None:
    placement = placement_for("auto", "int8")
    assert str(placement) == "cpu (where int8 runs), int8 (asked for; computed by the runtime onnx)"
    assert (placement.runtime, placement.dtype) == ("onnx", torch.float32)
    assert placement_for("cpu", "int8", "onnx") == placement
    assert (placement_for("cpu", "auto").runtime, placement_for("cpu", "auto").quantised) == ("torch", False)


def test_what_int8_cannot_do_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    for device in ("cuda", "mps"):
        with pytest.raises(UsageError, match=f"int8 runs on the CPU only, not on {device}; leave out the device"):
            load_model("olmv-mini", device=device, dtype="int8")
    with pytest.raises(UsageError, match="int8 is computed by the runtime onnx, not by openvino; leave"):
        load_model("olmv-mini", runtime="openvino", dtype="int8")
    with pytest.raises(ModelError, match="is not a video CLIP and runs in torch only; leave out the dtype int8"):
        with_runtime(tiny_xclip(), "onnx", int8=True)
    monkeypatch.setattr("importlib.util.find_spec", lambda name, *_: None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'olmv\[onnx\]'"):
        with_runtime(tiny_model(), "onnx", int8=True)


@pytest.fixture
def exported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> VideoCLIP:
    """A model that needs no exporter: the graph is none, what is measured of it is up to the test."""
    monkeypatch.setattr(int8, "export_onnx", lambda *_, **__: None)
    monkeypatch.setattr(int8, "quantise", lambda *_: None)
    monkeypatch.setattr(int8, "make_unsigned", lambda *_: None)
    return tiny_model()


@pytest.mark.parametrize("cosine", [0.9949, float("nan")])
def test_a_graph_that_sees_something_else(
    cosine: float, exported: VideoCLIP, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(int8, "_cosine", lambda *_: cosine)
    with pytest.raises(ModelError, match=rf"sees something else on this CPU \(a mean cosine of {cosine:.4f} with"):
        with_runtime(exported, "onnx", int8=True)
    assert list((tmp_path / "cache" / "onnx").iterdir()) == []


def test_a_graph_that_cannot_be(exported: VideoCLIP, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: Any) -> None:
        raise RuntimeError("bad node")

    monkeypatch.setattr(int8, "quantise", fails)
    with pytest.raises(ModelError, match=r"cannot be made int8 \(bad node\); use dtype float32 or bfloat16"):
        int8.export_int8(exported, tmp_path / "out")


def test_shipped_clips() -> None:
    clips = int8.shipped_clips(replace(tiny_model().preprocess, size=32))
    assert len(clips) == 13
    assert {tuple(clip.shape) for clip in clips} == {(8, 3, 32, 32)}


def test_biases_take_back_what_rounding_moves(tmp_path: Path) -> None:
    model, clips = tiny_lite(tmp_path), list(_pixels(4))
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    corrected = int8.correct_biases(model, clips)
    assert all(torch.equal(weight, before[name]) for name, weight in model.state_dict().items())
    moved = {name for name, weight in corrected.state_dict().items() if not torch.equal(weight, before[name])}
    convolutions = {name for name, layer in model.named_modules() if isinstance(layer, nn.Conv2d)}
    assert moved == {f"{name}.bias" for name in convolutions}

    def mean(of: VideoCLIP, *, rounded: bool) -> Tensor:
        for name in convolutions if rounded else ():
            layer = of.get_submodule(name)
            assert isinstance(layer, nn.Conv2d)
            scale = layer.weight.abs().amax((1, 2, 3), keepdim=True) / 127
            layer.weight.data = (layer.weight / scale).round() * scale
        return of.encode_stills(of.preprocess.normalize(torch.stack(clips))).embeddings.mean((0, 1))

    expected = mean(model, rounded=False)
    assert (mean(corrected, rounded=True) - expected).norm() < (mean(model, rounded=True) - expected).norm()


@pytest.mark.slow
def test_weights_beside_the_graph(tmp_path: Path) -> None:
    """Those of more than 2 GB lie there; here they are put there."""
    model = tiny_model()
    path = tmp_path / "video.onnx"
    export_onnx(model, tmp_path, texts=False)
    graph = onnx.load(path)
    onnx.save_model(graph, path, save_as_external_data=True, location="video.onnx.data", size_threshold=0)
    size = (tmp_path / "video.onnx.data").stat().st_size
    int8.quantise(path, list(_pixels(2)))
    assert {file.name for file in tmp_path.iterdir()} == {"export.json", "video.onnx", "video.onnx.data"}
    assert (tmp_path / "video.onnx.data").stat().st_size < size / 2
    pixels = _pixels(3, 5)
    int8.make_unsigned(path)  # without VNNI the signed ones overflow
    assert (tmp_path / "video.onnx.data").stat().st_size < size / 2
    assert {file.name for file in tmp_path.iterdir()} == {"export.json", "video.onnx", "video.onnx.data"}
    result = torch.from_numpy(load_graph("onnx", path)({"pixels": pixels.float().numpy()}))
    expected = model.encode_frames(model.preprocess.normalize(pixels))
    assert float((result * expected).sum(-1).mean()) > 0.98


@pytest.mark.slow
def test_signed_weights_that_overflow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a processor without VNNI: the graph is made again with unsigned weights, which mean the same."""
    cosine, measured = int8._cosine, []

    def measure(model: VideoCLIP, path: Path, clips: list[Tensor]) -> float:
        measured.append({tensor.data_type for tensor in onnx.load(path).graph.initializer})
        return 0.97 if len(measured) == 1 else cosine(model, path, clips)

    monkeypatch.setattr(int8, "_cosine", measure)
    assert int8.export_int8(tiny_model(), tmp_path) >= int8.LEAST_COSINE
    signed, unsigned = measured
    assert onnx.TensorProto.INT8 in signed
    assert onnx.TensorProto.INT8 not in unsigned
