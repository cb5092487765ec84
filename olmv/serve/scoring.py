"""From what is kept of videos and the labels of a request to predictions; banks of labels are kept, too."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import torch

from olmv.labels.texts import build_texts
from olmv.labels.vocabulary import Vocabulary
from olmv.models.base import VideoModel
from olmv.predictions import VideoPrediction
from olmv.scoring.bank import TextBank
from olmv.scoring.encode_bank import encode_bank
from olmv.scoring.options import ScoreOptions
from olmv.scoring.prompted import PromptedBank
from olmv.scoring.thresholds import Thresholds
from olmv.serve.clips import StoredClip
from olmv.stream import make_scorer, predictions

__all__ = ["ClipScorer", "ScoreRequest"]

_BANKS = 8
_BANK_TEXTS = 50_000  # of all banks that are kept

_Key = tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...], str]


@dataclass(frozen=True, eq=False)
class ScoreRequest:
    """What videos are asked.

    Attributes:
        vocabulary: the labels.
        score: how they are scored.
        thresholds: by label, those of a file; None for none.
        by_label: thresholds of some labels, which win over those of the file.
        embeddings: tell the embedding of each video.
    """

    vocabulary: Vocabulary
    score: ScoreOptions = ScoreOptions()
    thresholds: Thresholds | None = None
    by_label: Mapping[str, float] = field(default_factory=dict)
    embeddings: bool = False

    @property
    def texts(self) -> int:
        """Return how many names, aliases and attributes there are."""
        return sum(1 + len(label.aliases) + len(label.attributes) for label in self.vocabulary)

    @property
    def limits(self) -> Thresholds | None:
        """Return the thresholds of the file with those of the request in their place."""
        if not self.by_label:
            return self.thresholds
        own = self.thresholds
        entries = {} if own is None else {label: own.entry(label) for label in own}
        changed = {
            label: entries[label].model_copy(update={"threshold": value, "leave": None}) if label in entries else value
            for label, value in self.by_label.items()
        }
        return Thresholds({**entries, **changed}, model=None if own is None else own.model)


class ClipScorer:
    """Scores videos against labels. Safe to share between threads.

    Args:
        model: whose embeddings they are.
    """

    def __init__(self, model: VideoModel) -> None:
        self.model = model
        self._banks: OrderedDict[_Key, TextBank | PromptedBank] = OrderedDict()
        self._lock = threading.Lock()

    def predict(
        self,
        clips: Sequence[StoredClip],
        request: ScoreRequest,
        *,
        progress: Callable[[int, int], None] | None = None,
    ) -> list[VideoPrediction]:
        """Return the prediction of each video.

        Args:
            clips: of any sampling.
            request: the labels, and how.
            progress: called with (done, all) while texts are encoded; what it raises ends the call.

        Raises:
            UsageError: an option is out of range, or the model is made for another number of frames.
        """
        bank = self.bank(request.vocabulary, request.score, progress=progress)
        results: list[VideoPrediction] = []
        with torch.inference_mode():
            for clip in clips:
                scorer = make_scorer(
                    self.model,
                    request.vocabulary,
                    clip.decode,
                    request.score,
                    thresholds=request.limits,
                    timeline=clip.timeline,
                    embeddings=request.embeddings,
                )
                results += predictions(clip.parts, scorer, bank)
        return results

    def bank(
        self, vocabulary: Vocabulary, score: ScoreOptions, *, progress: Callable[[int, int], None] | None = None
    ) -> TextBank | PromptedBank:
        """Return the embeddings of all texts of these labels, kept from the last time where they are the same."""
        texts = build_texts(vocabulary, score.templates or self.model.templates)
        key = (texts.texts, texts.phrases, texts.labels, score.mode)
        with self._lock:
            if (bank := self._banks.get(key)) is not None:
                self._banks.move_to_end(key)
                return bank
        bank = encode_bank(self.model, texts, mode=score.mode, progress=progress)
        with self._lock:
            self._banks[key] = bank
            while len(self._banks) > 1 and (
                len(self._banks) > _BANKS or sum(len(own[0]) for own in self._banks) > _BANK_TEXTS
            ):
                self._banks.popitem(last=False)
        return bank
