"""Ask every window of a library new labels, without decoding: at about the price of the matrix product."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray

from olmv.library.files import LibraryFiles, VideoEntry
from olmv.models.base import VideoModel
from olmv.scoring.bank import TextBank
from olmv.scoring.options import Pooling
from olmv.scoring.probabilities import Background, to_logits
from olmv.scoring.stored import score_stored

__all__ = ["ScoreBlock", "score_windows"]

Floats = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class ScoreBlock:
    """Some windows of a fragment against C labels.

    Attributes:
        labels: C names.
        fragment: its place in `Library.fragments`.
        windows: [n] their places in the fragment, rising.
        entries: [n] the videos that they are of.
        start_s, end_s: [n] seconds in the video.
        similarity: [n, C].
    """

    labels: tuple[str, ...]
    fragment: int
    windows: NDArray[np.int64]
    entries: list[VideoEntry]
    start_s: NDArray[np.float64]
    end_s: NDArray[np.float64]
    similarity: Floats
    _line: tuple[Floats, Floats] = field(repr=False)  # logits are offset [n, 1] + slope [n, 1] * similarity

    @cached_property
    def probability(self) -> Floats:
        """Return the probability of each label [n, C], by itself; computed when it is first asked for."""
        offset, slope = (torch.from_numpy(part) for part in self._line)
        logits = torch.addcmul(offset, slope, torch.from_numpy(self.similarity))
        return np.asarray(logits.sigmoid_().numpy())

    @property
    def videos(self) -> list[str]:
        """Return the names of the videos [n], as the user named them when they were indexed."""
        return [entry.video for entry in self.entries]

    def __len__(self) -> int:
        return len(self.windows)


def score_windows(
    library: LibraryFiles, bank: TextBank, model: VideoModel, *, pooling: Pooling = "mean", own_background: bool = True
) -> Iterator[ScoreBlock]:
    """Yield the scores of all windows of videos as they are now, in the order of fragments; see `Library.score`.

    Args:
        library: whose windows.
        bank: C labels; with a background where `own_background` is False.
        model: of the library, for its scale and bias.
        pooling: over the texts of a label.
        own_background: measure against the everyday words that the library was indexed with, which were worded in the
            model's templates; else against those of the bank.

    Raises:
        ValueError: a pooling that does not exist, or a bank that does not fit. Raised by the call itself.
    """
    nothing = np.zeros((0, library.settings.dimension), np.float16)
    score_stored(nothing, bank, pooling=pooling)  # raises what is wrong
    words = None if own_background else bank.background
    return _scored(library, bank, model, pooling, words)


def _scored(
    library: LibraryFiles, bank: TextBank, model: VideoModel, pooling: Pooling, words: TextBank | None
) -> Iterator[ScoreBlock]:
    owners = _owners(library)
    for place, (fragment, live) in enumerate(zip(library.fragments, library.live, strict=True)):
        if live is not None and not live.any():
            continue
        table = fragment.window_table
        for rows, scores in score_stored(fragment.window_vectors, bank, pooling=pooling):
            similarity = scores.float().cpu().numpy()
            windows = np.arange(rows.start, rows.stop)
            chosen: slice | NDArray[np.int64] = rows
            if live is not None:
                similarity, windows = similarity[live[rows]], windows[live[rows]]
                chosen = windows
            if not len(windows):
                continue
            mean, deviation = table.background_mean[chosen], table.background_deviation[chosen]
            if words is not None:
                mean, deviation = _measured(fragment.window_vectors[chosen], words)
            yield ScoreBlock(
                labels=bank.labels,
                fragment=place,
                windows=windows,
                entries=[owners[place][part] for part in table.part[chosen].tolist()],
                start_s=table.start_s[chosen],
                end_s=table.end_s[chosen],
                similarity=similarity,
                _line=_line(model, mean, deviation),
            )


def _owners(library: LibraryFiles) -> list[dict[int, VideoEntry]]:
    """Return for each fragment the videos of its parts."""
    owners: list[dict[int, VideoEntry]] = [{} for _ in library.fragments]
    for entry in library:
        owners[entry.fragment].update(dict.fromkeys(range(entry.first, entry.stop), entry))
    return owners


def _measured(vectors: NDArray[np.float16], words: TextBank) -> tuple[Floats, Floats]:
    similarity = torch.from_numpy(np.asarray(vectors, np.float32)) @ words.means.float().cpu().T
    deviation, mean = torch.std_mean(similarity, dim=1, correction=0)
    return mean.numpy(), deviation.numpy()


def _line(model: VideoModel, mean: Floats, deviation: Floats) -> tuple[Floats, Floats]:
    """Return offset and slope [n, 1] of logits over similarities: two passes over [n, C] are then enough."""
    background = None
    if model.logit_bias is None:
        background = Background(torch.from_numpy(mean)[:, None], torch.from_numpy(deviation)[:, None])
    at_0, at_1 = (
        to_logits(
            torch.full((len(mean), 1), value), scale=model.logit_scale, bias=model.logit_bias, background=background
        )
        for value in (0.0, 1.0)
    )
    return at_0.numpy(), (at_1 - at_0).numpy()
