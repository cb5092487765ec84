"""A model's graph in int8: its weights and what flows between its layers in 8 bits, calibrated on the shipped clips.

Ranges are fixed when the graph is made, from real and drawn clips that ship with olmv. (Ranges taken anew from every
batch would make what a video gets depend on the videos beside it.) Attention, normalisation and residual sums of a
transformer stay in float32.

Rounded weights move the mean of what a convolution gives, and a depthwise one, with few weights a channel, moves it
most: every bias takes that difference back, layer by layer, as in "Data-free quantization" (arXiv 1906.04721), with
means from the clips. `scripts/benchmarks/bench_export.py` measures graphs with it and without.

Processors without VNNI add products of unsigned and signed bytes in 16 bits, where sums overflow: there weights become
unsigned bytes, which the runtime adds in 32 bits. Both mean the same numbers, and signed ones are faster.
"""

import copy
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from olmv.errors import ModelError, reason
from olmv.io.network import quiet
from olmv.models.clip.model import VideoCLIP
from olmv.models.export.onnx import export_onnx
from olmv.models.export.runtimes import load_graph
from olmv.video.readers.open import read_frames
from olmv.video.transforms import Preprocess

__all__ = ["LEAST_COSINE", "correct_biases", "export_int8", "make_unsigned", "quantise", "shipped_clips"]

LEAST_COSINE = 0.995
"""With float32, the mean over the frames of the shipped clips: a graph below it is refused."""

FRAMES = 8  # of a clip
QUANTISED = ("Conv", "Clip", "Relu", "MatMul", "Gemm")
CLIPS = Path(__file__).resolve().parents[2] / "data"


def shipped_clips(preprocess: Preprocess) -> list[Tensor]:
    """Read the clips that ship with olmv, real and drawn: [T, 3, S, S] uint8 each."""
    paths = sorted(CLIPS.glob("*/*.mp4"))
    return [torch.from_numpy(preprocess.resize(read_frames(path, frames=FRAMES).pixels)) for path in paths]


def export_int8(model: VideoCLIP, folder: Path) -> float:
    """Write `video.onnx` in int8 and `export.json` into a folder; returns the mean cosine with float32.

    Args:
        model: on the CPU, in float32, in evaluation mode; it stays as it is.
        folder: made if need be.

    Raises:
        ModelError: the graph cannot be made, or sees something else than the model does; the folder holds no whole
            export then.
        MissingDependencyError: the extra `onnx` is not installed.
        OutputError: the folder cannot be written.
    """
    clips = shipped_clips(model.preprocess)
    export_onnx(correct_biases(model, clips), folder, texts=False)
    path = folder / "video.onnx"
    try:
        quantise(path, clips)
        cosine = _cosine(model, path, clips)
        if not cosine >= LEAST_COSINE:
            make_unsigned(path)
            cosine = _cosine(model, path, clips)
    except OSError:
        raise
    except Exception as error:  # neither the quantiser nor the runtime has a class of error
        raise ModelError(f"{model.name} cannot be made int8 ({reason(error)}); use dtype float32 or bfloat16") from None
    if not cosine >= LEAST_COSINE:  # NaN too
        raise ModelError(
            f"in int8, {model.name} sees something else on this CPU (a mean cosine of {cosine:.4f} with float32, at "
            f"least {LEAST_COSINE} is accepted); use dtype float32 or bfloat16"
        )
    return cosine


