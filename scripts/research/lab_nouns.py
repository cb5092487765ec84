"""Do soft attributes help names that were not trained, on photos? Half of the nouns trained, half tested, olmv-lite.

    python scripts/research/lab_nouns.py DATA/nouns --json docs/results/lab_nouns.json

DATA/nouns is a folder of photos with a `labels.csv` (`video,labels`), one noun a photo. The tower is frozen and sees
every photo once. Ten of the trained nouns choose rate and step; which half is tested follows from the seed. The arms
are those of `lab_naming.py`, and a WordNet book. Figures as in `lab_results.py`; photos of the tested half, ranked or
told apart among its nouns.
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from olmv.classifier import Classifier
from olmv.labels.attributes import AttributeBook
from olmv.labels.texts import build_texts
from olmv.labels.vocabulary import Vocabulary
from olmv.models.clip.model import VideoCLIP
from olmv.scoring.bank import TextBank
from olmv.scoring.options import Pooling
from olmv.scoring.pooling import score
from olmv.train.trainable import embedded_bank
from olmv.train.validation import Scores, macro_map, top1
from scripts.benchmarks.eval_real import wordnet_book
from scripts.benchmarks.real_sets import RealSet, embed
from scripts.benchmarks.results import show, write
from scripts.research.lab_results import summary
from scripts.research.lab_soft import Task, language_models, make_soft, probe, trained_arms

HELD = 10


def nouns(model: VideoCLIP, pictures: Tensor, truth: Tensor, labels: tuple[str, ...], seed: int) -> dict[str, float]:
    """Measure one seed: pictures [N, D] unit vectors, truth [N, C] with one label each."""
    order = np.random.default_rng([seed, 6]).permutation(len(labels)).tolist()
    half = len(order) // 2
    tested = order[half:]
    names = [labels[i] for i in tested]
    things = truth.argmax(1)
    rows = torch.isin(things, torch.tensor(tested))
    frames, wanted = pictures[rows][:, None], truth[rows][:, tested]

    def measured(bank: TextBank, pooling: Pooling = "mean") -> dict[str, float]:
        scores = Scores(score(frames, None, bank, pooling=pooling), wanted, 0)
        return {"unseen_names_map": macro_map(scores), "unseen_names_top1": top1(scores)}

    def texts(vocabulary: Vocabulary) -> TextBank:
        built = build_texts(vocabulary, model.templates)
        return TextBank.from_texts(built, model.encode_texts(built.texts))

    bare = Vocabulary.from_names(names)
    arms = {"bare names": measured(texts(bare))}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "book.json"
        if wordnet_book(tuple(names), path):
            bank = texts(bare.with_attributes(AttributeBook.load(path)))
            arms |= {f"WordNet book, {how}": measured(bank, how) for how in ("mean", "topk")}
    pairs = [(labels[i], i) for i in order[:half]]
    task = Task(pictures[~rows], things[~rows], tuple(pairs[HELD:]), 0, tuple(pairs[:HELD]))
    for arm, soft, found in trained_arms(model, task, list(labels), seed):
        arms[arm] = found.to_figures() | measured(embedded_bank(names, soft.precompute(names)))
        soft.load_state_dict(dict(found.last))
        arms[arm]["unseen_names_map_last"] = measured(embedded_bank(names, soft.precompute(names)))["unseen_names_map"]
        print(f"  {arm}: " + ", ".join(f"{k} {v:.3f}" for k, v in arms[arm].items()), flush=True)
    for name, language_model in language_models().items():
        language_model.instead = {}
        soft = make_soft(model, language_model, seed)
        arms[f"linear probe, {name}"] = measured(embedded_bank(names, probe(language_model, soft, task, names)))
    return {f"{arm}/{metric}": value for arm, found_of in arms.items() for metric, value in found_of.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", default="olmv-lite")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path, required=True)
    args = parser.parse_args()
    if not (args.folder / "labels.csv").is_file():
        raise SystemExit(f"'{args.folder}' has no labels.csv; name a folder of photos of nouns, such as DATA/nouns")
    torch.set_num_threads(args.threads)
    classifier = Classifier.from_pretrained(args.model, dtype="float32")
    if not isinstance(classifier.model, VideoCLIP):
        raise SystemExit(f"'{args.model}' has no text tower that soft attributes could use; name a CLIP")
    seen = embed(RealSet.load(args.folder), classifier, frames=1)
    pictures, truth = torch.from_numpy(seen.vectors).float(), torch.from_numpy(seen.real.truth).float()
    by_seed = []
    for seed in range(args.seeds):
        by_seed.append(nouns(classifier.model, pictures, truth, seen.real.labels, seed))
        print(f"seed {seed} done", flush=True)
    tested = int(truth.sum()) // 2
    figures = summary(by_seed, {"unseen_names_map": tested, "unseen_names_top1": tested})
    show(figures, f"nouns, {args.seeds} seeds")
    write(args.json, figures, {"model": args.model, "data": args.folder.name, "seeds": args.seeds})


if __name__ == "__main__":
    main()
