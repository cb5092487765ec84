"""The laboratory: does what the papers claim show on the Moji world, in minutes, on two CPU cores?

    python scripts/research/lab.py [--work runs/lab] [--seeds 3] [--only temporal,...] [--quick] [--json FILE]

Groups: temporal (a), forgetting (b), captions (c), naming (d), thresholds (e), amounts (f), what a number of clips is
worth; see `lab_GROUP.py` for what each trains.
Every figure is the mean over seeds with its standard deviation; a claim is reproduced where the difference has the
claimed sign in the mean and in every seed, and no more is said. Finished runs in --work are not run again; a killed one
goes on. The curves of (b) are drawn into WORK/lab_curves.png.
"""

import argparse
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as `olmv train`, before torch comes

import torch
from rich.console import Console
from rich.table import Table

from scripts.benchmarks.results import show, write
from scripts.research.lab_captions import captions
from scripts.research.lab_common import Lab
from scripts.research.lab_forgetting import forgetting
from scripts.research.lab_naming import naming
from scripts.research.lab_temporal import amounts, temporal
from scripts.research.lab_thresholds import thresholds
from scripts.research.pictures import draw_tradeoff
from scripts.research.tradeoff import read_curves, summary

GROUPS: dict[str, Callable[[Lab, int], dict[str, float]]] = {
    "temporal": temporal,
    "forgetting": forgetting,
    "captions": captions,
    "naming": naming,
    "thresholds": thresholds,
    "amounts": amounts,
}
# what is claimed, where, as a figure that should be larger than another by at least so much
CLAIMS: tuple[tuple[str, str, str, float], ...] = (
    ("the mean over frames cannot tell a motion from its reverse", "chance/pair_accuracy", "mean/pair_accuracy", -1e-6),
    ("a divided temporal branch tells motions (2407.09073): 0.80", "divided/pair_accuracy", "mean/pair_accuracy", 0.3),
    ("a transformer that sees where things are tells them: 0.80", "transformer-layout/pair_accuracy",
     "mean/pair_accuracy", 0.3),
    ("a transformer over embeddings tells them: 0.80", "transformer/pair_accuracy", "mean/pair_accuracy", 0.3),
    ("ST-Adapter tells them (2206.13559): 0.80", "st-adapter/pair_accuracy", "mean/pair_accuracy", 0.3),
    ("cross-frame attention tells them (Open-VCLIP): 0.80", "cross-frame/pair_accuracy", "mean/pair_accuracy", 0.3),
    ("plain fine-tuning gains trained objects", "plain/seen_map", "original/seen_map", 0.0),
    ("plain fine-tuning loses others", "original/unseen_map", "plain/unseen_map", 0.0),
    ("IWR trades better than plain, last weights", "iwr-mixed/area", "plain-mixed/area", 0.0),
    ("SWA trades better than the last weights", "swa-mixed/area", "plain-mixed/area", 0.0),
    ("IWR trades better than plain, with SWA", "iwr+swa-mixed/area", "swa-mixed/area", 0.0),
    ("IWR+SWA trades better than plain, last weights", "iwr+swa-mixed/area", "plain-mixed/area", 0.0),
    ("distillation over everyday words trades better than IWR+SWA", "own+swa-mixed/area", "iwr+swa-mixed/area", 0.0),
    ("distillation over everyday words trades better than SWA", "own+swa-mixed/area", "swa-mixed/area", 0.0),
    ("captions teach motions that no label names (4 over 0)", "caption 4/motion_map", "caption 0/motion_map", 0.0),
    ("caption weight 4 beats 1 (Open-VCLIP++)", "caption 4/motion_map", "caption 1/motion_map", 0.0),
    ("attributes beat bare names", "attributes, topk/unseen_names_map", "bare names/unseen_names_map", 0.0),
    ("captions teach motions that only time tells", "caption 4/pair_accuracy", "caption 0/pair_accuracy", 0.1),
    ("so do captions that tell the object too", "caption 4, object told/pair_accuracy", "caption 0/pair_accuracy", 0.1),
    ("soft attributes beat bare names (2407.09073)", "soft attributes, SmolLM2/unseen_names_map",
     "bare names/unseen_names_map", 0.0),
    ("it is the language model's knowledge: over random weights", "soft attributes, SmolLM2/unseen_names_map",
     "soft attributes, SmolLM2, random weights/unseen_names_map", 0.0),
    ("it is the language model's knowledge: over shuffled names", "soft attributes, SmolLM2/unseen_names_map",
     "soft attributes, SmolLM2, names shuffled/unseen_names_map", 0.0),
    ("trained prefixes beat the words they begin as", "soft attributes, SmolLM2, prefixes trained/unseen_names_map",
     "soft attributes, SmolLM2/unseen_names_map", 0.0),
    ("thresholds per label beat 0.5 by 5 points of macro F1", "per label/macro_f1", "one threshold/macro_f1", 0.05),
)  # fmt: skip


