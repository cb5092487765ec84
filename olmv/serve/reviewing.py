"""Open the review of what is served: of rows that were predicted, or of a library that is scored now."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from olmv.classifier import Classifier
from olmv.errors import UsageError
from olmv.labels.vocabulary import Vocabulary
from olmv.models.base import VideoModel
from olmv.predictions import VideoPrediction
from olmv.scoring.thresholds import Thresholds, thresholds_for
from olmv.serve.media import is_served, media_address, picture_address
from olmv.serve.review.session import ReviewSession
from olmv.serve.review.source import ReviewSource, review_folder

if TYPE_CHECKING:
    from olmv.library.library import Library

__all__ = ["library_source", "review_library", "review_rows"]

_PICTURES = 8


def review_rows(path: Path) -> ReviewSession:
    """Open the review of a file of rows; its log lies beside it.

    Raises:
        UsageError, InputError: as `ReviewSource.of_predictions` and `ReviewSession`.
        OutputError: the folder of the review cannot be written.
    """

    def media(video: str) -> Mapping[str, Any]:
        return {"player": media_address(video)} if is_served(video) else {}

    return ReviewSession(ReviewSource.of_predictions(path, media=media), review_folder(path))


def review_library(library: "Library", source: ReviewSource) -> ReviewSession:
    """Open the review of a library of which `library_source` was made; its log lies beside the library.

    Raises:
        InputError: the folder of the review holds something else.
        OutputError: it cannot be written.
    """
    return ReviewSession(source, review_folder(library.folder))


def library_source(
    library: "Library",
    model: VideoModel,
    vocabulary: Vocabulary,
    *,
    thresholds: Thresholds | None = None,
    threshold: float | None = None,
    advanced: Callable[[int, int], None] = lambda done, total: None,
) -> ReviewSource:
    """Score a library, for a review of it.

    Args:
        library: at least one of whose videos could be decoded.
        model: the library's.
        vocabulary: the labels that are reviewed.
        thresholds, threshold: from which they are positive.
        advanced: called with (done, all) videos while they are scored; what it raises ends it.

    Raises:
        UsageError: there is nothing to review.
        InputError: the library was changed.
    """
    # a review is of the model's own probabilities, which thresholds are of
    own = {} if thresholds is None else {label: thresholds.entry(label).threshold for label in thresholds}
    limits = thresholds_for(vocabulary, thresholds=own, threshold=threshold)
    good: list[VideoPrediction] = []
    for done, prediction in enumerate(Classifier(model).predict(library, vocabulary), start=1):
        if prediction.status == "ok":
            good.append(prediction)
        advanced(done, len(library))
    if not good:
        raise UsageError(f"no video of {library.folder} could be decoded; there is nothing to review")
    names = [prediction.video for prediction in good]
    files = {name: entry.path for name in names if (entry := library.get(name)) is not None}

    def media(video: str) -> Mapping[str, Any]:
        return _library_media(library, video)

    return ReviewSource.of_scores(
        str(library.folder),
        videos=[files[name] for name in names],
        labels=vocabulary.names,
        logit=np.array([[label.logit for label in prediction.labels] for prediction in good]),
        probability=np.array([[label.probability for label in prediction.labels] for prediction in good]),
        threshold=limits,
        model=model.name,
        media=media,
    )


def _library_media(library: "Library", video: str) -> Mapping[str, Any]:
    entry = library.get(video)
    if entry is None:
        return {}
    fragment = library.fragments[entry.fragment]
    times = [time for part in range(entry.first, entry.stop) for time in fragment.thumbnails_of(part)[1]]
    places = np.linspace(0, len(times) - 1, min(len(times), _PICTURES)).round().astype(int)
    return {
        "player": media_address(entry.path) if is_served(entry.path) else "",
        "pictures": [
            {"time_s": round(times[place], 3), "src": picture_address(entry.path, times[place])} for place in places
        ],
    }
