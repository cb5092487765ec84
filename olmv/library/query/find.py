"""Find moments: every window is compared by its one vector, and the best are scored as a prediction scores them.

1. a pass over the vectors of all windows gives each a coarse logit, and of each video the best one counts
2. of the videos that are best by it, the best windows are scored from the rows of their frames, with the model's
   own pooling, and what is said of them is what `olmv predict` says of them
3. the cut is made on that probability; windows that pass and follow each other are a moment
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from numpy.typing import NDArray

from olmv.library.files import LibraryFiles, VideoEntry
from olmv.library.query.moments import Moment, Passing, join_windows
from olmv.library.query.queries import ALIKE, EncodedQuery, SearchQuery, encode_query
from olmv.library.query.window_scores import WindowScorer
from olmv.library.scan import similarities
from olmv.models.base import VideoModel
from olmv.predictions import round_significant
from olmv.scoring.logits import logit_of, sigmoid
from olmv.scoring.probabilities import Background, to_logits

__all__ = ["SearchResult", "find_moments"]

Floats = NDArray[np.float64]

LEAST_CANDIDATES = 256
"""Videos that are scored exactly; four times as many as are told, where those are more."""

_BEST = 8  # windows of each
_FEWEST = 32  # videos that are scored exactly even where none can pass, for the best there is

# Logits between what the one vector of a window says and what its frames say. Where a frame counts by what it shows,
# the larger one was chosen after a look at olmv-lite: few windows that pass are outside. Else only numbers are rounded.
_SLACK, _SLACK_OF_FRAMES = 0.25, 4.0


@dataclass(frozen=True)
class SearchResult:
    """What a search found.

    Attributes:
        moments: those that pass, the most probable first.
        best: the most probable there is, where none passes; None where no video was searched.
        windows, videos: how many were searched.
    """

    moments: list[Moment] = field(default_factory=list)
    best: Moment | None = None
    windows: int = 0
    videos: int = 0


@dataclass(frozen=True, eq=False)
class _Candidate:
    entry: VideoEntry
    start: int
    coarse: Floats  # of its windows


def find_moments(
    library: LibraryFiles,
    query: SearchQuery,
    model: VideoModel,
    *,
    note: Callable[[str], None] = lambda text: None,
    progress: Callable[[int, int], None] | None = None,
) -> SearchResult:
    """Search a library.

    Args:
        library: to search.
        query: what for.
        model: the library's, as `Library.model` gives it.
        note: is told what a person should know of the query.
        progress: called with (done, all) while texts are encoded; what it raises ends the search.

    Raises:
        UsageError: the query cannot be used.
        InputError: its glob matches no video, or a fragment is damaged.
    """
    query.check()
    masks = query.videos.masks(library)
    encoded = encode_query(library, query, model, note, progress=progress)
    candidates, windows, videos = _candidates(library, encoded, masks, model)
    judge = _Judge(library, encoded, WindowScorer(library, model, encoded.bank))
    ranked: list[Passing] = []
    best: Passing | None = None
    hopeless = float(logit_of(np.array(query.threshold))) - _slack(model)
    for place, candidate in enumerate(candidates):
        reached = ranked[query.top - 1].peak if len(ranked) >= query.top else query.threshold
        if place >= _FEWEST and candidate.coarse.max() < float(logit_of(np.array(reached))) - _slack(model):
            break
        first = candidate.coarse.argsort()[::-1][:_BEST]
        scored = judge.scored(candidate, np.sort(first))
        if scored is None:
            continue
        passes = scored.peak >= query.threshold
        rival = best if not passes else ranked[query.top - 1] if len(ranked) >= query.top else None
        if (rival is not None and scored.peak <= rival.peak) or not judge.labelled(candidate):
            continue
        if not passes:
            best = scored
            continue
        ranked.append(scored)
        ranked.sort(key=lambda passing: -passing.peak)
    if not ranked:
        return SearchResult([], None if best is None else _only_best(library, best, judge), windows, videos)
    owners = {candidate.entry.path: candidate for candidate in candidates}
    moments: list[Moment] = []
    for passing in ranked[: query.top]:
        candidate = owners[passing.entry.path]
        near = np.flatnonzero(candidate.coarse >= hopeless)
        own = judge.scored(candidate, np.union1d(near, passing.windows - candidate.start))
        assert own is not None, "what passed before passes again"
        each = sorted(
            join_windows(library, _above(own, query.threshold), judge.peak_s), key=lambda moment: -moment.probability
        )
        moments += each if query.all_moments else each[:1]
    moments.sort(key=lambda moment: -moment.probability)
    return SearchResult(moments[: query.top], None, windows, videos)


def _above(passing: Passing, threshold: float) -> Passing:
    there = passing.probability >= threshold
    return replace(
        passing,
        windows=passing.windows[there],
        probability=passing.probability[there],
        similarity=passing.similarity[there],
    )


def _only_best(library: LibraryFiles, passing: Passing, judge: "_Judge") -> Moment:
    return next(iter(join_windows(library, _above(passing, passing.peak), judge.peak_s)))


def _slack(model: VideoModel) -> float:
    return _SLACK_OF_FRAMES if model.frame_pooling in ("max", "softmax") else _SLACK


class _Judge:
    """Says of windows what a prediction says of them."""

    def __init__(self, library: LibraryFiles, encoded: EncodedQuery, scorer: WindowScorer) -> None:
        self._library, self._encoded, self._scorer = library, encoded, scorer
        self._like = encoded.like.numpy()
        columns, texts = encoded.columns, len(encoded.query.texts)
        self._all = torch.cat([columns[:texts], encoded.like]).mean(0)

    def peak_s(self, fragment: int, window: int) -> float:
        """Return when a window shows most of what is looked for."""
        return self._scorer.peak_s(fragment, window, self._all)

    def scored(self, candidate: _Candidate, places: NDArray[np.int64]) -> Passing | None:
        """Score windows of a video by their places in it, rising; None where all are to be left out."""
        query, windows = self._encoded.query, candidate.start + places
        probabilities, similarities = [], []
        texts = len(query.texts)
        there = np.ones(len(windows), bool)
        if self._encoded.bank is not None:
            similarity, logits = self._scorer.score(candidate.entry.fragment, windows)
            probability = sigmoid(logits)
            probabilities.append(probability[:, :texts])
            similarities.append(similarity[:, :texts])
            unwanted = probability[:, texts : texts + len(query.without)]
            there = np.asarray((unwanted < query.unwanted).all(axis=1))
        if len(self._like):
            vectors = self._library.fragments[candidate.entry.fragment].window_vectors[windows]
            cosine = (np.asarray(vectors, np.float32) @ self._like.T).max(axis=1, keepdims=True).astype(np.float64)
            probabilities.append(sigmoid(ALIKE.slope * (cosine - ALIKE.half)))
            similarities.append(cosine)
        every, cosines = np.concatenate(probabilities, axis=1), np.concatenate(similarities, axis=1)
        least = every.argmin(axis=1)
        rows = np.flatnonzero(there & np.isfinite(every).all(axis=1))
        if not len(rows):
            return None
        # the verdict is that of the number as it is written, as a prediction's
        written = np.array([round_significant(value) for value in every[rows, least[rows]].tolist()])
        return Passing(candidate.entry, windows[rows], written, cosines[rows, least[rows]])

    def labelled(self, candidate: _Candidate) -> bool:
        """Tell whether the labels of a video are as they must be, by the best window of each."""
        query = self._encoded.query
        if not query.labels:
            return True
        windows = candidate.start + np.arange(len(candidate.coarse))
        _, logits = self._scorer.score(candidate.entry.fragment, windows)
        peaks = sigmoid(logits[:, -len(query.labels) :]).max(axis=0)
        return all(
            (round_significant(float(peak)) >= limit.probability) == limit.above
            for peak, limit in zip(peaks, query.labels, strict=True)
        )


def _candidates(
    library: LibraryFiles, encoded: EncodedQuery, masks: list[NDArray[np.bool_]] | None, model: VideoModel
) -> tuple[list[_Candidate], int, int]:
    """Return the best videos by the vectors of their windows, the best first, and how many were searched."""
    most = max(LEAST_CANDIDATES, 4 * encoded.query.top)
    best: list[tuple[float, _Candidate]] = []
    windows = videos = 0
    for place, cosines in similarities(library, encoded.columns, masks=_windows(library, masks)):
        spans = library.spans[place]
        chosen = np.arange(len(spans.entries)) if masks is None else np.flatnonzero(masks[place])
        windows += int((spans.stops - spans.starts)[chosen].sum())
        videos += len(chosen)
        if not len(chosen):
            continue
        coarse, labels = _coarse(library, place, cosines, encoded, model)
        starts, stops = spans.starts[chosen], spans.stops[chosen]
        peaks = _peaks(coarse, starts, stops)
        for limit, logits in zip(encoded.query.labels, labels, strict=True):
            cut = float(logit_of(np.array(limit.probability)))
            own = _peaks(logits, starts, stops)
            peaks[own < cut - _slack(model) if limit.above else own >= cut + _slack(model)] = -np.inf
        order = np.arange(len(peaks)) if len(peaks) <= most else np.argpartition(-peaks, most)[:most]
        for index in order[np.isfinite(peaks[order])].tolist():
            start, stop = int(starts[index]), int(stops[index])
            windows_of_it = coarse[start:stop].astype(np.float64)
            best.append((float(peaks[index]), _Candidate(spans.entries[chosen[index]], start, windows_of_it)))
        best = sorted(best, key=lambda item: -item[0])[:most]
    return [candidate for _, candidate in best], windows, videos


def _windows(library: LibraryFiles, masks: list[NDArray[np.bool_]] | None) -> list[NDArray[np.bool_]] | None:
    """Return for each fragment which windows [N] are of the videos that pass; None for all."""
    if masks is None:
        return None
    windows = []
    for fragment, spans, mask in zip(library.fragments, library.spans, masks, strict=True):
        steps = np.zeros(fragment.windows + 1, np.int32)
        steps[spans.starts[mask]] += 1
        steps[spans.stops[mask]] -= 1
        windows.append(np.cumsum(steps[:-1]) > 0)
    return windows


def _coarse(
    library: LibraryFiles, place: int, cosines: NDArray[np.float32], encoded: EncodedQuery, model: VideoModel
) -> tuple[NDArray[np.float32], list[NDArray[np.float32]]]:
    """Return the logit [N] of each window, -inf where it is to be left out, and the logits [N] of each label."""
    query, table = encoded.query, library.fragments[place].window_table
    background = Background(torch.tensor(table.background_mean), torch.tensor(table.background_deviation))

    def logits_of(column: int) -> NDArray[np.float32]:
        values = torch.from_numpy(cosines[:, column])
        logits = to_logits(values, scale=model.logit_scale, bias=model.logit_bias, background=background)
        result: NDArray[np.float32] = logits.nan_to_num_(nan=-torch.inf).numpy()
        return result

    texts, count = len(query.texts), 0 if encoded.bank is None else len(encoded.bank.labels)
    joint = np.full(len(cosines), np.inf, np.float32)
    for column in range(texts):
        np.minimum(joint, logits_of(column), out=joint)
    if len(encoded.like):
        alike = np.nan_to_num(cosines[:, count:].max(axis=1), nan=-np.inf)
        np.minimum(joint, ALIKE.slope * (alike - ALIKE.half), out=joint)
    unwanted = float(logit_of(np.array(query.unwanted))) + _slack(model)
    for column in range(texts, texts + len(query.without)):
        joint[logits_of(column) >= unwanted] = -np.inf
    labels = [logits_of(column) for column in range(texts + len(query.without), count)]
    return joint, labels


def _peaks(values: NDArray[np.float32], starts: NDArray[np.int64], stops: NDArray[np.int64]) -> NDArray[np.float32]:
    """Return the highest of the values from each start to its stop."""
    padded = np.append(values, -np.inf)  # a stop may be the end
    bounds = np.stack([starts, stops], axis=1).reshape(-1)
    peaks: NDArray[np.float32] = np.maximum.reduceat(padded, bounds)[::2]
    return peaks
