"""Score windows of a library as a prediction scores them: from the rows of their frames, not from one vector."""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import normalize

from olmv.library.library import Library
from olmv.models.base import VideoEmbedding, VideoModel
from olmv.scoring.bank import TextBank
from olmv.scoring.score import score_clips
from olmv.stream import windows_of

__all__ = ["WindowScorer"]

_TOGETHER = 256  # windows
_PARTS_KEPT = 1024


class WindowScorer:
    """Scores windows against a bank.

    Args:
        library: has their rows.
        model: that made them.
        bank: C labels, with their background where the model needs one.
    """

    def __init__(self, library: Library, model: VideoModel, bank: TextBank) -> None:
        self._library, self._model, self._bank = library, model, bank
        self._rows_of = lru_cache(maxsize=_PARTS_KEPT)(self._find_rows)

    def score(self, fragment: int, windows: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the similarities and the logits [W, C] of windows of a fragment.

        Args:
            fragment: its place in the library.
            windows: [W] their places in the fragment.
        """
        similarity = np.zeros((len(windows), len(self._bank.labels)))
        logits = np.zeros_like(similarity)
        for first in range(0, len(windows), _TOGETHER):
            some = windows[first : first + _TOGETHER]
            clips = [self._clip(fragment, int(window)) for window in some]
            lengths = [0 if clip.rows.ndim == 1 else len(clip.rows) for clip in clips]
            for length in set(lengths):  # those of as many rows together
                places = [place for place, own in enumerate(lengths) if own == length]
                scored = self._scored([clips[place] for place in places])
                for target, values in zip((similarity, logits), scored, strict=True):
                    target[np.array(places) + first] = values.double().cpu().numpy()
        return similarity, logits

    def _scored(self, clips: Sequence[VideoEmbedding]) -> tuple[Tensor, Tensor]:
        pooling = self._model.frame_pooling
        return score_clips(self._model, clips, self._bank, frame_pooling=pooling)  # type: ignore[arg-type]

    def _clip(self, place: int, window: int) -> VideoEmbedding:
        fragment = self._library.fragments[place]
        rows = self._rows_of(place, int(fragment.window_table.part[window]))
        part = int(fragment.window_table.part[window])
        taken = rows[window - int(fragment.window_bounds[part])]
        values = torch.from_numpy(np.asarray(fragment.row_vectors[taken], np.float32)).to(self._model.device)
        unit = normalize(values, dim=-1)
        return VideoEmbedding(unit[0] if getattr(self._model, "yields_video_embedding", False) else unit)

    def _find_rows(self, place: int, part: int) -> list[NDArray[np.int64]]:
        """Return for each window of a part the rows of the fragment that a prediction sees, repeated ones too."""
        fragment, settings = self._library.fragments[place], self._library.settings
        first, stop = fragment.window_bounds[part : part + 2]
        if settings.rows == "windows":
            table = fragment.window_table
            bounds = zip(table.first_row[first:stop].tolist(), table.rows[first:stop].tolist(), strict=True)
            return [np.arange(begin, begin + count) for begin, count in bounds]
        video, begin = fragment.record(part).frames, int(fragment.row_bounds[part])
        moments = windows_of(video, self._model, settings.decode, settings.timeline).moments
        row_of = np.arange(len(video.times_s)) if video.rows is None else video.rows
        return [begin + row_of[window] for window in moments[: stop - first]]
