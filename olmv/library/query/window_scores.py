"""Score windows of a library as a prediction scores them: from the rows of their frames, not from one vector."""

from collections.abc import Iterator
from functools import lru_cache
from itertools import groupby

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from olmv.library.files import LibraryFiles
from olmv.library.source import read_rows, seen_rows
from olmv.models.base import VideoEmbedding, VideoModel
from olmv.scoring.bank import TextBank
from olmv.scoring.score import score_ragged
from olmv.stream import windows_of

__all__ = ["WindowScorer"]

_TOGETHER = 256  # windows
_PARTS_KEPT = 64


class WindowScorer:
    """Scores windows against a bank.

    Args:
        library: has their rows.
        model: that made them.
        bank: C labels, with their background where the model needs one; None where only times are asked for.
    """

    def __init__(self, library: LibraryFiles, model: VideoModel, bank: TextBank | None) -> None:
        self._library, self._model, self._bank = library, model, bank
        self._part = lru_cache(maxsize=_PARTS_KEPT)(self._read_part)

    def score(self, fragment: int, windows: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the similarities and the logits [W, C] of windows of a fragment.

        Args:
            fragment: its place in the library.
            windows: [W] their places in the fragment, rising.

        Raises:
            ValueError: there is no bank.
        """
        if self._bank is None:
            raise ValueError("windows are scored against a bank; give one")
        similarity = np.zeros((len(windows), len(self._bank.labels)))
        logits = np.zeros_like(similarity)
        for first in range(0, len(windows), _TOGETHER):
            some = windows[first : first + _TOGETHER]
            scored = score_ragged(
                self._model,
                list(self._clips(fragment, some)),
                self._bank,
                frame_pooling=self._model.frame_pooling,  # type: ignore[arg-type]
            )
            for target, values in zip((similarity, logits), scored, strict=True):
                target[first : first + len(some)] = values.double().numpy()
        return similarity, logits

    def peak_s(self, fragment: int, window: int, vector: Tensor) -> float:
        """Return when a window is most like a vector [D]: the time of a frame; its middle where none is kept."""
        own, table = self._library.fragments[fragment], self._library.fragments[fragment].window_table
        part = int(table.part[window])
        if self._library.settings.rows == "windows":
            return float(table.start_s[window] + table.end_s[window]) / 2
        place = window - int(own.window_bounds[part])
        rows, seen, moments = self._part(fragment, part)
        best = int((rows[seen[place]] @ vector.to(rows.device)).argmax())
        return float(own.record(part).frames.times_s[moments[place][best]])

    def _clips(self, place: int, windows: NDArray[np.int64]) -> Iterator[VideoEmbedding]:
        fragment = self._library.fragments[place]
        one = self._model.yields_video_embedding
        for part, own in groupby(windows.tolist(), key=lambda window: int(fragment.window_table.part[window])):
            rows, seen, _ = self._part(place, part)
            first = int(fragment.window_bounds[part])
            for window in own:
                taken = rows[seen[window - first]]
                yield VideoEmbedding(taken[0] if one else taken)

    def _read_part(self, place: int, part: int) -> tuple[Tensor, list[Tensor], list[NDArray[np.int64]]]:
        """Return the rows [R, D] of a part, L2-normalised; of each window which of them a prediction sees, and when."""
        fragment, settings = self._library.fragments[place], self._library.settings
        windows = None
        if settings.rows == "frames":
            windows = windows_of(fragment.record(part).frames, self._model, settings.decode, settings.timeline)
        seen = [torch.from_numpy(own) for own in seen_rows(fragment, part, windows)]
        return read_rows(fragment, part, self._model), seen, [] if windows is None else windows.moments
