"""What 0.5 should mean for a softmax-trained model: ways to score labels without data, side by side.

    python scripts/benchmarks/bench_score.py [--model olmv-lite] [--data FOLDER ...] [--quick] [--json FILE]

Worlds:
    drawn         250 fresh clips of the Moji world, 137 labels of all kinds, 46 of them never true; olmv-mini treated
                  as if it had no bias
    drawn-brief   the same of clips whose objects show in a quarter of the frames only
    FOLDER        of each folder with a `labels.csv` (`real_sets.py`): its photos or clips, seen by --model
    FOLDER-cuts   videos cut together from four of them at a time, two frames each: every label is there briefly

Figures, as WORLD/FRAME POOLING/VARIANT/FIGURE (`score_variants.py` has the variants; `mean`, and `softmax` where there
are several frames; all frame poolings for the one that olmv has):
    micro_ap    average precision over all pairs of video and label: are videos on one scale?
    macro_map   mean over labels of theirs
    macro_f1    at a probability of 0.5, mean over labels
    ece         expected calibration error over all pairs
"""

import argparse
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor

from olmv.classifier import Classifier
from olmv.labels.background import background_texts
from olmv.labels.texts import LabelTexts, build_texts
from olmv.labels.vocabulary import Vocabulary
from olmv.metrics.bootstrap import multi_label_differences
from olmv.metrics.multilabel import multi_label
from olmv.models.base import VideoModel
from olmv.models.registry import load_video_clip
from olmv.models.text_cache import encode_texts_cached
from olmv.moji.render import Renderer
from olmv.moji.world import BRIEF, MOTIONS, object_names, sample_scene, scene_labels
from olmv.scoring.bank import TextBank
from olmv.scoring.options import FRAME_POOLINGS
from scripts.benchmarks.eval_mini import embed, truth_of
from scripts.benchmarks.real_sets import Bools, RealSet
from scripts.benchmarks.real_sets import embed as embed_real
from scripts.benchmarks.results import Figure, write
from scripts.benchmarks.score_variants import KEPT, NULL_PROMPTS, similarities, variants

FIGURES = ("micro_ap", "macro_map", "macro_f1", "ece")
SEED = 7000
PRESENT, ABSENT = 60, 46  # objects of the drawn world that are labels
FRAMES, CUTS = 8, 4


