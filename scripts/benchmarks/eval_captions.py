"""Captions made of olmv-mini's own labels (`--captioner labels:olmv-mini`): are they right, do they find their clip?

    python scripts/benchmarks/eval_captions.py [--clips 200] [--seed 4000] [--quick] [--json FILE]
    python scripts/benchmarks/eval_captions.py --tune      # 1,000 clips of seed 5000: how the threshold was chosen

Fresh clips of 1-3 seen objects. Figures of the captions (backgrounds and weather apart: `settings_exact`):
    named_all            share of the captions that name every true object; /N_objects: of clips with N
    named_wrong          wrong objects a caption, mean; named_precision, named_recall: over all names and objects
    unnamed              share of the clips about which nothing was said; no_object: of captions without an object
    settings_exact       share of the captions with exactly the true background and weather
    cut                  share of the captions longer than the text tower reads
Retrieval: the embedding of a clip's text against the clips, at most 200 candidates; a clip without a text is a miss:
    recall_at_1, _at_5   the caption against the mean of frame embeddings; /POOLING: with that frame pooling
    recall_at_K/parts    the mean of the embeddings of the labels that the caption names, instead of the sentence's
    recall_at_K/true     the scene's own sentence (Scene.sentence), true by construction
A caption holds what the model sees, so it may find its clip better than the true sentence does: recall measures
agreement of the two towers about the clip, `named_all` and `named_wrong` measure truth.
"""

import argparse
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor
from torch.nn.functional import normalize

from olmv.caption.from_labels import (
    CAPTION_FRAME_POOLING,
    CAPTION_THRESHOLD,
    MAX_OBJECTS,
    SETTING_THRESHOLD,
    LabelWords,
    caption_of,
    moji_vocabulary,
    moji_words,
    sentence,
)
from olmv.models.clip.model import VideoCLIP
from olmv.models.registry import load_video_clip
from olmv.moji.render import Renderer
from olmv.moji.world import Scene, object_names, sample_scene
from olmv.predictions import FrameCounts, LabelPrediction, VideoPrediction, round_significant
from olmv.scoring.options import FRAME_POOLINGS, FramePooling
from olmv.scoring.pooling import pool_frames, score
from olmv.scoring.probabilities import to_logits, to_probabilities
from olmv.scoring.thresholds import thresholds_for
from scripts.benchmarks.common import report
from scripts.benchmarks.eval_mini import FRAMES, bank_of, embed

CANDIDATES = 200
TUNING_SEED = 5000


@dataclass(frozen=True)
class Told:
    """What is said of one clip: the sentence and the labels it names."""

    text: str
    names: Sequence[str]


def probabilities_of(model: VideoCLIP, frames: Tensor, names: Sequence[str], frame_pooling: FramePooling) -> Tensor:
    """frames [B, T, D] -> [B, C], as `olmv.Classifier` has them for a model with a bias of its own."""
    with torch.inference_mode():
        similarity = score(frames, None, bank_of(model, names), frame_pooling=frame_pooling)
        return to_probabilities(to_logits(similarity, scale=model.logit_scale, bias=model.logit_bias))


def predictions_of(probabilities: Tensor, names: Sequence[str], thresholds: Sequence[float]) -> list[VideoPrediction]:
    """[B, C] -> B predictions, as the command has them. Similarity and logit are not needed here."""
    found = []
    for index, row in enumerate(probabilities.tolist()):
        written = [round_significant(p) for p in row]
        labels = tuple(
            LabelPrediction(name, 0.0, 0.0, p, threshold, positive=p >= threshold)
            for name, p, threshold in zip(names, written, thresholds, strict=True)
        )
        counts = FrameCounts(FRAMES, FRAMES)
        found.append(VideoPrediction(f"{index}.mp4", "ok", None, None, counts, "olmv-mini", labels=labels))
    return found


def told_by(predictions: Sequence[VideoPrediction], words: LabelWords, max_objects: int = MAX_OBJECTS) -> list[Told]:
    return [Told(*caption_of(p, words, max_objects=max_objects)) for p in predictions]


def truth_figures(told: Sequence[Told], scenes: Sequence[Scene], words: LabelWords) -> dict[str, float]:
    """How right the captions are."""
    objects, settings = set(words.objects), set(words.settings)
    named = [{n for n in t.names if n in objects} for t in told]
    true = [{a.name for a in s.actors} for s in scenes]
    pairs = list(zip(named, true, strict=True))
    placed = [{n for n in t.names if n in settings} == set(s.scene_labels) for t, s in zip(told, scenes, strict=True)]
    right = sum(len(n & t) for n, t in pairs)
    figures = {"named_all": sum(t <= n for n, t in pairs) / len(pairs)}
    for count in (1, 2, 3):
        of_count = [t <= n for n, t in pairs if len(t) == count]
        figures[f"named_all/{count}_objects"] = sum(of_count) / max(1, len(of_count))
    figures["named_wrong"] = sum(len(n - t) for n, t in pairs) / len(pairs)
    figures["named_precision"] = right / max(1, sum(map(len, named)))
    figures["named_recall"] = right / sum(map(len, true))
    figures["unnamed"] = sum(not t.text for t in told) / len(told)
    figures["no_object"] = sum(not n for n in named) / len(named)
    figures["settings_exact"] = sum(placed) / len(placed)
    return figures


