"""Runtimes, number formats and compilation beside torch in float32: what encodes frames faster on this CPU, how alike.

    python scripts/benchmarks/bench_export.py [DATA] [--quick] [--json FILE] [--threads N] [--models NAME,...]

olmv-lite, and ViT-B-32 with random weights (real speed, no download), frame averaging, 8 frames a video, the frames
already resized. The graphs are those of `olmv models export` and of `--dtype int8`. Arms take turns in this process:

    eager            torch, float32
    eager-bf16       torch, weights in bfloat16; on a CPU without instructions for it (`settings` tells) this is far
                     below 1, and `--dtype auto` does not choose it there
    compiled         torch.compile, float32
    compiled-bf16    torch.compile, weights in bfloat16; left out where bfloat16 is emulated
    onnx             ONNX Runtime, float32
    int8             ONNX Runtime, int8: `--dtype int8`
    openvino         OpenVINO, float32
    openvino-bf16    OpenVINO, asked for bfloat16; left out where the CPU has none

Figures, by MODEL/BATCH (videos at a time): ARM/MODEL/BATCH is frames a second over those of eager, the median of
pairs over rounds; fps/MODEL/BATCH are eager's frames a second; compile_s/ARM/MODEL/BATCH are the seconds of the first
call, and pays_after/ARM/MODEL/BATCH the videos after which they are earned back (left out where it is not faster
than the better of eager and eager-bf16); int8_s/MODEL are the seconds in which the int8 graph is made.

With DATA (folders as `eval_real.py` reads them), for float32, bfloat16, int8 and int8-plain (no bias corrected):
cosine_mean, cosine_min (of frames) and cosine_video (the mean, of videos) with float32, and map where the weights are
not random, by DTYPE/MODEL/FOLDER. --quick: one video at a time, one video of DATA in ten.
"""

import argparse
import copy
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from torch import Tensor

from olmv.classifier import Classifier
from olmv.devices import cpu_bf16_flag
from olmv.metrics.multilabel import multi_label
from olmv.models.clip.model import VideoCLIP
from olmv.models.export.int8 import quantise, shipped_clips
from olmv.models.export.onnx import export_onnx
from olmv.models.export.runtime_model import RuntimeModel, with_runtime
from olmv.models.export.runtimes import load_graph, open_runtime
from olmv.models.open_clip.loading import random_model
from olmv.models.registry import SHIPPED, load_video_clip
from scripts.benchmarks.real_sets import Embedded, RealSet, embed
from scripts.benchmarks.results import Figure, show, write
from scripts.benchmarks.turns import ratio, time_in_turns

FRAMES = 8
FEW = 3  # rounds of an arm that is far slower than the others
SETS = ("actions", "objects")

Encoder = Callable[[Tensor], Any]


def openvino_has_bf16() -> bool:
    import openvino

    return "BF16" in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


def figure(name: str, value: float, n: int) -> Figure:
    """One of n rounds, or of n videos."""
    return Figure(name, value, None, None, n)


def opened(name: str) -> VideoCLIP:
    """A model that ships, or an architecture of open_clip with random weights."""
    if name in SHIPPED:
        return load_video_clip(name, device="cpu", dtype="float32")
    return random_model(name, device="cpu")


def eager(model: VideoCLIP, encode: Callable[[Tensor], Tensor] | None = None) -> Encoder:
    def run(pixels: Tensor) -> Any:
        frames = model.preprocess.normalize(pixels.byte(), dtype=model.dtype)
        return (encode or model.encode_frames)(frames).float().numpy()

    return run


def graph(kind: str, path: Path, threads: int, **options: Any) -> Encoder:
    loaded = load_graph(kind, path, threads, **options)
    return lambda pixels: loaded({"pixels": pixels.numpy()})


def encoders(model: VideoCLIP, quantised: RuntimeModel, threads: int) -> dict[str, Encoder]:
    """Arms from pixels [B, T, 3, S, S] float32, 0 to 255, to rows [B, T, D]."""
    half = copy.deepcopy(model).to(torch.bfloat16)
    arms = {"eager": eager(model), "eager-bf16": eager(half)}
    arms["compiled"] = eager(model, torch.compile(model.encode_frames, dynamic=False))
    if cpu_bf16_flag() is not None:
        arms["compiled-bf16"] = eager(half, torch.compile(half.encode_frames, dynamic=False))
    with tempfile.TemporaryDirectory() as folder:
        export_onnx(model, folder, texts=False)
        path = Path(folder) / "video.onnx"
        arms["onnx"] = graph("onnx", path, threads)
        arms["openvino"] = graph("openvino", path, threads)
        if openvino_has_bf16():
            arms["openvino-bf16"] = graph("openvino", path, threads, bfloat16=True)
    everything = torch.ones(1, FRAMES, dtype=torch.bool)
    arms["int8"] = lambda pixels: quantised.encode_clips(pixels, everything.expand(len(pixels), -1))
    return arms