@dataclass(frozen=True)
class World:
    """Videos that a model has seen, and what is true of them.

    Attributes:
        videos: N of [T, D], the rows of frames.
        bank: the texts of C labels, with a background.
        null: [P, D] of the null prompts.
        truth: [N, C].
    """

    name: str
    videos: Sequence[Tensor]
    bank: TextBank
    null: Tensor
    truth: Bools
    scale: float

    @property
    def several_frames(self) -> bool:
        return max(rows.numel() // rows.shape[-1] for rows in self.videos) > 1

    def cut(self) -> "World":
        """The same world in videos of `CUTS` scenes, each an equal share of the frames and of another video."""
        order = np.random.default_rng(SEED).permutation(len(self.videos))
        groups = order[: len(order) // CUTS * CUTS].reshape(-1, CUTS)
        share = FRAMES // CUTS

        def scene(rows: Tensor) -> Tensor:
            rows = rows.reshape(-1, rows.shape[-1])
            return rows[[(2 * k + 1) * len(rows) // (2 * share) for k in range(share)]]

        videos = [torch.cat([scene(self.videos[i]) for i in group]) for group in groups]
        truth = np.stack([self.truth[group].any(axis=0) for group in groups])
        return World(f"{self.name}-cuts", videos, self.bank, self.null, truth, self.scale)


def bank_of(model: VideoModel, labels: Sequence[str]) -> tuple[TextBank, Tensor]:
    """The labels with their background, and the null prompts, whatever the model was trained with."""

    def encoded(texts: LabelTexts) -> Tensor:
        return encode_texts_cached(model, texts.texts)

    own = build_texts(Vocabulary.from_names(labels), model.templates)
    words = background_texts(own.templates)
    background = TextBank.from_texts(words, encoded(words))
    return TextBank.from_texts(own, encoded(own), background=background), encode_texts_cached(model, NULL_PROMPTS)


def drawn_worlds(clips: int) -> list[World]:
    """The drawn world, and that of brief objects, of the same labels."""
    model, seen = load_video_clip("olmv-mini", device="cpu"), object_names("seen")
    plain = [sample_scene(SEED, i, names=seen, pairings="all") for i in range(clips)]
    shown = Counter(actor.name for scene in plain for actor in scene.actors)
    present = [name for name, _ in shown.most_common(PRESENT)]
    absent = [name for name in seen if name not in shown][::3][:ABSENT]
    brief = [sample_scene(SEED + 1, i, names=present, motions=BRIEF, pairings="all") for i in range(clips)]
    labels = [*present, *absent, *scene_labels(), *MOTIONS]
    bank, null = bank_of(model, labels)
    worlds = []
    for name, scenes in (("drawn", plain), ("drawn-brief", brief)):
        videos = list(embed(model, scenes, Renderer(model.preprocess.size)))
        truth = truth_of(scenes, labels).bool().numpy()
        worlds.append(World(name, videos, bank, null, truth, model.logit_scale))
    return worlds


def real_worlds(folder: Path, classifier: Classifier, quick: bool) -> list[World]:
    """A folder, and what can be cut together from it."""
    real = RealSet.load(folder)
    if quick:
        real = real.only(range(0, len(real.videos), 4))
    seen = embed_real(real, classifier, frames=FRAMES)
    bank, null = bank_of(classifier.model, seen.real.labels)
    videos = [clip.rows.float().cpu() for clip in seen.clips]
    world = World(real.name, videos, bank, null, seen.real.truth, classifier.model.logit_scale)
    return [world, world.cut()]


def figures_of(logits: Tensor, truth: Bools) -> dict[str, float]:
    """The four figures of logits [N, C]."""
    halves = np.full(truth.shape[1], 0.5)
    at_half = multi_label(logits.sigmoid().numpy(), truth, halves)
    # ranks instead of probabilities: far from 0.5 sigmoids are equal
    ranks = logits.flatten().argsort().argsort().view(logits.shape).double() / logits.numel()
    ranked = multi_label(ranks.numpy(), truth, halves)
    return dict(zip(FIGURES, (ranked.micro_ap, ranked.macro_map, at_half.macro_f1, at_half.ece), strict=True))


def measure(world: World, frame_poolings: Sequence[str]) -> list[Figure]:
    """Every variant under the first two frame poolings, the kept one under all; prints the table."""
    table = Table(
        "frames", "score", *FIGURES, title=f"{world.name}: {world.truth.shape[0]} videos, {world.truth.shape[1]} labels"
    )
    found: list[Figure] = []
    for place, pooling in enumerate(frame_poolings):
        similar = similarities(world.videos, world.bank, world.null, world.scale, pooling)  # type: ignore[arg-type]
        logits = variants(similar, world.scale)
        if place == 0 or pooling == "softmax":
            print_differences(world, pooling, logits)
        for name, value in logits.items():
            if name != KEPT and place > 1:
                continue
            figures = figures_of(value, world.truth)
            chosen = {k: v for k, v in figures.items() if name != "similarity" or k in ("micro_ap", "macro_map")}
            style = "bold" if name == KEPT else None
            table.add_row(pooling, name, *(f"{chosen[k]:.3f}" if k in chosen else "" for k in FIGURES), style=style)
            found += [
                Figure(f"{world.name}/{pooling}/{name}/{k}", v, None, None, len(world.truth)) for k, v in chosen.items()
            ]
        table.add_section()
    Console(width=130).print(table)
    return found


def print_differences(world: World, pooling: str, logits: dict[str, Tensor]) -> None:
    """The kept variant over others, with 95 % intervals of a paired bootstrap over videos."""
    halves = np.full(world.truth.shape[1], 0.5)
    for other in ("null", "shift/k=3"):
        a, b = (logits[name].sigmoid().numpy() for name in (other, KEPT))
        differences = multi_label_differences(a, halves, b, halves, world.truth, resamples=200)
        told = (
            f"{k} {d.difference:+.3f} [{d.low:+.3f}, {d.high:+.3f}]" for k, d in differences.items() if k in FIGURES
        )
        print(f"{world.name}/{pooling}: kept over {other}: {', '.join(told)}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="olmv-lite", help="that sees --data")
    parser.add_argument("--data", type=Path, nargs="*", default=[], help="folders with a labels.csv")
    parser.add_argument("--quick", action="store_true", help="60 drawn clips and one video in four, under a minute")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    started = time.perf_counter()
    clips = 60 if args.quick else 250
    worlds = drawn_worlds(clips)
    if args.data:
        classifier = Classifier.from_pretrained(args.model)
        worlds += [world for folder in args.data for world in real_worlds(folder, classifier, args.quick)]
    figures: list[Figure] = []
    with torch.inference_mode():
        for world in worlds:
            first = ("mean", "softmax")
            poolings = (*first, *(p for p in FRAME_POOLINGS if p not in first)) if world.several_frames else ("mean",)
            figures += measure(world, poolings)
    data = [folder.name for folder in args.data]
    settings = {"model": args.model, "data": data, "clips": clips, "frames": FRAMES, "quick": args.quick}
    print(f"{time.perf_counter() - started:.0f} s", settings)
    if args.json is not None:
        write(args.json, figures, settings, seed=SEED)


if __name__ == "__main__":
    main()
