"""What a frozen image tower gives for every clip, encoded once and kept on disk.

Without it a frozen tower would encode the same clips in every epoch and every run. The price: each epoch sees the
same frames and crops (those of epoch 0). Runs with the same data and the same image tower share the files.

    FOLDER/KEY/embeddings.npy [N, T, D] float16   tokens.npy [N, T, G * G, W] float16   clips.json
"""

import json
import logging
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from olmv.errors import OutputError, UsageError
from olmv.io.atomic import reserve, write_atomic
from olmv.io.digests import sha256_json
from olmv.io.journal import open_locked
from olmv.models.clip.model import VideoCLIP
from olmv.models.clip.temporal import FrameFeatures
from olmv.models.fingerprint import digest_weights
from olmv.train.data.dataset import Batch, Failed, VideoDataset, batches

__all__ = ["Clips", "FeatureBatch", "FeatureStore", "on_device"]

log = logging.getLogger(__name__)
CHUNK = 32  # clips encoded together


@dataclass(frozen=True)
class FeatureBatch:
    """As `olmv.train.data.dataset.Batch`, with the tower's features [B, T, ...] in place of pixels."""

    pixels: FrameFeatures | None
    mask: Tensor
    targets: Tensor
    labelled: Tensor
    captions: list[str | None]
    videos: list[str]
    failed: list[Failed]
    known: Tensor | None = None


class Clips(Protocol):
    """What a run trains on and is checked with: videos, or what a frozen tower gave for them."""

    def __len__(self) -> int: ...

    def batches(
        self, order: Sequence[int], epoch: int, *, batch_size: int, workers: int | None = None
    ) -> Iterator[Batch] | Iterator[FeatureBatch]:
        """Yield batches of the clips of `order`; what is random in them follows from the epoch."""


