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
import importlib.util
import json
import math
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from olmv.errors import MissingDependencyError, ModelError, OutputError, UsageError, reason
from olmv.io.atomic import write_atomic
from olmv.io.network import quiet
from olmv.models.base import VideoModel
from olmv.models.clip.model import VideoCLIP
from olmv.models.clip.own_towers import OwnTowers
from olmv.models.export.runtimes import EXPORT_FORMAT, load_graph
from olmv.models.storage.saving import short_name

__all__ = ["Export", "export_onnx"]

"""How the description of a model that was saved beside its graphs begins."""
MAX_DIFFERENCE = 1e-3  # of any number in a unit vector
TRACED = (2, 3)  # B, T
CHECKED = ((1, 1), (2, 8), (3, 5))
TEXTS = ("dog", "a video of two people playing the guitar in the rain.", "", "red, round: an apple?")
PACKAGES = ("olmv", "torch", "onnx", "onnxscript", "onnxruntime")


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


class _Text(nn.Module):
    def __init__(self, towers: Any) -> None:
        super().__init__()
        self.towers = towers

    def forward(self, ids: Tensor) -> Tensor:
        return normalize(self.towers.model.encode_text(ids), dim=-1)


class _OwnText(nn.Module):
    def __init__(self, towers: Any) -> None:
        super().__init__()
        self.towers = towers

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        return normalize(self.towers.textual(ids, mask), dim=-1)


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
    _need_packages()
    folder = Path(folder)
    with _working_folder(folder) as work:
        output = "video" if model.yields_video_embedding else "rows"
        opset = _export_video(model, work / "video.onnx", output)
        video = _check_video(model, work / "video.onnx")
        text = 0.0
        if texts:
            _export_text(model, work / "text.onnx")
            text = _check_text(model, work / "text.onnx")
        described = _describe(model, output, opset, video, text)
        if not texts:
            del described["text.onnx"]
        made = sorted(path.name for path in work.iterdir())
        for name in ("export.json", "video.onnx.data", "text.onnx.data"):
            (folder / name).unlink(missing_ok=True)
        for name in sorted(made, reverse=True):  # weights before the graphs that need them
            (work / name).replace(folder / name)
    write_atomic(folder / "export.json", json.dumps(described, indent=1) + "\n")
    return Export(folder, (*made, "export.json"), video, text, output)


def _need_packages() -> None:
    for name in ("onnx", "onnxscript", "onnxruntime"):
        if importlib.util.find_spec(name) is None:
            raise MissingDependencyError(
                f"exporting needs {name}, which is not installed; install it with: pip install 'olmv[onnx]'"
            )


@contextlib.contextmanager
def _working_folder(folder: Path) -> Iterator[Path]:
    """A folder on the same disk that is gone afterwards, so that nothing half-made ever has a file's name."""
    fresh = not folder.exists()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".export-", dir=folder) as made:
            yield Path(made)
    except OSError as error:
        raise OutputError(f"cannot write into the folder '{folder}' ({reason(error)}); choose another folder") from None
    finally:
        if fresh:
            with contextlib.suppress(OSError):
                folder.rmdir()  # only an empty one


def _trace(
    module: nn.Module, inputs: Mapping[str, Tensor], dynamic: Mapping[str, Mapping[int, Any]], path: Path, output: str
) -> int:
    """Write the graph; returns its opset."""
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


def _pixels(model: VideoCLIP, batch: int, time: int) -> Tensor:
    size = model.preprocess.size
    made = torch.randint(0, 256, (batch, time, 3, size, size), generator=torch.Generator().manual_seed(batch + time))
    return made.float()


def _export_video(model: VideoCLIP, path: Path, output: str) -> int:
    dim = torch.export.Dim
    dynamic = {"pixels": {0: dim("batch"), 1: dim("time")}}
    return _trace(_Video(model), {"pixels": _pixels(model, *TRACED)}, dynamic, path, output)


def _check_video(model: VideoCLIP, path: Path) -> float:
    graph, largest = load_graph("onnx", path), 0.0
    for batch, time in CHECKED:
        pixels = _pixels(model, batch, time)
        with torch.inference_mode():
            frames = model.preprocess.normalize(pixels.byte())  # of floats it would change `pixels`
            expected = model.encode_video(frames) if model.yields_video_embedding else model.encode_frames(frames)
        largest = max(largest, _difference(graph, {"pixels": pixels}, expected, f"{batch} videos of {time} frames"))
    return largest


