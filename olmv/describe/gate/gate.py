"""The gate: every check in the order of its cost, and the count of what was refused for which reason."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from olmv.describe.gate.echoes import Echoes, label_echo
from olmv.describe.gate.kin import Kin
from olmv.describe.gate.reasons import Reason, Rejection
from olmv.describe.gate.repetition import Copies, loop
from olmv.describe.gate.topic import Topic
from olmv.describe.gate.wording import Wording, breaks_off, rambling
from olmv.labels.label import Label
from olmv.labels.language import is_english
from olmv.labels.quality import tidy

__all__ = ["Gate", "Verdict"]


@dataclass
class Verdict:
    """What became of the attributes in an answer.

    Args:
        accepted: those that can be used, tidied, in order.
        refused: the others, tidied, each with its reason.
    """

    accepted: list[str] = field(default_factory=list)
    refused: list[tuple[str, Rejection]] = field(default_factory=list)

    @property
    def reasons(self) -> Counter[Reason]:
        """Return how many were refused for each reason."""
        return Counter(rejection.reason for _, rejection in self.refused)


@dataclass(frozen=True)
class Gate:
    """Says which attributes of a label can be used.

    Args:
        wording: what each must be by itself.
        copies: what labels have already.
        echoes: what a language model was told; None where none is asked: a dictionary neither repeats a prompt nor
            goes round in circles.
        kin: tells other things of a label's kind; None leaves that unchecked.
        topic: compares attributes with labels; None leaves that unchecked.
        english: whether attributes must be English.
    """

    wording: Wording
    copies: Copies = field(default_factory=Copies)
    echoes: Echoes | None = None
    kin: Kin | None = None
    topic: Topic | None = None
    english: bool = False

    def accept(self, label: Label, candidates: Sequence[str], earlier: Sequence[str] = ()) -> Verdict:
        """Look at the attributes of an answer. What of them a label gets is for the caller to `copies.keep`.

        Args:
            label: the label.
            candidates: what was answered, in order.
            earlier: attributes that the label has.
        """
        verdict = Verdict()
        for candidate in candidates:
            text = tidy(candidate)
            rejection = breaks_off(candidate) or self._by_words(label, text, [*earlier, *verdict.accepted])
            if rejection is None:
                verdict.accepted.append(text)
            else:
                verdict.refused.append((text, rejection))
        if self.topic is not None and verdict.accepted:
            rejections = self.topic.rejections(label, verdict.accepted, earlier)
            pairs = list(zip(verdict.accepted, rejections, strict=True))
            verdict.accepted = [text for text, rejection in pairs if rejection is None]
            verdict.refused += [(text, rejection) for text, rejection in pairs if rejection is not None]
        return verdict

    def _by_words(self, label: Label, text: str, earlier: Sequence[str]) -> Rejection | None:
        if rejection := self.wording.rejection(label, text) or label_echo(label, text):
            return rejection
        if self.echoes is None:
            return self.copies.same(text, earlier)
        if self.english and (rejection := rambling(label, text)):
            return rejection
        if self.english and not is_english(text, names=" ".join((label.name, *label.aliases))):
            return Rejection("language", "is not English")
        if rejection := loop(text) or self.echoes.rejection(label, text):
            return rejection
        if self.kin is not None and (rejection := self.kin.rejection(label, text)):
            return rejection
        return self.copies.rejection(label, text, earlier)
