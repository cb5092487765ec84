"""`Classifier.predict` beside its peers and beside its own floor, in one process, on each part of the corpus.

Figures, under `parts/PART/`; medians of rounds in which the arms take turns:
    ARM/seconds_a_video, ARM/processor_s_a_video    processor seconds are those of the worker processes too
    speedup_PEER          the peer's seconds over olmv's
    over_floor            olmv's seconds over those of decoding alone and then encoding alone, with olmv's own workers,
                          dtype and device (with a GPU: over the longer of the two)
    over_floor_processor  the same of processor seconds
    encoder_idle          share of the time in which the model encodes nothing
    decoders_idle         share of the workers' time in which they use no processor
    first_encoding_s      from the call to the first frames in the model
and `parts/over_floor`, `parts/over_floor_processor` of the whole corpus. `olmv-keyframes` is `sampling="keyframes"`,
`olmv-int8` is `dtype="int8"` on a CPU, `speedup_naive_int8` the naive arm's seconds over it.
"""

import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from statistics import median
from typing import Any
from unittest.mock import patch

import torch

from olmv.classifier import Classifier
from olmv.errors import OlmvError
from olmv.models.base import VideoEmbedding
from olmv.models.clip.model import VideoCLIP
from olmv.models.embed import embed_windows
from olmv.models.registry import load_video_clip
from olmv.predictions import VideoPrediction
from olmv.video.options import DecodeOptions
from olmv.video.transforms import Preprocess
from olmv.video.workers.loader import FrameLoader
from scripts.benchmarks.predict_corpus import FRAMES, LABELS, Models
from scripts.benchmarks.predict_peers import Peer, make_peers
from scripts.benchmarks.process_tree import worker_seconds
from scripts.benchmarks.results import Figure
from scripts.benchmarks.turns import Costs, costs_in_turns, ratio

__all__ = ["decode_only", "encode_only", "idle_times", "measure_parts", "predict_all"]

KEYFRAMES = "longgop"


def predict_all(classifier: Classifier, paths: Iterable[str], **options: Any) -> None:
    """Predict with all defaults but `options`; a video that cannot be read ends the benchmark."""
    failed = [p.video for p in classifier.predict(paths, LABELS, **options) if p.status != "ok"]
    if failed:
        raise SystemExit(f"could not read {failed[:3]}; delete them, and they are made again")


def decode_only(preprocess: Preprocess, paths: Sequence[str]) -> None:
    """Take all frames from olmv's workers and drop them."""
    with FrameLoader(paths, preprocess=preprocess, options=DecodeOptions(frames=FRAMES)) as loader:
        for _ in loader:
            pass


def encode_only(model: VideoCLIP, videos: int, batch: int = 64) -> None:
    """Encode as many frames of noise as `videos` have."""
    size = model.preprocess.size
    pixels = torch.randint(0, 255, (batch, 3, size, size), dtype=torch.uint8)
    left = videos * FRAMES
    with torch.inference_mode():
        while left > 0:
            part = pixels[: min(batch, left)]
            model.encode_frames(model.preprocess.normalize(part, dtype=model.dtype, device=model.device)[None])
            left -= batch
    _synchronize()


class TimedClassifier(Classifier):
    """A classifier that notes when its model encodes."""

    encoding_s = 0.0
    first: float | None = None

    def stream(self, *arguments: Any, **options: Any) -> Iterator[VideoPrediction]:
        """Predict as ever."""
        predictions = super().stream(*arguments, **options)

        def run() -> Iterator[VideoPrediction]:
            with patch("olmv.stream.embed_windows", self._embed_windows):
                yield from predictions

        return run()

    def _embed_windows(self, *arguments: Any, **options: Any) -> list[list[VideoEmbedding]]:
        started = time.perf_counter()
        self.first = self.first or started
        windows = embed_windows(*arguments, **options)
        _synchronize()
        self.encoding_s += time.perf_counter() - started
        return windows


@dataclass(frozen=True)
class Idle:
    """Shares of a call, from 0 to 1, and the seconds to the first encoding."""

    encoder: float
    decoders: float
    first_encoding_s: float


def idle_times(model: VideoCLIP, paths: Sequence[str]) -> Idle:
    """Predict once more, and say how long encoder and decoders wait for each other."""
    classifier = TimedClassifier(model)
    started = time.perf_counter()
    with worker_seconds(os.getpid()) as seconds:
        predict_all(classifier, paths)
        wall = time.perf_counter() - started
    busy = sum(seconds.values()) / (wall * len(os.sched_getaffinity(0)))
    assert classifier.first is not None
    return Idle(1 - classifier.encoding_s / wall, 1 - busy, classifier.first - started)


