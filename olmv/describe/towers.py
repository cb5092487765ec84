"""What the gate asks about texts: the sentence encoder that ships, and the text tower that reads a book."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import normalize

from olmv.devices import one_thread
from olmv.labels.templates import apply, resolve
from olmv.models.base import VideoModel
from olmv.models.clip.model import VideoCLIP
from olmv.models.default import LITE
from olmv.models.lite.towers import LiteTowers
from olmv.models.registry import load_model

__all__ = ["ModelTower", "SentenceEncoder"]

BATCH = 256
FEW = 32


class SentenceEncoder:
    """Embeds phrases by what they mean, with the encoder inside olmv-lite (all-MiniLM-L6-v2), on the CPU.

    It tells what a phrase is about better than the text towers of small CLIPs, which know pictures of things and little
    of what is said about them: see "The gate" in docs/benchmarks.md.
    """

    def __init__(self) -> None:
        model = load_model(LITE, device="cpu", dtype="float32")
        assert isinstance(model, VideoCLIP)
        assert isinstance(model.towers, LiteTowers)
        self._towers = model.towers

    @torch.inference_mode()
    def embed(self, phrases: Sequence[str]) -> NDArray[np.float32]:
        """Return unit vectors [N, D] of N phrases."""
        if len(phrases) <= FEW:
            with one_thread():  # threads would wait for each other, the more so beside a language model
                return _stack([self._towers.meaning(phrases)] if phrases else [], self._towers.config.text_width)
        parts = [self._towers.meaning(phrases[start : start + BATCH]) for start in range(0, len(phrases), BATCH)]
        return _stack(parts, self._towers.config.text_width)


class ModelTower:
    """Embeds phrases as labels are embedded when videos are scored: in the model's templates, averaged.

    Args:
        model: as `olmv.load_model` gives it.
    """

    def __init__(self, model: VideoModel) -> None:
        self._model = model
        self._templates = resolve(model.templates)

    @torch.inference_mode()
    def embed(self, phrases: Sequence[str]) -> NDArray[np.float32]:
        """Return unit vectors [N, D] of N phrases."""
        if not phrases:
            return self.embed(["nothing"])[:0]
        texts = [apply(template, phrase) for phrase in phrases for template in self._templates]
        rows = normalize(self._model.encode_texts(texts).float(), dim=-1)
        return _stack([normalize(rows.view(len(phrases), len(self._templates), -1).mean(dim=1), dim=-1)], 0)


def _stack(parts: Sequence[Tensor], width: int) -> NDArray[np.float32]:
    vectors: NDArray[np.float32] = torch.cat(list(parts)).cpu().numpy() if parts else np.empty((0, width), np.float32)
    return vectors
