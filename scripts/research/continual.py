"""Five times new labels for one model: what becomes of the first ones, of all of them, and of words never trained?

    python scripts/research/continual.py [--work runs/continual] [--seeds 3] [--quick] [--json FILE]

olmv-mini learns the 60 objects that it never saw, in five additions of 12 by `olmv train --from`; clips of an addition
hold its own objects only. Three figures after each: mAP of the first 12 labels, of all labels so far on clips in which
their objects stand together, and of objects that are never trained here. Arms: plain, IWR, a replay buffer, and both.
All have the same steps and the same search for the learning rate: the one with the best mAP of all labels after two
additions, on clips and with a seed of its own. Finished runs in --work are not run again; a killed one goes on. A
picture goes to WORK/continual.png; with --json, also to docs/images.
"""

import argparse
import json
import os
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as `olmv train`, before torch comes

import torch

from olmv.models.registry import load_video_clip
from olmv.moji.world import object_names
from olmv.train.config_file import parse_config
from olmv.train.data.sources import open_sources
from olmv.train.job import TrainJob, run
from olmv.train.trainable import Trainable, label_bank
from olmv.train.validation import macro_map, score_videos
from scripts.benchmarks.results import Figure, show, write
from scripts.research.mini_motions import Plain

IMAGE = Path(__file__).parents[2] / "docs" / "images" / "continual.png"
ADDITIONS = 5
SEARCHED = 2  # additions of the search for the learning rate
RATES = (3e-4, 1e-3)
SEARCH_SEED = 100
ARMS: Mapping[str, Mapping[str, Any]] = {
    "plain": {},
    "iwr": {"iwr": 0.5},
    "replay": {"replay": True},
    "replay+iwr": {"iwr": 0.5, "replay": True},
}
KINDS = {"first": "the first 12 labels", "so_far": "all labels so far", "untouched": "62 labels never trained here"}


@dataclass(frozen=True)
class Sizes:
    """How much is trained and measured."""

    clips: int = 320  # new ones of an addition
    replay: int = 160  # earlier ones beside them
    steps: int = 25
    batch: int = 16
    checked: int = 120


def part(number: int) -> list[str]:
    """The objects of an addition, by number from 1: every fifth of those that olmv-mini never saw."""
    return list(object_names("unseen")[number - 1 :: ADDITIONS])


def source(seed: int, clips: int, objects: Sequence[str] | str) -> dict[str, Any]:
    """Single frames of these objects, nothing else labelled."""
    return {"moji": {"seed": seed, "clips": clips, "objects": objects, "labels": ["objects"]}}


def validation(number: int, seed: int, sizes: Sizes) -> dict[str, Any]:
    """What is measured in an addition; the first labels go on being measured as those of an earlier run."""
    so_far = [name for n in range(1, number + 1) for name in part(n)]
    checked = {
        "so_far": source(7000 + seed, 2 * sizes.checked, so_far),
        "untouched": source(8000 + seed, sizes.checked, "seen[::12]"),
    }
    return {"first": source(9000 + seed, sizes.checked, part(1)), **checked} if number == 1 else checked


def settings(number: int, seed: int, arm: str, rate: float, sizes: Sizes, before: Path | None) -> dict[str, Any]:
    """The config of an addition."""
    options = ARMS[arm]
    replay = sizes.replay if options.get("replay") else 0
    return {
        "data": {
            "train": source(1000 * number + seed, sizes.clips, part(number)),
            "validation": validation(number, seed, sizes),
            "frames": 1,
        },
        "objective": {"frame_pooling": "softmax"},
        "regularization": {"iwr": options.get("iwr", 0.0)},
        "continual": None if before is None else {"run": str(before), "replay": replay},
        "optimizer": {"lr": rate, "epochs": 100, "warmup_epochs": 0.2, "batch_size": sizes.batch},
        "run": {"seed": seed, "steps": sizes.steps, "validate_every": 0, "checkpoint_minutes": 60, "device": "cpu"},
    }


def chain(work: Path, arm: str, seed: int, rate: float, sizes: Sizes, *, additions: int) -> list[dict[str, float]]:
    """Figures after every addition: {"first": ..., "so_far": ..., "untouched": ...}."""
    figures: list[dict[str, float]] = []
    before: Path | None = None
    for number in range(1, additions + 1):
        # before there is something to replay, an arm is as without it
        name = {"replay": "plain", "replay+iwr": "iwr"}.get(arm, arm) if number == 1 else arm
        folder = work / f"{name.replace('+', '-')}-{rate:g}-{seed}-{number}"
        done = folder / "figures.json"
        if not done.is_file():
            config = parse_config(settings(number, seed, name, rate, sizes, before))
            summary = run(TrainJob(config, folder), Plain(quiet=True))
            if summary is None:  # killed between the end of the run and the next line
                raise SystemExit(f"delete {folder} and start again")
            done.write_text(json.dumps(summary.figures), encoding="utf-8")
        measured: dict[str, float] = json.loads(done.read_text(encoding="utf-8"))
        first = measured["first/map" if number == 1 else "earlier1/first/map"]
        figures.append({"first": first, **{kind: measured[f"{kind}/map"] for kind in ("so_far", "untouched")}})
        before = folder
    return figures


