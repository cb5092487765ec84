"""The arms of `lab.py` that are tuned and may forget."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from olmv.models.clip.interpolation import interpolate
from olmv.models.registry import load_video_clip
from olmv.train.checkpoint import latest_checkpoint, load_tensors, load_weights
from olmv.train.config import Data, MojiSource, Source
from olmv.train.data.dataset import Batch, VideoDataset
from olmv.train.data.sources import open_sources
from olmv.train.trainable import Trainable, label_bank, select_weights
from olmv.train.validation import macro_map, score_videos
from scripts.research.lab_common import Lab
from scripts.research.tradeoff import Points, area, best_within, read_curves, write_curves

__all__ = ["forgetting"]

ALLOWED = 0.01  # what the chosen ratio may lose of what it guards
# three trials an arm, with clips of their own; every run has the mean of its epochs beside its last weights
TRIALS: dict[str, tuple[dict[str, float], ...]] = {
    "plain": tuple({"optimizer.lr": lr} for lr in (1e-4, 3e-4, 1e-3)),
    "l2": tuple({"optimizer.lr": 3e-4, "regularization.l2": weight} for weight in (0.01, 0.1, 1.0)),
    "iwr": tuple({"optimizer.lr": lr, "regularization.iwr": 0.5} for lr in (1e-4, 3e-4, 1e-3)),
    "own": tuple({"optimizer.lr": 3e-4, "regularization.distillation": weight} for weight in (1.0, 10.0, 100.0)),
}
NEVER_DRAWN = "unseen[0::3]"  # olmv-mini never saw any of the world's `unseen` objects
KNOWN = {"guard": "seen[1::5]", "unseen": "seen[2::5]"}
RATIOS = (0.0, 0.25, 0.5, 0.75, 0.875, 0.9375)


def forgetting(lab: Lab, seed: int) -> dict[str, float]:
    """(b) olmv-mini learns objects it never saw (`seen` in this run), and is watched on others that it knew (`unseen`).

    The 2 x 2 of IWR and SWA, L2, and the distillation (`own`). `swa` and `iwr+swa` are the means of the epochs, of the
    runs of plain and iwr; `-mixed` is at the ratio where, in the trials, most was gained and the guard lost at most a
    point. The area is the mean of the best score on the trained objects within a loss of 0 to 5 points on the others.
    """
    figures: dict[str, float] = {}
    for arm, trials in TRIALS.items():
        tried = [_run(lab, arm, f"trial-{k}", 99, options) for k, options in enumerate(trials)]
        worth = [max(area(ends[e], gained="seen/map", kept=["guard/map"]) for e in ends) for ends in tried]
        best = max(range(len(trials)), key=worth.__getitem__)
        ratios = {
            end: best_within(points, gained="seen/map", kept=["guard/map"], most=ALLOWED)
            for end, points in tried[best].items()
        }
        ends = _run(lab, arm, "final", seed, trials[best])
        figures |= _figures(arm, ends, ratios) | {f"{arm}/trial": float(best)}
    return figures


def _run(lab: Lab, arm: str, stage: str, seed: int, options: Mapping[str, float]) -> dict[str, Points]:
    """Train; measure the last weights and the mean of the epochs at every ratio."""
    folder = lab.work / "forgetting" / arm / stage / str(seed)
    trial = stage != "final"
    overrides: dict[str, Any] = {
        "data.train": {
            "moji": {
                "seed": 111 if trial else 11, "clips": lab.count(640, 128), "objects": NEVER_DRAWN,
                "labels": ["objects"], "pairings": "all",
            }
        },
        "data.validation": {},
        "sweep": None,
        "regularization": {"swa_start": 1},
        "optimizer.batch_size": 32,
        "optimizer.epochs": 5 if lab.size == 1 else 2,
        **options,
    }  # fmt: skip
    lab.run("forgetting", f"{arm}/{stage}", seed, "moji_iwr", overrides)
    known = read_curves(folder)
    if any(ratio not in points for points in known.values() for ratio in RATIOS) or not known:
        watched = {"seen": NEVER_DRAWN, **KNOWN} if not trial else {"seen": NEVER_DRAWN, "guard": KNOWN["guard"]}
        count, first = lab.count(150 if trial else 300), 112 if trial else 12
        seeded = {name: (first + k, objects) for k, (name, objects) in enumerate(watched.items())}
        curves = measure(folder, seeded, count, known)
        write_curves(folder, curves)
    return read_curves(folder)


def measure(
    run: Path, watched: Mapping[str, tuple[int, str]], clips: int, known: Mapping[str, Points]
) -> dict[str, Points]:
    """Mix both ends of a run with the original, and score drawn stills.

    Args:
        run: the folder.
        watched: name -> seed and objects of its clips.
        clips: of each.
        known: what was measured before.
    """
    model = load_video_clip("olmv-mini", device="cpu", dtype="float32", temporal="mean")
    trainable = Trainable(model, frame_pooling="softmax")
    weights, _ = select_weights(trainable, "visual")
    original = load_tensors(run / "original.safetensors")
    last = latest_checkpoint(run / "checkpoints")
    assert last is not None
    ends = {"last": load_tensors(last / "weights.safetensors"), "swa": load_tensors(run / "tuned.safetensors")}
    sources = {
        name: Source(moji=MojiSource(seed=seed, clips=clips, objects=objects, labels=("objects",), pairings="all"))
        for name, (seed, objects) in watched.items()
    }
    data = Data(train=next(iter(sources.values())), validation=sources, frames=1)
    _, opened = open_sources(data, preprocess=model.preprocess, templates=model.templates, seed=0)
    banks = {name: label_bank(model, source.texts) for name, source in opened.items()}
    pictures = {name: Kept(source.dataset) for name, source in opened.items()}

    def figures() -> dict[str, float]:
        return {
            f"{name}/map": macro_map(score_videos(trainable, pictures[name], banks[name], batch_size=64))
            for name in opened
        }

    if known:
        curves = {end: dict(points) for end, points in known.items()}
    else:
        load_weights(weights, original)
        start = figures()
        curves = {end: {1.0: start} for end in ends}
    for end, tuned in ends.items():
        for ratio in RATIOS:
            if ratio not in curves[end]:
                load_weights(weights, interpolate(original, tuned, ratio))
                curves[end][ratio] = figures()
    return curves


class Kept:
    """Drawn clips that are measured many times, drawn once."""

    def __init__(self, dataset: VideoDataset) -> None:
        self._count = len(dataset)
        self._batches = list(dataset.batches(range(len(dataset)), 0, batch_size=64))

    def __len__(self) -> int:
        return self._count

    def batches(
        self, order: Sequence[int], epoch: int, *, batch_size: int, workers: int | None = None
    ) -> Iterator[Batch]:
        """Yield them all, as they were drawn."""
        del order, epoch, batch_size, workers
        return iter(self._batches)


def _figures(arm: str, ends: Mapping[str, Points], ratios: Mapping[str, float]) -> dict[str, float]:
    """Return ARM/METRIC of all arms that come of a run."""
    averaged = {"plain": "swa", "iwr": "iwr+swa"}.get(arm, f"{arm}+swa")
    taken = {
        arm: ("last", 0.0),
        f"{arm}-mixed": ("last", ratios["last"]),
        averaged: ("swa", 0.0),
        f"{averaged}-mixed": ("swa", ratios["swa"]),
        "original": ("last", 1.0),
    }
    figures = {
        f"{name}/{kind}_map": ends[end][ratio][f"{kind}/map"]
        for name, (end, ratio) in taken.items()
        for kind in ("seen", "unseen")
    }
    for end, name in (("last", f"{arm}-mixed"), ("swa", f"{averaged}-mixed")):
        figures[f"{name}/area"] = area(ends[end], gained="seen/map", kept=["unseen/map"])
    return figures
