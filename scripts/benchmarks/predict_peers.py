"""What else one could write in place of `Classifier.predict`, in one process, with the model loaded already.

naive          OpenCV seek per frame, PIL and open_clip's transform, float32, one video at a time
transformers   the same frames through transformers' own CLIP and its processor
decord         decord reads a video's frames at once, torch prepares them as one batch, threads read the next videos
               while open_clip's model encodes two at a time, in bfloat16 where the CPU multiplies it: what a good
               engineer would write
torchcodec     the same, reading with torchcodec

A peer takes paths and returns the similarities of every video to the labels, float32 [labels] each.
"""

import itertools
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import interpolate, normalize

import olmv  # noqa: F401  # before open_clip: see olmv._torchvision_guard
from scripts.benchmarks.naive_predict import read_frames
from scripts.benchmarks.predict_corpus import FRAMES, label_vectors

__all__ = ["Peer", "batched", "make_peers", "naive", "read_decord", "read_torchcodec", "transformers_clip"]

Peer = Callable[[Sequence[str]], list[Tensor]]
Reader = Callable[[str], Tensor]

VIDEOS_A_BATCH = 2


def frame_numbers(count: int) -> list[int]:
    """Return the middles of as many equal parts of a video as frames are wanted."""
    return [int((i + 0.5) * count / FRAMES) for i in range(FRAMES)]


def naive(model: Any, preprocess: Any, texts: Tensor) -> Peer:
    """Make the loop that most would write first."""

    def predict(paths: Sequence[str]) -> list[Tensor]:
        with torch.no_grad():
            pixels = (torch.stack([preprocess(f) for f in read_frames(path, FRAMES)]) for path in paths)
            return [_similarities(model.encode_image(clip.to(texts.device)), texts) for clip in pixels]

    return predict


def transformers_clip(model: Any, processor: Any, texts: Tensor) -> Peer:
    """Make the same loop with transformers' parts."""

    def predict(paths: Sequence[str]) -> list[Tensor]:
        found = []
        for path in paths:
            with torch.no_grad():
                pixels = processor(images=read_frames(path, FRAMES), return_tensors="pt").pixel_values
                features = model.get_image_features(pixel_values=pixels.to(texts.device))
                found.append(_similarities(getattr(features, "pooler_output", features), texts))
        return found

    return predict


def batched(model: Any, read: Reader, texts: Tensor, dtype: torch.dtype) -> Peer:
    """Make the batch pipeline: threads read and shrink the next videos while the model encodes.

    Args:
        model: open_clip's, of `dtype`, on the device of `texts`.
        read: a path to its frames, uint8 [8, 3, H, W].
        texts: float32 [labels, D].
        dtype: of the model.
    """
    size = model.visual.image_size
    side = size if isinstance(size, int) else size[0]
    mean, std = (
        torch.tensor(v, device=texts.device).view(3, 1, 1) for v in (model.visual.image_mean, model.visual.image_std)
    )

    def predict(paths: Sequence[str]) -> list[Tensor]:
        found: list[Tensor] = []
        with (
            ThreadPoolExecutor(len(os.sched_getaffinity(0)), initializer=torch.set_num_threads, initargs=(1,)) as pool,
            torch.inference_mode(),
        ):
            clips = pool.map(lambda path: shrink(read(path), side), paths)
            for batch in _parts(clips, VIDEOS_A_BATCH):
                pixels = torch.cat(batch).to(texts.device).float().div_(255).sub_(mean).div_(std).to(dtype)
                features = model.encode_image(pixels).split([len(clip) for clip in batch])
                found += [_similarities(part, texts) for part in features]
        return found

    return predict


def shrink(frames: Tensor, side: int) -> Tensor:
    """Resize the shorter edge and cut out the middle: uint8 [T, 3, H, W] -> [T, 3, side, side], as open_clip does."""
    height, width = frames.shape[-2:]
    scale = side / min(height, width)
    small = interpolate(
        frames, size=(round(height * scale), round(width * scale)), mode="bicubic", antialias=True, align_corners=False
    )
    top, left = (small.shape[-2] - side) // 2, (small.shape[-1] - side) // 2
    return small[..., top : top + side, left : left + side]


def read_decord(path: str) -> Tensor:
    """Read a video's frames with decord: uint8 [8, 3, H, W], channels last in memory."""
    import decord

    reader = decord.VideoReader(path, num_threads=1)  # there is a thread a core already
    frames: Any = reader.get_batch(frame_numbers(len(reader))).asnumpy()
    return torch.from_numpy(frames).permute(0, 3, 1, 2)


def read_torchcodec(path: str) -> Tensor:
    """Read a video's frames with torchcodec: uint8 [8, 3, H, W], channels last in memory."""
    from torchcodec.decoders import VideoDecoder

    decoder = VideoDecoder(path, dimension_order="NHWC", num_ffmpeg_threads=1, seek_mode="approximate")
    frames: Tensor = decoder.get_frames_at(frame_numbers(decoder.metadata.num_frames)).data
    return frames.permute(0, 3, 1, 2)


def make_peers(folder: Path, *, device: torch.device, dtype: torch.dtype) -> tuple[dict[str, Peer], dict[str, str]]:
    """Load the model of open_clip's `folder` for every peer.

    Returns:
        The peers by name, and the reasons why others are left out.
    """
    import copy

    import open_clip

    plain, _, preprocess = open_clip.create_model_and_transforms(f"local-dir:{folder}", device=device)
    plain.eval()
    quick = copy.deepcopy(plain).to(dtype)
    texts = label_vectors(512).to(device)
    readers: Mapping[str, Reader] = {"decord": read_decord, "torchcodec": read_torchcodec}
    left_out = {name: reason for name in readers if (reason := _why_not(name))}
    peers = {"naive": naive(plain, preprocess, texts), "transformers": _transformers_peer(texts)}
    peers |= {name: batched(quick, read, texts, dtype) for name, read in readers.items() if name not in left_out}
    return peers, left_out


def _transformers_peer(texts: Tensor) -> Peer:
    """Make transformers' CLIP ViT-B/32 with random weights of its own."""
    from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel

    model: Any = CLIPModel(CLIPConfig(vision_config={"patch_size": 32}))
    return transformers_clip(model.eval().to(texts.device), CLIPImageProcessor(), texts)


def _why_not(reader: str) -> str:
    """Return why a reader's package cannot be used here, the first line of it; nothing where it can."""
    try:
        if reader == "decord":
            import decord  # noqa: F401
        else:
            import torchcodec.decoders  # noqa: F401
    except (ImportError, OSError, RuntimeError) as error:
        return (str(error).strip() or type(error).__name__).splitlines()[0]
    return ""


def _similarities(features: Tensor, texts: Tensor) -> Tensor:
    return normalize(features.float(), dim=-1).mean(0) @ texts.T


def _parts(clips: Iterator[Tensor], count: int) -> Iterator[list[Tensor]]:
    while part := list(itertools.islice(clips, count)):
        yield part
