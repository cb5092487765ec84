"""Other runtimes behind the classifier: the same answers as torch, one export for both, clear refusals."""

import logging
from pathlib import Path
from typing import Any

import pytest
import torch

from olmv import Classifier, MissingDependencyError, ModelError, OutputError, UsageError
from olmv.cli import main
from olmv.models.export.runtime_model import RuntimeModel, with_runtime
from olmv.models.registry import load_model
from olmv.models.storage.saving import save_pretrained
from olmv.models.text_cache import encode_texts_cached
from tests.models.xclip_folders import tiny_xclip
from tests.support.samples import write_clip
from tests.support.tiny import CONFIG, tiny_model

LABELS = ["dog", "guitar", "rain"]


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OLMV_CACHE", str(tmp_path / "cache"))


@pytest.mark.slow
@pytest.mark.parametrize("temporal", ["transformer", "attention"])
def test_every_runtime_gives_what_torch_gives(temporal: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    options: dict[str, Any] = {"keep": True} if temporal == "transformer" else {}
    save_pretrained(tiny_model(temporal=temporal, temporal_options=options), tmp_path / "m")
    clips = [write_clip(tmp_path / "clips" / f"{seed}.mp4", seed=seed) for seed in range(3)]
    clips.append(write_clip(tmp_path / "clips" / "short.mp4", seed=3, frames=5))
    rows: dict[str, Any] = {}
    lengths = [8, 3, 8]
    pixels = [torch.randint(0, 256, (t, 3, CONFIG.image_size, CONFIG.image_size), dtype=torch.uint8) for t in lengths]
    vectors: dict[str, Any] = {}
    fingerprints: set[str] = set()
    with caplog.at_level(logging.WARNING):
        for runtime in ("torch", "onnx", "openvino"):
            classifier = Classifier.from_pretrained(tmp_path / "m", device="cpu", dtype="float32", runtime=runtime)
            assert isinstance(classifier.model, RuntimeModel) == (runtime != "torch")
            fingerprints.add(classifier.model.fingerprint)
            rows[runtime] = list(classifier.predict(clips, LABELS, workers=0, explain=True))
            vectors[runtime] = [embedding.rows for embedding in classifier.embed_clips(pixels, batch_size=64)]
    assert len(fingerprints) == 1, "float32 texts are kept once for all runtimes"
    assert [r.message.split()[0] for r in caplog.records if "exporting" in r.message] == ["exporting"], "once for both"
    for runtime in ("onnx", "openvino"):
        for expected, found in zip(rows["torch"], rows[runtime], strict=True):
            for a, b in zip(expected.labels, found.labels, strict=True):
                assert b.probability == pytest.approx(a.probability, abs=1e-3)
                assert b.similarity == pytest.approx(a.similarity, abs=1e-5)
        for expected_rows, found_rows in zip(vectors["torch"], vectors[runtime], strict=True):
            torch.testing.assert_close(found_rows, expected_rows, atol=1e-5, rtol=0)
    arguments = ["predict", str(tmp_path / "clips"), "-l", "dog", "-m", str(tmp_path / "m"), "-q"]
    assert main([*arguments, "--runtime", "openvino", "-o", str(tmp_path / "rows.jsonl")]) == 0


@pytest.mark.parametrize(("flags", "shared"), [(set(), True), ({"avx512_bf16"}, False)])
def test_kept_texts_are_shared_only_within_a_dtype(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flags: set[str], shared: bool
) -> None:
    """`auto` is bfloat16 on a CPU that multiplies it; the runtimes' texts are float32 on every CPU."""
    monkeypatch.setattr("olmv.devices._cpu_flags", lambda: flags)
    monkeypatch.setattr("olmv.devices.bf16_gain", lambda: 2.0)
    save_pretrained(tiny_model(), tmp_path / "m")
    auto = load_model(str(tmp_path / "m"), device="cpu")
    exact = load_model(str(tmp_path / "m"), device="cpu", dtype="float32")
    assert auto.dtype == (torch.float32 if shared else torch.bfloat16)
    assert (auto.fingerprint == exact.fingerprint) is shared
    kept = encode_texts_cached(exact, LABELS)
    assert torch.equal(encode_texts_cached(auto, LABELS), kept) is shared


def test_what_a_runtime_cannot_do_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="unknown runtime 'tensorrt'; choose from torch, onnx, openvino"):
        load_model("olmv-mini", runtime="tensorrt")
    elsewhere: tuple[dict[str, Any], ...] = ({"device": "cuda"}, {"dtype": "bfloat16"})
    for options in elsewhere:
        with pytest.raises(UsageError, match="encodes on the CPU in float32; leave out the device and the dtype"):
            load_model("olmv-mini", runtime="onnx", **options)
    (tmp_path / "file").touch()
    with monkeypatch.context() as patch:
        patch.setenv("OLMV_CACHE", str(tmp_path / "file"))
        with pytest.raises(OutputError, match="part of its path is a file"):
            with_runtime(tiny_model(), "onnx")
    with pytest.raises(ModelError, match="is not a video CLIP and runs in torch only"):
        with_runtime(tiny_xclip(), "onnx")
    monkeypatch.setattr("importlib.util.find_spec", lambda name, *_: None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'olmv\[onnx\]'"):
        with_runtime(tiny_model(), "onnx")
