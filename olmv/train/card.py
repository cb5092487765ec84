"""The model card of a training run, filled from its config and figures."""

import json
from collections.abc import Mapping
from pathlib import Path

import yaml

from olmv.train.config import Source, TrainConfig
from olmv.train.continual.changes import Changes
from olmv.train.sweep import Curve

__all__ = ["model_card"]


def model_card(
    config: TrainConfig,
    figures: Mapping[str, float],
    curve: Curve | None,
    *,
    versions_file: Path,
    changes: Changes | None = None,
) -> str:
    """Write the card as Markdown."""
    versions = json.loads(versions_file.read_text(encoding="utf-8"))
    model, rule = config.model, config.regularization
    restraints = [
        f"interpolated weight regularisation (strength {rule.iwr:g}, ratio up to {rule.iwr_max_ratio:g})"
        if rule.iwr
        else "",
        f"L2 to the original (weight {rule.l2:g})" if rule.l2 else "",
        f"distillation from the original (weight {rule.distillation:g})" if rule.distillation else "",
        f"the mean of the epochs after {rule.swa_start}" if rule.swa_start is not None else "",
        "image tower frozen" if model.train == "new" else "",
        f"patched with the original at ratio {curve.ratio:g} ({curve.rule})" if curve else "",
    ]
    replay = config.continual.replay if config.continual else 0
    restraint = "; ".join(part for part in restraints if part) or "none (plain fine-tuning)"
    lines = [
        f"# {config.description or 'A fine-tuned video CLIP'}",
        "",
        f"Fine-tuned by `olmv train` from `{model.name}`"
        + (" with RANDOM weights: it knows nothing" if model.random_weights else "")
        + f"; temporal module `{model.temporal or 'as saved'}`.",
        "",
        f"- Loss: {config.objective.label}"
        + (f", captions with weight {config.objective.caption_weight:g}" if config.objective.caption_weight else ""),
        f"- Kept near the original by: {restraint}",
        f"- Training data: {_words(config.data.train)}"
        + (f", and {replay} clips of the runs before (replay buffer)" if replay else ""),
        f"- olmv {versions.get('olmv')}, torch {versions.get('torch')}, revision {versions.get('git') or 'unknown'}",
        "",
        "## Figures",
        "",
    ]
    if figures:
        lines += ["On the validation sources of the run (they were looked at while training).", ""]
        lines += [
            "| figure | this model |" + (" original |" if curve else ""),
            "|---|---|" + ("---|" if curve else ""),
        ]
        for name, value in figures.items():
            before = f" {curve.original[name]:.3f} |" if curve and name in curve.original else ""
            lines.append(f"| `{name}` | {value:.3f} |{before}")
    else:
        lines.append("Not measured: the run had no validation source.")
    if changes is not None:
        lines += changes.card_lines()
    if curve is not None:
        names = list(next(iter(curve.points.values())))
        lines += [
            "",
            "## From tuned (0) to original (1)",
            "",
            "| ratio | " + " | ".join(f"`{n}`" for n in names) + " |",
        ]
        if curve.unmixed:
            lines[-1:-1] = ["Weights that the original did not have are the tuned ones at every ratio.", ""]
        lines.append("|---|" + "---|" * len(names))
        for ratio, measured in curve.points.items():
            cells = " | ".join(f"{measured[n]:.3f}" if n in measured else "" for n in names)
            lines.append(f"| {ratio:g} | {cells} |")
        if curve.unmixed:
            cells = " | ".join(f"{curve.original[n]:.3f}" if n in curve.original else "" for n in names)
            lines.append(f"| the original itself | {cells} |")
    plain = yaml.safe_dump(config.to_dict(), sort_keys=False)
    lines += ["", "## Config", "", "```yaml", plain.rstrip(), "```", ""]
    return "\n".join(lines)


def _words(source: Source) -> str:
    if source.moji is not None:
        return f"{source.moji.clips} drawn clips an epoch of the Moji world, not footage, seed {source.moji.seed}"
    # the last part of a path: a card is published, and folders of this machine are nobody's business
    name = Path(str(source.manifest)).name if source.manifest else source.dataset
    return f"`{name}`" + (f", split {source.split}" if source.split else "")
