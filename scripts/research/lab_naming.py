"""The arms of `lab.py` that describe obscure names."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize

from olmv.labels.attributes import AttributeBook
from olmv.labels.texts import build_texts
from olmv.labels.vocabulary import Vocabulary
from olmv.models.clip.model import VideoCLIP
from olmv.models.registry import load_video_clip
from olmv.moji.render import Renderer
from olmv.moji.world import Scene, object_names, paraphrases, sample_scene
from olmv.scoring.bank import TextBank
from olmv.scoring.options import Pooling
from olmv.scoring.pooling import score
from olmv.train.trainable import embedded_bank
from olmv.train.validation import Scores, macro_map
from scripts.benchmarks.eval_mini import embed, truth_of
from scripts.research.lab_common import Lab
from scripts.research.lab_soft import Task, language_models, make_soft, probe, trained_arms

__all__ = ["TESTED", "naming"]

BOOK = Path(__file__).parents[1] / "benchmarks" / "books" / "obscure_labels.json"
HELD = 10  # of the trained half: they choose rate and step
PICTURES = 6  # trained, of each object
CLIPS = 400
TESTED = {"unseen_names_map": CLIPS, "ordinary_names_map": CLIPS}


def naming(lab: Lab, seed: int) -> dict[str, float]:
    """(d) Fifty objects under obscure names: the bare name, attributes from a book, soft attributes.

    Soft attributes are trained on the other fifty obscure names, every third ordinary name and their paraphrases, with
    pictures of these objects; neither the tested names nor pictures of what they name are trained. Which half is tested
    follows from the seed. Language models: one that knows words (SmolLM2), the same without its knowledge (random
    weights; names shuffled), and MiniLM, which the text tower was taught by. `ordinary_names_map`: the same clips asked
    for by ordinary names, which must not be lost.
    """
    book = AttributeBook.load(BOOK)
    named = {label: str((book.entry(label).model_extra or {})["object"]) for label in book}
    order = [list(named)[i] for i in np.random.default_rng([seed, 4]).permutation(len(named))]
    half = len(order) // 2
    tested, held, trained = order[half:], order[:HELD], order[HELD:half]
    objects = [named[label] for label in tested]
    model = load_video_clip("olmv-mini", temporal="mean", dtype="float32")
    renderer = Renderer(64)
    scenes = [sample_scene(3000 + seed, i, names=objects, pairings="all") for i in range(lab.count(CLIPS))]
    frames, truth = embed(model, scenes, renderer), truth_of(scenes, objects).float()

    def measured(bank: TextBank, pooling: Pooling = "mean") -> float:
        return macro_map(Scores(score(frames, None, bank, pooling=pooling, frame_pooling="softmax"), truth, 0))

    bare = Vocabulary.from_names(tested)
    described = bare.with_attributes(book)
    figures = {
        "bare names/unseen_names_map": measured(_bank(model, bare)),
        "bare names/ordinary_names_map": measured(_bank(model, Vocabulary.from_names(objects))),
    }
    for pooling in ("mean", "topk"):
        figures[f"attributes, {pooling}/unseen_names_map"] = measured(_bank(model, described), pooling)

    task = _task(model, renderer, named, trained, held, seed)
    everything = [name for name, _ in (*task.names, *task.held)] + tested + objects
    for arm, soft, found in trained_arms(model, task, everything, seed):
        figures |= {f"{arm}/{key}": value for key, value in found.to_figures().items()}
        for metric, labels in (("unseen_names_map", tested), ("ordinary_names_map", objects)):
            figures[f"{arm}/{metric}"] = measured(embedded_bank(labels, soft.precompute(labels)))
        soft.load_state_dict(dict(found.last))
        figures[f"{arm}/unseen_names_map_last"] = measured(embedded_bank(tested, soft.precompute(tested)))
        print("  " + ", ".join(f"{k} {v:.3f}" for k, v in figures.items() if k.startswith(f"{arm}/")), flush=True)
    for name, language_model in language_models().items():
        language_model.instead = {}
        soft = make_soft(model, language_model, seed)
        probed = embedded_bank(tested, probe(language_model, soft, task, tested))
        figures[f"linear probe, {name}/unseen_names_map"] = measured(probed)
    return figures


def _bank(model: VideoCLIP, vocabulary: Vocabulary) -> TextBank:
    texts = build_texts(vocabulary, model.templates)
    return TextBank.from_texts(texts, model.encode_texts(texts.texts))


def _task(
    model: VideoCLIP, renderer: Renderer, named: Mapping[str, str], trained: list[str], held: list[str], seed: int
) -> Task:
    """Pictures of single objects, and their names: obscure ones first, then ordinary ones and paraphrases."""
    ordinary = [name for name in object_names("seen") if name not in set(named.values())][::3]
    objects = [*(named[label] for label in (*trained, *held)), *ordinary]
    thing = {name: index for index, name in enumerate(objects)}
    names = [(label, thing[named[label]]) for label in trained]
    names += [(named[label], thing[named[label]]) for label in trained]
    names += [(name, thing[name]) for name in ordinary]
    names += [(other, thing[name]) for name, other in paraphrases().items() if name in ordinary]
    scenes = [
        sample_scene(4000 + seed, PICTURES * index + k, names=[name], counts=(1,), motions=("spinning",))
        for index, name in enumerate(objects)
        for k in range(PICTURES)
    ]
    things = torch.arange(len(objects)).repeat_interleave(PICTURES)
    pairs = tuple((label, thing[named[label]]) for label in held)
    return Task(_stills(model, scenes, renderer), things, tuple(names), len(trained), pairs)


@torch.inference_mode()
def _stills(model: VideoCLIP, scenes: list[Scene], renderer: Renderer) -> Tensor:
    """Unit vectors [N, D] of the middle frames."""
    parts = []
    for start in range(0, len(scenes), 128):
        some = scenes[start : start + 128]
        pixels = model.preprocess.normalize(renderer(some, [0.5] * len(some)), dtype=model.dtype)
        parts.append(normalize(model.encode_frames(pixels[:, None])[:, 0].float(), dim=-1))
    return torch.cat(parts).clone()
