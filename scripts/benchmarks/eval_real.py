"""How good a model is on real footage, stage by stage, with bootstrap intervals (95 %).

    python scripts/benchmarks/eval_real.py DATA [--model olmv-lite] [--json FILE] [--quick]

DATA holds folders with a `labels.csv` each (`real_sets.py` says what is in it), or is such a folder. What a folder can
answer is asked of it:

    top1, map            one label a video: the best label; average precision, mean over labels
    map, micro_ap        several labels a video: mean over labels, and over all pairs of video and label
    f1, ece              macro F1 at a probability of 0.5, and calibration error, as the model is
    f1_fitted, ece_fitted  with thresholds for F1 and Platt's scaling fitted to four fifths, measured on the fifth left
    named, wrong         captions from labels: the share of a video's true labels that they name, and wrong ones a video
    r1, r10              a caption finds its video among all
    probe                a logistic regression on the mean frame, trained on half of the groups, tested on the other

and each with the label's name alone, in the model's templates, with a WordNet book, with a handwritten book where
`books/FOLDER.json` is one, and with --attributes.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from olmv.calibrate.crossfit import cross_fit, stratified_folds
from olmv.calibrate.fitting import fit_all
from olmv.calibrate.objectives import Objective
from olmv.calibrate.scaling_fit import fit_scalings
from olmv.caption.from_labels import CAPTION_FRAME_POOLING, MAX_OBJECTS
from olmv.classifier import Classifier
from olmv.labels.attributes import AttributeBook
from olmv.metrics.bootstrap import mean_interval, multi_label_intervals
from olmv.metrics.multilabel import multi_label
from olmv.metrics.retrieval import retrieval_ranks
from olmv.scoring.scaling import Scaler
from scripts.benchmarks.real_sets import Bools, Embedded, Floats, RealSet, embed
from scripts.benchmarks.results import Figure, show, write

BOOKS = Path(__file__).parent / "books"
FOLDS = 5
FEWEST_LABELS = 10  # fewer are kinds of film rather than what is seen


def sigmoid(logits: Floats) -> Floats:
    return 1 / (1 + np.exp(-np.clip(logits, -500, 500)))


def ranking(embedded: Embedded, similarity: Floats, arm: str) -> Iterator[Figure]:
    """How well labels are told apart."""
    real = embedded.real
    if real.exclusive:
        hits = real.truth[np.arange(len(similarity)), similarity.argmax(axis=1)]
        yield Figure.of(f"{real.name}/{arm}/top1", mean_interval(hits.astype(float)), len(hits))
    halves = np.full(len(real.labels), 0.5)
    found = multi_label_intervals((similarity + 1) / 2, real.truth, halves)
    yield Figure.of(f"{real.name}/{arm}/map", found["macro_map"], len(similarity))
    if not real.exclusive:
        yield Figure.of(f"{real.name}/{arm}/micro_ap", found["micro_ap"], len(similarity))


def deciding(embedded: Embedded, probability: Floats, arm: str) -> Iterator[Figure]:
    """What probabilities are worth: as they are, and with thresholds and scaling fitted to other videos."""
    real, halves = embedded.real, np.full(len(embedded.real.labels), 0.5)
    plain = multi_label(probability, real.truth, halves)
    found = multi_label_intervals(probability, real.truth, halves)
    count = len(probability)
    yield Figure.of(f"{real.name}/{arm}/f1", found["macro_f1"], count)
    yield Figure(f"{real.name}/{arm}/ece", plain.ece, None, None, count)
    fold = stratified_folds(real.truth, FOLDS)
    objective = Objective.parse("f1")

    def thresholds(fitted: Floats, truth: Bools) -> Floats:
        return fit_all(fitted, truth, objective).threshold

    def scaling(fitted: Floats, truth: Bools) -> Scaler:
        return Scaler(fit_scalings(fitted, truth, "platt"))

    decided = probability >= cross_fit(probability, real.truth, fold, thresholds)
    fitted = multi_label_intervals(decided.astype(float), real.truth, halves)
    yield Figure.of(f"{real.name}/{arm}/f1_fitted", fitted["macro_f1"], count)
    scaled = multi_label(cross_fit(probability, real.truth, fold, scaling), real.truth, halves)
    yield Figure(f"{real.name}/{arm}/ece_fitted", scaled.ece, None, None, count)


def captions(embedded: Embedded, probability: Floats) -> Iterator[Figure]:
    """What `olmv caption --captioner labels:MODEL` names: the most probable positives."""
    best = np.argsort(-probability, axis=1)[:, :MAX_OBJECTS]
    named = np.zeros_like(embedded.real.truth)
    np.put_along_axis(named, best, values=True, axis=1)
    named &= probability >= 0.5
    truth = embedded.real.truth
    share = (named & truth).sum(axis=1) / truth.sum(axis=1)
    yield Figure.of(f"{embedded.real.name}/captions/named", mean_interval(share), len(truth))
    wrong = (named & ~truth).sum(axis=1).astype(float)
    yield Figure.of(f"{embedded.real.name}/captions/wrong", mean_interval(wrong), len(truth))


def retrieving(embedded: Embedded) -> Iterator[Figure]:
    """Captions to videos."""
    texts = embedded.classifier.model.encode_texts(list(embedded.real.captions)).double().numpy()
    similarity = embedded.vectors @ texts.T
    ranks, _ = retrieval_ranks(similarity, np.eye(len(similarity), dtype=bool))
    for k in (1, 10):
        found = mean_interval((ranks <= k).astype(float))
        yield Figure.of(f"{embedded.real.name}/retrieval/r{k}", found, len(ranks))


def probing(embedded: Embedded) -> Iterator[Figure]:
    """What a linear layer learns from the mean frame of some groups about the others."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GroupKFold

    real, vectors = embedded.real, embedded.vectors
    classes, hits = real.truth.argmax(axis=1), np.zeros(len(vectors))
    for train, test in GroupKFold(2).split(vectors, classes, real.groups):
        fitted = LogisticRegression(C=100, max_iter=2000).fit(vectors[train], classes[train])
        hits[test] = fitted.predict(vectors[test]) == classes[test]
    yield Figure.of(f"{real.name}/probe/top1", mean_interval(hits), len(hits))


