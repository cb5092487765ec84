"""The arms of `lab.py` that learn from captions.

What must hold for an effect to show, and is checked and printed: motions decide the contrast (captions tell nothing
else, or differ in nothing else from those of clips with the same object), the text tower tells their sentences apart,
the temporal module sees where things are, its rate leaves the warm-up, and the caption loss reaches all its weights.
"""

from typing import Any

import torch
from torch.nn.functional import normalize

from olmv.labels.texts import build_texts
from olmv.labels.vocabulary import Vocabulary
from olmv.models.clip.model import VideoCLIP
from olmv.models.registry import load_video_clip
from olmv.models.text_cache import encode_texts_cached
from olmv.moji.world import OPPOSITES, About, object_names
from olmv.train.data.dataset import batches
from olmv.train.data.features import FeatureStore
from olmv.train.data.moji_data import MojiDataset
from olmv.train.loss_terms import caption_contrast
from olmv.train.trainable import Output, Trainable, label_bank, select_weights
from olmv.train.validation import Scores, macro_map, score_videos
from scripts.research.lab_common import Lab, pair_accuracy

__all__ = ["TESTED", "captions"]

RATES = (1e-3, 3e-3)
# weight of the caption loss, and what captions tell; without the loss they change nothing
ARMS: dict[str, tuple[float, About]] = {
    "caption 0": (0.0, "motions"),
    "caption 1": (1.0, "motions"),
    "caption 4": (4.0, "motions"),
    "caption 4, object told": (4.0, "actors"),
}
TUNING_SEED = 100  # of the runs that choose the rate
MOTIONS = tuple(OPPOSITES)
CLIPS, OTHER_CLIPS = 480, 240  # tested, half of them reversals
TESTED = {
    "pair_accuracy": CLIPS,
    "motion_map": CLIPS,
    "pair_accuracy_other_objects": OTHER_CLIPS,
    "motion_map_other_objects": OTHER_CLIPS,
}


def captions(lab: Lab, seed: int) -> dict[str, float]:
    """(c) Weight of the caption loss; eight motions that only time tells are told by captions, never trained as labels.

    Clips of one of eight objects, each clip also backwards; the labels are the objects. Captions tell the motion alone
    ("something growing"), or the object too ("a leopard growing"): then seven of eight of the same object are
    wrong. Every arm has as many steps and its own rate, chosen by motion mAP on clips of its own (one run a rate).
    Measured on clips and their reversals, of the trained objects and of others.
    """
    figures: dict[str, float] = {}
    for arm, (weight, about) in ARMS.items():
        best = max(RATES, key=lambda rate: _tuning(lab, weight, about, rate))
        model = _trained(lab, weight, about, best, seed)
        figures[f"{arm}/lr"] = best
        for name, objects, clips in (("", "seen[::93]", CLIPS), ("_other_objects", "seen[40::93]", OTHER_CLIPS)):
            scores = _scores(lab, model, _dataset(lab, 23, clips, objects))
            figures[f"{arm}/pair_accuracy{name}"] = pair_accuracy(scores, MOTIONS)
            figures[f"{arm}/motion_map{name}"] = macro_map(scores)
        figures |= {f"{arm}/{key}": value for key, value in _reach(lab, model, about).items()}
    if seed == 0:
        _print_cosines()
    return figures


def _trained(lab: Lab, weight: float, about: About, rate: float, seed: int) -> VideoCLIP:
    overrides: dict[str, Any] = {
        "objective.caption_weight": weight,
        "data.train.moji.clips": lab.count(2000),
        "data.train.moji.captions": about,
        "data.validation": {},
        "data.feature_cache": str(lab.work / "features"),
        "optimizer.lr": rate,
        "run.checkpoint_minutes": 60,
    }
    if lab.size < 1:
        overrides |= {"optimizer.epochs": 2}
    arm = f"{about}-{weight:g}-{rate:g}"
    lab.run("captions", arm, seed, "moji_captions", overrides)
    return load_video_clip(lab.work / "captions" / arm / str(seed) / "model", dtype="float32")


def _tuning(lab: Lab, weight: float, about: About, rate: float) -> float:
    """Motion mAP of a rate, on clips that are neither trained nor tested."""
    done = lab.work / "captions" / f"tuning-{about}-{weight:g}-{rate:g}.txt"
    if not done.is_file():
        found = macro_map(_scores(lab, _trained(lab, weight, about, rate, TUNING_SEED), _dataset(lab, 24, 240)))
        done.write_text(f"{found}\n", encoding="utf-8")
    return float(done.read_text(encoding="utf-8"))


def _dataset(lab: Lab, seed: int, clips: int, objects: str = "seen[::93]", about: About = "motions") -> MojiDataset:
    """Draw clips and their reversals, four frames at the centres of equal segments."""
    names = object_names("seen")[slice(*(int(n) if n else None for n in objects[5:-1].split(":")))]
    return MojiDataset(
        seed, lab.count(clips), frames=4, labels=("motions",), names=names, counts=(1,), motions=MOTIONS,
        pairings="all", captions=about, train=False, reversals=True,
    )  # fmt: skip


def _scores(lab: Lab, model: VideoCLIP, dataset: MojiDataset) -> Scores:
    texts = build_texts(Vocabulary.from_names(list(MOTIONS)), model.templates)
    features = FeatureStore(lab.work / "features", model, dataset, ["lab", "reversals"])
    features.prepare()
    return score_videos(Trainable(model, frozen_tower=True), features, label_bank(model, texts), batch_size=64)


def _reach(lab: Lab, model: VideoCLIP, about: About) -> dict[str, float]:
    """What the trained module can have learned: its gate, and how many of its weights the caption loss reaches."""
    trainable = Trainable(model, frozen_tower=True)
    weights, _ = select_weights(trainable, "new")
    bank = label_bank(model, build_texts(Vocabulary.from_names(list(MOTIONS)), model.templates))
    data = _dataset(lab, 21, 64, about=about)
    (batch,) = batches(data, range(len(data)), 0, batch_size=len(data))
    assert batch.pixels is not None
    output = Output(*trainable(batch.pixels, None, bank))
    told = normalize(encode_texts_cached(model, [caption or "" for caption in batch.captions]).float(), dim=-1)
    caption_contrast(output.video, told, output.scale).backward()  # type: ignore[no-untyped-call]
    reached = sum(weight.grad is not None and bool(weight.grad.any()) for weight in weights.values())
    gate = next(weight for name, weight in weights.items() if name.endswith(".gate"))
    return {"weights_reached": reached / len(weights), "gate": abs(gate.item())}


def _print_cosines() -> None:
    """How alike the sentences are that must be told apart, in the text tower."""
    model = load_video_clip("olmv-mini", temporal="mean", dtype="float32")
    object_name = object_names("seen")[0]
    for words in ("something {}", f"a {object_name} {{}}", f"a {object_name} {{}} over a red background."):
        vectors = normalize(model.encode_texts([words.format(motion) for motion in MOTIONS]), dim=-1)
        cosines = vectors @ vectors.T
        others = cosines[~torch.eye(len(MOTIONS), dtype=torch.bool)]
        opposite = torch.stack([cosines[i, MOTIONS.index(OPPOSITES[m])] for i, m in enumerate(MOTIONS)])
        print(f"  '{words}': cosine to another motion {others.mean():.3f}, to the opposite {opposite.mean():.3f}")