class FeatureStore:
    """The features of a data set's clips.

    Args:
        folder: where features of all runs are kept.
        model: a video CLIP whose tower is frozen and gives features of single frames.
        dataset: the clips.
        identity: what tells this data set from others, as JSON.

    Raises:
        UsageError: the temporal module works inside the tower.
    """

    def __init__(self, folder: Path, model: VideoCLIP, dataset: VideoDataset, identity: Any) -> None:
        if not model.encodes_stills:
            raise UsageError(
                f"the temporal module '{model.temporal}' works inside the image tower, so its features cannot be kept; "
                "leave data.feature_cache out"
            )
        self._model, self._dataset = model, dataset
        self._layout: int = model.temporal_options.get("layout", 0)
        videos = [dataset.video(index) for index in range(len(dataset))]
        key = [_tower_fingerprint(model), identity, videos, dataset.frames, list(dataset.labels), self._layout]
        self._folder = folder / sha256_json(key)[:24]
        self._clips: list[dict[str, Any]] = []

    def prepare(self, progress: Callable[[int, int], None] | None = None) -> None:
        """Encode what is not there yet; a killed run goes on from its last written clip.

        Raises:
            OutputError: the folder cannot be written, or another run is writing it.
        """
        if not (self._folder / "clips.json").is_file():
            # runs with the same data share the folder, but only one may write it, or cut what a killed one left
            try:
                self._folder.mkdir(parents=True, exist_ok=True)
                lock = open_locked(self._folder / "lock")
            except OSError as error:
                raise self._output_error(error) from None
            try:
                if not (self._folder / "clips.json").is_file():  # the run before may just have finished
                    self._write(progress)
            finally:
                os.close(lock)
        self._open()

    def _write(self, progress: Callable[[int, int], None] | None) -> None:
        model, dataset = self._model, self._dataset
        count, time = len(dataset), dataset.frames
        shapes: dict[str, tuple[int, ...]] = {"embeddings": (count, time, model.embed_dim)}
        if self._layout:
            shapes["tokens"] = (count, time, self._layout**2, int(model.towers.token_width))
        try:
            arrays = {name: _mapped(self._folder / f"{name}.npy", shape) for name, shape in shapes.items()}
            done = self._begun()
            with (self._folder / "clips.jsonl").open("a", encoding="utf-8") as journal:
                for start, batch in self._encoded(done):
                    for row, clip in enumerate(batch):
                        for name, values in clip.pop("features", {}).items():
                            arrays[name][start + row, : len(values)] = values
                    for array in arrays.values():
                        array.flush()
                    journal.write("".join(json.dumps(clip) + "\n" for clip in batch))
                    journal.flush()
                    if progress is not None:
                        progress(start + len(batch), count)
        except OSError as error:
            raise self._output_error(error) from None
        lines = (self._folder / "clips.jsonl").read_text(encoding="utf-8").splitlines()
        write_atomic(self._folder / "clips.json", "[" + ",\n".join(lines) + "]\n")
        (self._folder / "clips.jsonl").unlink()

    def _output_error(self, error: OSError) -> OutputError:
        return OutputError(f"cannot keep features in '{self._folder}': {error.strerror or error}")

    def _begun(self) -> int:
        """Count the clips that an earlier, killed run has written; a torn last line is cut off."""
        path = self._folder / "clips.jsonl"
        if not path.is_file():
            return 0
        lines = [line for line in path.read_text(encoding="utf-8").splitlines(keepends=True) if line.endswith("\n")]
        whole_chunks = lines[: len(lines) // CHUNK * CHUNK]
        write_atomic(path, "".join(whole_chunks))
        return len(whole_chunks)

    def _encoded(self, done: int) -> Iterator[tuple[int, list[dict[str, Any]]]]:
        model = self._model
        order = range(done, len(self._dataset))
        start = done
        for batch in batches(self._dataset, order, 0, batch_size=CHUNK):
            size = len(batch.videos) + len(batch.failed)
            clips: list[dict[str, Any]] = []
            if batch.pixels is not None:
                with torch.inference_mode():
                    pixels = model.preprocess.normalize(batch.pixels, dtype=model.dtype, device=model.device)
                    stills = model.encode_stills(pixels, batch.mask.to(model.device))
                for row, video in enumerate(batch.videos):
                    real = int(batch.mask[row].sum())
                    features = {"embeddings": stills.embeddings[row, :real].half().cpu().numpy()}
                    if stills.tokens is not None:
                        features["tokens"] = stills.tokens[row, :real].half().cpu().numpy()
                    clips.append({
                        "video": video, "frames": real, "labels": batch.targets[row].nonzero().flatten().tolist(),
                        "labelled": bool(batch.labelled[row]), "caption": batch.captions[row], "features": features,
                    })  # fmt: skip
            clips += [{"video": video, "failed": message} for video, message in batch.failed]
            yield start, clips
            start += size

    def _open(self) -> None:
        self._clips = json.loads((self._folder / "clips.json").read_text(encoding="utf-8"))
        self._embeddings = np.load(self._folder / "embeddings.npy", mmap_mode="r")
        self._tokens = np.load(self._folder / "tokens.npy", mmap_mode="r") if self._layout else None

    def __len__(self) -> int:
        return len(self._dataset)

    def batches(
        self, order: Sequence[int], epoch: int = 0, *, batch_size: int, workers: int | None = None
    ) -> Iterator[FeatureBatch]:
        """Yield batches as `olmv.train.data.dataset.batches`, alike in every epoch; `prepare` comes first."""
        del epoch, workers
        for begin in range(0, len(order), batch_size):
            rows = order[begin : begin + batch_size]
            good = [i for i in rows if "failed" not in self._clips[i]]
            clips = [self._clips[i] for i in good]
            targets = torch.zeros(len(good), len(self._dataset.labels))
            for row, clip in enumerate(clips):
                targets[row, clip["labels"]] = 1
            lengths = torch.tensor([clip["frames"] for clip in clips], dtype=torch.long)
            yield FeatureBatch(
                pixels=self._read(good) if good else None,
                mask=torch.arange(self._dataset.frames)[None] < lengths[:, None],
                targets=targets,
                labelled=torch.tensor([clip["labelled"] for clip in clips], dtype=torch.bool),
                captions=[clip["caption"] for clip in clips],
                videos=[clip["video"] for clip in clips],
                failed=[Failed(c["video"], c["failed"]) for c in (self._clips[i] for i in rows) if "failed" in c],
                known=self._dataset.known(good),
            )

    def _read(self, rows: list[int]) -> FrameFeatures:
        sorting = np.argsort(rows)  # the disk is read forwards
        back = torch.from_numpy(np.argsort(sorting))
        ordered = np.asarray(rows)[sorting]
        device, dtype = self._model.device, self._model.dtype

        def taken(array: Any) -> Tensor:
            return torch.from_numpy(array[ordered])[back].to(device=device, dtype=dtype)

        return FrameFeatures(taken(self._embeddings), None if self._tokens is None else taken(self._tokens))


def _mapped(path: Path, shape: tuple[int, ...]) -> Any:
    if path.is_file():
        try:
            reserve(path)  # a copy of it may have holes
            there = np.load(path, mmap_mode="r+")
            if there.shape == shape:
                return there
        except (ValueError, EOFError):
            pass  # cut off in its first moments
    array = np.lib.format.open_memmap(path, mode="w+", dtype=np.float16, shape=shape)
    reserve(path)  # a disk that is full says so here; later it would kill the process
    return array


def _tower_fingerprint(model: VideoCLIP) -> str:
    """Name the image tower's weights, without the temporal module."""
    text = {id(p) for _, p in model.towers.text_parameters()}
    image = [(n, w) for n, w in model.towers.named_parameters() if id(w) not in text and w.ndim]
    return digest_weights(image, model.preprocess)


def on_device(pixels: Tensor | FrameFeatures, device: torch.device) -> Tensor | FrameFeatures:
    """Move pixels to the device; features are there already."""
    return pixels.to(device, non_blocking=True) if isinstance(pixels, Tensor) else pixels