def arms(embedded: Embedded, attributes: Path | None) -> Iterator[tuple[str, AttributeBook | None, str | None]]:
    """What is said of the labels: (name, book, templates)."""
    yield "names", None, "none"
    yield "templates", None, None
    with tempfile.TemporaryDirectory() as folder:
        book = Path(folder) / "book.json"
        if wordnet_book(embedded.real.labels, book):
            yield "wordnet", AttributeBook.load(book), None
    if (BOOKS / f"{embedded.real.name}.json").is_file():
        yield "handwritten", AttributeBook.load(BOOKS / f"{embedded.real.name}.json"), None
    if attributes is not None:
        yield "attributes", AttributeBook.load(attributes), None


def wordnet_book(labels: tuple[str, ...], path: Path) -> bool:
    """Write a book as `olmv describe-labels --llm wordnet` does; False if WordNet knows no label."""
    from typer.testing import CliRunner

    from olmv.cli.app import app

    words = path.with_suffix(".txt")
    words.write_text("\n".join(labels) + "\n", encoding="utf-8")
    CliRunner().invoke(app, ["describe-labels", str(words), "-o", str(path), "--llm", "wordnet", "--quiet"])
    return path.is_file()


def measure(embedded: Embedded, args: argparse.Namespace) -> Iterator[Figure]:
    """Every figure that a set can answer."""
    real = embedded.real
    if len(real.labels) >= FEWEST_LABELS:
        for arm, book, templates in arms(embedded, args.attributes):
            similarity, logits = embedded.score(
                book=book, templates=templates, pooling=args.pooling, frame_pooling=args.frame_pooling
            )
            yield from ranking(embedded, similarity, arm)
            if real.exclusive and arm not in ("templates", "attributes"):
                continue
            yield from deciding(embedded, sigmoid(logits), arm)
            if arm == "templates":
                told = embedded.score(frame_pooling=CAPTION_FRAME_POOLING)
                yield from captions(embedded, sigmoid(told[1]))
    if real.captions:
        yield from retrieving(embedded)
    if real.groups and real.exclusive:
        yield from probing(embedded)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--model", default="olmv-lite")
    parser.add_argument("--attributes", type=Path, help="an attribute book, measured beside the others")
    parser.add_argument("--pooling", default="mean")
    parser.add_argument("--frame-pooling")
    parser.add_argument("--frames", type=int, default=8)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--quick", action="store_true", help="one video in five")
    args = parser.parse_args()
    started = time.perf_counter()
    folders = sorted(path.parent for path in (*args.data.glob("labels.csv"), *args.data.glob("*/labels.csv")))
    if not folders:
        parser.error(f"no labels.csv in {args.data} nor in a folder of it")
    classifier = Classifier.from_pretrained(args.model)
    figures: list[Figure] = []
    for folder in folders:
        real = RealSet.load(folder)
        if args.quick:
            real = real.only(range(0, len(real.videos), 5))
        figures += measure(embed(real, classifier, frames=args.frames), args)
    settings = {name: getattr(args, name) for name in ("model", "pooling", "frame_pooling", "frames", "quick")}
    show(figures, f"{args.model} on real footage, {time.perf_counter() - started:.0f} s: {json.dumps(settings)}")
    if args.json is not None:
        write(args.json, figures, settings)


if __name__ == "__main__":
    main()
