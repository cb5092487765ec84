"""Does `olmv calibrate` keep its promises, and what do thresholds per label gain? On a synthetic world and on Moji.

    python scripts/benchmarks/check_guarantee.py [--splits 200] [--clips 800] [--seed 0] [--model NAME] [--quick]
        [--json FILE]

Figures, for every TARGET (recall=0.9, precision=0.8, fdr=0.2) and CONFIDENCE (0.95, 0.9):
    synthetic/TARGET/CONFIDENCE   share of thresholds that meet the target in the population, whose value is exact: 20
                                  labels of beta-distributed scores, 500 videos a draw. To be at least CONFIDENCE
    moji/TARGET/CONFIDENCE        the same; the clips are the population, and half as many are drawn from them, with
                                  replacement, so that the value in the population is exact here too
    moji_other_half/...           share that meets it on the half of the clips that were not calibrated with. A half
                                  is a small sample itself: this is not what is promised, and lower
    copies/TARGET/CONFIDENCE      the synthetic world again, of which 100 sources are drawn and five near-copies of each
                                  make 500 videos; they are taken for independent ones
    groups/TARGET/CONFIDENCE      the same videos, and the source of each is told as its group
    .../refused                   share of the labels and draws that were refused
    .../value                     mean of the value in the population, over the promises: how far it is from the target
    .../worst_label               of the label with most broken promises: share of draws without one (a refusal breaks
                                  none); with 200 draws its own error is 0.015, and it is the worst of many
    .../whole_draw                share of draws in which no promise of any label is broken. Nothing is said of it
    WORLD_all/...                 the same of promises for all labels at once: there whole_draw is to be at least
                                  CONFIDENCE
    refused_below_needed          share refused with one positive fewer than needed, all scores perfect. To be 1
    refused_at_needed             with just as many. To be 0
    refused_5_videos              share of refused labels with 5 videos at 0.95. To be 1
    macro_f1_half                 Moji: one threshold of 0.5
    macro_f1_per_label            Moji: a threshold a label for F1, 5-fold cross-fitted
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from olmv.calibrate.crossfit import cross_fit, stratified_folds
from olmv.calibrate.fitting import fit_all
from olmv.calibrate.guarantee import Scope, label_confidence, positives_needed, promise_threshold
from olmv.calibrate.objectives import Objective
from olmv.metrics.decisions import decision_figures
from olmv.scoring.logits import logit_of, sigmoid
from scripts.benchmarks.results import Figure, show, write

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

TARGETS = ("recall=0.9", "precision=0.8", "fdr=0.2")
CONFIDENCES = (0.95, 0.9)
SOURCES, COPIES = 100, 5
JITTER = 0.01  # of a near-copy's logit: so little that the population is still that of the formula
VIDEOS = SOURCES * COPIES


class Synthetic:
    """Labels of different frequency, told apart well or badly; precision rises with the threshold."""

    def __init__(self, labels: int = 20, seed: int = 0) -> None:
        random = np.random.default_rng(seed)
        self.share = random.uniform(0.1, 0.4, labels)
        self.high = np.stack([random.uniform(2.5, 6, labels), random.uniform(1, 2, labels)])
        self.low = np.stack([random.uniform(1, 2, labels), random.uniform(2.5, 6, labels)])

    def draw(self, count: int, random: np.random.Generator) -> tuple[Floats, Bools]:
        """Probabilities and truth, [count, C]."""
        truth = random.random((count, len(self.share))) < self.share
        high = random.beta(self.high[0], self.high[1], truth.shape)
        return np.where(truth, high, random.beta(self.low[0], self.low[1], truth.shape)), truth

    def value(self, kind: str, label: int, threshold: float) -> float:
        """Recall or precision of a threshold, over all videos there could be."""
        from scipy.stats import beta

        found = self.share[label] * beta.sf(threshold, *self.high[:, label])
        if kind == "recall":
            return float(found / self.share[label])
        return float(found / (found + (1 - self.share[label]) * beta.sf(threshold, *self.low[:, label])))


def measured(kind: str, positive: Bools, truth: Bools) -> float:
    """Recall or precision of decisions; 1 for the precision of none."""
    hits = (positive & truth).sum()
    return float(hits / truth.sum()) if kind == "recall" else float(hits / positive.sum()) if positive.any() else 1.0


Value = Callable[[int, int, Objective, float], float | None]


def promises(world: str, splits: int, labels: int, one: Value, scope: Scope = "each") -> list[Figure]:
    """Share of promises that were kept, and of refusals.

    `one` returns what a threshold reaches in the population, from the split, the label, the objective and the label's
    own confidence; None is a refusal.
    """
    figures: list[Figure] = []
    for target in TARGETS:
        objective = Objective.parse(target)
        for confidence in CONFIDENCES:
            own = label_confidence(confidence, scope, labels)
            found = [one(split, label, objective, own) for split in range(splits) for label in range(labels)]
            values = np.array([np.nan if value is None else value for value in found]).reshape(splits, labels)
            made = np.isfinite(values)
            unbroken = ~made | (values >= _least(objective))
            count = int(made.sum())
            name = f"{world}/{target}/{confidence}"
            kept = float(unbroken[made].mean()) if count else float("nan")
            figures += [
                Figure(name, kept, None, None, count),
                Figure(f"{name}/refused", 1 - count / made.size, None, None, made.size),
                Figure(f"{name}/value", float(values[made].mean()) if count else float("nan"), None, None, count),
                Figure(f"{name}/worst_label", float(unbroken.mean(axis=0).min()), None, None, splits),
                Figure(f"{name}/whole_draw", float(unbroken.all(axis=1).mean()), None, None, splits),
            ]
    return figures


def on_synthetic(splits: int, seed: int) -> list[Figure]:
    """Fresh calibration videos each time, one by one or as copies; the truth about the population is a formula."""
    world, random = Synthetic(seed=seed), np.random.default_rng(seed)
    single = [world.draw(VIDEOS, random) for _ in range(splits)]
    copied = [copies(*world.draw(SOURCES, random), random) for _ in range(splits)]
    source = np.repeat(np.arange(SOURCES), COPIES)

    def value_of(draws: list[tuple[Floats, Bools]], groups: NDArray[np.int64] | None) -> Value:
        def one(split: int, label: int, objective: Objective, confidence: float) -> float | None:
            probability, truth = draws[split]
            found = promise_threshold(probability[:, label], truth[:, label], objective, confidence, groups).threshold
            return None if found is None else world.value(objective.kind, label, found)

        return one

    labels, figures = len(world.share), []
    for name, draws, groups in (("synthetic", single, None), ("copies", copied, None), ("groups", copied, source)):
        figures += promises(name, splits, labels, value_of(draws, groups))
    figures += promises("synthetic_all", splits, labels, value_of(single, None), "all")
    return figures


def copies(probability: Floats, truth: Bools, random: np.random.Generator) -> tuple[Floats, Bools]:
    """Near-copies of every video, one after the other, [COPIES * N, C]."""
    logit = np.repeat(logit_of(probability), COPIES, axis=0)
    return sigmoid(logit + JITTER * random.standard_normal(logit.shape)), np.repeat(truth, COPIES, axis=0)


def on_clips(world: str, probability: Floats, truth: Bools, splits: int, seed: int, *, replace: bool) -> list[Figure]:
    """Half as many clips calibrate. They are tested on all clips (`replace`), or on the half that is left."""
    random, count = np.random.default_rng(seed), len(truth)
    drawn = [random.choice(count, count // 2, replace=replace) for _ in range(splits)]
    # labels that half of the clips can promise anything of, by their support in all of them
    common = np.flatnonzero(truth.sum(axis=0) >= 60 * count / 800)

    def one(split: int, place: int, objective: Objective, confidence: float) -> float | None:
        scores, true = probability[:, common[place]], truth[:, common[place]]
        found = promise_threshold(scores[drawn[split]], true[drawn[split]], objective, confidence).threshold
        if found is None:
            return None
        tested = np.ones(count, dtype=bool)
        if not replace:
            tested[drawn[split]] = False
        return measured(objective.kind, scores[tested] >= found, true[tested])

    return promises(world, splits, len(common), one)


def refusals() -> list[Figure]:
    """Whether it refuses where it should, and only there."""
    told: dict[str, list[bool]] = {"refused_below_needed": [], "refused_at_needed": [], "refused_5_videos": []}
    for target in TARGETS:
        objective = Objective.parse(target)
        for confidence in CONFIDENCES:
            needed = positives_needed(objective, confidence)
            for name, positives in (("refused_below_needed", needed - 1), ("refused_at_needed", needed)):
                truth = np.arange(500) < positives
                scores = np.where(truth, 0.9, 0.1) + np.arange(500) / 1e5
                told[name].append(promise_threshold(scores, truth, objective, confidence).threshold is None)
        few = np.linspace(0.1, 0.9, 5)
        told["refused_5_videos"].append(promise_threshold(few, few > 0.3, objective, 0.95).threshold is None)
    return [Figure(name, float(np.mean(values)), None, None, len(values)) for name, values in told.items()]


def moji_scores(model_name: str, clips: int, seed: int) -> tuple[Floats, Bools]:
    """Probabilities and truth of fresh clips, labels as in `lab.py`, group thresholds: objects, scenes, motions."""
    from olmv.models.registry import load_video_clip
    from olmv.moji.render import Renderer
    from olmv.moji.world import MOTIONS, object_names, sample_scene, scene_labels
    from olmv.scoring.pooling import score
    from olmv.scoring.probabilities import to_logits
    from scripts.benchmarks.eval_mini import bank_of, embed, truth_of

    model = load_video_clip(model_name, dtype="float32")
    drawn = object_names("seen")[::8]
    names = [*drawn, *scene_labels(), *MOTIONS]
    scenes = [sample_scene(5000 + seed, i, names=drawn, pairings="all") for i in range(clips)]
    frames = embed(model, scenes, Renderer(model.preprocess.size))
    similarity = score(frames, None, bank_of(model, names), frame_pooling="softmax")
    probability = to_logits(similarity, scale=model.logit_scale, bias=model.logit_bias).sigmoid()
    return probability.double().numpy(), truth_of(scenes, names).bool().numpy()


def gain(probability: Floats, truth: Bools) -> list[Figure]:
    """Macro F1 at 0.5, and cross-fitted at thresholds fitted per label."""
    objective = Objective.parse("f1")
    fold = stratified_folds(truth, 5)
    # 8: four of five folds of a minimum support of 10
    fitted = cross_fit(probability, truth, fold, lambda p, t: fit_all(p, t, objective, min_support=8).threshold)
    half, own = (decision_figures(probability >= limit, truth).macro_f1 for limit in (0.5, fitted))
    return [
        Figure("macro_f1_half", half, None, None, len(truth)),
        Figure("macro_f1_per_label", own, None, None, len(truth)),
    ]


def _least(objective: Objective) -> float:
    return (objective.value if objective.kind == "recall" else objective.least_precision) - 1e-12


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--splits", type=int, default=200)
    parser.add_argument("--clips", type=int, default=800)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--model", default="olmv-mini")
    parser.add_argument("--quick", action="store_true", help="40 splits and 200 clips, under a minute")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    started = time.perf_counter()
    splits, clips = (40, 200) if args.quick else (args.splits, args.clips)
    figures = [*refusals(), *on_synthetic(splits, args.seed)]
    probability, truth = moji_scores(args.model, clips, args.seed)
    for world, replace in (("moji", True), ("moji_other_half", False)):
        figures += on_clips(world, probability, truth, splits, args.seed, replace=replace)
    figures += gain(probability, truth)
    show(figures, "Guarantees and gain")
    settings = {"model": args.model, "splits": splits, "clips": clips, "sources": SOURCES, "copies": COPIES}
    settings["seconds"] = round(time.perf_counter() - started)
    print(" ".join(f"{name}={value}" for name, value in settings.items()))
    if args.json is not None:
        write(args.json, figures, settings, seed=args.seed)


if __name__ == "__main__":
    main()
