"""Folders of real clips and photos with labels, as `eval_real.py` reads them."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from olmv.classifier import Classifier
from olmv.labels.attributes import AttributeBook
from olmv.labels.texts import build_texts
from olmv.labels.vocabulary import Vocabulary
from olmv.models.base import VideoEmbedding
from olmv.models.embed import video_vector
from olmv.scoring.score import score_clips
from olmv.video.options import DecodeOptions
from olmv.video.workers.loader import FrameLoader, batches

__all__ = ["Embedded", "RealSet", "embed"]

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class RealSet:
    """A folder with `labels.csv`: a column `video`, `labels` with `;` between them, perhaps `caption`, `group`.

    Attributes:
        name: of the folder.
        videos: N paths.
        labels: C names, sorted.
        truth: [N, C].
        captions: N sentences, or none.
        groups: N names of what must not be split between training and test, or none.
    """

    name: str
    videos: tuple[Path, ...]
    labels: tuple[str, ...]
    truth: Bools
    captions: tuple[str, ...]
    groups: tuple[str, ...]

    @classmethod
    def load(cls, folder: Path) -> "RealSet":
        """Read the folder's `labels.csv`."""
        with (folder / "labels.csv").open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        told = [[label for label in row["labels"].split(";") if label] for row in rows]
        labels = tuple(sorted({label for names in told for label in names}))
        truth = np.array([[label in names for label in labels] for names in told], dtype=bool)

        def column(name: str) -> tuple[str, ...]:
            return tuple(row[name] for row in rows) if rows and name in rows[0] else ()

        return cls(
            folder.name, tuple(folder / row["video"] for row in rows), labels, truth, column("caption"), column("group")
        )

    @property
    def exclusive(self) -> bool:
        """Whether exactly one label is true of every video, so that the best one can be right or wrong."""
        return len(self.labels) > 1 and bool((self.truth.sum(axis=1) == 1).all())

    def only(self, rows: Sequence[int]) -> "RealSet":
        """The same set with some of its videos."""
        captions = tuple(self.captions[row] for row in rows) if self.captions else ()
        groups = tuple(self.groups[row] for row in rows) if self.groups else ()
        videos = tuple(self.videos[row] for row in rows)
        return RealSet(self.name, videos, self.labels, self.truth[list(rows)], captions, groups)


@dataclass(frozen=True)
class Embedded:
    """A set whose videos a model has seen; those that could not be read are left out."""

    real: RealSet
    classifier: Classifier
    clips: list[VideoEmbedding]

    @property
    def vectors(self) -> Floats:
        """One unit vector a video [N, D]."""
        return np.stack([video_vector(clip).double().numpy() for clip in self.clips])

    def score(
        self,
        *,
        book: AttributeBook | None = None,
        templates: str | None = None,
        pooling: str = "mean",
        frame_pooling: str | None = None,
    ) -> tuple[Floats, Floats]:
        """Similarity and logit of every video and label, each [N, C]."""
        words = Vocabulary.from_names(list(self.real.labels))
        if book is not None:
            words = words.with_attributes(book)
        model = self.classifier.model
        bank = self.classifier.text_bank(build_texts(words, templates or model.templates))
        how: dict[str, Any] = {"pooling": pooling, "frame_pooling": frame_pooling or model.frame_pooling}
        scored = [score_clips(model, [clip], bank, **how) for clip in self.clips]
        similarity, logits = (np.concatenate([pair[k].double().cpu().numpy() for pair in scored]) for k in (0, 1))
        return similarity, logits


def embed(real: RealSet, classifier: Classifier, *, frames: int) -> Embedded:
    """Look at every video once."""
    loader = FrameLoader(
        real.videos, preprocess=classifier.model.preprocess, options=DecodeOptions(frames=frames, timeout_s=120.0)
    )
    clips: dict[int, VideoEmbedding] = {}
    with loader:
        for batch in batches(loader, 64):
            good = [video for video in batch if video.pixels is not None]
            made = classifier.embed_clips([video.tensor for video in good])
            clips |= dict(zip((video.index for video in good), made, strict=True))
            for video in batch:
                if video.error is not None:
                    print(f"left out: {video.path}: {video.error}", flush=True)
    rows = sorted(clips)
    return Embedded(real.only(rows), classifier, [clips[row] for row in rows])
