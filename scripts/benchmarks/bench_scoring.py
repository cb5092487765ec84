"""What scoring stored video embeddings costs beside the bare matrix product, and whether its memory stays flat.

    python scripts/benchmarks/bench_scoring.py [--quick] [--json FILE] [--videos 1000000]

Random embeddings of 512 in float16 on disk, against 1,000 labels with a name and 8 attributes each.

Arms, taking turns in this process, threads as the libraries choose them:
    olmv      `score_stored`, from the mapped file
    product   `torch.mm` of embeddings that are in memory in the dtype of the product already, 4,096 at a time, into one
              buffer: with the 9,000 texts, or for `mean` with the 1,000 label vectors

Figures: over_matmul/POOLING is seconds of olmv over seconds of the product (median over rounds), float32;
over_matmul_bf16/POOLING the same in bfloat16; over_matmul is that of `mean`, the default. max, topk and softmax are
measured on fewer videos than mean, bfloat16 on fewer still (`settings` tells): all arms work chunk by chunk, so that
the ratios do not depend on the number. rss_growth is the peak memory of a process that keeps the best 5 labels of
every video, with `mean`, at all videos over that at a tenth, less one; rss_mb, seconds are those of all videos.
"""

import argparse
import multiprocessing
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize

from olmv.scoring.bank import TextBank
from olmv.scoring.options import POOLINGS, Pooling
from olmv.scoring.stored import score_stored
from scripts.benchmarks.common import peak_rss_mb, report
from scripts.benchmarks.turns import ratio, time_in_turns

WIDTH, LABELS, TEXTS, BEST = 512, 1000, 9, 5
CHUNK = 4096  # of the bare product: the fastest for it
# videos per arm and round: mean, the other poolings, the same in bfloat16 (which this may have no instructions for)
VIDEOS = {"float32": (102_400, 20_480), "bfloat16": (10_240, 2_048)}
QUICK = {"float32": (20_480, 4_096), "bfloat16": (2_048, 1_024)}


def make_bank(dtype: torch.dtype) -> TextBank:
    torch.manual_seed(0)
    count = LABELS * TEXTS
    return TextBank(
        embeddings=normalize(torch.randn(count, WIDTH), dim=-1).to(dtype),
        label_index=torch.arange(LABELS).repeat_interleave(TEXTS),
        texts=tuple(f"text {i}" for i in range(count)),
        labels=tuple(f"label {i}" for i in range(LABELS)),
    )


def make_embeddings(file: Path, videos: int) -> None:
    """`[videos, WIDTH]` float16, written in parts."""
    rng = np.random.default_rng(0)
    out = np.lib.format.open_memmap(file, mode="w+", dtype=np.float16, shape=(videos, WIDTH))
    for first in range(0, videos, 20_000):
        part = rng.standard_normal((min(20_000, videos - first), WIDTH), dtype=np.float32)
        out[first : first + len(part)] = part / np.linalg.norm(part, axis=1, keepdims=True)
    out.flush()


def product(embeddings: Tensor, texts: Tensor) -> Callable[[], None]:
    buffer = embeddings.new_empty(CHUNK, len(texts))

    def run() -> None:
        for first in range(0, len(embeddings), CHUNK):
            chunk = embeddings[first : first + CHUNK]
            torch.mm(chunk, texts.T, out=buffer[: len(chunk)])

    return run


def scoring(embeddings: Any, bank: TextBank, pooling: Pooling) -> Callable[[], None]:
    def run() -> None:
        for _ in score_stored(embeddings, bank, pooling=pooling):
            pass

    return run


def ratios(file: Path, dtype: torch.dtype, videos: tuple[int, int], rounds: int) -> dict[str, float]:
    """Pooling -> seconds over those of the bare product."""
    bank = make_bank(dtype)
    mapped = np.load(file, mmap_mode="r")
    few, many = mapped[: videos[1]], mapped[: videos[0]]
    arms = {
        "product/mean": product(torch.from_numpy(np.array(many)).to(dtype), bank.means),
        "mean": scoring(many, bank, "mean"),
        "product": product(torch.from_numpy(np.array(few)).to(dtype), bank.embeddings),
    }
    arms |= {pooling: scoring(few, bank, pooling) for pooling in POOLINGS if pooling != "mean"}
    with torch.inference_mode():
        time_in_turns(arms, 1)
        took = time_in_turns(arms, rounds)
    return {pooling: ratio(took, pooling, "product/mean" if pooling == "mean" else "product") for pooling in POOLINGS}


def _peak_child(file: str, videos: int, queue: Any) -> None:
    bank = make_bank(torch.float32)
    started = time.perf_counter()
    best = np.empty((videos, BEST), dtype=np.int16)
    for rows, similarity in score_stored(np.load(file, mmap_mode="r")[:videos], bank):
        best[rows] = similarity.topk(BEST, dim=1).indices.numpy()
    queue.put((time.perf_counter() - started, peak_rss_mb()))


def peak_memory(file: Path, videos: int) -> tuple[float, float]:
    """Seconds, and MB at the peak, of a process of its own."""
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    process = context.Process(target=_peak_child, args=(str(file), videos, queue))
    process.start()
    seconds, peak = queue.get()
    process.join()
    return seconds, peak


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer videos and rounds, under a minute")
    parser.add_argument("--videos", type=int, default=1_000_000, help="of the memory figure; 1 kB of disk each")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    videos, sizes, rounds = (100_000, QUICK, 3) if args.quick else (max(args.videos, 102_400), VIDEOS, 5)
    figures: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch) / "embeddings.npy"
        make_embeddings(file, videos)
        for name, suffix in (("float32", ""), ("bfloat16", "_bf16")):
            found = ratios(file, getattr(torch, name), sizes[name], rounds)
            figures |= {f"over_matmul{suffix}/{pooling}": value for pooling, value in found.items()}
            print(name, " ".join(f"{pooling} {value:.3f}" for pooling, value in found.items()), flush=True)
        _, few = peak_memory(file, videos // 10)
        seconds, many = peak_memory(file, videos)
    figures |= {
        "over_matmul": figures["over_matmul/mean"],
        "rss_growth": many / few - 1,
        "rss_mb": many,
        "seconds": seconds,
    }
    settings = {
        "memory_videos": videos,
        "videos_mean_float32": sizes["float32"][0],
        "videos_other_float32": sizes["float32"][1],
        "videos_mean_bfloat16": sizes["bfloat16"][0],
        "videos_other_bfloat16": sizes["bfloat16"][1],
        "rounds": rounds,
        "labels": LABELS,
        "texts_per_label": TEXTS,
        "threads": torch.get_num_threads(),
        "cpus": os.cpu_count(),
    }
    report(figures, settings, args.json, "scoring stored embeddings of 512")


if __name__ == "__main__":
    main()
