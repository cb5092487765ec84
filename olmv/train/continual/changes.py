"""What adding labels did to the earlier ones, for people."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import mean
from typing import Self

from olmv.labels.lists import label_key

__all__ = ["Changes"]


@dataclass(frozen=True)
class Changes:
    """Figures of a run that adds labels, before its first step and with its saved weights.

    Attributes:
        before, after: by name, `SOURCE/map` and others.
        earlier: validation sources whose labels were all trained by earlier runs.
        new: those whose labels were all trained by this run first.
    """

    before: Mapping[str, float]
    after: Mapping[str, float]
    earlier: tuple[str, ...]
    new: tuple[str, ...]

    @classmethod
    def between(
        cls,
        before: Mapping[str, float],
        after: Mapping[str, float],
        *,
        earlier: Sequence[str],
        new: Sequence[str],
        sources: Mapping[str, Sequence[str]],
    ) -> Self:
        """Compare figures.

        Args:
            before, after: figures by name.
            earlier: labels of all earlier runs.
            new: labels of this run.
            sources: the labels of every validation source; those of a guard belong to neither.
        """
        known, own = ({label_key(label) for label in labels} for labels in (earlier, new))
        keys = {name: {label_key(label) for label in labels} for name, labels in sources.items()}
        old = tuple(name for name, labels in keys.items() if labels <= known)
        return cls(before, after, old, tuple(name for name, labels in keys.items() if labels <= own - known))

    def notes(self) -> list[str]:
        """Tell the mean average precision of earlier and new labels, a line each kind and source."""
        lines = []
        for kind, sources in (("earlier", self.earlier), ("new", self.new)):
            names = self._measured(sources)
            lines += [f"{kind} labels: {self._told(name)}" for name in names]
            if len(names) > 1:
                old, now = (mean(figures[name] for name in names) for figures in (self.before, self.after))
                lines.append(f"{kind} labels, mean of {len(names)} sources: map {_change(old, now)}")
        return lines

    def card_lines(self) -> list[str]:
        """Return a section of the model card in Markdown."""
        if not self.before:
            return []
        lines = [
            "",
            "## Labels added to a tuned model",
            "",
            "| figure | labels | before | after |",
            "|---|---|---|---|",
        ]
        for name, value in self.after.items():
            if name in self.before:
                source = name.rpartition("/")[0]
                kind = "earlier" if source in self.earlier else "new" if source in self.new else "other"
                lines.append(f"| `{name}` | {kind} | {self.before[name]:.3f} | {value:.3f} |")
        return lines

    def _measured(self, sources: Sequence[str]) -> list[str]:
        return [f"{s}/map" for s in sources if f"{s}/map" in self.before and f"{s}/map" in self.after]

    def _told(self, name: str) -> str:
        return f"{name} {_change(self.before[name], self.after[name])}"


def _change(before: float, after: float) -> str:
    return f"{before:.3f} before, {after:.3f} after ({after - before:+.3f})"