def _tokens(model: VideoCLIP, texts: tuple[str, ...]) -> dict[str, Tensor]:
    """The inputs of the text graph."""
    towers = model.towers
    if not isinstance(towers, OwnTowers):
        return {"ids": towers.tokenizer(list(texts)).long()}
    ids, mask = towers.token_ids(texts)
    return {"ids": ids, "mask": mask}


def _export_text(model: VideoCLIP, path: Path) -> None:
    dim = torch.export.Dim
    texts: dict[int, Any] = {0: dim("texts")}
    inputs = _tokens(model, TEXTS[:2])
    if isinstance(model.towers, OwnTowers):
        texts[1] = dim("length", max=model.context_length)
        _trace(_OwnText(model.towers), inputs, {"ids": texts, "mask": texts}, path, "text")
    else:
        _trace(_Text(model.towers), inputs, {"ids": texts}, path, "text")


def _check_text(model: VideoCLIP, path: Path) -> float:
    graph, largest = load_graph("onnx", path), 0.0
    for texts in ((TEXTS[0],), TEXTS):
        difference = _difference(graph, _tokens(model, texts), model.encode_texts(texts), f"{len(texts)} texts")
        largest = max(largest, difference)
    return largest


def _difference(graph: Any, inputs: Mapping[str, Tensor], expected: Tensor, what: str) -> float:
    """Raises ModelError unless the graph gives what torch gives."""
    try:
        got = torch.from_numpy(graph({name: tensor.numpy() for name, tensor in inputs.items()}))
    except Exception as error:  # the runtimes have no common class of error
        raise ModelError(
            f"the exported graph does not run on {what} ({reason(error)}); use the model with olmv, or export another"
        ) from None
    found = float((got - expected).abs().max()) if got.shape == expected.shape else math.inf
    if not found <= MAX_DIFFERENCE:  # NaN too
        raise ModelError(
            f"the exported graph gives other results than torch on {what} (a difference of {found:.2g}, at most "
            f"{MAX_DIFFERENCE:g} is accepted); use the model with olmv, or export another"
        )
    return found


def _describe(model: VideoCLIP, output: str, opset: int, video: float, text: float) -> dict[str, Any]:
    size, dim, mini = model.preprocess.size, model.embed_dim, isinstance(model.towers, OwnTowers)
    length = "L" if mini else model.context_length
    texts: dict[str, Any] = {"ids": {"dtype": "int64", "shape": ["A", length]}}
    if mini:
        texts["mask"] = {"dtype": "bool", "shape": ["A", length], "meaning": "True for real tokens"}
    rows = ["B", dim] if output == "video" else ["B", "2T" if model.temporal_options.get("keep") else "T", dim]
    versions = {name: str(importlib.import_module(name).__version__) for name in PACKAGES}
    return {
        "format": EXPORT_FORMAT,
        "model": short_name(model.name),
        "temporal": model.temporal,
        "opset": opset,
        "video.onnx": {
            "inputs": {"pixels": {"dtype": "float32", "shape": ["B", "T", 3, size, size], "range": [0, 255]}},
            "outputs": {output: {"dtype": "float32", "shape": rows, "normalised": "L2"}},
            "max_abs_diff": video,
        },
        "text.onnx": {
            "inputs": texts,
            "outputs": {"text": {"dtype": "float32", "shape": ["A", dim], "normalised": "L2"}},
            "max_abs_diff": text,
        },
        # of frames before they are pixels; its mean and std are applied inside the graph
        "preprocess": model.preprocess.to_dict(),
        "tokenizer": {"kind": _tokenizer_kind(model), "context_length": model.context_length},
        "logit_scale": model.logit_scale,
        "logit_bias": model.logit_bias,
        "versions": versions,
    }


def _tokenizer_kind(model: VideoCLIP) -> str:
    if isinstance(model.towers, OwnTowers) or hasattr(model.towers.tokenizer, "tokenizer"):
        return "tokenizer.json"  # beside the graphs, where the model is saved with them
    return f"open_clip.{type(model.towers.tokenizer).__name__}"
