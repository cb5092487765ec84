"""Labels whose attributes lead away from them."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from olmv.labels.texts import LabelTexts

if TYPE_CHECKING:
    from torch import Tensor

    from olmv.scoring.bank import TextBank
    from olmv.scoring.prompted import PromptedBank

__all__ = ["bank_note", "drift_note", "moved_labels"]

ROUNDING = 1e-6
ROWS = 1024
MANY = 0.1
"""From this share of the labels on it is worth a note: see "With a small real language model" in docs/benchmarks.md."""


def moved_labels(texts: LabelTexts, embeddings: "Tensor") -> list[tuple[str, str]]:
    """Return labels whose attributes, averaged, are nearer to another label's name than to their own, with that label.

    The names themselves do not count: one good name holds many bad attributes, and hides them.

    Args:
        texts: as `olmv.labels.texts.build_texts` gives them.
        embeddings: [P, D] of the P phrases, L2-normalised.
    """
    import torch
    from torch.nn.functional import normalize

    if "attribute" not in texts.kind_of_phrase:
        return []
    device, rows_of = embeddings.device, embeddings.float()
    owner = torch.tensor(texts.label_of_phrase, device=device)
    kinds = texts.kind_of_phrase
    names = rows_of[torch.tensor([kind == "name" for kind in kinds], device=device)]
    said = torch.tensor([kind == "attribute" for kind in kinds], device=device)
    sums = names.new_zeros(len(texts.labels), names.shape[1]).index_add_(0, owner[said], rows_of[said])
    described = torch.bincount(owner[said], minlength=len(names)) > 0
    moved = []
    for start in range(0, len(names), ROWS):
        means = normalize(sums[start : start + ROWS], dim=-1)
        similarity = means @ names.T
        rows = torch.arange(len(means), device=device)
        best, nearest = similarity.max(dim=1)
        away = (best > similarity[rows, start + rows] + ROUNDING) & described[start : start + ROWS]
        moved += [
            (texts.labels[start + row], texts.labels[int(nearest[row])]) for row in away.nonzero().flatten().tolist()
        ]
    return moved


def bank_note(texts: LabelTexts, bank: "TextBank | PromptedBank") -> str | None:
    """Say what `drift_note` says of the texts of a bank; None where a video decides what they mean."""
    from olmv.scoring.bank import TextBank

    if not isinstance(bank, TextBank):
        return None
    return drift_note(moved_labels(texts, bank.embeddings), len(texts.labels))


def drift_note(moved: Sequence[tuple[str, str]], total: int) -> str | None:
    """Say how many labels a book leads away from themselves; None where they are few."""
    if len(moved) < max(1, MANY * total):
        return None
    label, other = moved[0]
    some = f"{len(moved)} of {total} labels ({len(moved) / total:.0%})"
    return (
        f"the attributes of {some} are nearer to another label's name than to their own, such as those of {label!r} to "
        f"{other!r}: such a book can make a list worse; evaluate with and without it, or "
        "prune it"
    )
