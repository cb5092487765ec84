"""Exported graphs beside torch: whether another runtime encodes frames faster on this CPU.

    python scripts/benchmarks/bench_export.py [--quick] [--json FILE] [--threads N]

ViT-B-32 and ViT-B-16 with random weights (real speed, no download), frame averaging, 8 frames a video, the frames
already resized. The graphs are those of `olmv models export`. Arms take turns in this process:

    eager            torch, float32
    eager-bf16       torch, weights in bfloat16; on a CPU without instructions for it (`settings` tells) this is far
                     below 1, and `--dtype auto` does not choose it there
    onnx             ONNX Runtime, float32
    openvino         OpenVINO, float32
    openvino-bf16    OpenVINO, asked for bfloat16; left out where the CPU has none

Figures, by MODEL/BATCH (videos at a time): ARM/MODEL/BATCH is frames a second over those of eager, the median of
pairs over rounds; fps/MODEL/BATCH are eager's frames a second; diff/ARM/MODEL is the largest difference of a number
in the unit vectors from eager's. --quick: ViT-B-32, one video at a time.
"""

import argparse
import copy
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from torch import Tensor

from olmv.devices import cpu_bf16_flag
from olmv.models.export.onnx import export_onnx
from olmv.models.export.runtimes import load_graph
from olmv.models.open_clip.loading import random_model
from scripts.benchmarks.common import report
from scripts.benchmarks.turns import ratio, time_in_turns

FRAMES, SIZE = 8, 224
FEW = 3  # rounds of an arm that is far slower than the others


def openvino_has_bf16() -> bool:
    import openvino

    return "BF16" in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


def encoders(architecture: str, threads: int) -> dict[str, Callable[[Tensor], np.ndarray[Any, Any]]]:
    """Arms from pixels [B, T, 3, S, S] float32, 0 to 255, to rows [B, T, D]."""
    model = random_model(architecture, device="cpu")
    half = copy.deepcopy(model).to(torch.bfloat16)

    def eager(used: Any) -> Callable[[Tensor], np.ndarray[Any, Any]]:
        def run(pixels: Tensor) -> np.ndarray[Any, Any]:
            frames = used.preprocess.normalize(pixels.byte(), dtype=used.dtype)
            found: np.ndarray[Any, Any] = used.encode_frames(frames).float().numpy()
            return found

        return run

    def graph(kind: str, path: Path, **options: Any) -> Callable[[Tensor], np.ndarray[Any, Any]]:
        loaded = load_graph(kind, path, threads, **options)
        return lambda pixels: loaded({"pixels": pixels.numpy()})

    with tempfile.TemporaryDirectory() as folder:
        export_onnx(model, folder)
        path = Path(folder) / "video.onnx"
        arms = {
            "eager": eager(model),
            "eager-bf16": eager(half),
            "onnx": graph("onnx", path),
            "openvino": graph("openvino", path),
        }
        if openvino_has_bf16():
            arms["openvino-bf16"] = graph("openvino", path, bfloat16=True)
    return arms


def measure(architecture: str, batches: list[int], rounds: int, threads: int) -> dict[str, float]:
    arms, figures = encoders(architecture, threads), {}
    for batch in batches:
        pixels = torch.randint(0, 256, (batch, FRAMES, 3, SIZE, SIZE)).float()
        works = {name: partial(arm, pixels) for name, arm in arms.items()}
        emulated = {"eager-bf16"} if cpu_bf16_flag() is None else set()
        fast = {name: work for name, work in works.items() if name not in emulated}
        found = {name: work() for name, work in fast.items()}  # and warms up
        took = time_in_turns(fast, rounds)
        ratios = {name: ratio(took, "eager", name) for name in fast if name != "eager"}
        for name in emulated if batch == 1 else ():
            found[name] = works[name]()
            ratios[name] = ratio(time_in_turns({"eager": works["eager"], name: works[name]}, FEW), "eager", name)
        figures[f"fps/{architecture}/{batch}"] = batch * FRAMES / median(took["eager"])
        figures |= {f"{name}/{architecture}/{batch}": value for name, value in sorted(ratios.items())}
        for name in ratios:
            figures[f"diff/{name}/{architecture}"] = float(np.abs(found[name] - found["eager"]).max())
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--rounds", type=int, default=7)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    figures: dict[str, float] = {}
    rounds = 3 if args.quick else args.rounds
    with torch.no_grad():
        for architecture in ("ViT-B-32",) if args.quick else ("ViT-B-32", "ViT-B-16"):
            figures |= measure(architecture, [1] if args.quick else [1, 8], rounds, args.threads)
    settings = {
        "quick": args.quick, "threads": args.threads, "rounds": rounds, "frames": FRAMES,
        "bf16_instructions": cpu_bf16_flag() or "none",
    }  # fmt: skip
    report(figures, settings, args.json, "runtimes beside eager float32")


if __name__ == "__main__":
    main()