def correct_biases(model: VideoCLIP, clips: list[Tensor]) -> VideoCLIP:
    """Return a copy whose convolutions, once rounded to 8 bits, give on these clips the mean that the model gives.

    Args:
        model: on the CPU, in float32.
        clips: [T, 3, S, S] uint8 each, of one T.
    """
    made = copy.deepcopy(model)
    layers = [layer for layer in made.modules() if isinstance(layer, nn.Conv2d) and layer.bias is not None]
    if not layers:
        return made
    frames = made.preprocess.normalize(torch.stack(clips))
    ranges: dict[nn.Module, tuple[float, float]] = {}
    means: dict[nn.Module, Tensor] = {}

    def observe(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        ranges[layer] = (min(0.0, float(inputs[0].min())), max(0.0, float(inputs[0].max())))
        means[layer] = output.mean((0, 2, 3))

    def correct(layer: nn.Module, _: Any, output: Tensor) -> Tensor:
        missing = means[layer] - output.mean((0, 2, 3))
        layer.bias.data += missing  # type: ignore[operator]
        return output + missing.view(1, -1, 1, 1)

    with torch.no_grad():
        with _hooks(layer.register_forward_hook(observe) for layer in layers):
            made.encode_frames(frames)
        exact = [layer.weight.data for layer in layers]
        for layer in layers:
            layer.weight.data = _rounded_weights(layer.weight.data)
        rounding = (
            layer.register_forward_pre_hook(lambda this, x: (_rounded(x[0], *ranges[this]),)) for layer in layers
        )
        with _hooks(rounding), _hooks(layer.register_forward_hook(correct) for layer in layers):
            made.encode_frames(frames)
    for layer, weight in zip(layers, exact, strict=True):
        layer.weight.data = weight  # the quantiser rounds them itself
    return made


@contextmanager
def _hooks(handles: Iterator[RemovableHandle]) -> Iterator[None]:
    registered = list(handles)
    try:
        yield
    finally:
        for handle in registered:
            handle.remove()


def _rounded_weights(weight: Tensor) -> Tensor:
    """Round to 8 bits, signed and symmetric, a scale for every output channel."""
    scale = weight.abs().amax((1, 2, 3), keepdim=True).clamp_min(1e-12) / 127
    return (weight / scale).round() * scale


def _rounded(x: Tensor, low: float, high: float) -> Tensor:
    """Round to the 256 steps of a range that holds 0."""
    scale = max(high - low, 1e-12) / 255
    zero = round(-low / scale)
    return ((x / scale).round() + zero).clamp(0, 255).sub(zero) * scale


def quantise(path: Path, clips: list[Tensor]) -> None:
    """Replace a graph of `export_onnx` by the same in int8.

    Args:
        path: the graph; what lies beside it as `.data` goes with it.
        clips: [T, 3, S, S] uint8 each, which set the ranges.
    """
    from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize_static

    class Clips(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self.left = iter(clips)

        def get_next(self) -> dict[str, Any] | None:
            clip = next(self.left, None)
            return None if clip is None else {"pixels": clip[None].float().numpy()}

    data = path.with_name(f"{path.name}.data")
    with tempfile.TemporaryDirectory(dir=path.parent) as work, quiet():  # it recommends what the exporter has done
        quantize_static(
            str(path),
            str(Path(work) / path.name),
            Clips(),
            op_types_to_quantize=list(QUANTISED),
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            use_external_data_format=data.is_file(),
            extra_options={"MatMulConstBOnly": True},
        )
        for made in Path(work).iterdir():
            made.replace(path.parent / made.name)


def make_unsigned(path: Path) -> None:
    """Replace the signed weights of a graph of `quantise` by unsigned ones that mean the same.

    Args:
        path: the graph; what lies beside it as `.data` goes with it.
    """
    import numpy as np
    import onnx
    from onnx import numpy_helper

    graph = onnx.load(path)
    for tensor in graph.graph.initializer:
        if tensor.data_type == onnx.TensorProto.INT8:  # weights, and where their zero is
            shifted = (numpy_helper.to_array(tensor).astype(np.int16) + 128).astype(np.uint8)
            tensor.CopyFrom(numpy_helper.from_array(shifted, tensor.name))
    data = path.with_name(f"{path.name}.data")
    outside = data.is_file()
    data.unlink(missing_ok=True)  # it would be written behind what is there
    onnx.save_model(graph, path, save_as_external_data=outside, location=data.name if outside else None)


def _cosine(model: VideoCLIP, path: Path, clips: list[Tensor]) -> float:
    graph = load_graph("onnx", path, torch.get_num_threads())
    encode: Callable[[Tensor], Tensor] = model.encode_video if model.yields_video_embedding else model.encode_frames
    cosines = []
    for clip in clips:
        with torch.inference_mode():
            expected = encode(model.preprocess.normalize(clip[None]))
        cosines.append((torch.from_numpy(graph({"pixels": clip[None].float().numpy()})) * expected).sum(-1).mean())
    return float(torch.stack(cosines).mean())
