"""How fast `olmv predict` is, beside what a user would write and beside its own floor, in one run.

    python scripts/benchmarks/bench_predict.py [--quick] [--json FILE] [--corpus DIR]

Makes its corpus: 100 clips 320x240 of 10 s; 30 clips 1280x720 of 20 s with a keyframe a second; 10 clips 1280x720
of 60 s with a keyframe every 250 frames. ViT-B-32 with random weights (real speed, no download), 8 frames a video.

Arms, one after the other in this process, threads as the libraries choose them:
    naive          OpenCV seek per frame, PIL preprocessing, open_clip fp32, one video at a time
    transformers   the same frames through transformers' own CLIP and its processor
    olmv           `Classifier.predict`, defaults; and with sampling="keyframes" on the long-GOP clips
    floor          decode-only + encode-only with olmv's workers and dtype (with a GPU: the larger of the two)

Figures: speedup_* are seconds of the other arm over seconds of olmv; over_floor is olmv's seconds over the floor,
over all three parts of the corpus; rss_growth is the peak memory of 1,000 clips (2 frames each, to be
short) over that of 100, less one.
"""

import argparse
import multiprocessing
import os
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import av
import numpy as np
import torch

from olmv.classifier import Classifier
from olmv.labels.vocabulary import Vocabulary
from olmv.models.clip.model import VideoCLIP
from olmv.models.open_clip.towers import OpenClipTowers
from olmv.models.registry import load_video_clip
from olmv.models.storage.saving import save_pretrained
from olmv.video.options import DecodeOptions
from olmv.video.transforms import Preprocess
from olmv.video.workers.loader import FrameLoader
from scripts.benchmarks.common import peak_rss_mb, report

FRAMES = 8
ARCHITECTURE = "ViT-B-32"
LABELS = [f"thing number {i}" for i in range(20)]
# name: (clips, width, height, seconds, frames between keyframes)
CORPUS = {
    "small": (100, 320, 240, 10, 250),
    "720p": (30, 1280, 720, 20, 25),
    "longgop": (10, 1280, 720, 60, 250),
}
QUICK = {"small": (12, 320, 240, 10, 250), "720p": (4, 1280, 720, 20, 25), "longgop": (2, 1280, 720, 60, 250)}
RATE = 25


def make_clip(path: str, seed: int, width: int, height: int, seconds: int, gop: int) -> None:
    """A clip with moving texture: neither a still nor noise."""
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


def make_corpus(folder: Path, parts: dict[str, tuple[int, int, int, int, int]]) -> dict[str, list[str]]:
    """Clips by part; those already there are kept."""
    jobs, paths = [], {}
    for part, (count, width, height, seconds, gop) in parts.items():
        (folder / part).mkdir(parents=True, exist_ok=True)
        paths[part] = [str(folder / part / f"{i:03}.mp4") for i in range(count)]
        jobs += [(p, i, width, height, seconds, gop) for i, p in enumerate(paths[part]) if not Path(p).exists()]
    with ProcessPoolExecutor(mp_context=multiprocessing.get_context("spawn")) as pool:
        for future in [pool.submit(make_clip, *job) for job in jobs]:
            future.result()
    return paths


def seconds_of(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def opencv_frames(path: str) -> list[Any]:
    """What a user would write: seek to each of 8 frames, read, to PIL."""
    import cv2
    from PIL import Image

    capture = cv2.VideoCapture(path)
    count = int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
    pictures = []
    for i in range(FRAMES):
        capture.set(cv2.CAP_PROP_POS_FRAMES, int((i + 0.5) * count / FRAMES))
        good, frame = capture.read()
        if good:
            pictures.append(Image.fromarray(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)))
    capture.release()
    return pictures


def naive(model: Any, preprocess: Any, text: torch.Tensor, paths: Sequence[str]) -> None:
    for path in paths:
        with torch.no_grad():
            pixels = torch.stack([preprocess(p) for p in opencv_frames(path)])
            frames = model.encode_image(pixels)
            frames = frames / frames.norm(dim=-1, keepdim=True)
            (100 * frames.mean(0) @ text.T).softmax(-1)


def transformers_clip(model: Any, processor: Any, text: torch.Tensor, paths: Sequence[str]) -> None:
    for path in paths:
        with torch.no_grad():
            pixels = processor(images=opencv_frames(path), return_tensors="pt").pixel_values
            frames = model.get_image_features(pixel_values=pixels)
            frames = getattr(frames, "pooler_output", frames)
            frames = frames / frames.norm(dim=-1, keepdim=True)
            (100 * frames.mean(0) @ text.T).softmax(-1)


def transformers_parts() -> tuple[Any, Any]:
    """transformers' CLIP ViT-B/32 with random weights, and its processor."""
    from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel

    config = CLIPConfig(vision_config={"patch_size": 32})
    return CLIPModel(config).eval(), CLIPImageProcessor()


def run_olmv(classifier: Classifier, paths: Iterable[str], *, frames: int = FRAMES, **options: Any) -> None:
    failed = [
        p.video
        for p in classifier.predict(paths, Vocabulary.from_names(LABELS), frames=frames, **options)
        if p.status != "ok"
    ]
    if failed:
        raise SystemExit(f"could not read {failed[:3]}")


def decode_only(preprocess: Preprocess, paths: Sequence[str], **options: Any) -> None:
    with FrameLoader(paths, preprocess=preprocess, options=DecodeOptions(frames=FRAMES, **options)) as loader:
        for _ in loader:
            pass


