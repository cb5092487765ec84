"""What `bench_predict` predicts on: drawn clips of three kinds, and one model as two folders.

    python scripts/benchmarks/predict_corpus.py FOLDER [--quick]

small     320x240, 10 s
720p      1280x720, 20 s, a keyframe a second
longgop   1280x720, 60 s, a keyframe every 250 frames

The model is ViT-B-32 with random weights (real speed, no download): as olmv saves it, and as open_clip's own
`local-dir:` reads it.
"""

import argparse
import json
import multiprocessing
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np
import torch

from olmv.models.open_clip.loading import random_model
from olmv.models.storage.saving import save_pretrained

__all__ = ["CORPUS", "FRAMES", "LABELS", "QUICK", "Models", "Parts", "label_vectors", "make_corpus", "make_models"]

FRAMES = 8
ARCHITECTURE = "ViT-B-32"
LABELS = [f"thing number {i}" for i in range(20)]
RATE = 25


Parts = Mapping[str, tuple[int, int, int, int, int]]
# name: (clips, width, height, seconds, frames between keyframes)
CORPUS: Parts = {
    "small": (60, 320, 240, 10, 250),
    "720p": (10, 1280, 720, 20, 25),
    "longgop": (3, 1280, 720, 60, 250),
}
QUICK: Parts = {"small": (12, 320, 240, 10, 250), "720p": (4, 1280, 720, 20, 25), "longgop": (2, 1280, 720, 60, 250)}


@dataclass(frozen=True)
class Models:
    """The folders of one model: `olmv` as olmv saves it, `open_clip` for open_clip's `local-dir:`."""

    olmv: Path
    open_clip: Path


def make_clip(path: str, seed: int, width: int, height: int, seconds: int, gop: int) -> None:
    """Write a clip with moving texture: neither a still nor noise."""
    rng = np.random.default_rng(seed)
    texture = rng.integers(0, 255, (height // 8 + 64, width // 8 + 64, 3), dtype=np.uint8)
    big = np.repeat(np.repeat(texture, 8, axis=0), 8, axis=1)
    temporary = path + ".tmp"
    with av.open(temporary, "w", format="mp4") as container:
        options = {
            "preset": "veryfast",
            "crf": "28",
            "g": str(gop),
            "keyint_min": str(gop),
            "sc_threshold": "0",
        }
        stream = container.add_stream("libx264", rate=RATE, options=options)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for t in range(seconds * RATE):
            x, y = int(200 + 180 * np.sin(t / 40)), int(200 + 180 * np.cos(t / 55))
            picture = np.ascontiguousarray(big[y : y + height, x : x + width])
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    Path(temporary).replace(path)


def make_corpus(folder: Path, parts: Parts) -> dict[str, list[str]]:
    """Write the clips that are not there yet; return the paths by part."""
    jobs, paths = [], {}
    for part, (count, width, height, seconds, gop) in parts.items():
        (folder / part).mkdir(parents=True, exist_ok=True)
        paths[part] = [str(folder / part / f"{i:03}.mp4") for i in range(count)]
        jobs += [(p, i, width, height, seconds, gop) for i, p in enumerate(paths[part]) if not Path(p).exists()]
    if jobs:
        with ProcessPoolExecutor(mp_context=multiprocessing.get_context("spawn")) as pool:
            for future in [pool.submit(make_clip, *job) for job in jobs]:
                future.result()
    return paths


def make_models(folder: Path) -> Models:
    """Save the model for olmv and for open_clip, the same random weights in both."""
    from safetensors.torch import save_file

    torch.manual_seed(0)
    model = random_model(ARCHITECTURE, device="cpu")
    save_pretrained(model, folder / "olmv")
    plain: Any = model.towers.model
    (folder / "open_clip").mkdir()
    config = json.loads((folder / "olmv" / "open_clip_config.json").read_text(encoding="utf-8"))
    (folder / "open_clip" / "open_clip_config.json").write_text(json.dumps(config), encoding="utf-8")
    weights = {name: tensor.contiguous() for name, tensor in plain.state_dict().items()}
    save_file(weights, folder / "open_clip" / "open_clip_model.safetensors")
    return Models(folder / "olmv", folder / "open_clip")


def label_vectors(width: int) -> torch.Tensor:
    """Draw a vector for every label, [labels, width] of length 1: the peers' texts, whose encoding is not timed."""
    drawn = torch.randn(len(LABELS), width, generator=torch.Generator().manual_seed(0))
    return torch.nn.functional.normalize(drawn, dim=-1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--quick", action="store_true")
    args = parser.parse_args()
    for part, paths in make_corpus(args.folder, QUICK if args.quick else CORPUS).items():
        print(f"{part}: {len(paths)} clips")


if __name__ == "__main__":
    main()