def measure(name: str, model: VideoCLIP, arms: dict[str, Encoder], batches: list[int], rounds: int) -> Iterator[Figure]:
    """Speeds."""
    emulated = {"eager-bf16"} if cpu_bf16_flag() is None else set()
    size = model.preprocess.size
    for batch in batches:
        where = f"{name}/{batch}"
        pixels = torch.randint(0, 256, (batch, FRAMES, 3, size, size)).float()
        works = {arm: partial(encode, pixels) for arm, encode in arms.items()}
        fast = {arm: work for arm, work in works.items() if arm not in emulated}
        first = {}
        for arm, work in fast.items():  # and warms up
            started = time.perf_counter()
            work()
            first[arm] = time.perf_counter() - started
        took = time_in_turns(fast, rounds)
        seconds = {arm: median(times) for arm, times in took.items()}
        yield figure(f"fps/{where}", batch * FRAMES / seconds["eager"], rounds)
        for arm in fast:
            if arm != "eager":
                yield figure(f"{arm}/{where}", ratio(took, "eager", arm), rounds)
        for arm in emulated if batch == 1 else ():
            works[arm]()
            slow = time_in_turns({"eager": works["eager"], arm: works[arm]}, FEW)
            yield figure(f"{arm}/{where}", ratio(slow, "eager", arm), FEW)
        plain = min(seconds[arm] for arm in ("eager", "eager-bf16") if arm in seconds)
        for arm in (arm for arm in fast if arm.startswith("compiled")):
            yield figure(f"compile_s/{arm}/{where}", first[arm], 1)
            if (gain := plain - seconds[arm]) > 0:
                yield figure(f"pays_after/{arm}/{where}", batch * first[arm] / gain, rounds)


def compared(name: str, formats: dict[str, Classifier], real: RealSet) -> Iterator[Figure]:
    """How alike embeddings are, and what labels lose."""
    seen: dict[str, Embedded] = {dtype: embed(real, made, frames=FRAMES) for dtype, made in formats.items()}
    exact, count = seen["float32"], len(seen["float32"].clips)
    for dtype, embedded in seen.items():
        where = f"{dtype}/{name}/{real.name}"
        if dtype != "float32":
            pairs = zip(embedded.clips, exact.clips, strict=True)
            cosines = torch.cat([(ours.rows * theirs.rows).sum(-1) for ours, theirs in pairs])
            yield figure(f"cosine_mean/{where}", float(cosines.mean()), count)
            yield figure(f"cosine_min/{where}", float(cosines.min()), count)
            yield figure(f"cosine_video/{where}", float((embedded.vectors * exact.vectors).sum(-1).mean()), count)
        if name in SHIPPED:
            similarity, _ = embedded.score()
            halves = np.full(len(exact.real.labels), 0.5)
            yield figure(f"map/{where}", multi_label((similarity + 1) / 2, exact.real.truth, halves).macro_map, count)


def alike(
    name: str, model: VideoCLIP, quantised: RuntimeModel, data: Path, folder: Path, step: int
) -> Iterator[Figure]:
    """What one video in `step` of real footage says of the number formats."""
    models = {"float32": model, "bfloat16": copy.deepcopy(model).to(torch.bfloat16), "int8": quantised}
    if name in SHIPPED:
        models["int8-plain"] = plain_int8(model, folder / name)
    formats = {dtype: Classifier(made) for dtype, made in models.items()}
    for part in SETS if name in SHIPPED else SETS[:1]:
        real = RealSet.load(data / part)
        yield from compared(name, formats, real.only(range(0, len(real.videos), step)))


def plain_int8(model: VideoCLIP, folder: Path) -> RuntimeModel:
    """As `--dtype int8`, but with the biases as they were."""
    export_onnx(model, folder, texts=False)
    quantise(folder / "video.onnx", shipped_clips(model.preprocess))
    return RuntimeModel(model, open_runtime("onnx", folder, torch.get_num_threads()), int8=True).eval()


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("data", type=Path, nargs="?", help=f"holds {' and '.join(SETS)}")
    parser.add_argument("--models", default="olmv-lite,ViT-B-32")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    figures: list[Figure] = []
    rounds = 3 if args.quick else args.rounds
    with torch.no_grad(), tempfile.TemporaryDirectory() as folder:
        os.environ["OLMV_CACHE"] = folder
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = str(Path(folder) / "compiled")  # an earlier run's would hide the cost
        for name in args.models.split(","):
            model = opened(name)
            started = time.perf_counter()
            quantised = with_runtime(model, "onnx", int8=True)
            figures.append(figure(f"int8_s/{name}", time.perf_counter() - started, 1))
            arms = encoders(model, quantised, args.threads)
            figures += measure(name, model, arms, [1] if args.quick else [1, 4], rounds)
            if args.data is not None:
                figures += alike(name, model, quantised, args.data, Path(folder) / "plain", 10 if args.quick else 1)
    settings = {
        "quick": args.quick, "threads": args.threads, "rounds": rounds, "frames": FRAMES,
        "bf16_instructions": cpu_bf16_flag() or "none",
    }  # fmt: skip
    show(figures, f"runtimes and number formats beside float32 in torch: {settings}")
    if args.json is not None:
        write(args.json, figures, settings)


if __name__ == "__main__":
    main()
