"""Real clips and photos for `real_tuning.py`: what the first layers of olmv-lite give for them, computed once.

Tuning runs change the last layers only (`TAIL`: six blocks and the head, four fifths of the image tower's weights, a
third of its arithmetic), all of them alike. The layers before are frozen, so what they give, mirrored pictures too, is
kept on disk, and a run takes minutes on one core.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from olmv.models.clip.model import VideoCLIP
from olmv.models.lite.network import LiteVisionTower
from olmv.models.lite.towers import LiteTowers
from olmv.models.registry import load_video_clip
from olmv.train.data.dataset import Batch
from olmv.video.options import DecodeOptions
from olmv.video.transforms import Preprocess
from olmv.video.workers.loader import FrameLoader, batches
from scripts.benchmarks.real_sets import RealSet

__all__ = ["FRAMES", "Activations", "Clips", "tail_model"]

TAIL = 15
"""The first block that is trained: the beginning of the last stage but one, where pictures shrink to 9 x 9."""
FRAMES = 8
MEASURED = 4  # of them


class Head(nn.Module):
    """The frozen layers: pictures [N, 3, S, S] -> [N, C, H, W]."""

    def __init__(self, tower: LiteVisionTower) -> None:
        super().__init__()
        self.stem, self.blocks = tower.stem, tower.blocks[:TAIL]

    def forward(self, pictures: Tensor) -> Tensor:
        x = F.relu6(self.stem(pictures.contiguous(memory_format=torch.channels_last)))
        for block in self.blocks:
            x = block(x)
        return x


class Tail(nn.Module):
    """The trained layers: [N, C, H, W] -> embeddings [N, D], not normalised."""

    def __init__(self, tower: LiteVisionTower) -> None:
        super().__init__()
        self.blocks, self.head = tower.blocks[TAIL:], tower.head

    def forward(self, x: Tensor) -> Tensor:
        x = x.contiguous(memory_format=torch.channels_last)
        for block in self.blocks:
            x = block(x)
        return F.relu6(self.head(x), inplace=True).mean((2, 3))


class AsTheyAre(Preprocess):
    """Takes activations for pixels: they are only brought into the model's dtype."""

    def normalize(
        self, pixels: Tensor, *, dtype: torch.dtype | None = None, device: torch.device | str | None = None
    ) -> Tensor:
        return pixels.to(device=device, dtype=dtype)


def tail_model(name: str, temporal: str = "mean") -> VideoCLIP:
    """Load olmv-lite without its frozen layers: its frames are activations."""
    plain = load_video_clip(name, device="cpu", dtype="float32", temporal="mean")
    towers = plain.towers
    assert isinstance(towers, LiteTowers)
    assert isinstance(towers.visual, LiteVisionTower)
    towers.visual = Tail(towers.visual)
    towers.cpu_pictures = 16  # these are small
    options = {"width": 256} if temporal == "transformer" else {}
    model = VideoCLIP(
        towers, name=name, preprocess=AsTheyAre(**vars(plain.preprocess)), templates=plain.templates,
        temporal=temporal, temporal_options=options,
    )  # fmt: skip
    return model.eval().requires_grad_(False)


@dataclass(frozen=True)
class Activations:
    """Of N videos: values [N, 2, T, C, H, W] float16, the second of the two mirrored; counts [N] of real frames."""

    real: RealSet
    values: NDArray[np.float16]
    counts: NDArray[np.int64]

    @classmethod
    def of(cls, real: RealSet, name: str, *, frames: int, cache: Path) -> "Activations":
        """Look at every video once; what was computed before is read."""
        file = cache / f"{real.name}-{frames}.npz"
        if not file.is_file():
            values, counts = _encode(real, name, frames)
            cache.mkdir(parents=True, exist_ok=True)
            with file.with_suffix(".part").open("wb") as part:
                np.savez(part, values=values, counts=counts)
            file.with_suffix(".part").rename(file)
        saved = np.load(file)
        return cls(real, saved["values"], saved["counts"])


@torch.inference_mode()
def _encode(real: RealSet, name: str, frames: int) -> tuple[NDArray[np.float16], NDArray[np.int64]]:
    model = load_video_clip(name, device="cpu", dtype="float32", temporal="mean")
    assert isinstance(model.towers, LiteTowers)
    assert isinstance(model.towers.visual, LiteVisionTower)
    head = Head(model.towers.visual)
    values: NDArray[np.float16] | None = None
    counts = np.zeros(len(real.videos), dtype=np.int64)
    loader = FrameLoader(
        real.videos, preprocess=model.preprocess, options=DecodeOptions(frames=frames, timeout_s=120.0)
    )
    with loader:
        for batch in batches(loader, 8):
            for video in batch:
                if video.pixels is None:
                    raise SystemExit(f"{video.path}: {video.error}; mend the folder")
                shown = model.preprocess.normalize(video.pixels, dtype=torch.float32)
                made = torch.stack([head(shown), head(shown.flip(-1))]).half().numpy()
                if values is None:
                    values = np.zeros((len(real.videos), 2, frames, *made.shape[2:]), dtype=np.float16)
                values[video.index, :, : made.shape[1]] = made
                counts[video.index] = made.shape[1]
    assert values is not None
    return values, counts


class Clips:
    """Some videos of a set, as `olmv.train` takes them.

    Args:
        activations: of the set.
        rows: of the videos.
        shown: frames of a clip in training, at random places and now and then mirrored; None for every other one as it
            is, to measure.
        seed: of the random choices.
    """

    def __init__(
        self, activations: Activations, rows: Sequence[int], *, shown: int | None = None, seed: int = 0
    ) -> None:
        self.activations, self.rows, self.shown, self.seed = activations, list(rows), shown, seed
        self.labels = activations.real.labels

    def __len__(self) -> int:
        return len(self.rows)

    def batches(
        self, order: Sequence[int], epoch: int, *, batch_size: int, workers: int | None = None
    ) -> Iterator[Batch]:
        """Yield batches of activations [B, T, C, H, W] float16."""
        del workers
        for start in range(0, len(order), batch_size):
            yield self._batch(order[start : start + batch_size], epoch)

    def _batch(self, places: Sequence[int], epoch: int) -> Batch:
        source, rows = self.activations, [self.rows[place] for place in places]
        frames = self.shown or min(MEASURED, source.values.shape[2])
        pixels = torch.zeros(len(rows), frames, *source.values.shape[3:], dtype=torch.float16)
        mask = torch.zeros(len(rows), frames, dtype=torch.bool)
        for place, row in enumerate(rows):
            mirrored, chosen = self._choice(row, epoch)
            pixels[place, : len(chosen)] = torch.from_numpy(source.values[row, mirrored, chosen])
            mask[place, : len(chosen)] = True
        return Batch(
            pixels=pixels,
            mask=mask,
            targets=torch.from_numpy(source.real.truth[rows]).float(),
            labelled=torch.ones(len(rows), dtype=torch.bool),
            captions=[None] * len(rows),
            videos=[str(source.real.videos[row]) for row in rows],
            failed=[],
        )

    def _choice(self, row: int, epoch: int) -> tuple[int, list[int]]:
        count = int(self.activations.counts[row])
        if self.shown is None:
            return 0, list(range(count))[:: max(1, count // MEASURED)]
        random = np.random.default_rng([self.seed, epoch, row])
        chosen = sorted(random.choice(count, size=min(self.shown, count), replace=False).tolist())
        return int(random.integers(2)), chosen
