"""A library to ask: `olmv.Library`."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from olmv.arguments import named_options
from olmv.labels.templates import resolve
from olmv.labels.texts import build_texts
from olmv.labels.vocabulary import Vocabulary
from olmv.library.files import LibraryFiles
from olmv.library.query.duplicates import DuplicateGroup, DuplicateQuery, find_duplicates
from olmv.library.query.filters import LabelLimit, VideoFilter
from olmv.library.query.find import find_moments
from olmv.library.query.moments import Moment
from olmv.library.query.queries import SearchQuery
from olmv.library.query.score import ScoreBlock, score_windows
from olmv.models.base import VideoModel
from olmv.placement import PlacementOptions
from olmv.scoring.bank import TextBank
from olmv.scoring.encode_bank import encode_bank
from olmv.scoring.options import POOLINGS, Pooling, check_choice

__all__ = ["Library"]


class Library(LibraryFiles):
    """What a model makes of many videos, kept by `olmv index`, and what can be asked of it.

    >>> library = Library.open("films.olmv")
    >>> for moment in library.search("a dog catches a frisbee"):
    ...     print(moment.video, moment.start_s, moment.end_s, moment.probability)

    Nothing is read before it is asked for; vectors are mapped from the disk. The model is loaded by the first question.
    """

    _loaded: VideoModel | None = None

    @named_options
    def search(
        self,
        query: str | Sequence[str] = (),
        *,
        without: str | Sequence[str] = (),
        like: str | Path | None = None,
        threshold: float = 0.5,
        top: int = 20,
        all_moments: bool = False,
        path: str | None = None,
        longer_than_s: float | None = None,
        shorter_than_s: float | None = None,
        labels: str | Sequence[str] = (),
        model: VideoModel | str | Path | None = None,
    ) -> list[Moment]:
        """Find moments, the most probable first; none where nothing is as probable as the threshold.

        >>> for moment in library.search("a dog catches a frisbee", without="snow"):
        ...     print(moment.video, moment.start_s, moment.end_s, moment.probability)

        Args:
            query: a text, or several that must all be true of a moment.
            without: texts that must not be true of it.
            like: an image or a video that it must be like.
            threshold: the probability from which a moment passes; 0 for the best there is, whatever it is worth.
            top: the most moments.
            all_moments: each moment of a video; else only its best.
            path: a glob that the video's path or name matches.
            longer_than_s, shorter_than_s: of the video, in seconds.
            labels: what must be true of the video, such as "dog>0.5" or "rain<0.2".
            model: the library's own, where it is loaded already or lies elsewhere by now; None loads it, once.

        Raises:
            UsageError: the query cannot be used, or the model is another one.
            InputError: no path matches, or a fragment is damaged.
        """
        search = SearchQuery(
            texts=_texts(query),
            without=_texts(without),
            like=like,
            labels=tuple(LabelLimit.parse(text) for text in _texts(labels)),
            videos=VideoFilter(path=path, longer_than_s=longer_than_s, shorter_than_s=shorter_than_s),
            threshold=threshold,
            top=top,
            all_moments=all_moments,
        )
        search.check()
        return find_moments(self, search, self.model(model)).moments

    @named_options
    def duplicates(self, *, threshold: float = 0.5, path: str | None = None) -> list[DuplicateGroup]:
        """Find videos that are copies of each other: encoded again, scaled, a little cropped.

        Args:
            threshold: the probability from which two videos are copies.
            path: a glob that the paths or names of the videos match.

        Returns:
            Groups of at least two videos, see `olmv.library.query.duplicates`.

        Raises:
            UsageError: the threshold is not between 0 and 1.
            InputError: no path matches, or a fragment is damaged.
        """
        return find_duplicates(self, DuplicateQuery(videos=VideoFilter(path=path), threshold=threshold))

    @named_options
    def score(
        self,
        vocabulary: Vocabulary | Sequence[str],
        *,
        model: VideoModel | str | Path | None = None,
        templates: str | Sequence[str] | None = None,
        pooling: Pooling = "mean",
        progress: Callable[[int, int], None] | None = None,
    ) -> Iterator[ScoreBlock]:
        """Ask all windows of videos as they are now these labels, block by block.

        >>> for block in library.score(["dog", "rain"]):
        ...     for window, label in zip(*(block.probability >= 0.5).nonzero()):
        ...         print(block.videos[window], block.start_s[window], block.labels[label])

        A window is asked by one vector, the mean of its frames. That is what a prediction does of a model whose frame
        pooling is `mean`, to the rounding of half precision. Of `max` and `softmax`, olmv-lite's, it is the score of
        the mean frame, which is lower where a label is there briefly: `Classifier.predict` of the library is exact, and
        slower.

        Args:
            vocabulary: the labels, or only their names.
            model: the library's model, by its name or loaded; None loads the one that it was made with.
            templates: as `Classifier.predict`; None for what the model was made with. Others are measured against
                everyday words in the same ones, which costs about as much as 300 labels more.
            pooling: over a label's texts: `mean`, `max`, `topk` or `softmax`.
            progress: called with (done, all) while texts are encoded.

        Returns:
            An iterator of some thousand windows each, in memory that does not grow: take what you need of a block.

        Raises:
            UsageError: another model, or an option that does not exist. Raised by the call itself.
        """
        check_choice("pooling", pooling, POOLINGS)
        words = Vocabulary.of(vocabulary)
        loaded = self.model(model)
        texts = build_texts(words, templates or loaded.templates)
        own = texts.templates == resolve(loaded.templates)
        bank = encode_bank(loaded, texts, mode="single-label" if own else "multi-label", progress=progress)
        assert isinstance(bank, TextBank)  # no library is made by a model that prompts
        return score_windows(self, bank, loaded, pooling=pooling, own_background=own)

    def model(self, model: VideoModel | str | Path | None = None, *, device: str = "auto") -> VideoModel:
        """Return the model whose embeddings these are, loaded once, in the number format that they were made in.

        Args:
            model: one that is loaded already, or where it lies by now; None for where it was.
            device: to load it on.

        Raises:
            UsageError: it is another one; or the library's own is not where it was.
            ModelError: the one that was named cannot be loaded.
        """
        if not isinstance(model, VideoModel):
            if self._loaded is not None and model is None:
                return self._loaded
            model = self.settings.load_model(
                str(self.folder), None if model is None else str(model), PlacementOptions(device=device)
            )
        if model is not self._loaded:
            self.settings.check_model(model, self.folder)
            self._loaded = model
        return model


def _texts(texts: str | Sequence[str]) -> tuple[str, ...]:
    return (texts,) if isinstance(texts, str) else tuple(texts)
