"""What each part of olmv-lite is worth on real footage, from mixing words by pictures to what ships.

    python scripts/benchmarks/ablate_lite.py DATA EFFICIENTNET.pth CLASSES [--json FILE]

EFFICIENTNET.pth and CLASSES are what `make_lite.py` takes. Every arm sees the same features of the same frames;
top-1 of folders where one label is true of a video, mean average precision of the others.

    conse       the words of the 30 most probable classes, mixed by a softmax of temperature 2 (arXiv 1312.5650)
    mix         the classifier's weights, mixed by what the label's meaning attends to: one head, keys are class names
    mix+kinds   the keys also say what a class is a kind of
    mix+taught  the second head alone
    lite        both heads, as it ships
    lite+person both templates of the set "photo", as it ships: the model's default
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from olmv.labels.templates import TEMPLATE_SETS
from olmv.metrics.bootstrap import mean_interval, multi_label_intervals
from olmv.models.base import VideoModel
from olmv.models.lite.towers import LiteTowers
from olmv.models.registry import load_video_clip
from olmv.video.options import DecodeOptions
from olmv.video.workers.loader import FrameLoader
from scripts.benchmarks.real_sets import RealSet
from scripts.benchmarks.results import Figure, show, write
from scripts.research.make_lite import PROMPT, Classes, meanings, vision_state

CONSE_CLASSES, CONSE_TEMPERATURE = 30, 2.0


class Arms:
    """Similarities [N, C] of a set's videos to its labels, by arm."""

    def __init__(self, towers: LiteTowers, published: Path, classes: Classes) -> None:
        self.towers, text = towers, towers.textual
        _, self.classifier = vision_state(published, towers.visual)
        self.bias = list(torch.load(published, weights_only=True).values())[-1]
        self.names = meanings(towers, [PROMPT.format(name) for name in classes.names])
        self.values = text.values.detach()
        self.queries, self.keys = text.queries.detach(), text.keys.detach()

    def mixture(self, texts: list[str], heads: list[tuple[Tensor, Tensor]]) -> Tensor:
        """Labels as mixtures of the classifier's weights [C, D], unit length; heads are (queries, keys)."""
        meaning = meanings(self.towers, texts)
        parts = [
            (F.normalize(meaning @ queries, dim=-1) @ keys.T / self.towers.textual.temperature).softmax(-1)
            for queries, keys in heads
        ]
        return F.normalize(torch.stack(parts).mean(0) @ self.values, dim=-1)

    def conse(self, features: list[Tensor], texts: list[str]) -> Tensor:
        """The published way: a picture becomes a mean of words."""
        centre = self.names.mean(0)
        words = F.normalize(self.names - centre, dim=-1)
        videos = []
        for frames in features:
            best, index = (frames @ self.classifier.T + self.bias).topk(CONSE_CLASSES)
            mixed = torch.einsum("tk,tkd->td", (best / CONSE_TEMPERATURE).softmax(-1), words[index])
            videos.append(F.normalize(mixed, dim=-1).mean(0))
        labels = F.normalize(meanings(self.towers, texts) - centre, dim=-1)
        return F.normalize(torch.stack(videos), dim=-1) @ labels.T

    def all(self, labels: Sequence[str], features: list[Tensor]) -> dict[str, Tensor]:
        """Every arm of one set; features are [T, D] a video, not normalised."""
        plain = torch.eye(self.names.shape[1])
        videos = torch.stack([F.normalize(F.normalize(frames, dim=-1).mean(0), dim=0) for frames in features])
        named = [PROMPT.format(label) for label in labels]
        heads = [(self.queries[0], self.keys[0]), (self.queries[1], self.keys[1])]
        both = torch.stack(
            [self.mixture([template.format(label) for label in labels], heads) for template in TEMPLATE_SETS["photo"]]
        )
        return {
            "conse": self.conse(features, named),
            "mix": videos @ self.mixture(named, [(plain, self.names)]).T,
            "mix+kinds": videos @ self.mixture(named, heads[:1]).T,
            "mix+taught": videos @ self.mixture(named, heads[1:]).T,
            "lite": videos @ self.mixture(named, heads).T,
            "lite+person": videos @ F.normalize(both.mean(0), dim=-1).T,
        }


@torch.inference_mode()
def look(model: VideoModel, towers: LiteTowers, real: RealSet, frames: int) -> tuple[RealSet, list[Tensor]]:
    """The pooled features of every video's frames [T, D], not normalised; videos that cannot be read are left out."""
    features: dict[int, Tensor] = {}
    with FrameLoader(
        real.videos, preprocess=model.preprocess, options=DecodeOptions(frames=frames, timeout_s=120.0)
    ) as loader:
        for video in loader:
            if video.pixels is not None:
                features[video.index] = towers.image(model.preprocess.normalize(video.pixels))
    rows = sorted(features)
    return real.only(rows), [features[row] for row in rows]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("efficientnet", type=Path)
    parser.add_argument("classes", type=Path)
    parser.add_argument("--frames", type=int, default=8)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    model = load_video_clip("olmv-lite", dtype="float32")
    towers = model.towers
    assert isinstance(towers, LiteTowers)
    arms = Arms(towers, args.efficientnet, Classes.load(args.classes))
    figures: list[Figure] = []
    for folder in sorted(path.parent for path in args.data.glob("*/labels.csv")):
        real = RealSet.load(folder)
        if len(real.labels) < 10:
            continue
        real, features = look(model, towers, real, args.frames)
        truth = real.truth
        for arm, similarity in arms.all(real.labels, features).items():
            scores = similarity.double().numpy()
            if real.exclusive:
                hits = truth[np.arange(len(scores)), scores.argmax(axis=1)].astype(float)
                figures.append(Figure.of(f"{real.name}/{arm}/top1", mean_interval(hits), len(hits)))
            found = multi_label_intervals((scores + 1) / 2, truth, np.full(truth.shape[1], 0.5))
            figures.append(Figure.of(f"{real.name}/{arm}/map", found["macro_map"], len(scores)))
    show(figures, "parts of olmv-lite")
    if args.json is not None:
        write(args.json, figures, {"frames": args.frames})


if __name__ == "__main__":
    main()
