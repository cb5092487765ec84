"""Small things that tests make for themselves: clips of coloured frames, a tiny model folder."""

import json
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

LABELS = ("dog", "guitar", "rain", "a red ball")


def write_clip(path: Path, *, seed: int = 0, frames: int = 24, size: tuple[int, int] = (64, 48)) -> Path:
    """A clip of `frames` frames at 12 per second whose colours depend on the seed. Makes the folder too."""
    path.parent.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(seed)
    start, step = random.integers(0, 256, 3), random.integers(-9, 10, 3)
    width, height = size
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=Fraction(12))
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for number in range(frames):
            pixels = np.zeros((height, width, 3), np.uint8)
            pixels[:] = (start + number * step) % 256
            pixels[height // 4 : height // 2, : width // 2] = 255 - pixels[0, 0]
            for packet in stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)
    return path


def write_tiny_open_clip(folder: Path, *, bias: float | None = None) -> str:
    """A folder with a random CLIP of two small layers, and its name for `load_model`."""
    import open_clip
    import torch
    from safetensors.torch import save_file

    config: dict[str, object] = {
        "embed_dim": 32,
        "vision_cfg": {"image_size": 32, "layers": 2, "width": 64, "head_width": 32, "patch_size": 8},
        "text_cfg": {"context_length": 24, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 2},
    }
    if bias is not None:
        config["init_logit_bias"] = bias
    torch.manual_seed(0)
    model = open_clip.CLIP(**config)
    folder.mkdir(parents=True, exist_ok=True)
    save_file(model.state_dict(), folder / "open_clip_model.safetensors")
    preprocess = {"mean": [0.5] * 3, "std": [0.5] * 3, "interpolation": "bicubic", "resize_mode": "shortest"}
    text = json.dumps({"model_cfg": config, "preprocess_cfg": preprocess})
    (folder / "open_clip_config.json").write_text(text)
    return f"local-dir:{folder}"
