"""Do the figures of a review hold, and what would unweighted ones say? On made-up models and videos.

    python scripts/benchmarks/check_review.py [--rounds 400] [--json FILE]

A review of a label is simulated: the first N videos of its order are judged rightly, and precision and recall are
estimated at the threshold that the order is around, and a logit above it. What is true of all videos is known.

Worlds:
    calibrated   5,000 videos, probabilities that come true as often as they say
    sure         3,000 videos, a model that is far too sure of itself
    rare         20,000 videos, 1 % true
    small        300 videos
    blind        5,000 videos, of which 1 % are true whatever the model says of them
    skipped      `sure`, each fifth video is skipped by lot
    elsewhere    `sure`, and 200 videos of the lowest scores were judged out of order

Figures, for every WORLD, threshold (at, above), N (50, 100, 200, 400) and FIGURE (precision, recall):
    WORLD/threshold/N/FIGURE/told       share of the reviews in which there is a figure
    .../held                            share of these whose 90 % interval holds the true value
    .../bias                            mean of the estimate less the true value
    .../width                           of the interval, mean
    .../unweighted_bias                 the same of the plain share of the judged videos, over all reviews
"""

import argparse
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from olmv.scoring.logits import sigmoid
from olmv.serve.review.estimates import CONFIDENCE, Judged, measure
from olmv.serve.review.order import ReviewOrder, video_keys
from scripts.benchmarks.results import Figure, show, write

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

WORLDS = ("calibrated", "sure", "rare", "small", "blind", "skipped", "elsewhere")
COUNTS = (50, 100, 200, 400)
THRESHOLDS = {"at": 0.0, "above": 1.0}
SKIPPED = 0.2
ELSEWHERE = 200


def world(name: str) -> tuple[Floats, Bools, float]:
    """Return logits [N], truth [N] and the threshold, a logit, that a review begins with."""
    random = np.random.default_rng(7)
    if name == "calibrated":
        logit = random.normal(-3.5, 1.8, 5000)
        return logit, random.random(5000) < sigmoid(logit), 0.0
    if name == "rare":
        logit, truth = random.normal(-6, 1.5, 20000), random.random(20000) < 0.01
        return logit + 4 * truth, truth, -2.5
    if name == "small":
        logit = random.normal(-1, 2, 300)
        return logit, random.random(300) < sigmoid(1.5 * logit - 0.5), 0.3
    if name == "blind":
        logit = random.normal(-4, 1.5, 5000)
        return logit, (random.random(5000) < sigmoid(1.5 * logit)) | (random.random(5000) < 0.01), -0.5
    logit = random.normal(-4, 5, 3000)
    return logit, random.random(3000) < sigmoid(logit / 3 - 0.5), 0.0


def review(name: str, logit: Floats, truth: Bools, anchor: float, count: int, number: int) -> Judged:
    """Judge the first videos of an order."""
    keys = video_keys([f"{place}.mp4" for place in range(len(logit))])
    order = ReviewOrder.of(number, name, anchor, logit, keys)
    census = np.zeros(len(logit), dtype=bool)
    if name == "elsewhere":
        census[np.argsort(logit)[:ELSEWHERE]] = True
    places = order.places[~census[order.places]]
    sampled = np.zeros(len(logit), dtype=bool)
    sampled[places[:count]] = True
    if name == "skipped":
        sampled &= np.random.default_rng(number).random(len(logit)) >= SKIPPED
    return Judged(logit, truth & (sampled | census), sampled, census, order.inclusion(int(places[count])))


def measured(name: str, rounds: int) -> list[Figure]:
    """Simulate the reviews of a world."""
    logit, truth, anchor = world(name)
    figures: list[Figure] = []
    for count in (count for count in COUNTS if count < len(logit)):
        judged = [review(name, logit, truth, anchor, count, number) for number in range(rounds)]
        for where, offset in THRESHOLDS.items():
            above = logit >= anchor + offset
            true = {"precision": truth[above].mean(), "recall": truth[above].sum() / truth.sum()}
            qualities = [measure(each, anchor + offset) for each in judged]
            for figure, value in true.items():
                found = [estimate for quality in qualities if (estimate := getattr(quality, figure)) is not None]
                plain = [_unweighted(each, above, figure) for each in judged]
                held = [each.low - 1e-9 <= value <= each.high + 1e-9 for each in found]
                key = f"{name}/{where}/{count}/{figure}"
                figures.append(Figure(f"{key}/told", len(found) / rounds, None, None, rounds))
                figures.append(Figure(f"{key}/unweighted_bias", float(np.nanmean(plain) - value), None, None, rounds))
                if len(found) >= rounds / 4:  # of fewer, nothing can be said
                    told = len(found)
                    figures += [
                        Figure(f"{key}/held", float(np.mean(held)), None, None, told),
                        Figure(f"{key}/bias", float(np.mean([e.value for e in found]) - value), None, None, told),
                        Figure(f"{key}/width", float(np.mean([e.high - e.low for e in found])), None, None, told),
                    ]
    return figures


def _unweighted(judged: Judged, above: Bools, figure: str) -> float:
    """Return the share among all judged videos, however they came to be judged."""
    told = judged.sampled | judged.census
    hits = (judged.verdict & above & told).sum()
    whole = (above & told).sum() if figure == "precision" else (judged.verdict & told).sum()
    return float(hits / whole) if whole else float("nan")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=400, help="reviews of each kind")
    parser.add_argument("--json", type=Path, help="write the figures here")
    args = parser.parse_args()
    began = time.perf_counter()
    figures = [figure for name in WORLDS for figure in measured(name, args.rounds)]
    show(figures, "figures of a review")
    held = [figure for figure in figures if figure.name.endswith("/held")]
    worst = min(held, key=lambda figure: figure.value)
    mean = float(np.mean([figure.value for figure in held]))
    print(f"intervals of {CONFIDENCE:g} held {mean:.3f} of the time in the mean of {len(held)} settings")
    print(f"worst: {worst.value:.3f} ({worst.name}); took {time.perf_counter() - began:.0f} s")
    if args.json is not None:
        write(args.json, figures, {"rounds": args.rounds, "confidence": CONFIDENCE})


if __name__ == "__main__":
    main()
