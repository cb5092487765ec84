"""The sources of earlier runs: for the replay buffer, and to see what becomes of their labels."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from olmv.errors import InputError, UsageError
from olmv.labels.vocabulary import Vocabulary
from olmv.train.config import GUARD, Source, TrainConfig
from olmv.train.continual.history import History, TrainedLabels
from olmv.train.data.replay import with_replay
from olmv.train.data.sources import Labelled, open_source
from olmv.video.transforms import Preprocess

__all__ = ["EarlierSources"]


class EarlierSources:
    """Opens sources of earlier runs, with this run's frames.

    Args:
        history: the earlier runs.
        config: of this run.
        preprocess, templates: the model's.
    """

    def __init__(self, history: History, config: TrainConfig, *, preprocess: Preprocess, templates: str) -> None:
        self._history, self._config = history, config
        self._preprocess, self._templates = preprocess, templates

    def validation(self, note: Callable[[str], None]) -> dict[str, Labelled]:
        """Open the validation sources of earlier runs that hold labels these trained, as `earlier1/NAME` and so on.

        Args:
            note: takes what cannot be measured, one line each.
        """
        opened: dict[str, Labelled] = {}
        for number, run in enumerate(self._history.runs, start=1):
            before = len(opened)
            for name, source in run.data.validation.items():
                try:
                    part = self._open(run, source, train=False)
                    if source.moji is None and not any(Path(video).exists() for video in _videos(part)):
                        raise InputError("none of its videos is there any more")
                except UsageError as error:
                    note(f"the validation source '{name}' of '{run.run}' is left out: {error}")
                    continue
                if name != GUARD and set(part.dataset.labels) <= set(run.labels):
                    opened[f"earlier{number}/{name}"] = part
            if len(opened) == before:
                note(
                    f"no validation source holds the labels of '{run.run}', so what becomes of them is not measured; "
                    "name one in data.validation, with its labels"
                )
        return opened

    def replayed(self, training: Labelled) -> Labelled:
        """Put the replay buffer among the new clips.

        Raises:
            InputError, VocabularyError: a training source of an earlier run cannot be read any more.
        """
        assert self._config.continual is not None
        if not self._config.continual.replay:
            return training
        earlier = [self._open(run, run.data.train, train=True) for run in self._history.runs]
        clips, seed = self._config.continual.replay, self._config.run.seed
        return with_replay(training, earlier, clips=clips, seed=seed, templates=self._templates)

    def _open(self, run: TrainedLabels, source: Source, *, train: bool) -> Labelled:
        data = replace(self._config.data, attributes=run.data.attributes)
        words = Vocabulary.from_names(run.labels)
        if run.data.labels is not None and (loaded := Vocabulary.load(str(run.data.labels))).names == run.labels:
            words = loaded  # with aliases and attributes
        return open_source(
            source, words, data=data, preprocess=self._preprocess, templates=self._templates,
            seed=self._config.run.seed, train=train,
        )  # fmt: skip


def _videos(part: Labelled) -> Iterator[str]:
    return (part.dataset.video(index) for index in range(len(part.dataset)))
