"""A `VideoCLIP` as two ONNX graphs, for programs without torch: frames to embeddings, and token ids to embeddings.

    video.onnx   pixels float32 [B, T, 3, S, S], 0 to 255 -> rows [B, R, D], or video [B, D] where the temporal module
                 makes one embedding a video; any B and T
    text.onnx    ids int64 [A, L] -> text [A, D]; any A. olmv's own: any L up to the context, and a mask bool [A, L],
                 True for real tokens, as a second input; the others: L is the context length
    export.json  what goes in and out, the preprocessing before `pixels`, how far both are from torch's results

All embeddings are float32 and L2-normalised; normalisation of pixels is inside. Weights beyond ONNX's 2 GB for one
file lie beside their graph as `.onnx.data`.
"""

import contextlib
import importlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from olmv.errors import ModelError, OutputError, UsageError, reason
from olmv.io.atomic import write_atomic
from olmv.io.packages import require
from olmv.models.base import VideoModel
from olmv.models.clip.model import VideoCLIP
from olmv.models.export.graphs import check_text, check_video, export_text, export_video
from olmv.models.export.runtimes import EXPORT_FORMAT
from olmv.models.storage.saving import short_name
from olmv.models.storage.staging import filling_folder

__all__ = ["Export", "export_onnx"]

_NEEDED = ("onnx", "onnxscript", "onnxruntime")


@dataclass(frozen=True)
class Export:
    """What `export_onnx` wrote.

    Attributes:
        folder: where the files lie.
        files: their names.
        video_difference, text_difference: the largest difference of any number from torch's result, over all inputs
            that were tried.
        video_output: `rows` or `video`.
    """

    folder: Path
    files: tuple[str, ...]
    video_difference: float
    text_difference: float
    video_output: str


def export_onnx(model: VideoModel, folder: str | Path, *, texts: bool = True) -> Export:
    """Write `video.onnx`, `text.onnx` and `export.json` into a folder.

    Both graphs are run by ONNX Runtime, with numbers of videos, frames and texts other than the traced ones, and
    compared with torch before any file gets its name; `export.json` comes last.

    Args:
        model: on the CPU, in float32, in evaluation mode, as `load_model(name, device="cpu", dtype="float32")` gives.
        folder: made if need be. An earlier export there is replaced.
        texts: also the text tower.

    Raises:
        ModelError: an X-CLIP, whose texts depend on the video; an image or text tower that cannot be exported; or a
            graph that gives anything else than torch. No file is left.
        UsageError: the model is elsewhere, or in another dtype.
        MissingDependencyError: the extra `onnx` is not installed.
        OutputError: the folder cannot be written.
    """
    if not isinstance(model, VideoCLIP):
        raise ModelError(
            f"'{model.name}' cannot be exported: its texts depend on the video, so no graph of texts can stand alone; "
            "export a video CLIP, such as olmv-mini or ViT-B-32/openai"
        )
    if model.device.type != "cpu" or model.dtype != torch.float32 or model.training:
        raise UsageError("only a float32 model on the CPU is exported; load it with device='cpu', dtype='float32'")
    for package in _NEEDED:
        require(package, extra="onnx", need="exporting")
    folder = Path(folder)
    with _working_folder(folder) as work:
        output = "video" if model.yields_video_embedding else "rows"
        opset = export_video(model, work / "video.onnx", output)
        video = check_video(model, work / "video.onnx")
        text = None
        if texts:
            export_text(model, work / "text.onnx")
            text = check_text(model, work / "text.onnx")
        files = sorted(path.name for path in work.iterdir())
        write_atomic(work / "export.json", json.dumps(_describe(model, output, opset, video, text), indent=1) + "\n")
        for name in ("export.json", "video.onnx.data", "text.onnx.data"):  # of an earlier export
            (folder / name).unlink(missing_ok=True)
    return Export(folder, (*files, "export.json"), video, text or 0.0, output)


@contextlib.contextmanager
def _working_folder(folder: Path) -> Iterator[Path]:
    """Open a `filling_folder` in one that is made if need be, and not left behind empty."""
    fresh = not folder.exists()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with filling_folder(folder, last="export.json") as work:
            yield work
    except OSError as error:
        raise OutputError(f"cannot write into the folder '{folder}' ({reason(error)}); choose another folder") from None
    finally:
        if fresh:
            with contextlib.suppress(OSError):
                folder.rmdir()  # only an empty one


def _describe(model: VideoCLIP, output: str, opset: int, video: float, text: float | None) -> dict[str, Any]:
    """Return what export.json says; `video` and `text` are the differences from torch, None without such a graph."""
    size, dim, towers = model.preprocess.size, model.embed_dim, model.towers
    rows = ["B", dim] if output == "video" else ["B", "2T" if model.temporal_options.get("keep") else "T", dim]
    parts: dict[str, Any] = {
        "format": EXPORT_FORMAT,
        "model": short_name(model.name),
        "temporal": model.temporal,
        "opset": opset,
        "video.onnx": {
            "inputs": {"pixels": {"dtype": "float32", "shape": ["B", "T", 3, size, size], "range": [0, 255]}},
            "outputs": {output: {"dtype": "float32", "shape": rows, "normalised": "L2"}},
            "max_abs_diff": video,
        },
    }
    if text is not None:
        parts["text.onnx"] = {
            "inputs": _text_inputs(model),
            "outputs": {"text": {"dtype": "float32", "shape": ["A", dim], "normalised": "L2"}},
            "max_abs_diff": text,
        }
    return parts | {
        # of frames before they are pixels; its mean and std are applied inside the graph
        "preprocess": model.preprocess.to_dict(),
        "tokenizer": {"kind": towers.tokenizer_kind, "context_length": model.context_length},
        "logit_scale": model.logit_scale,
        "logit_bias": model.logit_bias,
        "versions": {name: importlib.import_module(name).__version__ for name in ("olmv", "torch", *_NEEDED)},
    }


def _text_inputs(model: VideoCLIP) -> dict[str, Any]:
    shape = ["A", "L" if model.towers.any_text_length else model.context_length]
    described: dict[str, Any] = {
        "ids": {"dtype": "int64", "shape": shape},
        "mask": {"dtype": "bool", "shape": shape, "meaning": "True for real tokens"},
    }
    return {name: described[name] for name in model.towers.text_inputs(("a",))}
