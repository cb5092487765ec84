"""What an attribute book is worth on obscure labels: the Moji world, olmv-mini, the book `obscure_labels.json`.

The book names 100 seen objects by words a user may have in a list (Latin, trade jargon, archaic words,
circumlocutions), with eight handwritten attributes each. Its attributes were written once, before any figure.

Figures (macro mean average precision over the 100 labels; every arm scores the same frame embeddings):
    map_bare                the obscure name alone, no template
    map_templates           the obscure name in templates: the model's own, or the default set if it has none
    map_attributes_POOLING  the obscure name and its attributes in the model's own templates, as `olmv predict`
                            has them; one figure per pooling over the texts of a label
    map_attributes_POOLING/templates   the same in the templates of `map_templates`
    map_attributes_POOLING/unnamed     only the attributes that do not use an ordinary word for the object
    map_ordinary_names      the objects' own names in the model's own templates: a reference
    map_chance              the mean over labels of the share of clips that have it
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor

from olmv.labels.attributes import AttributeBook
from olmv.labels.templates import DEFAULT_TEMPLATES
from olmv.labels.texts import build_texts
from olmv.labels.vocabulary import Vocabulary
from olmv.metrics.ranked import average_precision
from olmv.models.clip.model import VideoCLIP
from olmv.models.registry import load_video_clip
from olmv.moji.render import Renderer
from olmv.moji.world import sample_scene
from olmv.scoring.bank import TextBank
from olmv.scoring.options import POOLINGS, FramePooling, Pooling
from olmv.scoring.pooling import score
from scripts.benchmarks.eval_mini import embed, macro_map, truth_of

BOOK = Path(__file__).parent / "books" / "obscure_labels.json"
SHOWN = 5


@dataclass(frozen=True)
class Arm:
    """One way to name the same labels."""

    vocabulary: Vocabulary
    templates: str
    pooling: Pooling = "mean"


def objects_of(book: AttributeBook) -> list[str]:
    """The object that each label of the book means, in its order."""
    return [str((book.entry(label).model_extra or {})["object"]) for label in book]


def unnamed_part(book: AttributeBook) -> dict[str, list[str]]:
    """The attributes of every label without those that use one of its ordinary words (`words` in the book)."""
    kept = {}
    for label, attributes in book.items():
        words = "|".join(re.escape(w) for w in (book.entry(label).model_extra or {})["words"])
        kept[label] = [a for a in attributes if not re.search(rf"\b({words})(s|es)?\b", a)]
    return kept


def arms_of(book: AttributeBook, own_templates: str) -> dict[str, Arm]:
    """The arms by the name of their figure."""
    obscure = Vocabulary.from_names(book)
    described = obscure.with_attributes(book)
    templates = DEFAULT_TEMPLATES if own_templates == "none" else own_templates
    arms = {"map_bare": Arm(obscure, "none"), "map_templates": Arm(obscure, templates)}
    arms |= {f"map_attributes_{p}": Arm(described, own_templates, p) for p in POOLINGS}
    if templates != own_templates:
        arms |= {f"map_attributes_{p}/templates": Arm(described, templates, p) for p in POOLINGS}
    unnamed = obscure.with_attributes(unnamed_part(book))
    arms |= {f"map_attributes_{p}/unnamed": Arm(unnamed, own_templates, p) for p in POOLINGS}
    return {**arms, "map_ordinary_names": Arm(Vocabulary.from_names(objects_of(book)), own_templates)}


def similarities(model: VideoCLIP, frames: Tensor, arms: dict[str, Arm], frame_pooling: FramePooling) -> list[Tensor]:
    """`[B, C]` for every arm; texts that arms share are encoded once."""
    banks: dict[tuple[Vocabulary, str], TextBank] = {}
    out = []
    for arm in arms.values():
        key = (arm.vocabulary, arm.templates)
        if key not in banks:
            texts = build_texts(*key)
            with torch.inference_mode():
                banks[key] = TextBank.from_texts(texts, model.encode_texts(texts.texts).float().cpu())
        out.append(score(frames, None, banks[key], pooling=arm.pooling, frame_pooling=frame_pooling))
    return out


def label_precisions(similarity: Tensor, truth: Tensor) -> Tensor:
    """Average precision `[C]` of every label; NaN where no clip has it."""
    return torch.from_numpy(average_precision(similarity.numpy(), truth.numpy() > 0))


def print_labels(book: AttributeBook, before: Tensor, after: Tensor, title: str) -> None:
    """How many labels improve and worsen, and those that do so most."""
    change = after - before
    better, worse = int((change > 0).sum()), int((change < 0).sum())
    print(f"{title}: {better} labels improve, {worse} worsen, {len(book) - better - worse} stay or do not occur")
    labels, objects = list(book), objects_of(book)
    there = [i for i in change.argsort(descending=True).tolist() if not change[i].isnan()]
    table = Table("label", "object", "before", "after", "change", title=title)
    for part in (there[:SHOWN], there[-SHOWN:]):
        for i in part:
            table.add_row(
                labels[i], objects[i], f"{float(before[i]):.3f}", f"{float(after[i]):.3f}", f"{float(change[i]):+.3f}"
            )
        table.add_section()
    Console().print(table)


def attribute_arms(names: Sequence[str]) -> list[str]:
    """Of figure names, those of the attribute arms."""
    return [name for name in names if name.startswith("map_attributes_")]


def map_figures(model_name: str, clips: int, seed: int, frame_pooling: FramePooling) -> dict[str, float]:
    """All figures; prints which labels the best attribute arm changes most against the bare names.

    Args:
        model_name: as `load_video_clip` takes it; it has to know the Moji world.
        clips: how many fresh clips, with one to three of the 100 objects each.
        seed: of the clips; 1 and 9 were trained on, `eval_mini.py` uses 1000 to 1003.
        frame_pooling: over the frames of a clip, for every arm.
    """
    book = AttributeBook.load(BOOK)
    objects = objects_of(book)
    model = load_video_clip(model_name)
    scenes = [sample_scene(seed, i, names=objects, pairings="all") for i in range(clips)]
    frames = embed(model, scenes, Renderer(model.preprocess.size))
    truth = truth_of(scenes, objects)
    arms = arms_of(book, model.templates)
    found = dict(zip(arms, similarities(model, frames, arms, frame_pooling), strict=True))
    figures = {name: macro_map(similarity, truth) for name, similarity in found.items()}
    figures["map_chance"] = float(truth.float().mean())
    best = max(attribute_arms(list(figures)), key=figures.__getitem__)
    before, after = (label_precisions(found[name], truth) for name in ("map_bare", best))
    print_labels(book, before, after, f"{best} against map_bare")
    return figures
