"""What attribute books are worth: by a dictionary, by a small real language model with the gate and without, by hand.

    python scripts/benchmarks/bench_books.py DATA --books FOLDER [--llm openai:MODEL@URL] [--prompt short]
                                             [--model olmv-lite] [--clips 1000] [--quick] [--json FILE]

DATA holds folders with a `labels.csv` each, as for `eval_real.py`; those called actions, nouns and objects are measured
with --model, and drawn clips of 50 objects of the Moji world with olmv-mini. FOLDER holds the language model's books,
`SET.raw.json` and `SET.gated.json`; those that are missing are written with --llm first.

Arms:
    names        the labels' names alone, no template
    templates    the names in the model's own templates: what `olmv predict` does without a book, and what every arm is
                 compared with
    wordnet      a WordNet book
    raw          what the language model answered at once, all of it
    pruned       the same after `olmv describe-labels --prune`
    gated        through the gate with `--model`, labels that are short of attributes asked for once more
    handwritten  `books/SET.json`, where there is one

Figures of an arm, for every pooling over the texts of a label (one for arms with one text a label):
    top1         one label a video: the best label is right
    map          average precision, mean over labels
    change       of map against `templates`, paired over videos
    moved        share of labels whose attributes, without the name, are nearer to another label's name
    attributes   of a label, on average over all labels
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from olmv.classifier import Classifier
from olmv.describe.checks import ListChecks
from olmv.describe.prune import prune
from olmv.labels.attributes import AttributeBook
from olmv.labels.texts import build_texts
from olmv.labels.vocabulary import Vocabulary
from olmv.metrics.bootstrap import mean_interval, multi_label_differences, multi_label_intervals
from olmv.models.registry import load_video_clip
from olmv.moji.render import Renderer
from olmv.moji.world import object_names, sample_scene
from olmv.progress import JobListener
from olmv.scoring.bank import TextBank
from olmv.scoring.drift import moved_labels
from olmv.scoring.options import POOLINGS
from olmv.scoring.pooling import score
from scripts.benchmarks import eval_mini
from scripts.benchmarks.eval_real import BOOKS, wordnet_book
from scripts.benchmarks.llm_books import write_book_by_llm
from scripts.benchmarks.real_sets import Bools, Floats, RealSet, embed
from scripts.benchmarks.results import Figure, show, write

REAL = ("actions", "nouns", "objects")
MOJI = "moji"
MOJI_LABELS = 50
MOJI_SEED = 5000
ONE_TEXT = ("names", "templates")


@dataclass(frozen=True)
class Clips:
    """Videos that a model has seen.

    Attributes:
        name: of the set.
        classifier: has seen them.
        labels: C names.
        truth: [N, C].
        exclusive: whether exactly one label is true of every video.
        similarity: (book, templates, pooling) -> [N, C].
    """

    name: str
    classifier: Classifier
    labels: tuple[str, ...]
    truth: Bools
    exclusive: bool
    similarity: Callable[[AttributeBook | None, str | None, str], Floats]


def real_clips(folder: Path, classifier: Classifier, *, quick: bool) -> Clips:
    """A folder of real clips or photos."""
    real = RealSet.load(folder)
    if quick:
        real = real.only(range(0, len(real.videos), 5))
    seen = embed(real, classifier, frames=8)

    def similarity(book: AttributeBook | None, templates: str | None, pooling: str) -> Floats:
        return seen.score(book=book, templates=templates, pooling=pooling)[0]

    return Clips(real.name, classifier, real.labels, seen.real.truth, real.exclusive, similarity)


def moji_clips(count: int) -> Clips:
    """Drawn clips of one to three objects, seen by olmv-mini."""
    model = load_video_clip("olmv-mini")
    names = tuple(object_names("seen")[:MOJI_LABELS])
    scenes = [sample_scene(MOJI_SEED, index, names=names, pairings="all") for index in range(count)]
    frames = eval_mini.embed(model, scenes, Renderer(model.preprocess.size))
    truth = eval_mini.truth_of(scenes, names).numpy() > 0
    classifier = Classifier(model)

    def similarity(book: AttributeBook | None, templates: str | None, pooling: str) -> Floats:
        words = Vocabulary.from_names(names)
        words = words if book is None else words.with_attributes(book)
        bank = classifier.text_bank(build_texts(words, templates or model.templates), mode="single-label")
        scores = score(frames, None, bank, pooling=pooling, frame_pooling="softmax")  # type: ignore[arg-type]
        found: Floats = scores.double().numpy()
        return found

    return Clips(MOJI, classifier, names, truth, False, similarity)


def books_of(
    clips: Clips, folder: Path, args: argparse.Namespace
) -> Iterator[tuple[str, AttributeBook | None, str | None]]:
    """The arms: name, book, templates."""
    yield "templates", None, None
    yield "names", None, "none"
    with tempfile.TemporaryDirectory() as made:
        path = Path(made) / "book.json"
        if wordnet_book(clips.labels, path):
            yield "wordnet", AttributeBook.load(path), None
    for arm in ("raw", "gated"):
        path = folder / f"{clips.name}.{arm}.json"
        if not path.is_file():
            if args.llm is None:
                print(f"left out: there is no {path}; give --llm to write it", flush=True)
                continue
            model = clips.classifier.model.name
            run = write_book_by_llm(clips.labels, path, args.llm, prompt=args.prompt, gated=arm == "gated", model=model)
            print(f"{path}: {run}", flush=True)
        yield arm, AttributeBook.load(path), None
        if arm == "raw":
            yield "pruned", pruned(clips, path), None
    if (BOOKS / f"{clips.name}.json").is_file():
        yield "handwritten", AttributeBook.load(BOOKS / f"{clips.name}.json"), None


def pruned(clips: Clips, path: Path) -> AttributeBook:
    """What `--prune --model MODEL` leaves of a book."""
    vocabulary = Vocabulary.from_names(clips.labels)
    name = clips.classifier.model.name
    checks = ListChecks(vocabulary, model=name, templates=None, device="cpu", listener=JobListener())
    return AttributeBook(prune(vocabulary, path, checks.gate_for_pruning).kept)


def measure(clips: Clips, folder: Path, args: argparse.Namespace) -> Iterator[Figure]:
    """Every figure of a set."""
    halves = np.full(len(clips.labels), 0.5)
    count = len(clips.truth)
    base: Floats | None = None
    for arm, book, templates in books_of(clips, folder, args):
        for pooling in ("mean",) if arm in ONE_TEXT else POOLINGS:
            name = f"{clips.name}/{arm}/{pooling}"
            similarity = (clips.similarity(book, templates, pooling) + 1) / 2
            if clips.exclusive:
                hits = clips.truth[np.arange(count), similarity.argmax(axis=1)]
                yield Figure.of(f"{name}/top1", mean_interval(hits.astype(float)), count)
            yield Figure.of(f"{name}/map", multi_label_intervals(similarity, clips.truth, halves)["macro_map"], count)
            if base is None:
                base = similarity
                continue
            change = multi_label_differences(base, halves, similarity, halves, clips.truth)["macro_map"]
            yield Figure(f"{name}/change", change.difference, change.low, change.high, count)
        if book is not None:
            words = Vocabulary.from_names(clips.labels).with_attributes(book)
            texts = build_texts(words, clips.classifier.model.templates)
            bank = clips.classifier.text_bank(texts, mode="single-label")
            assert isinstance(bank, TextBank)
            moved = len(moved_labels(texts, bank.embeddings)) / len(words)
            yield Figure(f"{clips.name}/{arm}/moved", moved, None, None, len(words))
            each = sum(len(label.attributes) for label in words) / len(words)
            yield Figure(f"{clips.name}/{arm}/attributes", each, None, None, len(words))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--books", type=Path, required=True, help="where the language model's books are, or go")
    parser.add_argument("--llm", help="writes the books that are missing")
    parser.add_argument("--prompt", default="short")
    parser.add_argument("--model", default="olmv-lite")
    parser.add_argument("--sets", default=",".join((*REAL, MOJI)), help="of these, separated by commas")
    parser.add_argument("--clips", type=int, default=1000, help="drawn clips")
    parser.add_argument("--quick", action="store_true", help="one video in five")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    started = time.perf_counter()
    args.books.mkdir(parents=True, exist_ok=True)
    figures: list[Figure] = []
    torch.manual_seed(0)
    for name in args.sets.split(","):
        if name == MOJI:
            clips = moji_clips(args.clips // 5 if args.quick else args.clips)
        else:
            clips = real_clips(args.data / name, Classifier.from_pretrained(args.model), quick=args.quick)
        figures += measure(clips, args.books, args)
    settings = {name: getattr(args, name) for name in ("model", "prompt", "llm", "sets", "clips", "quick")}
    show(figures, f"books, {time.perf_counter() - started:.0f} s: {json.dumps(settings)}")
    if args.json is not None:
        write(args.json, figures, settings)


if __name__ == "__main__":
    main()
