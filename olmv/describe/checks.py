"""Put together what is asked of a list of labels, and the gate that its attributes pass."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from olmv.describe.gate.echoes import Echoes
from olmv.describe.gate.gate import Gate
from olmv.describe.gate.kin import Kin
from olmv.describe.gate.reasons import ADVICE
from olmv.describe.gate.repetition import Copies
from olmv.describe.gate.topic import TextTower, Topic
from olmv.describe.gate.wording import Wording
from olmv.describe.questions import Questions, list_context
from olmv.describe.senses import LabelSense, read_senses, short_meanings
from olmv.errors import UsageError, WeightsUnavailableError
from olmv.labels.language import is_english
from olmv.labels.quality import TextLimit
from olmv.labels.templates import DEFAULT_TEMPLATES, resolve
from olmv.labels.texts import build_texts
from olmv.labels.vocabulary import Vocabulary
from olmv.llm.prompts import Prompt
from olmv.progress import JobListener

if TYPE_CHECKING:
    from olmv.models.base import VideoModel

__all__ = ["ListChecks"]

NEIGHBOURS = 4
"""Labels that a prompt names as those to be told from."""


class ListChecks:
    """What is known of a list of labels; everything is read or loaded when it is first needed.

    Args:
        vocabulary: the list.
        model: the model that will read the attributes; None where nobody named one.
        templates: as for `Classifier.predict`: attributes must fit inside.
        device: where the model's text tower runs.
        listener: is told what could not be had.
    """

    def __init__(
        self, vocabulary: Vocabulary, *, model: str | None, templates: str | None, device: str, listener: JobListener
    ) -> None:
        self._vocabulary, self._model, self._templates = vocabulary, model, templates
        self._device, self._listener = device, listener

    def questions(self, prompt: Prompt, *, count: int, domain: str | None, labels_per_prompt: int) -> Questions:
        """Return what a language model is asked.

        Raises:
            UsageError: the prompt and the rest do not fit each other.
        """
        neighbours: dict[str, list[str]] = {}
        if "neighbours" in prompt.variables:
            if len(self._vocabulary) < 2:
                raise UsageError(
                    f"prompt {prompt.document.name!r} tells labels apart: give at least two", option="prompt"
                )
            neighbours = self.topic.all_neighbours(NEIGHBOURS)
        return Questions(
            prompt,
            count=count,
            domain=domain,
            context=list_context(self._vocabulary) if "context" in prompt.variables else (),
            meanings=short_meanings(self.senses) if "meaning" in prompt.variables else {},
            neighbours=neighbours,
            labels_per_prompt=labels_per_prompt,
        )

    def gate_for_answers(self, prompt: Prompt, *, limit: TextLimit, book: Mapping[str, Sequence[str]]) -> Gate:
        """Return the gate for a language model.

        Args:
            prompt: what it is told.
            limit: of the model that will read the attributes.
            book: the attributes that labels have already.
        """
        document = prompt.document
        texts = (document.system, document.user, document.several, document.retry)
        examples = {
            str(example.input.get("label", "")): [str(text) for text in example.answer.get("attributes", ())]
            for example in document.examples
        }
        return Gate(
            Wording(self._vocabulary, templates=resolve(self._templates or limit.templates), limit=limit),
            Copies(book.items()),
            Echoes((*texts, *ADVICE.values()), examples),
            Kin(self.senses),
            self.topic,
            english=is_english(document.system),
        )

    def gate_for_pruning(self) -> Gate:
        """Return the gate for a finished book; where its texts are from does not matter."""
        wording = Wording(self._vocabulary, templates=resolve(self._templates or DEFAULT_TEMPLATES))
        topic = Topic(self._encoder, self._vocabulary, short_meanings(self.senses), self._tower, strict=True)
        return Gate(wording, Copies(), Echoes((), {}), Kin(self.senses), topic)  # no prompt, so no echo

    def gate_for_dictionary(self, limit: TextLimit | None) -> Gate:
        """Return the gate for WordNet; without a limit, lengths are not checked."""
        templates = self._templates or (DEFAULT_TEMPLATES if limit is None else limit.templates)
        return Gate(Wording(self._vocabulary, templates=resolve(templates), limit=limit))

    def moved_labels(self, vocabulary: Vocabulary) -> list[tuple[str, str]]:
        """Return labels whose attributes are nearer to another label's name than to their own, with that label.

        Texts that a model encodes for this are kept where `olmv predict` finds them.
        """
        import torch

        from olmv.scoring.bank import TextBank
        from olmv.scoring.drift import moved_labels

        if self._loaded is not None:
            from olmv.classifier import Classifier

            texts = build_texts(vocabulary, self._loaded.templates)
            bank = Classifier(self._loaded).text_bank(texts, mode="single-label")
            return moved_labels(texts, bank.embeddings) if isinstance(bank, TextBank) else []
        texts = build_texts(vocabulary, "none")
        return moved_labels(texts, torch.from_numpy(self._encoder.embed(texts.phrases)))

    @cached_property
    def senses(self) -> dict[str, LabelSense]:
        """Return what the labels mean."""
        return read_senses(self._vocabulary)

    @cached_property
    def topic(self) -> Topic:
        """Return what compares attributes with labels."""
        return Topic(self._encoder, self._vocabulary, short_meanings(self.senses), self._tower)

    @cached_property
    def _encoder(self) -> TextTower:
        from olmv.describe.towers import SentenceEncoder

        return SentenceEncoder()

    @cached_property
    def _tower(self) -> TextTower | None:
        from olmv.describe.towers import ModelTower

        return None if self._loaded is None else ModelTower(self._loaded)

    @cached_property
    def _loaded(self) -> "VideoModel | None":
        """Return the model that will read the attributes, where it is named and can be had."""
        if self._model is None:
            return None
        from olmv.models.registry import load_model

        try:
            return load_model(self._model, device=self._device)
        except WeightsUnavailableError as failure:
            self._listener.note(f"{failure}; whether attributes leave labels where they are is told by a smaller model")
            return None
