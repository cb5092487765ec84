"""What a client asks of videos: the options, and the document that says them to a server."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypedDict

from olmv.arguments import kind_of, unknown_option
from olmv.errors import UsageError
from olmv.labels.attributes import AttributeBook
from olmv.labels.vocabulary import Vocabulary
from olmv.scoring.options import FramePooling, Mode, Pooling
from olmv.video.options import Sampling

if TYPE_CHECKING:
    from olmv.scoring.thresholds import Thresholds

__all__ = ["AskOptions", "calibrates", "document_of", "without_none"]


class AskOptions(TypedDict, total=False):
    """How videos are looked at and scored; as `Classifier.predict`, what is left out is the server's default.

    Attributes:
        attributes: what labels look like, by label; of a dict only of those that are asked, a book may have more.
        thresholds: of some labels; of a dict only of those that are asked, `Thresholds` may be of more.
    """

    attributes: Mapping[str, Sequence[str]]
    mode: Mode
    threshold: float | None
    thresholds: Mapping[str, float]
    top_k: int | None
    frames: int | None
    every_s: float | None
    sampling: Sampling
    timeline: bool
    pooling: Pooling
    frame_pooling: FramePooling | None
    templates: str | Sequence[str] | None
    explain: bool
    embeddings: bool


def document_of(
    labels: Vocabulary | Sequence[str] | None, options: Mapping[str, Any], own_labels: Callable[[], Sequence[str]]
) -> dict[str, Any]:
    """Return what is asked, as the server reads it.

    Args:
        labels: that are asked; None for the server's own.
        options: `AskOptions`.
        own_labels: tells the names of the server's own labels, where a book or a file of thresholds is given for them.

    Raises:
        UsageError: there is no such option, a dict has a label that is not asked, or thresholds do what is not sent.
        VocabularyError: labels, attributes or thresholds that cannot be used.
    """
    for name in options:
        if name not in AskOptions.__annotations__:
            raise unknown_option(name, AskOptions.__annotations__)
    document = without_none(**options)
    if not isinstance(timeline := document.get("timeline", False), bool):
        raise UsageError(
            f"timeline is {kind_of(timeline)}; say True, windows are the server's business", option="timeline"
        )
    if timeline:
        document["curve"] = True
    words = None if labels is None else Vocabulary.of(labels)
    attributes, thresholds = options.get("attributes"), options.get("thresholds")
    if words is None and isinstance(attributes, dict | None) and isinstance(thresholds, dict | None):
        return document  # which the server checks
    names = own_labels() if words is None else words.names
    # aliases and attributes are texts of a label, both
    described = {label.name: [*label.aliases, *label.attributes] for label in words or ()}
    for label, texts in _of_these(AttributeBook.of(attributes or {}, names), names).items():
        described[label] = [*described.get(label, ()), *texts]
    limits = {label.name: label.threshold for label in words or () if label.threshold is not None}
    limits.update(_of_these(_plain(thresholds or {}, names), names))
    return {
        **document,
        **({} if words is None else {"labels": list(words.names)}),
        "attributes": {label: texts for label, texts in described.items() if texts},
        "thresholds": limits,
    }


def calibrates(thresholds: "Thresholds") -> bool:
    """Tell whether thresholds do more than decide: what a server is not told."""
    entries = [thresholds.entry(label) for label in thresholds]
    return any(entry.scaling is not None or entry.leave is not None for entry in entries)


def without_none(**options: Any) -> dict[str, Any]:
    """Return the options that say something, as JSON has them."""
    return {name: value for name, value in options.items() if value is not None}


def _plain(thresholds: Any, names: Sequence[str]) -> Mapping[str, float]:
    """Return thresholds that a server can be told."""
    from olmv.scoring.thresholds import Thresholds

    fitted = Thresholds.of(thresholds, names)
    if calibrates(fitted):
        raise UsageError(
            "these thresholds calibrate probabilities or ends of labels, which is not sent; start the server with them",
            option="thresholds",
        )
    return fitted


def _of_these(values: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    return {label: values[label] for label in names if label in values}
