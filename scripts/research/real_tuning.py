"""Tuning olmv-lite to ten actions on real footage: what is gained, and what of its open vocabulary is lost.

    python scripts/research/real_tuning.py REAL [--work runs/real] [--json docs/results/real_tuning.json] [--quick]

REAL has the folders `actions`, `nouns` and `objects` with `labels.csv` (a part of UCF101, WordNet nouns, a part of
COCO). Every action's sources (`group`) are parted in four. With the first part the settings of every arm are chosen,
three trials each, from nouns' photos that are not tested with and from the first part's clips; then each of the other
parts is tested once, trained on the three others, with a seed of its own: three runs, whose spread is given.

Arms (the last layers of the image tower are tuned, see `real_clips.py`; all arms take equally many steps):
    plain, l2, iwr      the last weights of a run
    swa, iwr+swa        the mean of the epochs' weights, of the runs of plain and iwr
    ...-mixed           mixed with the original's at the ratio that the choice of settings found
    own                 distillation over everyday words, mean of the epochs, mixed
    frozen              a temporal transformer on the frozen tower
ST-Adapters and cross-frame attention need a vision transformer; olmv-lite's tower is none.

Then the settings of `swa` train on 1, 2 and 4 clips a label.

Figures: ARM/METRIC and ARM/METRIC/sd: actions_top1, nouns_top1, objects_map, and `area`, the mean of the best
actions_top1 within an allowed loss of 0 to 5 points (of the mean of the other two), along the ratio.
"""

import argparse
import os
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import numpy as np
import torch
from torch import Tensor, nn

from olmv.labels.texts import build_texts
from olmv.labels.vocabulary import Vocabulary
from olmv.models.clip.interpolation import interpolate
from olmv.progress import JobListener
from olmv.scoring.bank import TextBank
from olmv.train.checkpoint import load_weights
from olmv.train.config import TrainConfig
from olmv.train.run_folder import RunFolder
from olmv.train.setup import make_accelerator
from olmv.train.trainable import Trainable, label_bank, select_weights
from olmv.train.trainer import Trainer
from olmv.train.validation import macro_map, score_videos, top1
from scripts.benchmarks.real_sets import RealSet
from scripts.benchmarks.results import show, write
from scripts.research.pictures import draw_tradeoff
from scripts.research.real_clips import FRAMES, Activations, Clips, tail_model
from scripts.research.tradeoff import Points, area, best_within, read_curves, summary, write_curves

MODEL = "olmv-lite"
METRICS = ("actions_top1", "nouns_top1", "objects_map")
KEPT = ("nouns_top1", "objects_map")
GUARD_PHOTOS = 2  # of five photos a noun
AMOUNTS = (1, 2, 4)  # clips a label
ALLOWED = 0.01  # loss, where a ratio is chosen


@dataclass(frozen=True)
class Settings:
    """Of a training run."""

    lr: float
    regularization: Mapping[str, float]
    temporal: str = "mean"
    ends: tuple[str, ...] = ("last", "swa")  # that are measured
    ratios: tuple[float, ...] = (0.0, 0.25, 0.5, 0.75, 0.875)  # beside 1

    @property
    def name(self) -> str:
        parts = [f"{key}{value:g}" for key, value in self.regularization.items()]
        return "-".join([self.temporal, f"lr{self.lr:g}", *parts])


# three trials each, as many for every arm
TRIALS: dict[str, list[Settings]] = {
    "plain": [Settings(lr, {}) for lr in (1e-4, 3e-4, 1e-3)],
    "iwr": [Settings(lr, {"iwr": 0.5}) for lr in (1e-4, 3e-4, 1e-3)],
    "own": [Settings(3e-4, {"distillation": weight}, ends=("swa",)) for weight in (0.1, 0.3, 1.0)],
    "l2": [Settings(3e-4, {"l2": weight}, ends=("last",)) for weight in (0.01, 0.1, 1.0)],
    "frozen": [Settings(lr, {}, "transformer", ("last",)) for lr in (3e-4, 1e-3, 3e-3)],
}


