"""The text bank: the packed embeddings of everything that was said of every label."""

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor
from torch.nn.functional import normalize

from olmv.labels.texts import LabelTexts
from olmv.models.storage.label_embeddings import LabelEmbeddings

__all__ = ["TextBank"]


@dataclass(frozen=True, eq=False)
class TextBank:
    """The packed text embeddings of all labels.

    Args:
        embeddings: `[A, D]` float32, L2-normalised, label after label.
        label_index: `[A]` long, the label of every text; never falls, and every label occurs.
        texts: the A texts as shown to a person (without templates).
        labels: the C label names.
        background: everyday words, one text each, that labels are measured against; only softmax-trained models need
            it, in multi-label mode.

    Raises:
        ValueError: the parts do not fit each other.
    """

    embeddings: Tensor
    label_index: Tensor
    texts: tuple[str, ...]
    labels: tuple[str, ...]
    background: "TextBank | None" = None

    def __post_init__(self) -> None:
        rows = len(self.embeddings)
        if self.embeddings.ndim != 2 or self.label_index.shape != (rows,) or len(self.texts) != rows:
            raise ValueError(
                f"embeddings {list(self.embeddings.shape)}, label_index {list(self.label_index.shape)} and "
                f"{len(self.texts)} texts do not fit each other"
            )
        steps = torch.diff(self.label_index, prepend=self.label_index.new_full((1,), -1))
        falls_or_skips = bool(((steps != 0) & (steps != 1)).any())
        if rows == 0 or falls_or_skips or int(self.label_index[-1]) != len(self.labels) - 1:
            raise ValueError("label_index must run through all labels in order, each with at least one text")
        if self.background is not None and self.background.embeddings.shape[1] != self.embeddings.shape[1]:
            raise ValueError(
                f"a background of {list(self.background.embeddings.shape)} does not fit embeddings "
                f"{list(self.embeddings.shape)}"
            )

    @classmethod
    def from_texts(
        cls,
        texts: LabelTexts,
        embeddings: Tensor,
        *,
        background: "TextBank | None" = None,
        stored: LabelEmbeddings | None = None,
    ) -> "TextBank":
        """Make the bank of a vocabulary: the templates of every phrase are averaged, one row stays per phrase.

        Args:
            texts: what was encoded.
            embeddings: `[len(texts.texts), D]`, in that order; normalised here.
            background: see the class.
            stored: a model's own embeddings of labels, which take the place of those of the labels' names.

        Raises:
            ValueError: there are not as many embeddings as texts.
        """
        if len(embeddings) != len(texts.texts):
            raise ValueError(f"{len(embeddings)} embeddings for {len(texts.texts)} texts")
        device = embeddings.device
        phrase_of_text = torch.tensor(texts.phrase_of_text, device=device)
        unit = normalize(embeddings.float(), dim=-1)
        sums = unit.new_zeros(len(texts.phrases), unit.shape[1]).index_add_(0, phrase_of_text, unit)
        rows = normalize(sums, dim=-1)
        if stored is not None:
            known, vectors = (part.to(device) for part in stored.lookup(texts.phrases))
            names = torch.tensor([kind == "name" for kind in texts.kind_of_phrase], device=device)
            rows = torch.where((known & names)[:, None], vectors, rows)
        return cls(
            embeddings=rows,
            label_index=torch.tensor(texts.label_of_phrase, device=device),
            texts=texts.phrases,
            labels=texts.labels,
            background=background,
        )

    def for_video(self, context: Tensor | None) -> "TextBank":
        """Return this bank: it serves every video. (A `PromptedBank` makes another for each.)"""
        return self

    def to(self, device: torch.device | str) -> "TextBank":
        """Return the same bank on another device."""
        background = None if self.background is None else self.background.to(device)
        return TextBank(self.embeddings.to(device), self.label_index.to(device), self.texts, self.labels, background)

    @cached_property
    def counts(self) -> Tensor:
        """Return how many texts every label has, `[C]`."""
        return torch.bincount(self.label_index, minlength=len(self.labels))

    @cached_property
    def offsets(self) -> list[int]:
        """Return C + 1 numbers: the texts of label c are `offsets[c]` to `offsets[c + 1]`, half-open."""
        return [0, *self.counts.cumsum(0).tolist()]

    @cached_property
    def sums(self) -> Tensor:
        """Return the sum of every label's text embeddings, `[C, D]`."""
        zeros = self.embeddings.new_zeros(len(self.labels), self.embeddings.shape[1])
        return zeros.index_add_(0, self.label_index, self.embeddings)

    @cached_property
    def means(self) -> Tensor:
        """Return one L2-normalised vector a label, the mean of its texts: `[C, D]`."""
        return normalize(self.sums, dim=-1)

    @cached_property
    def groups(self) -> list[Tensor]:
        """Return labels with equally many texts together: for each count n, rising, their texts `[n, L, D]`.

        Within a group every pooling is one dense reduction: ragged labels cost neither padding nor a scatter.
        """
        starts = torch.tensor(self.offsets[:-1], device=self.label_index.device)
        groups = []
        for count in sorted(set(self.counts.tolist())):
            labels = (self.counts == count).nonzero().squeeze(1)
            groups.append(self.embeddings[starts[labels] + labels.new_tensor(range(count)).unsqueeze(1)])
        return groups

    @cached_property
    def group_rank(self) -> Tensor:
        """Return where every label stands when the groups are laid side by side, `[C]`."""
        return self.counts.argsort(stable=True).argsort()

    def __repr__(self) -> str:
        background = 0 if self.background is None else len(self.background.labels)
        return f"TextBank(labels={len(self.labels)}, embeddings={list(self.embeddings.shape)}, background={background})"