def measure_parts(paths: Mapping[str, list[str]], models: Models, rounds: int) -> tuple[list[Figure], dict[str, Any]]:
    """Measure everything that the module's docstring names.

    Returns:
        The figures; and of the run: rounds, videos, seconds of every round, and the peers that are left out.
    """
    model = load_video_clip(models.olmv)
    classifier = Classifier(model)
    peers, left_out = make_peers(models.open_clip, device=model.device, dtype=model.dtype)
    for name, reason in left_out.items():
        print(f"{name} is left out: {reason}", flush=True)
    for peer in peers.values():
        peer(paths["small"][:2])
    predict_all(classifier, paths["small"][:2])  # as the peers: to warm up; and it encodes the texts
    int8 = _in_int8(models, str(model.device), paths["small"][:2])
    encode_only(model, 8)
    figures, floors, seconds = [], {}, {}
    for part, files in paths.items():
        costs = _costs(peers, classifier, int8, part, files, rounds)
        seconds[part] = {name: [round(s, 3) for s in times] for name, times in costs.wall.items()}
        floors[part] = costs
        idle = idle_times(model, files)
        values = _values(costs, list(peers), len(files)) | {
            "encoder_idle": idle.encoder,
            "decoders_idle": idle.decoders,
            "first_encoding_s": idle.first_encoding_s,
        }
        figures += [Figure(f"parts/{part}/{name}", value, None, None, len(files)) for name, value in values.items()]
        print(f"{part}: " + ", ".join(f"{name} {value:.3f}" for name, value in values.items()), flush=True)
    videos = sum(map(len, paths.values()))
    for name, kind in (("over_floor", "wall"), ("over_floor_processor", "processor")):
        whole = {arm: _sums([getattr(costs, kind)[arm] for costs in floors.values()]) for arm in ("olmv", "floor")}
        figures.append(Figure(f"parts/{name}", ratio(whole, "olmv", "floor"), None, None, videos))
    run = {
        "rounds": rounds,
        "videos": {part: len(files) for part, files in paths.items()},
        "dtype": str(model.dtype).removeprefix("torch."),
        "device": str(model.device),
        "left_out": left_out,
        "seconds": seconds,
    }
    return figures, run


def _in_int8(models: Models, device: str, paths: Sequence[str]) -> Classifier | None:
    """Return the same model in int8, warmed up; None where it cannot be."""
    if device != "cpu":
        return None
    try:
        classifier = Classifier.from_pretrained(models.olmv, dtype="int8")
    except OlmvError as error:
        print(f"olmv-int8 is left out: {error}", flush=True)
        return None
    predict_all(classifier, paths)
    return classifier


def _costs(
    peers: Mapping[str, Peer],
    classifier: Classifier,
    int8: Classifier | None,
    part: str,
    files: list[str],
    rounds: int,
) -> Costs:
    """Let the arms of a part take turns; the floor is added as if it were one of them."""
    arms: dict[str, Any] = {name: partial(peer, files) for name, peer in peers.items()}
    model: Any = classifier.model
    arms["olmv"] = partial(predict_all, classifier, files)
    if int8 is not None:
        arms["olmv-int8"] = partial(predict_all, int8, files)
    if part == KEYFRAMES:
        arms["olmv-keyframes"] = partial(predict_all, classifier, files, sampling="keyframes")
    arms["decode"] = partial(decode_only, model.preprocess, files)
    arms["encode"] = partial(encode_only, model, len(files))
    costs = costs_in_turns(arms, rounds)
    together = max if model.device.type == "cuda" else sum
    costs.wall["floor"] = [together(pair) for pair in zip(costs.wall["decode"], costs.wall["encode"], strict=True)]
    costs.processor["floor"] = _sums([costs.processor["decode"], costs.processor["encode"]])
    return costs


def _values(costs: Costs, peers: Sequence[str], videos: int) -> dict[str, float]:
    values = {}
    for arm, times in costs.wall.items():
        values[f"{arm}/seconds_a_video"] = median(times) / videos
        values[f"{arm}/processor_s_a_video"] = median(costs.processor[arm]) / videos
    for peer in peers:
        values[f"speedup_{peer}"] = ratio(costs.wall, peer, "olmv")
    if "olmv-keyframes" in costs.wall:
        values["speedup_naive_keyframes"] = ratio(costs.wall, "naive", "olmv-keyframes")
    if "olmv-int8" in costs.wall:
        values["speedup_naive_int8"] = ratio(costs.wall, "naive", "olmv-int8")
    values["over_floor"] = ratio(costs.wall, "olmv", "floor")
    values["over_floor_processor"] = ratio(costs.processor, "olmv", "floor")
    return values


def _sums(rows: Sequence[Sequence[float]]) -> list[float]:
    return [sum(column) for column in zip(*rows, strict=True)]


def _synchronize() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
