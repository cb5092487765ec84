"""What is reviewed: the scores of videos, from a predictions file or from whoever has scored a library."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from olmv.calibrate.loading import Loaded, load_unlabelled
from olmv.errors import InputError, UsageError
from olmv.evaluate.joined import Scored
from olmv.io.prediction_rows import valid_text
from olmv.scoring.logits import logit_of

__all__ = ["BINS", "STEPS", "MediaOf", "ReviewSource", "no_media", "review_folder"]

BINS, STEPS = 50, 1000

Floats = NDArray[np.float64]

MediaOf = Callable[[str], Mapping[str, Any]]
"""From the path of a video to what a page can show of it, any of "player", "pictures", "start_s"."""


def no_media(video: str) -> Mapping[str, Any]:
    """Show nothing of a video but its name."""
    del video
    return {}


@dataclass(frozen=True)
class ReviewSource:
    """N videos and C labels with the model's own probabilities.

    Attributes:
        name: of the file or library, as the user gave it.
        videos: N paths, each once, as they are opened: absolute, or relative to the working directory.
        labels: C labels, each once.
        probability: [N, C], 0..1.
        threshold: [C], 0..1, those that were decided with.
        loaded: the scores as `olmv calibrate` has them, with the settings that made them, for the thresholds file.
        media: what a page can show of a video.
    """

    name: str
    videos: tuple[str, ...]
    labels: tuple[str, ...]
    probability: Floats
    threshold: Floats
    loaded: Loaded = field(repr=False)
    media: MediaOf = no_media
    _histograms: dict[str, list[int]] = field(default_factory=dict, repr=False, compare=False)
    _bases: dict[str, str] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def of_predictions(cls, path: Path, *, media: MediaOf = no_media) -> "ReviewSource":
        """Read the rows of `olmv predict`.

        Raises:
            InputError, UsageError: not such a file; cut by top-k; probabilities that are calibrated already, to which
                no thresholds file could belong.
        """
        return cls._of(str(path), load_unlabelled(path), media)

    @classmethod
    def of_scores(
        cls,
        name: str,
        *,
        videos: Sequence[str],
        labels: Sequence[str],
        logit: Floats,
        probability: Floats,
        threshold: Sequence[float] | Floats,
        model: str,
        mode: str = "multi-label",
        settings: Mapping[str, Any] | None = None,
        media: MediaOf = no_media,
    ) -> "ReviewSource":
        """Take scores [N, C] that were made of a library.

        Args:
            name: of the library.
            videos: N paths.
            labels: C labels.
            logit, probability: [N, C].
            threshold: [C].
            model: its name.
            mode: "multi-label" or "single-label".
            settings: of the run, as a `.run.json` has them; they become part of the thresholds file.
            media: what a page can show of a video.

        Raises:
            UsageError: nothing to review.
        """
        scored = Scored(
            videos=tuple(videos),
            labels=tuple(labels),
            logit=np.asarray(logit, dtype=np.float64),
            probability=np.asarray(probability, dtype=np.float64),
            truth=np.zeros(probability.shape, dtype=bool),
            threshold=np.asarray(threshold, dtype=np.float64),
            model=model,
        )
        return cls._of(name, Loaded(scored, mode, dict(settings or {})), media)

    @classmethod
    def _of(cls, name: str, loaded: Loaded, media: MediaOf) -> "ReviewSource":
        scored = loaded.scored
        if not scored.videos or not scored.labels:
            raise UsageError(f"{name} has no scores to review; give one with videos and labels")
        return cls(name, scored.videos, scored.labels, scored.probability, scored.threshold, loaded, media)

    @cached_property
    def keys(self) -> tuple[str, ...]:
        """Return the names [N] by which videos are known to pages and in the log: as UTF-8 can hold them."""
        return tuple(map(valid_text, self.videos))

    @cached_property
    def places(self) -> dict[str, int]:
        """Return where each video stands, by its key."""
        return {key: place for place, key in enumerate(self.keys)}

    def column(self, label: str) -> int:
        """Return where a label stands.

        Raises:
            InputError: no such label.
        """
        if label not in self.columns:
            raise InputError(f"{label!r} is none of the {len(self.labels)} labels of this review; choose one")
        return self.columns[label]

    def place(self, video: str) -> int:
        """Return where a video stands, from its key.

        Raises:
            InputError: no such video.
        """
        if video not in self.places:
            raise InputError(f"{video!r} is none of the videos of this review; reload the page")
        return self.places[video]

    def file_of(self, video: str) -> Path | None:
        """Return the file of a video, from its key; None where there is no such video."""
        return None if (place := self.places.get(video)) is None else Path(self.videos[place])

    @cached_property
    def columns(self) -> dict[str, int]:
        """Return where each label stands."""
        return {label: column for column, label in enumerate(self.labels)}

    def logit(self, column: int) -> Floats:
        """Return the logits [N] of a label: of its probability, which is what a threshold is on."""
        return logit_of(self.probability[:, column])

    def histogram(self, label: str) -> list[int]:
        """Count the videos of a label by their probability, in 50 bins of equal width.

        Raises:
            InputError: no such label.
        """
        if label not in self._histograms:
            column = self.probability[:, self.column(label)]
            self._histograms[label] = np.histogram(column, bins=BINS, range=(0, 1))[0].tolist()
        return self._histograms[label]

    def positives(self, label: str) -> list[int]:
        """Count the videos of a label at or above each of the probabilities 0, 0.001, ... 1: for a slider.

        Raises:
            InputError: no such label.
        """
        scores = np.sort(self.probability[:, self.column(label)])
        places = np.searchsorted(scores, np.arange(STEPS + 1) / STEPS, side="left")
        counts: list[int] = (len(scores) - places).tolist()
        return counts

    def basis(self, label: str) -> str:
        """Return the SHA-256 of a label's scores, to six digits, in whatever order the videos stand.

        Raises:
            InputError: no such label.
        """
        if label not in self._bases:
            digest = hashlib.sha256(self._sorted_keys)
            digest.update(np.round(self.probability[self._order, self.column(label)], 6).astype("<f4").tobytes())
            self._bases[label] = digest.hexdigest()
        return self._bases[label]

    @cached_property
    def _order(self) -> NDArray[np.int64]:
        return np.array(sorted(range(len(self.keys)), key=self.keys.__getitem__), np.int64)

    @cached_property
    def _sorted_keys(self) -> bytes:
        return "\0".join(self.keys[place] for place in self._order.tolist()).encode("utf-8", "surrogatepass")


def review_folder(source: Path) -> Path:
    """Return where the review of a library or predictions file is kept: `X.review` beside it."""
    return source.with_name(f"{source.name}.review")
