"""The tables of `tables.py` that show experiments: arms, with the mean over seeds and its spread."""

from collections.abc import Mapping
from typing import Any

from scripts.benchmarks.md_table import markdown

__all__ = [
    "amounts_table",
    "arms_table",
    "captions_table",
    "continual_table",
    "drawn_amounts_table",
    "forgetting_table",
    "motions_table",
    "naming_table",
    "nouns_table",
    "tuning_table",
]

Data = Mapping[str, Any]

MOTION_ARMS = {
    "mean": "`mean` of the frames",
    "cross-frame": "`cross-frame` (Open-VCLIP)",
    "divided": "`divided`",
    "st-adapter": "`st-adapter`, frozen tower",
    "transformer": "`transformer` on embeddings, frozen tower",
    "transformer-layout": "`transformer` with `layout`, frozen tower",
}
MOTION_FIGURES = {
    "pair_accuracy": "a clip from its reversal (chance 0.5)",
    "top1": "one of eight motions (chance 0.125)",
}
TUNED_ARMS = {
    "original": "original",
    "plain": "plain",
    "plain-mixed": "plain, mixed",
    "l2": "L2 to the original",
    "l2-mixed": "L2, mixed",
    "iwr": "IWR",
    "iwr-mixed": "IWR, mixed",
    "swa": "SWA",
    "swa-mixed": "SWA, mixed",
    "iwr+swa": "IWR + SWA",
    "iwr+swa-mixed": "IWR + SWA, mixed",
    "own, unmixed": "distillation + SWA",
    "own": "distillation",
    "own-mixed": "distillation, mixed",
    "own+swa": "distillation + SWA",
    "own+swa-mixed": "distillation + SWA, mixed",
    "frozen": "temporal transformer on the frozen tower",
}
FORGETTING_FIGURES = {
    "seen_map": "trained objects, mAP",
    "unseen_map": "others, mAP",
    "area": "most gained within a loss of 0 to 5 points",
}
TUNING_FIGURES = {
    "actions_top1": "10 actions, top-1",
    "nouns_top1": "100 nouns, top-1",
    "objects_map": "objects, mAP",
    "area": "most gained within a loss of 0 to 5 points",
}

CONTINUAL_ARMS = {
    "plain": "plain",
    "iwr": "IWR",
    "replay": "replay buffer, a third of the clips",
    "replay+iwr": "replay buffer and IWR",
}
CAPTION_FIGURES = {
    "pair_accuracy": "own motion over its opposite (chance 0.5)",
    "motion_map": "mAP of eight motions",
    "pair_accuracy_other_objects": "the first, objects never trained",
    "motion_map_other_objects": "the second, objects never trained",
    "gate": "gate",
    "weights_reached": "share of the new weights that the caption loss reaches",
}
_SOFT_FIGURES = {
    "unseen_names_map_last": "the first, after the last step",
    "trained_map_before": "trained names, before",
    "trained_map": "after the last step",
    "held_map_before": "held names, before",
    "held_map": "at the best step",
    "gate": "gate there",
}
NAMING_FIGURES = {
    "unseen_names_map": "mAP, obscure names not trained",
    "ordinary_names_map": "mAP, their ordinary names",
    **_SOFT_FIGURES,
}
NOUN_FIGURES = {
    "unseen_names_map": "mAP, nouns not trained",
    "unseen_names_top1": "top-1",
    **_SOFT_FIGURES,
}


def arms_table(data: Data, arms: Mapping[str, str], columns: Mapping[str, str]) -> str:
    """A line for every arm that has a figure, a column for every metric: mean and standard deviation over seeds."""
    figures = data["figures"]
    rows = [
        [words, *(_cell(figures, f"{arm}/{metric}") for metric in columns)]
        for arm, words in arms.items()
        if any(f"{arm}/{metric}" in figures for metric in columns)
    ]
    return markdown(["", *columns.values()], rows)


def motions_table(data: Data) -> str:
    """Which temporal modules tell a motion from its reverse."""
    return arms_table(data, MOTION_ARMS, MOTION_FIGURES)


def forgetting_table(data: Data) -> str:
    """What drawn objects gain and others lose."""
    own = {"own": "distillation"}
    return arms_table(data, TUNED_ARMS | own, FORGETTING_FIGURES)


def tuning_table(data: Data) -> str:
    """What actions gain and nouns and objects lose, on footage."""
    own = {"own": "distillation + SWA, mixed"}
    return arms_table(data, TUNED_ARMS | own, TUNING_FIGURES)


def amounts_table(data: Data) -> str:
    """What a number of clips a label is worth, on footage."""
    figures = data["figures"]
    counts = sorted({int(name.split()[0]) for name in figures if name.endswith("clips a label/actions_top1")})
    arms = {"original": "none: the model as it ships"} | {f"{n} clips a label": f"{n} clips a label" for n in counts}
    arms |= {"swa": "all of them, 6 to 8 a label"}
    return arms_table(data, arms, {"actions_top1": "10 actions, top-1", "nouns_top1": "100 nouns not trained, top-1"})


def continual_table(data: Data) -> str:
    """What five additions of labels do to the first ones, to all, and to words never trained."""
    shown = [("first", 1), ("first", 3), ("first", 5), ("so_far", 5), ("untouched", 5)]
    first, untouched = (f"{data['figures'][f'original/{kind}']:.3f}" for kind in ("first", "untouched"))
    rows: list[list[Any]] = [["olmv-mini as it ships", first, "", "", "", untouched]]
    for arm, told in CONTINUAL_ARMS.items():
        cells = []
        for kind, number in shown:
            key = f"{arm}/{number}/{kind}"
            low_high = data["intervals"].get(key)
            between = "" if low_high is None else f" ({low_high[0]:.3f} to {low_high[1]:.3f})"
            cells.append(f"{data['figures'][key]:.3f}{between}")
        rows.append([told, *cells])
    head = ["", "first 12 labels, just trained", "after 3 additions", "after 5", "all 60 labels", "62 never trained"]
    return markdown(head, rows)


def captions_table(data: Data) -> str:
    """What captions teach of motions."""
    return arms_table(data, _arms_of(data), CAPTION_FIGURES)


def naming_table(data: Data) -> str:
    """What describes obscure names of drawn objects."""
    return arms_table(data, _arms_of(data), NAMING_FIGURES)


def nouns_table(data: Data) -> str:
    """What describes nouns on photos."""
    return arms_table(data, _arms_of(data), NOUN_FIGURES)


def _arms_of(data: Data) -> dict[str, str]:
    """Return the arms in the order of their figures, under their own names."""
    return {arm: arm for arm in (key.removesuffix("/sd").rpartition("/")[0] for key in data["figures"])}


def drawn_amounts_table(data: Data) -> str:
    """What a number of clips a label is worth, on drawn motions."""
    counts = sorted({int(name.split()[0]) for name in data["figures"] if name.endswith("clips a label/top1")})
    return arms_table(data, {f"{n} clips a label": f"{n} clips a label" for n in counts}, MOTION_FIGURES)


def _cell(figures: Mapping[str, float], name: str) -> str:
    value, spread = figures.get(name), figures.get(f"{name}/sd")
    return "" if value is None else f"{value:.3f}" + ("" if spread is None else f" ± {spread:.3f}")
