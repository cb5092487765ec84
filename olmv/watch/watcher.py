"""From a stream's frames to its events: window, probabilities, hysteresis."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from numpy.typing import NDArray

from olmv.errors import ModelError
from olmv.scoring.options import FramePooling
from olmv.scoring.probabilities import to_probabilities
from olmv.scoring.scaling import Scaler
from olmv.scoring.score import score_clips
from olmv.scoring.segments import default_leave
from olmv.watch.events import Change, EventTracker, Moment
from olmv.watch.options import WatchOptions
from olmv.watch.reader import Frame
from olmv.watch.rolling_window import RollingWindow

if TYPE_CHECKING:
    from olmv.models.base import VideoModel
    from olmv.scoring.bank import TextBank
    from olmv.scoring.prompted import PromptedBank

__all__ = ["BREAK_S", "Watcher"]

BREAK_S = 30.0
"""Seconds without a frame, after which events end: what is not seen any more is not known to go on."""


@dataclass(frozen=True)
class _Last:
    moment: Moment
    probability: NDArray[Any]


class Watcher:
    """Scores the newest seconds of a stream at each of its frames.

    Args:
        model: that encodes frames.
        bank: of the labels' texts.
        thresholds: [C].
        leaves: [C] the probability below which each label ends; None for what suits its threshold.
        scaler: makes calibrated probabilities of the model's; None leaves them.
        options: of the watch.

    Raises:
        UsageError: the window holds too many frames.
    """

    def __init__(
        self,
        model: "VideoModel",
        bank: "TextBank | PromptedBank",
        thresholds: Sequence[float],
        *,
        leaves: Sequence[float] | None = None,
        scaler: Scaler | None,
        options: WatchOptions,
    ) -> None:
        self._model, self._bank, self._scaler = model, bank, scaler
        self._window = RollingWindow(model, window_s=options.window_s, fps=options.fps)
        leave = [default_leave(threshold) for threshold in thresholds] if leaves is None else leaves
        self._tracker = EventTracker(thresholds, leave, hold_s=options.hold_s, cooldown_s=options.cooldown_s)
        self._last: _Last | None = None

    @property
    def open(self) -> list[int]:
        """Return the labels that are on."""
        return self._tracker.open

    def add(self, frame: Frame) -> tuple[list[Change], NDArray[Any]]:
        """Take a frame; return what changes, and the probabilities [C] of the window that ends with it.

        Raises:
            ModelError: the model makes no finite numbers.
        """
        changes = []
        if self._last is not None and frame.at_s - self._last.moment.at_s > BREAK_S:
            changes = self.end()
            self._window.clear()
        self._window.add(frame.pixels, frame.at_s)
        probability = self._score()
        moment = Moment(frame.time, frame.at_s, frame.picture)
        self._last = _Last(moment, probability)
        return changes + self._tracker.update(moment, probability), probability

    def check_silence(self) -> list[Change]:
        """End all events where no frame has come for `BREAK_S`."""
        if self._last is None or time.time() - self._last.moment.time <= BREAK_S:
            return []
        return self.end()

    def end(self) -> list[Change]:
        """End all events, at the last frame."""
        if self._last is None:
            return []
        return self._tracker.end_all(self._last.moment, self._last.probability)

    def _score(self) -> NDArray[Any]:
        embedding = self._window.embedding()
        pooling = cast(FramePooling, self._model.frame_pooling)
        with torch.inference_mode():
            bank = self._bank.for_video(embedding.context)
        _, logits = score_clips(self._model, [embedding], bank, frame_pooling=pooling)
        probability: NDArray[Any] = to_probabilities(logits)[0].double().cpu().numpy()
        if not np.isfinite(probability).all():
            raise ModelError(f"{self._model.name} makes no finite numbers of it; use dtype float32 or another model")
        return probability if self._scaler is None else np.asarray(self._scaler(probability))
