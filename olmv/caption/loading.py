"""Open what a caption run needs: libraries, the model that sees labels or frames, and the one that writes."""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack, closing
from typing import TYPE_CHECKING

from olmv.caption import captioner as captioners
from olmv.errors import UsageError
from olmv.labels.vocabulary import Vocabulary
from olmv.llm.open import open_chat
from olmv.llm.types import ChatModel
from olmv.placement import PlacementOptions

if TYPE_CHECKING:
    from olmv.caption.from_labels import LabelWords
    from olmv.classifier import Classifier
    from olmv.library.source import StoredVideos

__all__ = [
    "LABELS",
    "default_batch",
    "label_vocabulary",
    "label_words",
    "load_classifier",
    "open_captioner",
    "open_llm",
    "open_stored",
]

LABELS = "labels:"
"""How a captioner begins that tells the labels of a classifier."""


def open_stored(inputs: Sequence[str], captioner: str) -> "StoredVideos":
    """Open the libraries that are the inputs.

    Raises:
        UsageError: a captioner that sees pixels, which they do not keep, or a timeline's windows alone.
        InputError: one cannot be read, or there is no video in them.
    """
    if not captioner.startswith(LABELS):
        raise UsageError(
            f"{inputs[0]} is a library, which keeps no pixels for {captioner}; name a captioner labels:MODEL, or the "
            "files",
            option="captioner",
        )
    from olmv.library.source import StoredVideos, check_timeline

    stored = StoredVideos.open(inputs)
    for library in stored.libraries:
        check_timeline(library, None)
    return stored


def load_classifier(
    name: str, placement: PlacementOptions, *, compares: bool, stored: "StoredVideos | None" = None
) -> "Classifier":
    """Load what sees the labels, or what compares captions with videos.

    Args:
        name: of the model.
        placement: where it runs.
        compares: a least similarity is given.
        stored: the library whose model it must be, if any.

    Raises:
        UsageError: it cannot compare, or it is another model than the library's.
    """
    from olmv.classifier import Classifier

    if stored is not None:
        return Classifier(stored.load_model(name, placement))
    classifier = Classifier.from_pretrained(name, device=placement.device, dtype=placement.dtype)
    if classifier.model.prompts_texts and compares:
        raise UsageError(
            f"{name} tells no similarity of captions (X-CLIP); leave out the least similarity", option="min_similarity"
        )
    return classifier


def open_captioner(
    name: str, placement: PlacementOptions, options: Mapping[str, str], stack: ExitStack
) -> captioners.FrameCaptioner:
    """Open what captions frames, until the stack is left."""
    captioner = captioners.open_captioner(name, device=placement.device, dtype=placement.dtype, options=dict(options))
    stack.enter_context(closing(captioner))
    _ = captioner.preprocess  # a wrong model is told before anything is made
    return captioner


def open_llm(
    spec: str, *, concurrency: int, timeout_s: float, options: Mapping[str, str], stack: ExitStack
) -> ChatModel:
    """Open what makes sentences, until the stack is left."""
    chat = open_chat(spec, concurrency=concurrency, timeout_s=timeout_s, options=dict(options))
    return stack.enter_context(closing(chat))


def label_vocabulary(labels: str | None) -> Vocabulary:
    """Read what `labels:` may say, before anything is loaded or begun: the user's, or olmv-mini's own words."""
    if labels is not None:
        return Vocabulary.load(labels)
    from olmv.caption.from_labels import moji_vocabulary

    return moji_vocabulary()


def label_words(labels: str | None, vocabulary: Vocabulary) -> "LabelWords":
    """Return the place of labels in a sentence: of the user's, or those of olmv-mini's own world."""
    from olmv.caption.from_labels import moji_words, words_from

    return moji_words() if labels is None else words_from(vocabulary)


def default_batch(placement: PlacementOptions) -> int:
    """Return how many frames are captioned at once: 128, and 16 on a CPU."""
    from olmv.models.registry import placement_for

    return 16 if placement_for(placement.device, placement.dtype).device.type == "cpu" else 128
