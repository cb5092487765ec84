"""What is looked for in a library, and the vectors that it becomes.

A text is a label of a list: worded in the model's own templates and measured against everyday words, so its probability
is the one that `olmv predict` gives. An image or a video is compared with windows by the cosine of their vectors, for
which there are no such words; its probability is a logistic curve that was fitted to pairs of clips and of photos, see
`ALIKE`.
"""

import unicodedata
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from olmv.errors import InputError, UsageError
from olmv.labels.label import clean_text
from olmv.labels.language import is_english
from olmv.labels.templates import apply, resolve
from olmv.labels.texts import Kind, LabelTexts
from olmv.library.encode import library_parts
from olmv.library.files import LibraryFiles
from olmv.library.query.filters import LabelLimit, VideoFilter
from olmv.models.base import VideoModel
from olmv.models.default import SHIPPED
from olmv.scoring.bank import TextBank
from olmv.scoring.encode_bank import encode_bank, truncated_texts
from olmv.video.workers.loader import FrameLoader

__all__ = ["ALIKE", "Alike", "EncodedQuery", "LibraryWindow", "SearchQuery", "encode_query"]

MAX_QUERY_CHARS = 10_000
MOST_LIKE_WINDOWS = 8
"""Of a video that is the query, evenly; each costs as much as a text."""
_NAME: Kind = "name"
_OTHER_SCRIPTS = 0x250  # in Unicode, what is before has Latin letters only


class Alike(NamedTuple):
    """The probability that two windows show the same, of their cosine: sigmoid(slope * (cosine - half)).

    Attributes:
        slope: logits a unit of cosine.
        half: the cosine at which it is as likely as not.
    """

    slope: float
    half: float


ALIKE = Alike(slope=20.0, half=0.65)
"""Measured with olmv-lite (`scripts/benchmarks/index_retrieval.py`): of clips of ten actions as alike as 0.65 to 0.7, a
third are of one action, from 0.7 to 0.75 half, above that nine in ten; of photos of a hundred things more than nine in
ten are of one thing from 0.6 on; of things that are not in a library, 1 of 100 has something as alike."""


class LibraryWindow(NamedTuple):
    """A window of the library that is searched.

    Attributes:
        video: by its name or path.
        time_s: that the window has.
    """

    video: str
    time_s: float


@dataclass(frozen=True, kw_only=True)
class SearchQuery:
    """What is looked for.

    Attributes:
        texts: all of them must be true of a moment.
        without: none of them may be.
        like: an image or a video that a moment must be like; None for none.
        window: of the library itself, that a moment must be like; None for none.
        labels: what must be true of the video.
        videos: which are searched.
        threshold: the probability from which a moment passes.
        top: the most moments that are told.
        all_moments: tell each moment of a video, not only its best.
    """

    texts: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    like: str | Path | None = None
    window: LibraryWindow | None = None
    labels: tuple[LabelLimit, ...] = ()
    videos: VideoFilter = VideoFilter()
    threshold: float = 0.5
    top: int = 20
    all_moments: bool = False

    def check(self) -> None:
        """Check what can be checked without the library.

        Raises:
            VocabularyError: a text is empty, too long or has control characters.
            UsageError: there is nothing to look for, or a number is out of range.
            InputError: the file to compare with is not there.
        """
        if not self.texts and self.like is None and self.window is None:
            beside = " beside what is to be left out" if self.without else ""
            raise UsageError(f"there is nothing to look for{beside}; give a text or a file", option="like")
        for what, texts in (("query", self.texts), ("text to leave out", self.without)):
            for text in texts:
                if not text.strip():
                    raise UsageError(f"the {what} is empty; write in words what a video shows")
                clean_text(text, what=what, limit=MAX_QUERY_CHARS)
        if not 0 <= self.threshold <= 1:
            raise UsageError(f"threshold is {self.threshold:g}; give a probability from 0 to 1", option="threshold")
        if self.top < 1:
            raise UsageError(f"top is {self.top}; ask for at least 1", option="top")
        self.videos.check()
        if self.like is not None and Path(self.like).is_dir():
            raise UsageError(f"{self.like} is a folder; name an image or a video to compare with", option="like")
        if self.like is not None and not Path(self.like).is_file():
            raise InputError(f"no such file: {self.like}; name an image or a video to compare with", option="like")

    @property
    def unwanted(self) -> float:
        """Return the probability from which a text to leave out counts as true: the threshold's, at most a half."""
        return min(self.threshold or 0.5, 0.5)

    @property
    def shown(self) -> str:
        """Return it in words."""
        files = [self.like, None if self.window is None else self.window.video]
        parts = [*self.texts, *(f"like {Path(file).name}" for file in files if file is not None)]
        words = " and ".join(parts)
        return words + (f", without {' or '.join(self.without)}" if self.without else "")

    @property
    def filters(self) -> list[str]:
        """Return in words which videos are searched."""
        labels = [f"{limit.label} {'≥' if limit.above else '<'} {limit.probability:g}" for limit in self.labels]
        return [*self.videos.shown, *labels]


@dataclass(frozen=True, eq=False)
class EncodedQuery:
    """A query as vectors: T texts, W texts to leave out and L labels in one bank, then windows of the file.

    Attributes:
        query: what it is of.
        bank: T + W + L labels; None where there are none.
        like: [K, D], L2-normalised; K may be 0.
    """

    query: SearchQuery
    bank: TextBank | None
    like: Tensor

    @property
    def columns(self) -> Tensor:
        """Return the vectors [C + K, D] that windows are compared with, float32."""
        return self.like if self.bank is None else torch.cat([self.bank.means.float().cpu(), self.like])