def embed_texts(model: VideoCLIP, texts: Sequence[str]) -> Tensor:
    """[A, D] float32; the row of an empty text is NaN, so that it finds nothing."""
    with torch.inference_mode():
        found = model.encode_texts(list(texts)).float().cpu()
    return found.masked_fill(torch.tensor([not t for t in texts])[:, None], torch.nan)


def embed_parts(model: VideoCLIP, told: Sequence[Told]) -> Tensor:
    """[B, D]: the mean of the embeddings of the named labels, NaN where none is."""
    names = list(dict.fromkeys(n for t in told for n in t.names))
    row = {n: i for i, n in enumerate(names)}
    parts = embed_texts(model, names)
    return torch.stack([normalize(parts[[row[n] for n in t.names]].mean(0), dim=-1) for t in told])


def recall(texts: Tensor, frames: Tensor, pooling: FramePooling, ranks: Sequence[int] = (1, 5)) -> list[float]:
    """Share of the texts [B, D] whose own clip of [B, T, D] is among the K most similar, for every K.

    Galleries of `CANDIDATES` clips, one after another; the mean of all texts.
    """
    better = []
    for part, clips in zip(torch.split(texts, CANDIDATES), torch.split(frames, CANDIDATES), strict=True):
        if pooling == "mean":
            similarity = part @ normalize(clips.mean(1), dim=-1).T
        else:
            similarity = pool_frames(clips @ part.T, pooling=pooling).T
        own = similarity.diagonal()[:, None]
        better.append((~(similarity <= own)).sum(1))  # NaN is better than nothing: a miss
    rank = torch.cat(better)
    return [float((rank < k).float().mean()) for k in ranks]


def retrieval_figures(
    model: VideoCLIP, told: Sequence[Told], scenes: Sequence[Scene], frames: Tensor
) -> dict[str, float]:
    kinds = {
        "": embed_texts(model, [t.text for t in told]),
        "/parts": embed_parts(model, told),
        "/true": embed_texts(model, [s.sentence for s in scenes]),
    }
    figures: dict[str, float] = {}
    for kind, texts in kinds.items():
        for pooling in FRAME_POOLINGS:
            at_1, at_5 = recall(texts, frames, pooling)
            if pooling == "mean":
                figures |= {f"recall_at_1{kind}": at_1, f"recall_at_5{kind}": at_5}
            figures |= {f"recall_at_1{kind}/{pooling}": at_1, f"recall_at_5{kind}/{pooling}": at_5}
    return figures


def evaluate(
    model: VideoCLIP, scenes: Sequence[Scene], frames: Tensor, frame_pooling: FramePooling
) -> dict[str, float]:
    words, vocabulary = moji_words(), moji_vocabulary()
    probabilities = probabilities_of(model, frames, vocabulary.names, frame_pooling)
    told = told_by(predictions_of(probabilities, vocabulary.names, thresholds_for(vocabulary)), words)
    for scene, said in list(zip(scenes, told, strict=True))[:5]:
        print(f"true: {scene.sentence}\ntold: {said.text or '(nothing)'}\n")
    figures = truth_figures(told, scenes, words)
    counts = model.token_counts([t.text for t in told])
    figures["cut"] = sum(c > model.context_length for c in counts) / len(counts)
    return figures | retrieval_figures(model, told, scenes, frames)


def tune(model: VideoCLIP, scenes: Sequence[Scene], frames: Tensor) -> None:
    """Print what thresholds, limit and frame pooling do; then, at the chosen values, forms and unseen names."""
    words = moji_words()
    table = Table("pooling", "threshold", "at most", "named_all", "- 2 s.e.", "wrong", "precision", "no object")
    places = Table("pooling", "setting threshold", "settings_exact")
    for pooling in FRAME_POOLINGS:
        probabilities = probabilities_of(model, frames, words.all, pooling)
        for threshold in (0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.6, 0.7):
            predictions = predictions_of(probabilities, words.all, [threshold] * len(words.all))
            for most in (3, 4, 5, 6):
                f = truth_figures(told_by(predictions, words, most), scenes, words)
                error = (f["named_all"] * (1 - f["named_all"]) / len(scenes)) ** 0.5
                values = (f["named_all"], f["named_all"] - 2 * error, f["named_wrong"], f["named_precision"])
                table.add_row(pooling, f"{threshold}", f"{most}", *(f"{v:.3f}" for v in (*values, f["no_object"])))
            places.add_row(pooling, f"{threshold}", f"{f['settings_exact']:.3f}")
        table.add_section()
    vocabulary = moji_vocabulary()
    probabilities = probabilities_of(model, frames, vocabulary.names, CAPTION_FRAME_POOLING)
    told = told_by(predictions_of(probabilities, vocabulary.names, thresholds_for(vocabulary)), words)
    true = [Told(s.sentence, (*(a.name for a in s.actors), *s.scene_labels)) for s in scenes]
    forms = Table("labels", "text", *(f"recall@1/@5 {p}" for p in FRAME_POOLINGS))
    for who, clips in (("told", told), ("true", true)):
        for form, texts in forms_of(model, clips, words).items():
            found = [recall(texts, frames, pooling) for pooling in FRAME_POOLINGS]
            forms.add_row(who, form, *(f"{at_1:.3f} / {at_5:.3f}" for at_1, at_5 in found))
    for part in (table, places, forms):
        Console().print(part)
    print_unseen(model, scenes, frames)


