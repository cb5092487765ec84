"""Labels that their attributes move away from themselves."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from olmv.labels.texts import LabelTexts

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["drift_note", "moved_labels"]

ROUNDING = 1e-6
ROWS = 1024


def moved_labels(texts: LabelTexts, embeddings: "Tensor") -> list[tuple[str, str]]:
    """Return labels whose texts, averaged, are nearer to another label's name than to their own, with that label.

    Args:
        texts: names first, then aliases and attributes.
        embeddings: [P, D] of the P phrases, L2-normalised.
    """
    import torch
    from torch.nn.functional import normalize

    owner = torch.tensor(texts.label_of_phrase, device=embeddings.device)
    is_name = torch.tensor([kind == "name" for kind in texts.kind_of_phrase], device=embeddings.device)
    names = embeddings[is_name].float()
    sums = names.new_zeros(len(texts.labels), names.shape[1]).index_add_(0, owner, embeddings.float())
    moved = []
    for start in range(0, len(names), ROWS):
        means = normalize(sums[start : start + ROWS], dim=-1)
        similarity = means @ names.T
        rows = torch.arange(len(means), device=means.device)
        best, nearest = similarity.max(dim=1)
        for row in (best > similarity[rows, start + rows] + ROUNDING).nonzero().flatten().tolist():
            moved.append((texts.labels[start + row], texts.labels[int(nearest[row])]))
    return moved


def drift_note(moved: Sequence[tuple[str, str]], total: int) -> str | None:
    """Say how many labels a book moves away from themselves; None where it moves none."""
    if not moved:
        return None
    label, other = moved[0]
    some = f"{len(moved)} of {total} labels ({len(moved) / total:.0%})"
    return (
        f"the attributes move {some} nearer to another label than to their own name, such as {label!r} towards "
        f"{other!r}: look at these, prune the book, or score by names alone"
    )