class Footage:
    """All material, looked at once, and the parts of the actions' sources."""

    def __init__(self, folder: Path, cache: Path) -> None:
        def activations(name: str, frames: int) -> Activations:
            if not (folder / name / "labels.csv").is_file():
                raise SystemExit(
                    f"'{folder}' has no {name}/labels.csv; give the folder with actions, nouns and objects"
                )
            return Activations.of(RealSet.load(folder / name), MODEL, frames=frames, cache=cache)

        self.actions, self.nouns = activations("actions", FRAMES), activations("nouns", 1)
        self.objects = activations("objects", 1)
        self.parts = parts_of(self.actions.real)
        truth = self.nouns.real.truth.argmax(1)
        order = [int((truth[:row] == truth[row]).sum()) for row in range(len(truth))]
        self.guard = [row for row, place in enumerate(order) if place < GUARD_PHOTOS]
        self.photos = [row for row, place in enumerate(order) if place >= GUARD_PHOTOS]


def parts_of(real: RealSet, parts: int = 4) -> list[int]:
    """Give every video a part, 0 to 3, so that a source is in one part and every action's parts are about alike."""
    found = [0] * len(real.videos)
    for label in range(len(real.labels)):
        rows = np.flatnonzero(real.truth[:, label]).tolist()
        filled = [0] * parts
        for group, count in sorted(Counter(real.groups[row] for row in rows).items(), key=lambda item: -item[1]):
            part = min(range(parts), key=lambda k: (filled[k], (k + label) % parts))
            filled[part] += count
            for row in rows:
                if real.groups[row] == group:
                    found[row] = part
    return found


@dataclass(frozen=True)
class Tuned:
    """Both ends of a run, and the model that they go into."""

    trainable: Trainable
    weights: Mapping[str, nn.Parameter]
    original: Mapping[str, Tensor]
    ends: Mapping[str, Mapping[str, Tensor]]