def print_unseen(model: VideoCLIP, scenes: Sequence[Scene], frames: Tensor) -> None:
    """What offering the names of objects never drawn in training does, to these clips and to 200 clips of such."""
    words = moji_words()
    more = LabelWords((*words.objects, *object_names("unseen")), (), words.settings)
    strange = [sample_scene(TUNING_SEED + 1, i, names=object_names("unseen"), pairings="all") for i in range(200)]
    of_strange = embed(model, strange, Renderer(model.preprocess.size))
    table = Table("clips of", "names offered", "named_all", "named_recall", "named_wrong")
    for of, clips, embedded in (("seen", scenes, frames), ("unseen", strange, of_strange)):
        for offered, known in (("seen", words), ("seen and unseen", more)):
            probabilities = probabilities_of(model, embedded, known.all, CAPTION_FRAME_POOLING)
            limits = [SETTING_THRESHOLD if n in known.settings else CAPTION_THRESHOLD for n in known.all]
            f = truth_figures(told_by(predictions_of(probabilities, known.all, limits), known), clips, known)
            table.add_row(of, offered, *(f"{f[k]:.3f}" for k in ("named_all", "named_recall", "named_wrong")))
    Console().print(table)


def forms_of(model: VideoCLIP, told: Sequence[Told], words: LabelWords) -> dict[str, Tensor]:
    """Ways to say the same labels, embedded, each [B, D]."""
    objects, settings = set(words.objects), set(words.settings)
    split = [([n for n in t.names if n in objects], [n for n in t.names if n in settings]) for t in told]
    seen = [Told("", tuple(o)) for o, _ in split]
    full = [sentence(o, (), s) for o, s in split]
    return {
        "sentence": embed_texts(model, full),
        "sentence without its inner commas": embed_texts(
            model, [f.replace(", in ", " in ").replace(", on ", " on ") for f in full]
        ),
        "sentence of the objects alone": embed_texts(model, [sentence(o) for o, _ in split]),
        "objects listed, no sentence": embed_texts(model, [", ".join(o) for o, _ in split]),
        "labels listed, no sentence": embed_texts(model, [", ".join([*o, *s]) for o, s in split]),
        "mean of the labels' embeddings": embed_parts(model, told),
        "mean of the objects' embeddings": embed_parts(model, seen),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="olmv-mini", help="it has to know the Moji world")
    parser.add_argument("--clips", type=int, help="200, or 1,000 with --tune")
    parser.add_argument("--seed", type=int, help="of the clips: 4000, or 5000 with --tune; 1 and 9 were trained on")
    parser.add_argument(
        "--frame-pooling", default=CAPTION_FRAME_POOLING, choices=FRAME_POOLINGS, help="of the labels' scores"
    )
    parser.add_argument("--tune", action="store_true", help="print what was tried; writes no figures")
    parser.add_argument("--quick", action="store_true", help="60 clips")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    started = time.perf_counter()
    clips = 60 if args.quick else args.clips or (1000 if args.tune else 200)
    seed = args.seed if args.seed is not None else TUNING_SEED if args.tune else 4000
    model = load_video_clip(args.model)
    scenes = [sample_scene(seed, i, names=object_names("seen"), pairings="all") for i in range(clips)]
    frames = embed(model, scenes, Renderer(model.preprocess.size))
    if args.tune:
        tune(model, scenes, frames)
        return
    figures = evaluate(model, scenes, frames, args.frame_pooling)
    settings = {
        "model": args.model,
        "clips": clips,
        "seed": seed,
        "candidates": min(CANDIDATES, clips),
        "frames": FRAMES,
        "frame_pooling": args.frame_pooling,
        "threshold": CAPTION_THRESHOLD,
        "setting_threshold": SETTING_THRESHOLD,
        "max_objects": MAX_OBJECTS,
    }
    report(figures, settings, args.json, f"captions of {args.model}'s labels, {time.perf_counter() - started:.0f} s")


if __name__ == "__main__":
    main()
