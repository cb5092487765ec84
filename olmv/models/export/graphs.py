"""The graphs of a `VideoCLIP`: written by torch's exporter, then run and compared with torch itself."""

import math
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from olmv.errors import ModelError, reason
from olmv.io.network import quiet
from olmv.models.clip.model import VideoCLIP
from olmv.models.export.runtimes import Graph, load_graph

__all__ = ["check_text", "check_video", "export_text", "export_video"]

MAX_DIFFERENCE = 1e-3  # of any number in a unit vector
TRACED = (2, 3)  # B, T
CHECKED = ((1, 1), (2, 8), (3, 5))
TEXTS = ("dog", "a video of two people playing the guitar in the rain.", "", "red, round: an apple?")


def export_video(model: VideoCLIP, path: Path, output: str) -> int:
    """Write the image tower and temporal module as a graph with this output; returns its opset.

    Raises:
        ModelError: it cannot be exported.
    """
    dim = torch.export.Dim
    dynamic = {"pixels": {0: dim("batch"), 1: dim("time")}}
    return trace(_Video(model), {"pixels": _pixels(model, *TRACED)}, dynamic, path, output)


def check_video(model: VideoCLIP, path: Path) -> float:
    """Run the graph on other sizes than the traced ones; returns the largest difference from torch.

    Raises:
        ModelError: it is too large, or the graph does not run.
    """
    graph, largest = load_graph("onnx", path), 0.0
    for batch, time in CHECKED:
        pixels = _pixels(model, batch, time)
        with torch.inference_mode():
            frames = model.preprocess.normalize(pixels.byte())  # of floats it would change `pixels`
            expected = model.encode_video(frames) if model.yields_video_embedding else model.encode_frames(frames)
        largest = max(largest, _difference(graph, {"pixels": pixels}, expected, f"{batch} videos of {time} frames"))
    return largest


def export_text(model: VideoCLIP, path: Path) -> None:
    """Write the text tower as a graph; raises as `export_video`."""
    dim = torch.export.Dim
    sizes: dict[int, Any] = {0: dim("texts")}
    if model.towers.any_text_length:
        sizes[1] = dim("length", max=model.context_length)
    inputs = model.towers.text_inputs(TEXTS[:2])
    trace(model.towers.text_graph(), inputs, dict.fromkeys(inputs, sizes), path, "text")


def check_text(model: VideoCLIP, path: Path) -> float:
    """Run the graph on one text and on several; returns and raises as `check_video`."""
    graph, largest = load_graph("onnx", path), 0.0
    for texts in ((TEXTS[0],), TEXTS):
        inputs, expected = model.towers.text_inputs(texts), model.encode_texts(texts)
        largest = max(largest, _difference(graph, inputs, expected, f"{len(texts)} texts"))
    return largest


def trace(
    module: nn.Module, inputs: Mapping[str, Tensor], dynamic: Mapping[str, Mapping[int, Any]], path: Path, output: str
) -> int:
    """Write a module as a graph; returns its opset.

    Args:
        module: what becomes a graph.
        inputs: by name, in the order in which the module takes them.
        dynamic: for every input, the sides of any size.
        path: the file to write.
        output: the name of what the graph gives.

    Raises:
        ModelError: it cannot be exported.
    """
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)  # ONNX has no such operator
    try:
        with torch.no_grad(), warnings.catch_warnings(), quiet():
            warnings.simplefilter("ignore")  # about the exporter's own insides
            program = torch.onnx.export(
                module.eval(),
                tuple(inputs.values()),
                dynamo=True,
                input_names=list(inputs),
                output_names=[output],
                dynamic_shapes=tuple(dynamic[name] for name in inputs),
                verbose=False,
            )
            assert program is not None
            program.save(str(path))
    except OSError:
        raise
    except Exception as error:  # the exporter and its passes raise whatever they like
        raise ModelError(
            f"this model cannot be exported to ONNX ({reason(error)}); use it with olmv, or export another model"
        ) from None
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
    return int(program.model.opset_imports[""])


class _Video(nn.Module):
    scale: Tensor
    shift: Tensor

    def __init__(self, model: VideoCLIP) -> None:
        super().__init__()
        self.model = model
        std, mean = (torch.tensor(v).view(3, 1, 1) for v in (model.preprocess.std, model.preprocess.mean))
        self.register_buffer("scale", 1 / (255 * std))
        self.register_buffer("shift", mean / std)
        # tracing takes a T that goes into the arithmetic for a constant; as the sum of a mask it stays a tensor
        still = model.temporal in ("mean", "attention")
        self.masked = not still and model.temporal_options.get("edges") != "zero"

    def forward(self, pixels: Tensor) -> Tensor:
        frames = pixels * self.scale - self.shift
        mask = torch.ones_like(pixels[:, :, 0, 0, 0], dtype=torch.bool) if self.masked else None
        if self.model.yields_video_embedding:
            return self.model.encode_video(frames, mask)
        return self.model.encode_frames(frames, mask)


def _pixels(model: VideoCLIP, batch: int, time: int) -> Tensor:
    size = model.preprocess.size
    noise = torch.Generator().manual_seed(batch + time)
    return torch.randint(0, 256, (batch, time, 3, size, size), generator=noise).float()


def _difference(graph: Graph, inputs: Mapping[str, Tensor], expected: Tensor, what: str) -> float:
    """Return the largest difference from what torch gives; raise ModelError where it is too large."""
    try:
        got = torch.from_numpy(graph({name: tensor.numpy() for name, tensor in inputs.items()}))
    except Exception as error:  # the runtimes have no common class of error
        raise ModelError(
            f"the exported graph does not run on {what} ({reason(error)}); use the model with olmv, or export another"
        ) from None
    difference = float((got - expected).abs().max()) if got.shape == expected.shape else math.inf
    if not difference <= MAX_DIFFERENCE:  # NaN too
        raise ModelError(
            f"the exported graph gives other results than torch on {what} (a difference of {difference:.2g}, at most "
            f"{MAX_DIFFERENCE:g} is accepted); use the model with olmv, or export another"
        )
    return difference