def encode_only(model: VideoCLIP, videos: int, batch: int = 64) -> None:
    size = model.preprocess.size
    pixels = torch.randint(0, 255, (batch, 3, size, size), dtype=torch.uint8)
    left = videos * FRAMES
    with torch.inference_mode():
        while left > 0:
            part = pixels[: min(batch, left)]
            model.encode_frames(model.preprocess.normalize(part, dtype=model.dtype, device=model.device)[None])
            left -= batch
    if model.device.type == "cuda":
        torch.cuda.synchronize()


def _peak_child(folder: str, path: str, count: int, queue: Any) -> None:
    import resource

    classifier = Classifier.from_pretrained(folder)
    run_olmv(classifier, (path for _ in range(count)), frames=2)
    own = peak_rss_mb() * 1024
    workers = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    queue.put((own, workers))


def peak_memory(folder: str, path: str, count: int) -> float:
    """MB of the largest process of a run over `count` videos: the main one and its largest worker, added."""
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    process = context.Process(target=_peak_child, args=(folder, path, count, queue))
    process.start()
    own, workers = queue.get()
    process.join()
    return float(own + workers) / 1024


def measure(paths: dict[str, list[str]], memory_clips: tuple[int, int], saved: str) -> dict[str, float]:
    import open_clip  # here, because olmv's torchvision guard has to be in place first

    figures: dict[str, float] = {}
    torch.manual_seed(0)
    plain, _, preprocess = open_clip.create_model_and_transforms(ARCHITECTURE)
    plain.eval()
    towers = OpenClipTowers(plain, open_clip.get_tokenizer(ARCHITECTURE), open_clip.get_model_config(ARCHITECTURE))
    settings = Preprocess.from_open_clip(plain.visual.preprocess_cfg)
    save_pretrained(VideoCLIP(towers, name="random", preprocess=settings), saved)
    text = torch.nn.functional.normalize(torch.randn(len(LABELS), 512), dim=-1)
    hf_model, processor = transformers_parts()

    took: dict[str, float] = {}
    for part, files in paths.items():
        took[f"naive_{part}"] = seconds_of(lambda files=files: naive(plain, preprocess, text, files)) / len(files)  # type: ignore[misc]
        print(f"naive {part}: {took[f'naive_{part}']:.3f} s a video", flush=True)
    took["transformers_small"] = seconds_of(lambda: transformers_clip(hf_model, processor, text, paths["small"])) / len(
        paths["small"]
    )

    model = load_video_clip(saved)
    classifier = Classifier(model)
    run_olmv(classifier, paths["small"][:2])  # encodes the texts and warms up; not counted below
    encode_only(model, 8)
    olmv_total = floor_total = 0.0
    for part, files in paths.items():
        took[f"olmv_{part}"] = seconds_of(lambda files=files: run_olmv(classifier, files)) / len(files)  # type: ignore[misc]
        decode = seconds_of(lambda files=files: decode_only(model.preprocess, files)) / len(files)  # type: ignore[misc]
        encode = seconds_of(lambda files=files: encode_only(model, len(files))) / len(files)  # type: ignore[misc]
        floor = max(decode, encode) if model.device.type == "cuda" else decode + encode
        took |= {f"decode_{part}": decode, f"encode_{part}": encode}
        figures[f"over_floor_{part}"] = took[f"olmv_{part}"] / floor
        olmv_total += took[f"olmv_{part}"] * len(files)
        floor_total += floor * len(files)
        print(
            f"olmv {part}: {took[f'olmv_{part}']:.3f} s a video, floor {decode:.3f} + {encode:.3f}",
            flush=True,
        )
    keyframes = seconds_of(lambda: run_olmv(classifier, paths["longgop"], sampling="keyframes")) / len(paths["longgop"])
    took["olmv_longgop_keyframes"] = keyframes

    figures |= {
        "speedup_naive_small": took["naive_small"] / took["olmv_small"],
        "speedup_naive_720p": took["naive_720p"] / took["olmv_720p"],
        "speedup_naive_longgop": took["naive_longgop"] / took["olmv_longgop"],
        "speedup_naive_longgop_keyframes": took["naive_longgop"] / keyframes,
        "speedup_transformers_small": took["transformers_small"] / took["olmv_small"],
        "over_floor": olmv_total / floor_total,
    }
    few, many = (peak_memory(saved, paths["small"][0], n) for n in memory_clips)
    figures |= {"rss_growth": many / few - 1, "rss_mb": many}
    figures |= {f"seconds_{name}": value for name, value in took.items()}
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a small corpus, about a minute")
    parser.add_argument("--corpus", type=Path, help="where to keep the clips (default: a folder that is deleted)")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    parts, memory = (QUICK, (10, 50)) if args.quick else (CORPUS, (100, 1000))
    with tempfile.TemporaryDirectory() as scratch:
        paths = make_corpus(args.corpus or Path(scratch) / "corpus", parts)
        figures = measure(paths, memory, str(Path(scratch) / "model"))
    settings = {
        "architecture": ARCHITECTURE,
        "frames": FRAMES,
        "cpus": os.cpu_count(),
        "cuda": torch.cuda.is_available(),
    }
    report(figures, settings, args.json, "olmv predict, ViT-B-32 with random weights")


if __name__ == "__main__":
    main()
