"""Texts whose embeddings depend on the video (X-CLIP): of a vocabulary only what precedes the video can be kept."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from olmv.labels.texts import LabelTexts
from olmv.scoring.bank import TextBank

__all__ = ["PromptedBank"]


@dataclass(frozen=True, eq=False)
class PromptedBank:
    """The texts of a vocabulary before a video prompts them; `for_video` makes the bank that one is scored with.

    Args:
        texts: `[P, D]`, one row a phrase, not normalised: prompting minds the length.
        phrases: the P phrases.
        label_of_phrase: the label of each.
        labels: the C label names.
        condition: texts `[M, D]` and the context `[K, D]` of a video -> `[M, D]`, L2-normalised.
        background: everyday words that labels are measured against, which the video prompts too; see `TextBank`.
    """

    texts: Tensor
    phrases: tuple[str, ...]
    label_of_phrase: Tensor
    labels: tuple[str, ...]
    condition: Callable[[Tensor, Tensor], Tensor]
    background: "PromptedBank | None" = None

    @classmethod
    def from_texts(
        cls,
        texts: LabelTexts,
        embeddings: Tensor,
        *,
        condition: Callable[[Tensor, Tensor], Tensor],
        background: "PromptedBank | None" = None,
    ) -> "PromptedBank":
        """Make the bank of a vocabulary: of every phrase the mean over its templates.

        Args:
            texts: what was encoded.
            embeddings: `[len(texts.texts), D]`, in that order.
            condition, background: see the class.

        Raises:
            ValueError: there are not as many embeddings as texts.
        """
        if len(embeddings) != len(texts.texts):
            raise ValueError(f"{len(embeddings)} embeddings for {len(texts.texts)} texts")
        phrase_of_text = torch.tensor(texts.phrase_of_text, device=embeddings.device)
        sums = embeddings.new_zeros(len(texts.phrases), embeddings.shape[1]).index_add_(0, phrase_of_text, embeddings)
        count = phrase_of_text.bincount(minlength=len(texts.phrases))
        return cls(
            texts=sums / count[:, None],
            phrases=texts.phrases,
            label_of_phrase=torch.tensor(texts.label_of_phrase, device=embeddings.device),
            labels=texts.labels,
            condition=condition,
            background=background,
        )

    def for_video(self, context: Tensor | None) -> TextBank:
        """Make the bank that the video of this context `[K, D]` is scored with.

        Raises:
            ValueError: no context.
        """
        if context is None:
            raise ValueError("these texts are prompted by the video; give the context of a VideoEmbedding")
        rows = self.condition(self.texts, context)
        background = None if self.background is None else self.background.for_video(context)
        return TextBank(rows, self.label_of_phrase, self.phrases, self.labels, background)
