"""How labels are scored: every option once, with its default and its check."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from olmv.arguments import check_count
from olmv.errors import UsageError

__all__ = ["FRAME_POOLINGS", "MODES", "POOLINGS", "FramePooling", "Mode", "Pooling", "ScoreOptions", "check_choice"]

Mode = Literal["multi-label", "single-label"]
Pooling = Literal["mean", "max", "topk", "softmax"]
FramePooling = Literal["mean", "max", "softmax", "logits"]
MODES: tuple[Mode, ...] = get_args(Mode)
POOLINGS: tuple[Pooling, ...] = get_args(Pooling)
FRAME_POOLINGS: tuple[FramePooling, ...] = get_args(FramePooling)


@dataclass(frozen=True, kw_only=True)
class ScoreOptions:
    """What becomes of embeddings: similarities, probabilities, and which of them are told.

    Attributes:
        mode: `multi-label` gives every label its own probability, `single-label` shares out 1 among them.
        pooling: over a label's texts: `mean`, `max`, `topk` or `softmax`.
        frame_pooling: over frames: `mean`, `max`, `softmax` or `logits`; None for what the model was trained with.
        templates: a set by name, or sentences with `{}` for the label; None for what the model was made with.
        threshold: one for all labels, 0..1; wins over all others. None for those of the labels.
        top_k: only so many labels are told, the most probable first; None for all, in the vocabulary's order.
        explain: also tell which texts and frames carried the most probable labels.
    """

    mode: Mode = "multi-label"
    pooling: Pooling = "mean"
    frame_pooling: FramePooling | None = None
    templates: str | Sequence[str] | None = None
    threshold: float | None = None
    top_k: int | None = None
    explain: bool = False

    def check(self) -> None:
        """Check every choice.

        Raises:
            UsageError: an unknown word, or what is no count from 1 up.
        """
        check_choice("mode", self.mode, MODES)
        check_choice("pooling", self.pooling, POOLINGS)
        if self.frame_pooling is not None:
            check_choice("frame pooling", self.frame_pooling, FRAME_POOLINGS)
        if self.templates is not None and not self.templates:
            raise UsageError("templates are empty; use 'none' for the bare label, or leave them out")
        if self.top_k is not None:
            check_count("top_k", self.top_k)


def check_choice(name: str, value: str, choices: Sequence[str]) -> None:
    """Raise UsageError, with what may be chosen, unless `value` is one of `choices`."""
    if value not in choices:
        raise UsageError(f"unknown {name} '{value}'; choose {', '.join(choices)}")
