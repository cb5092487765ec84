"""Measure how long new labels take to be encoded, and what it was before, in one run.

    python -m scripts.benchmarks.bench_texts [--quick] [--json docs/results/bench_texts.json]

Labels are words of WordNet, drawn at random, in the templates of each model; olmv-lite in the dtype that it runs in,
open_clip's text towers with random weights in float32, which has the real speed.

before     texts in the order of the labels, 512 at a time, padded to the longest of 256, and those of open_clip's
           `CustomTextCLIP` to the context; kept in a table whose rows lie in the tree of keys
now        `encode_texts_cached`: texts beside others of their length, causal towers without padding, numbered rows

NAME/less        processor seconds of one thread before over now, keeping on the disk too; the median of rounds in which
                 both take turns
NAME/places_before, NAME/places_now     places that the tower computes for each token of a text, special ones included
NAME/apart       the largest difference of a number in an embedding between both ways
known/smaller    the file of olmv-lite's texts, before over now
"""

import argparse
import hashlib
import os
import random
import sqlite3
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from olmv.labels.texts import build_texts
from olmv.labels.vocabulary import Vocabulary
from olmv.labels.wordnet.store import wordnet
from olmv.models.clip.model import VideoCLIP
from olmv.models.clip.own_towers import OwnTowers
from olmv.models.open_clip.loading import random_model
from olmv.models.open_clip.towers import OpenClipTowers
from olmv.models.registry import load_model
from olmv.models.text_cache import encode_texts_cached
from scripts.benchmarks.results import Figure, show, write
from scripts.benchmarks.turns import costs_in_turns, ratio

# with how many labels: the towers of open_clip take longer for one, and have more templates
MODELS = {"olmv-lite": 1000, "PE-Core-S-16-384": 50, "EVA02-B-16": 50}
CHUNK, BATCH = 512, 256


def words(count: int) -> list[str]:
    """Draw labels."""
    return random.Random(0).sample(sorted(wordnet().counts()), count)


@contextmanager
def cache_in(folder: str) -> Iterator[Path]:
    """Have olmv keep texts in a new folder."""
    before = os.environ.get("OLMV_CACHE")
    with tempfile.TemporaryDirectory(dir=folder) as cache:
        os.environ["OLMV_CACHE"] = cache
        try:
            yield Path(cache)
        finally:
            del os.environ["OLMV_CACHE"]
            if before is not None:
                os.environ["OLMV_CACHE"] = before


def key(text: str) -> bytes:
    """Return what a text is found by."""
    return hashlib.sha256(text.encode()).digest()


def encode_before(model: VideoCLIP, texts: Sequence[str], file: Path) -> Tensor:
    """Encode texts as it was before, and keep them in a file."""
    towers = model.towers
    made: dict[str, Tensor] = {}
    with closing(sqlite3.connect(file)) as cache, torch.inference_mode():
        cache.execute("CREATE TABLE texts (key BLOB PRIMARY KEY, vector BLOB NOT NULL) WITHOUT ROWID")
        for begin in range(0, len(texts), CHUNK):
            chunk = sorted(texts[begin : begin + CHUNK], key=len)
            for first in range(0, len(chunk), BATCH):
                batch = chunk[first : first + BATCH]
                if isinstance(towers, OwnTowers):
                    embedded = towers.textual(*towers.token_ids(batch))
                else:
                    assert isinstance(towers, OpenClipTowers)
                    embedded = towers.model.encode_text(towers.tokenizer(batch))
                made |= zip(batch, normalize(embedded.float(), dim=-1), strict=True)
            with cache:
                cache.executemany(
                    "INSERT INTO texts VALUES (?, ?)", [(key(text), made[text].numpy().tobytes()) for text in chunk]
                )
    return torch.stack([made[text] for text in texts])


def places(model: VideoCLIP, encode: Callable[[], object]) -> int:
    """Count the places that the text tower computes meanwhile."""
    towers, count = model.towers, 0

    def note(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        nonlocal count
        count += inputs[0].shape[0] * inputs[0].shape[1]

    watched = towers.textual if isinstance(towers, OwnTowers) else towers.model.text.transformer  # type: ignore[union-attr]
    assert isinstance(watched, nn.Module)
    hook = watched.register_forward_pre_hook(note)
    encode()
    hook.remove()
    return count


def measure(name: str, model: VideoCLIP, labels: Sequence[str], rounds: int, folder: str) -> dict[str, float]:
    """Encode the texts of labels in both ways."""
    texts = list(dict.fromkeys(build_texts(Vocabulary.from_names(labels), model.templates).texts))
    old = Path(folder) / f"{name}.sqlite"

    def before() -> Tensor:
        old.unlink(missing_ok=True)
        return encode_before(model, texts, old)

    def now() -> Tensor:
        with cache_in(folder):
            return encode_texts_cached(model, texts)

    made = {"before": before, "now": now}
    embeddings: dict[str, list[Tensor]] = {"before": [], "now": []}
    tokens = sum(min(count, model.context_length) for count in model.token_counts(texts))
    figures = {
        f"{name}/places_{way}": places(model, lambda way=way: embeddings[way].append(made[way]())) / tokens  # type: ignore[misc]
        for way in made
    }
    torch.set_num_threads(1)  # several wait for each other, which is work for the processor where others are at work
    costs = costs_in_turns(made, rounds)
    figures[f"{name}/less"] = ratio(costs.processor, "before", "now")
    figures[f"{name}/apart"] = float((embeddings["before"][0] - embeddings["now"][0]).abs().max())
    return figures


def smaller(model: VideoCLIP, labels: Sequence[str], folder: str) -> float:
    """Return the size of the file that keeps the texts of labels, before over now."""
    texts = list(dict.fromkeys(build_texts(Vocabulary.from_names(labels), model.templates).texts))
    old = Path(folder) / "known.sqlite"
    with cache_in(folder) as cache:
        encode_before(model, texts, old)
        encode_texts_cached(model, texts)
        (new,) = (cache / "texts").glob("*.sqlite")
        return old.stat().st_size / new.stat().st_size


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a tenth of the labels: to see that it runs")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    rounds = 1 if arguments.quick else 3
    figures: dict[str, float] = {}
    counts = {name: count // 10 if arguments.quick else count for name, count in MODELS.items()}
    lite = load_model("olmv-lite")
    assert isinstance(lite, VideoCLIP)
    with tempfile.TemporaryDirectory() as folder:
        for name, count in counts.items():
            model = lite if name == "olmv-lite" else random_model(name, device="cpu")
            figures |= measure(name, model, words(count), rounds, folder)
        figures["known/smaller"] = smaller(lite, words(counts["olmv-lite"]), folder)
    rows = [
        Figure(name, value, None, None, counts.get(name.split("/")[0], counts["olmv-lite"]))
        for name, value in figures.items()
    ]
    show(rows, "new labels")
    if arguments.json is not None:
        write(arguments.json, rows, {"dtype": str(lite.dtype), "rounds": rounds})


if __name__ == "__main__":
    main()
