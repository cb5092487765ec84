"""The laboratory: does what the papers claim show on the Moji world, in minutes, on two CPU cores?

    python scripts/research/lab.py [--work runs/lab] [--seeds 3] [--only temporal,...] [--quick] [--json FILE]

Groups: temporal (a), forgetting (b), captions (c), naming (d), thresholds (e); see `lab_GROUP.py` for what each trains.
Every figure is the mean over seeds with its standard deviation; a claim is reproduced where the difference has the
claimed sign in the mean and in every seed, and no more is said. Finished runs in --work are not run again; a killed one
goes on. The curves of (b) are drawn into WORK/curves.png.
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

from scripts.benchmarks.common import report
from scripts.research.lab_captions import captions
from scripts.research.lab_common import Lab
from scripts.research.lab_forgetting import curve, forgetting
from scripts.research.lab_naming import naming
from scripts.research.lab_temporal import temporal
from scripts.research.lab_thresholds import thresholds

GROUPS: dict[str, Callable[[Lab, int], dict[str, float]]] = {
    "temporal": temporal,
    "forgetting": forgetting,
    "captions": captions,
    "naming": naming,
    "thresholds": thresholds,
}
# what is claimed, where, as a figure that should be larger than another by at least so much
CLAIMS: tuple[tuple[str, str, str, float], ...] = (
    ("temporal modelling beats frame mean on motions by 30 points", "transformer/motion_map", "mean/motion_map", 0.3),
    ("cross-frame attention beats frame mean (Open-VCLIP)", "cross-frame/motion_map", "mean/motion_map", 0.0),
    ("a divided temporal branch beats frame mean (2407.09073)", "divided/motion_map", "mean/motion_map", 0.0),
    ("ST-Adapter beats frame mean (2206.13559)", "st-adapter/motion_map", "mean/motion_map", 0.0),
    ("attention pooling beats frame mean", "attention/motion_map", "mean/motion_map", 0.0),
    ("plain fine-tuning gains seen objects", "plain/seen_map", "original/seen_map", 0.0),
    ("plain fine-tuning loses unseen objects", "original/unseen_map", "plain/unseen_map", 0.0),
    ("IWR keeps more unseen than plain", "iwr/unseen_map", "plain/unseen_map", 0.0),
    ("L2 to the original keeps more unseen than plain", "l2/unseen_map", "plain/unseen_map", 0.0),
    ("SWA, mixed, keeps more unseen than plain", "swa/unseen_map", "plain/unseen_map", 0.0),
    ("IWR+SWA, mixed, is within 1 point of the original's unseen", "iwr+swa/unseen_map", "original/unseen_map", -0.01),
    ("IWR+SWA, mixed, is within 2 points of plain's seen", "iwr+swa/seen_map", "plain/seen_map", -0.02),
    ("captions teach motions that no label names (4 over 0)", "caption 4/motion_map", "caption 0/motion_map", 0.0),
    ("caption weight 4 beats 1 (Open-VCLIP++)", "caption 4/motion_map", "caption 1/motion_map", 0.0),
    ("attributes beat bare names", "attributes, topk/unseen_names_map", "bare names/unseen_names_map", 0.0),
    ("soft attributes beat bare names (2407.09073)", "soft attributes/unseen_names_map", "bare names/unseen_names_map",
     0.0),
    ("thresholds per label beat 0.5 by 5 points of macro F1", "per label/macro_f1", "one threshold/macro_f1", 0.05),
)  # fmt: skip


def draw_curves(lab: Lab, seeds: int) -> Path:
    """Seen against unseen along the ratio, one line an arm, seeds averaged."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 4.5), layout="constrained")
    left, right = figure.subplots(1, 2)
    for arm in ("swa", "iwr+swa"):
        runs = [curve(lab, arm, seed) for seed in range(seeds)]
        mean = [
            {key: statistics.mean(run[i][key] for run in runs) for key in ("ratio", "seen/map", "unseen/map")}
            for i in range(len(runs[0]))
        ]
        line = [[point[key] for point in mean] for key in ("ratio", "seen/map", "unseen/map")]
        left.plot(line[2], line[1], marker="o", label=arm)
        (drawn,) = right.plot(line[0], line[1], marker="o", label=f"{arm}, seen")
        right.plot(line[0], line[2], marker="o", linestyle="--", color=drawn.get_color(), label=f"{arm}, unseen")
    left.set(xlabel="unseen objects, mAP", ylabel="seen objects, mAP", title="The trade-off, original to tuned")
    right.set(xlabel="ratio (weight of the original)", ylabel="mAP", title="Along the ratio")
    for axes in (left, right):
        axes.grid(alpha=0.3)
        axes.legend(fontsize="small")
    path = lab.work / "curves.png"
    figure.savefig(path, dpi=130)
    return path


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
    figures: dict[str, float] = {}
    for name in by_seed[0]:
        values = [found[name] for found in by_seed]
        figures[name] = statistics.mean(values)
        figures[f"{name}_std"] = statistics.stdev(values) if len(values) > 1 else 0.0
    table = Table("arm", "metric", "mean", "std", title=f"The laboratory, {seeds} seeds, drawings not footage")
    for name in by_seed[0]:
        arm, _, metric = name.rpartition("/")
        table.add_row(arm, metric, f"{figures[name]:.3f}", f"{figures[f'{name}_std']:.3f}")
    Console(width=140).print(table)
    Console(width=140).print(judge(by_seed))
    if "forgetting" in chosen:
        print(f"curves: {draw_curves(lab, seeds)}")
    settings = {"seeds": seeds, "groups": args.only, "quick": args.quick, "threads": args.threads}
    report(figures, settings, args.json, "figures")


if __name__ == "__main__":
    main()