def tune(footage: Footage, rows: Sequence[int], settings: Settings, folder: Path, *, seed: int, epochs: int) -> Tuned:
    """Train on some clips; a killed run goes on."""
    torch.manual_seed(seed)
    new = settings.temporal != "mean"
    model = tail_model(MODEL, settings.temporal)
    config = TrainConfig.from_dict({
        "data": {"train": {"manifest": "labels.csv"}, "frames": FRAMES if new else 2},
        "model": {"name": MODEL, "train": "new" if new else "visual"},
        "objective": {"label": "cross-entropy", "frame_pooling": "mean"},
        "regularization": {"swa_start": epochs // 3, **settings.regularization},
        "optimizer": {"lr": settings.lr, "epochs": epochs, "warmup_epochs": 1, "batch_size": 8, "gate_lr": 1e-2},
        "run": {"seed": seed, "device": "cpu", "checkpoint_minutes": 60, "keep_checkpoints": 1},
    })  # fmt: skip
    clips = Clips(footage.actions, rows, shown=FRAMES if new else 2, seed=seed)
    trainable = Trainable(model, frame_pooling="mean", frozen_tower=new)
    weights, fresh = select_weights(trainable, config.model.train)
    original = {name: weight.detach().clone() for name, weight in weights.items()}
    listener = JobListener()
    run = RunFolder(folder)
    run.begin(config, device="cpu")
    trainer = Trainer(
        config, trainable=trainable, weights=weights, new=fresh, unmixed=fresh, original=original, dataset=clips,
        bank=bank_of(trainable, footage.actions.real), folder=run,
        accelerator=make_accelerator(config, listener), listener=listener,
    )  # fmt: skip
    trainer.run()
    last = {name: weight.detach().clone() for name, weight in weights.items()}
    ends = {"last": last, "swa": trainer.average.weights}
    return Tuned(trainable, weights, original, {end: ends[end] for end in settings.ends})


def bank_of(trainable: Trainable, real: RealSet) -> TextBank:
    model = trainable.model
    return label_bank(model, build_texts(Vocabulary.from_names(list(real.labels)), model.templates))


def measure(
    footage: Footage,
    tuned: Tuned,
    known: Mapping[str, Points],
    *,
    tested: Sequence[int],
    photos: Sequence[int],
    ratios: Sequence[float],
    objects: bool,
) -> dict[str, Points]:
    """Measure the ends at every ratio, and the original; what is known already is left out."""
    sets = {"actions": Clips(footage.actions, tested), "nouns": Clips(footage.nouns, photos)}
    if objects:
        sets["objects"] = Clips(footage.objects, range(len(footage.objects.real.videos)))
    banks = {name: bank_of(tuned.trainable, clips.activations.real) for name, clips in sets.items()}

    def figures() -> dict[str, float]:
        scores = {name: score_videos(tuned.trainable, sets[name], banks[name], batch_size=8) for name in sets}
        found = {f"{name}_top1": top1(scores[name]) for name in ("actions", "nouns")}
        return found | ({"objects_map": macro_map(scores["objects"])} if objects else {})

    measured = {end: dict(points) for end, points in known.items()}
    if not measured:
        load_weights(tuned.weights, tuned.original)
        start = figures()
        measured = {end: {1.0: start} for end in tuned.ends}
    for end, weights in tuned.ends.items():
        for ratio in ratios:
            if ratio not in measured[end]:
                load_weights(tuned.weights, interpolate(tuned.original, weights, ratio))
                measured[end][ratio] = figures()
    return measured


def run_once(
    footage: Footage, settings: Settings, folder: Path, *, train: Sequence[int], test: Sequence[int],
    photos: Sequence[int], objects: bool, seed: int, epochs: int,
) -> dict[str, Points]:  # fmt: skip
    """Tune and measure; what is done already is read."""
    known = read_curves(folder)
    if not known or any(ratio not in points for points in known.values() for ratio in settings.ratios):
        started = time.perf_counter()
        tuned = tune(footage, train, settings, folder, seed=seed, epochs=epochs)
        measured = measure(footage, tuned, known, tested=test, photos=photos, ratios=settings.ratios, objects=objects)
        write_curves(folder, measured)
        print(f"{folder}: {time.perf_counter() - started:.0f} s", flush=True)
    return read_curves(folder)


def choose(footage: Footage, arm: str, work: Path, epochs: int) -> dict[str, Any]:
    """Find an arm's settings: the largest area on the first part's clips and the guard's photos."""
    train = [row for row, part in enumerate(footage.parts) if part]
    test = [row for row, part in enumerate(footage.parts) if not part]
    how: dict[str, Any] = {"gained": "actions_top1", "kept": ["nouns_top1"]}
    best: dict[str, Any] = {}
    for settings in TRIALS[arm]:
        found = run_once(
            footage, settings, work / "choice" / arm / settings.name, train=train, test=test, photos=footage.guard,
            objects=False, seed=100, epochs=epochs,
        )  # fmt: skip
        value = max(area(found[end], **how) for end in settings.ends)
        shown = sorted(found[settings.ends[-1]].items())
        line = " ".join(f"{r:g}:{f['actions_top1']:.2f}/{f['nouns_top1']:.3f}" for r, f in shown)
        print(f"  {arm} {settings.name}: area {value:.3f}; {settings.ends[-1]} {line}", flush=True)
        if not best or value > best["area"]:
            ratios = {end: best_within(found[end], most=ALLOWED, **how) for end in settings.ends}
            best = {"area": value, "settings": settings, "ratios": ratios}
    return best


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("real", type=Path, metavar="REAL")
    parser.add_argument("--work", type=Path, default=Path("runs/real"))
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--arms", default=",".join(TRIALS), help="by comma")
    parser.add_argument("--quick", action="store_true", help="one epoch: shows that it works")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    epochs = 1 if args.quick else args.epochs
    work = args.work / "quick" if args.quick else args.work
    footage = Footage(args.real, args.work / "activations")
    by_fold: list[dict[str, float]] = [{} for _ in range(3)]
    drawn: dict[str, list[Points]] = {}
    chosen: dict[str, Any] = {}
    settings_of: dict[str, Settings] = {}
    for arm in args.arms.split(","):
        best = choose(footage, arm, work, epochs)
        chosen[arm] = {"settings": best["settings"].name, "ratios": best["ratios"]}
        settings_of[arm] = best["settings"]
        finals = work / "test" / arm / best["settings"].name
        for fold in range(3):
            test = [row for row, part in enumerate(footage.parts) if part == fold + 1]
            train = [row for row, part in enumerate(footage.parts) if part != fold + 1]
            found = run_once(
                footage, best["settings"], finals / f"{fold}", train=train, test=test,
                photos=footage.photos, objects=True, seed=fold, epochs=epochs,
            )  # fmt: skip
            by_fold[fold] |= figures_of(arm, found, best["ratios"])
            for name, end in curve_names(arm).items():
                drawn.setdefault(name, []).append(found[end])
    if "plain" in chosen:
        few = replace(settings_of["plain"], ends=("swa",), ratios=(0.0,))
        for count in AMOUNTS:
            for fold in range(3):
                by_fold[fold] |= amount_figures(footage, few, work, count, fold, epochs)
    figures = summary(by_fold)
    show(figures, "Tuned to ten actions, three parts of the sources")
    settings = {"model": MODEL, "epochs": epochs, "threads": args.threads, "chosen": chosen, "quick": args.quick}
    if args.json is not None:
        write(args.json, figures, settings)
    print(draw_tradeoff(drawn, work / "real_tuning.png"))


def amount_figures(
    footage: Footage, settings: Settings, work: Path, count: int, fold: int, epochs: int
) -> dict[str, float]:
    """Train on `count` clips a label, as many steps as on all of them; the mean of the epochs is measured."""
    train = [row for row, part in enumerate(footage.parts) if part != fold + 1]
    truth = footage.actions.real.truth.argmax(1)
    random = np.random.default_rng(fold)
    few = [
        int(row)
        for label in range(truth.max() + 1)
        for row in random.permutation([r for r in train if truth[r] == label])[:count]
    ]
    found = run_once(
        footage, settings, work / "amounts" / f"{count}" / f"{fold}", train=few,
        test=[row for row, part in enumerate(footage.parts) if part == fold + 1], photos=footage.photos, objects=False,
        seed=fold, epochs=round(epochs * len(train) / len(few)),
    )  # fmt: skip
    return {
        f"{count} clips a label/actions_top1": found["swa"][0.0]["actions_top1"],
        f"{count} clips a label/nouns_top1": found["swa"][0.0]["nouns_top1"],
    }


def curve_names(arm: str) -> dict[str, str]:
    """Return the curves of an arm's runs, and the end each begins at."""
    if arm in ("plain", "iwr"):
        return {f"{arm}-mixed": "last", f"{'iwr+' if arm == 'iwr' else ''}swa-mixed": "swa"}
    return {arm: "swa" if arm == "own" else "last"}


def figures_of(arm: str, found: Mapping[str, Points], ratios: Mapping[str, float]) -> dict[str, float]:
    """Return ARM/METRIC of a fold for all arms that come of a run."""
    ends: dict[str, tuple[str, float]] = {}
    if arm in ("plain", "iwr"):
        averaged = "iwr+swa" if arm == "iwr" else "swa"
        ends = {
            arm: ("last", 0.0), f"{arm}-mixed": ("last", ratios["last"]),
            averaged: ("swa", 0.0), f"{averaged}-mixed": ("swa", ratios["swa"]),
        }  # fmt: skip
    elif arm == "own":
        ends = {"own": ("swa", ratios["swa"]), "own, unmixed": ("swa", 0.0)}
    else:
        ends = {arm: ("last", 0.0)}
    figures = {f"{name}/{m}": found[end][ratio][m] for name, (end, ratio) in ends.items() for m in METRICS}
    figures |= {f"original/{m}": next(iter(found.values()))[1.0][m] for m in METRICS}
    for name, end in curve_names(arm).items():
        figures[f"{name}/area"] = area(found[end], gained="actions_top1", kept=KEPT)
    return figures


if __name__ == "__main__":
    main()