def original(seed: int, sizes: Sizes) -> dict[str, float]:
    """Figures of olmv-mini as it ships, on the sources of the first addition."""
    model = load_video_clip("olmv-mini", temporal="mean", dtype="float32")
    config = parse_config(settings(1, seed, "plain", RATES[0], sizes, None))
    _, sources = open_sources(config.data, preprocess=model.preprocess, templates=model.templates, seed=seed)
    trainable = Trainable(model, frame_pooling="softmax")
    return {
        name: macro_map(score_videos(trainable, s.dataset, label_bank(model, s.texts), batch_size=64))
        for name, s in sources.items()
    }


def best_rate(work: Path, arm: str, sizes: Sizes) -> tuple[float, dict[str, float]]:
    """The learning rate with the best mAP of all labels after two additions, and every rate's."""
    tried = {
        f"{rate:g}": chain(work, arm, SEARCH_SEED, rate, sizes, additions=SEARCHED)[-1]["so_far"] for rate in RATES
    }
    return float(max(tried, key=lambda rate: tried[rate])), tried


def draw(curves: Mapping[str, Sequence[Sequence[Mapping[str, float]]]], start: Mapping[str, float], path: Path) -> None:
    """A panel a figure, a line an arm: mean over seeds, the range between them shaded."""
    from matplotlib.figure import Figure as Picture

    picture = Picture(figsize=(12, 4), layout="constrained")
    panels = picture.subplots(1, 3)
    for axes, (kind, words) in zip(panels, KINDS.items(), strict=True):
        steps = list(range(1, len(next(iter(curves.values()))[0]) + 1))
        for arm, seeds in curves.items():
            lines = [[point[kind] for point in line] for line in seeds]
            (drawn,) = axes.plot(steps, [statistics.mean(x) for x in zip(*lines, strict=True)], marker="o", label=arm)
            axes.fill_between(
                steps, [min(x) for x in zip(*lines, strict=True)], [max(x) for x in zip(*lines, strict=True)],
                color=drawn.get_color(), alpha=0.15,
            )  # fmt: skip
        if kind != "so_far":
            axes.axhline(start[kind], color="grey", linestyle="--", label="olmv-mini as it ships")
        axes.set(xlabel="additions of 12 labels", ylabel="mAP", title=words[0].upper() + words[1:], xticks=steps)
        axes.grid(alpha=0.3)
    panels[0].legend(fontsize="small")
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.savefig(path, dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path("runs/continual"))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--quick", action="store_true", help="one seed, tiny runs: shows that it works")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    sizes = Sizes(clips=16, replay=8, steps=2, batch=8, checked=16) if args.quick else Sizes()
    work = args.work / "quick" if args.quick else args.work
    seeds = 1 if args.quick else args.seeds
    starts = [original(seed, sizes) for seed in range(seeds)]
    start = {kind: statistics.mean(found[kind] for found in starts) for kind in ("first", "untouched")}
    figures = [Figure(f"original/{kind}", value, None, None, seeds * sizes.checked) for kind, value in start.items()]
    curves: dict[str, list[list[dict[str, float]]]] = {}
    searched: dict[str, dict[str, float]] = {}
    rates: dict[str, float] = {}
    for arm in ARMS:
        rates[arm], searched[arm] = best_rate(work, arm, sizes)
        print(f"{arm}: learning rate {rates[arm]:g} of {searched[arm]}", flush=True)
    for seed in range(seeds):  # a seed is whole before the next begins
        for arm in ARMS:
            began = time.perf_counter()
            curves.setdefault(arm, []).append(chain(work, arm, seed, rates[arm], sizes, additions=ADDITIONS))
            print(f"{arm}, seed {seed}: {time.perf_counter() - began:.0f} s, {curves[arm][-1][-1]}", flush=True)
    for arm, lines in curves.items():
        for number in range(ADDITIONS):
            for kind in KINDS:
                values = [line[number][kind] for line in lines]
                name = f"{arm}/{number + 1}/{kind}"
                low, high = (min(values), max(values)) if seeds > 1 else (None, None)
                clips = seeds * sizes.checked * (2 if kind == "so_far" else 1)
                figures.append(Figure(name, statistics.mean(values), low, high, clips))
    show(figures, "Five additions of 12 labels, drawings not footage")
    draw(curves, start, work / "continual.png")
    if args.json is not None:
        told = {
            "seeds": seeds, "interval": "lowest and highest seed", "sizes": vars(sizes), "learning rates": rates,
            "searched: so_far after two additions": searched, "iwr": 0.5, "quick": args.quick,
        }  # fmt: skip
        write(args.json, figures, told)
        draw(curves, start, IMAGE)


if __name__ == "__main__":
    main()
