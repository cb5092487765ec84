"""Graphs that `olmv.models.export.onnx` wrote, run without torch: by ONNX Runtime or OpenVINO, on the CPU."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from olmv.errors import MissingDependencyError, ModelError, UsageError, reason
from olmv.models.storage.json import read_object

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["EXPORT_FORMAT", "RUNTIMES", "load_graph", "open_runtime"]

RUNTIMES = ("onnx", "openvino")
EXPORT_FORMAT = "olmv-export/1"

Graph = Callable[[Mapping[str, "NDArray[Any]"]], "NDArray[Any]"]


def open_runtime(kind: str, folder: str | Path, threads: int | None = None) -> "Callable[[NDArray[Any]], NDArray[Any]]":
    """Open the image tower and temporal module of an exported model as a function.

    Args:
        kind: `onnx` (ONNX Runtime) or `openvino`.
        folder: that `export_onnx` wrote.
        threads: of one call; default: the runtime's own choice.

    Returns:
        pixels [B, T, 3, S, S], 0 to 255, uint8 or float32 -> rows [B, R, D] or videos [B, D] (`export.json` tells),
        float32, L2-normalised.

    Raises:
        UsageError: unknown kind.
        ModelError: no exported model in the folder, or one that the runtime cannot read.
        MissingDependencyError: the runtime is not installed.
    """
    folder = Path(folder)
    try:
        known = read_object(folder / "export.json").get("format") == EXPORT_FORMAT
    except ModelError:
        known = False
    if not known:
        raise ModelError(f"no exported model in '{folder}'; make one: olmv models export NAME -o {folder}")
    graph = load_graph(kind, folder / "video.onnx", threads)

    def encode(pixels: "NDArray[Any]") -> "NDArray[Any]":
        return graph({"pixels": pixels.astype("float32", copy=False)})

    return encode


def load_graph(kind: str, path: Path, threads: int | None = None, *, bfloat16: bool = False) -> Graph:
    """Load a graph with one output as a function from its named inputs.

    Args:
        kind, threads: as in `open_runtime`.
        path: the `.onnx` file.
        bfloat16: let OpenVINO compute in bfloat16 where the CPU can; ONNX Runtime has no such thing.

    Raises:
        UsageError, ModelError, MissingDependencyError: as `open_runtime`.
    """
    if kind not in RUNTIMES:
        raise UsageError(f"unknown runtime '{kind}'; choose from {', '.join(RUNTIMES)}")
    load = _onnx if kind == "onnx" else _openvino
    try:
        return load(path, threads, bfloat16)
    except ImportError:
        raise MissingDependencyError(
            f"the runtime {kind} is not installed; install it with: pip install 'olmv[{kind}]'"
        ) from None
    except Exception as error:  # the runtimes have no common class of error
        raise ModelError(f"{kind} cannot read '{path}' ({reason(error)}); export the model again") from None


def _onnx(path: Path, threads: int | None, _: bool) -> Graph:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # what fails is raised as well
    if threads:
        options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])

    def run(inputs: Mapping[str, "NDArray[Any]"]) -> "NDArray[Any]":
        out: NDArray[Any] = session.run(None, dict(inputs))[0]
        return out

    return run


def _openvino(path: Path, threads: int | None, bfloat16: bool) -> Graph:
    import openvino

    # its default precision is bfloat16 on a CPU that has it: not what was checked
    settings: dict[str, Any] = {
        "INFERENCE_PRECISION_HINT": "bf16" if bfloat16 else "f32",
        "PERFORMANCE_HINT": "LATENCY",
    }
    if threads:
        settings["INFERENCE_NUM_THREADS"] = threads
    compiled = openvino.Core().compile_model(str(path), "CPU", settings)

    def run(inputs: Mapping[str, "NDArray[Any]"]) -> "NDArray[Any]":
        # the runtime writes every result into the same memory
        out: NDArray[Any] = compiled(dict(inputs))[0].copy()
        return out

    return run
