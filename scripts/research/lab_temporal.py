"""The arms of `lab.py` that tell motions which only time tells apart.

Every clip comes with its reversal, and the labels are eight motions, four and their opposites: the frames of the two
are the same ones, so the mean over frames cannot know which is which, and its pair accuracy is 0.5 by construction.
"""

import json
from typing import Any

from olmv.labels.texts import build_texts
from olmv.labels.vocabulary import Vocabulary
from olmv.models.clip.model import VideoCLIP
from olmv.models.registry import load_video_clip
from olmv.moji.world import OPPOSITES
from olmv.train.data.moji_data import MojiDataset
from olmv.train.trainable import Trainable, label_bank
from olmv.train.validation import score_videos, top1
from scripts.research.lab_common import Lab, pair_accuracy

__all__ = ["ARMS", "amounts", "pair_figures", "temporal"]

FRAMES = 4
BATCH = 16
STEPS, TRIAL_STEPS = 160, 40
AMOUNTS = (10, 50, 200)  # clips a label
# these give a clip and its reversal the same score whatever their weights: they are measured as they begin
INVARIANT: dict[str, dict[str, Any]] = {"mean": {}, "cross-frame": {"edges": "mask"}}
ARMS: dict[str, dict[str, Any]] = {
    "divided": {"model.temporal": "divided", "model.train": "visual"},
    "st-adapter": {"model.temporal": "st-adapter"},
    "transformer": {"model.temporal": "transformer", "model.temporal_options": {"width": 256}},
    "transformer-layout": {"model.temporal": "transformer", "model.temporal_options": {"width": 256, "layout": 8}},
}  # fmt: skip
# rates of the tower, of new weights, of their gates; each arm has a trial with each of them on clips of its own
TRIALS = ((3e-4, 1e-3, 1e-1), (1e-3, 3e-3, 1e-1))


def temporal(lab: Lab, seed: int) -> dict[str, float]:
    """(a) Which temporal modules tell a motion from its reverse, all after as many steps of as many clips.

    Rates are chosen for every arm alike, by as many shorter runs on other clips. `st-adapter` and `transformer` train
    beside a frozen tower, the others with it. Four frames, one object a clip, 16 clips a step.
    """
    figures = {"chance/pair_accuracy": 0.5}
    for arm, edges in INVARIANT.items():
        model = load_video_clip("olmv-mini", device="cpu", dtype="float32", temporal=arm, temporal_options=edges)
        figures[f"{arm}/pair_accuracy"] = pair_figures(model, clips=lab.count(400), seed=32 + seed)["pair_accuracy"]
    for arm, options in ARMS.items():
        tried = [_trained(lab, arm, f"trial-{k}", rates, options, 99) for k, rates in enumerate(TRIALS)]
        best = max(range(len(TRIALS)), key=lambda k: (tried[k]["pair_accuracy"], tried[k]["top1"]))
        measured = _trained(lab, arm, "final", TRIALS[best], options, seed)
        figures |= {f"{arm}/{name}": value for name, value in measured.items()} | {f"{arm}/trial": float(best)}
    return figures


def amounts(lab: Lab, seed: int) -> dict[str, float]:
    """(f) What 10, 50 and 200 clips a label are worth: motions, after as many steps, on a frozen tower.

    The clips are the same for every seed, so the spread is that of training.
    """
    figures: dict[str, float] = {}
    for count in AMOUNTS:
        clips = max(2, int(count * len(OPPOSITES) * lab.size))
        measured = _trained(lab, "amounts", f"final-{count}", TRIALS[0], ARMS["transformer-layout"], seed, clips=clips)
        figures |= {f"{count} clips a label/{name}": value for name, value in measured.items()}
    return figures


def _trained(
    lab: Lab,
    arm: str,
    stage: str,
    rates: tuple[float, float, float],
    options: dict[str, Any],
    seed: int,
    *,
    clips: int | None = None,
) -> dict[str, float]:
    """Train one arm and tell clips from their reversals.

    Args:
        lab, arm, stage, seed: where the run stands.
        rates: of the tower, of new weights, of gates.
        options: of the arm.
        clips: to train on; None for the usual number.
    """
    trial = stage.startswith("trial")
    clips = clips or lab.count(1600)
    steps = lab.count(TRIAL_STEPS if trial else STEPS, 2)
    frozen = options.get("model.train") != "visual" and options["model.temporal"] == "transformer"
    overrides = {
        "model.train": "new",
        "model.temporal_options": {},
        "data.train": {
            "moji": {
                "labels": ["motions"],
                "clips": clips,
                "seed": 131 if trial else 31,
                "counts": [1],
                "reversals": True,
            }
        },
        "data.validation": {},
        "data.frames": FRAMES,
        "data.feature_cache": str(lab.work / "features") if frozen else None,
        "objective.label": "cross-entropy",
        "objective.frame_pooling": "mean",
        "optimizer.lr": rates[0],
        "optimizer.new_lr": rates[1],
        "optimizer.gate_lr": rates[2],
        "optimizer.weight_decay": 0.01,
        "optimizer.epochs": 1 + steps * BATCH // clips,
        "optimizer.warmup_epochs": 0.05 * steps * BATCH / clips,
        "optimizer.batch_size": BATCH,
        "run.steps": steps,
        "run.log_every": 20,
        "run.checkpoint_minutes": 60,
        **options,
    }  # fmt: skip
    lab.run("temporal", f"{arm}/{stage}", seed, "moji_motions", overrides)
    file = lab.work / "temporal" / arm / stage / str(seed) / "pairs.json"
    if not file.is_file():
        figures = pair_figures(
            load_video_clip(file.parent / "model", device="cpu", dtype="float32"),
            clips=lab.count(400),
            seed=132 if trial else 32,
        )
        file.write_text(json.dumps(figures), encoding="utf-8")
    found: dict[str, float] = json.loads(file.read_text(encoding="utf-8"))
    return found


def pair_figures(model: VideoCLIP, *, clips: int, seed: int) -> dict[str, float]:
    """Measure a model on clips and their reversals.

    Returns:
        `pair_accuracy` (see there); `top1` among all eight motions.
    """
    dataset = MojiDataset(
        seed, clips // 2 * 2, frames=FRAMES, labels=("motions",), counts=(1,), motions=tuple(OPPOSITES), pairings="all",
        size=model.preprocess.size, train=False, reversals=True,
    )  # fmt: skip
    bank = label_bank(model, build_texts(Vocabulary.from_names(list(dataset.labels)), model.templates))
    scores = score_videos(Trainable(model, frame_pooling="mean"), dataset, bank, batch_size=32)
    return {"pair_accuracy": pair_accuracy(scores, dataset.labels, tie=1e-4), "top1": top1(scores)}
