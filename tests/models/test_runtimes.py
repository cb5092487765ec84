"""Both runtimes give what torch gives."""

import json
import sys
from pathlib import Path

import pytest
import torch

from olmv.errors import MissingDependencyError, ModelError, UsageError
from olmv.models.clip.model import VideoCLIP
from olmv.models.export.onnx import export_onnx
from olmv.models.export.runtimes import RUNTIMES, load_graph, open_runtime
from tests.support.tiny import tiny_model


@pytest.fixture(scope="module")
def model() -> VideoCLIP:
    return tiny_model()


@pytest.fixture(scope="module")
def folder(model: VideoCLIP, tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("export")
    export_onnx(model, made)
    return made


def _pixels(batch: int, time: int) -> torch.Tensor:
    return torch.randint(0, 256, (batch, time, 3, 32, 32), dtype=torch.uint8)


@pytest.mark.parametrize("kind", RUNTIMES)
def test_as_torch(kind: str, model: VideoCLIP, folder: Path) -> None:
    encode = open_runtime(kind, folder, threads=1)
    inputs = [_pixels(1, 1), _pixels(3, 5), _pixels(3, 5)]
    results = [encode(pixels.numpy()) for pixels in inputs]  # an earlier result outlives the next call
    for pixels, found in zip(inputs, results, strict=True):
        expected = model.encode_frames(model.preprocess.normalize(pixels))
        torch.testing.assert_close(torch.from_numpy(found), expected, atol=1e-5, rtol=0)
    assert (encode(inputs[1].float().numpy()) == results[1]).all()


def test_bfloat16_is_near(model: VideoCLIP, folder: Path) -> None:
    pixels = _pixels(2, 3)
    found = load_graph("openvino", folder / "video.onnx", bfloat16=True)({"pixels": pixels.float().numpy()})
    expected = model.encode_frames(model.preprocess.normalize(pixels))
    assert float((torch.from_numpy(found) * expected).sum(-1).min()) > 0.999


def test_unknown_kind(folder: Path) -> None:
    with pytest.raises(UsageError, match="unknown runtime 'tensorrt'; choose from onnx, openvino"):
        open_runtime("tensorrt", folder)


@pytest.mark.parametrize("text", [None, "{", "[]", '{"a":' * 100_000, json.dumps({"format": "olmv-model/1"})])
def test_no_export(text: str | None, tmp_path: Path) -> None:
    if text is not None:
        (tmp_path / "export.json").write_text(text)
    with pytest.raises(ModelError, match=r"no exported model in .*; make one: olmv models export NAME -o"):
        open_runtime("onnx", tmp_path)


@pytest.mark.parametrize("kind", RUNTIMES)
def test_a_broken_graph(kind: str, tmp_path: Path) -> None:
    (tmp_path / "export.json").write_text('{"format": "olmv-export/1"}')
    (tmp_path / "video.onnx").write_bytes(b"no graph")
    with pytest.raises(ModelError, match=f"{kind} cannot read .*; export the model again"):
        open_runtime(kind, tmp_path)


@pytest.mark.parametrize(("kind", "package"), [("onnx", "onnxruntime"), ("openvino", "openvino")])
def test_not_installed(kind: str, package: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingDependencyError, match=rf"{kind} is not installed.*pip install 'olmv\[{kind}\]'"):
        open_runtime(kind, folder)