def draw_curves(lab: Lab, seeds: int) -> Path:
    """Draw what is gained against what is lost, one line an arm, seeds averaged."""
    ends = {
        "plain, mixed": ("plain", "last"), "SWA, mixed": ("plain", "swa"), "IWR, mixed": ("iwr", "last"),
        "IWR+SWA, mixed": ("iwr", "swa"), "own, mixed": ("own", "swa"), "L2, mixed": ("l2", "last"),
    }  # fmt: skip
    folder = lab.work / "forgetting"
    curves = {
        name: [read_curves(folder / arm / "final" / str(seed))[end] for seed in range(seeds)]
        for name, (arm, end) in ends.items()
    }
    return draw_tradeoff(
        curves, lab.work / "lab_curves.png", gained="seen/map", kept=["unseen/map"],
        labels=("objects that it knew, mAP", "objects that it is tuned to, mAP"),
    )  # fmt: skip


def judge(by_seed: list[dict[str, float]]) -> Table:
    """The claims whose figures are there."""
    table = Table("claim", "difference (points)", "each seed", "reproduced here", title="Claims")
    for words, better, worse, least in CLAIMS:
        if any(better not in figures or worse not in figures for figures in by_seed):
            continue
        gaps = [figures[better] - figures[worse] for figures in by_seed]
        mean = statistics.mean(gaps)
        sure = mean > least and all(gap > least for gap in gaps)
        verdict = "yes" if sure else "in the mean only" if mean > least else "no"
        table.add_row(words, f"{100 * mean:+.1f}", ", ".join(f"{100 * g:+.1f}" for g in gaps), verdict)
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path("runs/lab"))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", default=",".join(GROUPS), help="groups, by comma")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--quick", action="store_true", help="one seed, tiny runs: shows that it works")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    chosen = args.only.split(",")
    if unknown := [name for name in chosen if name not in GROUPS]:
        raise SystemExit(f"no group '{unknown[0]}'; choose from {', '.join(GROUPS)}")
    lab = Lab(args.work / "quick" if args.quick else args.work, size=0.02 if args.quick else 1.0)
    seeds = 1 if args.quick else args.seeds
    by_seed: list[dict[str, float]] = [{} for _ in range(seeds)]
    for name in chosen:
        for seed in range(seeds):
            started = time.perf_counter()
            found = GROUPS[name](lab, seed)
            by_seed[seed] |= found
            print(f"{name}, seed {seed}: {time.perf_counter() - started:.0f} s", flush=True)
            print("  " + ", ".join(f"{k} {v:.3f}" for k, v in found.items()), flush=True)
    figures = summary(by_seed)
    show(figures, f"The laboratory, {seeds} seeds, drawings not footage")
    Console(width=140).print(judge(by_seed))
    if "forgetting" in chosen:
        print(f"curves: {draw_curves(lab, seeds)}")
    settings = {"seeds": seeds, "groups": args.only, "quick": args.quick, "threads": args.threads}
    if args.json is not None:
        write(args.json, figures, settings)


if __name__ == "__main__":
    main()