def encode_query(
    library: LibraryFiles,
    query: SearchQuery,
    model: VideoModel,
    note: Callable[[str], None] = lambda text: None,
    *,
    progress: Callable[[int, int], None] | None = None,
) -> EncodedQuery:
    """Make vectors of a query.

    Args:
        library: that is searched; a file is sampled as its videos were.
        query: checked.
        model: the library's.
        note: is told what a person should know of the query.
        progress: called with (done, all) while texts are encoded; what it raises ends the call.

    Raises:
        UsageError: the file is no image or video that can be read.
    """
    names = [clean_text(text, what="query", limit=MAX_QUERY_CHARS) for text in (*query.texts, *query.without)]
    for text in dict.fromkeys(names):
        if (remark := _language_note(text, model.name)) is not None:
            note(remark)
    labels = [*names, *(limit.label for limit in query.labels)]
    bank = None
    if labels:
        texts = _texts(labels, model)
        for label, count in {label: count for label, _, count in truncated_texts(model, texts)}.items():
            shown = label if len(label) <= 40 else label[:40] + "..."
            note(f"'{shown}' has {count} tokens; {model.name} reads {model.context_length}, the end is cut off")
        encoded = encode_bank(model, texts, progress=progress)
        assert isinstance(encoded, TextBank), "a library has no model that prompts its texts"
        bank = encoded
    like = torch.zeros(0, library.settings.dimension)
    if query.like is not None:
        like = _vectors_of(query.like, library, model)
    if query.window is not None:
        like = torch.cat([like, _vector_at(query.window, library)])
    if len(like) and str(library.settings.model) not in SHIPPED:
        note(
            f"how alike two videos must be was measured with other models than {model.name}; look at what is "
            "found, and choose a threshold"
        )
    return EncodedQuery(query, bank, like)


def _texts(labels: list[str], model: VideoModel) -> LabelTexts:
    """Word labels as `build_texts` does, of any length, and one as often as it is there."""
    templates = resolve(model.templates)
    numbers = range(len(labels))
    return LabelTexts(
        labels=tuple(labels),
        phrases=tuple(labels),
        label_of_phrase=tuple(numbers),
        kind_of_phrase=(_NAME,) * len(labels),
        texts=tuple(apply(template, label) for label in labels for template in templates),
        phrase_of_text=tuple(number for number in numbers for _ in templates),
        templates=templates,
    )


def _vectors_of(file: str | Path, library: LibraryFiles, model: VideoModel) -> Tensor:
    """Return the vectors [K, D] of the windows of a file, at most `MOST_LIKE_WINDOWS`."""
    settings = library.settings
    decode = replace(settings.decode, workers=1)
    vectors: list[np.ndarray] = []
    with FrameLoader([str(file)], preprocess=model.preprocess, options=decode) as loader:
        for part in library_parts(loader, model, decode, timeline=settings.timeline):
            if (error := part.record.frames.error) is not None and part.record.frames.parts == 1:
                raise UsageError(f"cannot compare with {error}", option="like")
            vectors.append(part.vectors)
    every = torch.from_numpy(np.concatenate(vectors)).float()
    if len(every) > MOST_LIKE_WINDOWS:
        every = every[np.linspace(0, len(every) - 1, MOST_LIKE_WINDOWS).round().astype(int)]
    if not len(every):
        raise UsageError(f"cannot compare with {file}: no picture of it can be decoded; choose another", option="like")
    return torch.nn.functional.normalize(every, dim=-1)


def _vector_at(window: LibraryWindow, library: LibraryFiles) -> Tensor:
    """Return the vector [1, D] of the window of a video that has a time, or of the one nearest to it."""
    entry = library.get(window.video)
    if entry is None:
        raise InputError(f"{window.video} is not in {library.folder}; choose one that is", option="like")
    fragment = library.fragments[entry.fragment]
    first, stop = fragment.window_bounds[[entry.first, entry.stop]].tolist()
    if first == stop:
        raise InputError(f"{window.video} has no window: it could not be decoded; choose another", option="like")
    table = fragment.window_table
    middle = (table.start_s[first:stop] + table.end_s[first:stop]) / 2
    place = first + int(np.abs(middle - window.time_s).argmin())
    vector = torch.from_numpy(np.asarray(fragment.window_vectors[place : place + 1], np.float32))
    return torch.nn.functional.normalize(vector, dim=-1)


def _language_note(text: str, model: str) -> str | None:
    latin = all(ord(letter) < _OTHER_SCRIPTS for letter in text if letter.isalpha())
    words = text.split()
    plain = "".join(letter for letter in unicodedata.normalize("NFKD", text) if not unicodedata.combining(letter))
    capitals = " ".join(word for word in plain.split() if word[0].isupper())
    if latin and (len(words) < 2 or is_english(plain, names=capitals)):  # a single word is as likely a name
        return None
    shown = text if len(text) <= 40 else text[:40] + "..."
    if model in SHIPPED:
        return f"'{shown}' does not look like English, and {model} reads nothing else; its probabilities mean nothing"
    return f"'{shown}' does not look like English; unless {model} was trained with more, its probabilities mean nothing"
