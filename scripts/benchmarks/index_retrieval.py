"""What `olmv search` finds in real clips, with olmv-lite: described ones by their captions, actions by their labels.

    python scripts/benchmarks/index_retrieval.py DESCRIBED ACTIONS [--json FILE]

Both are folders with a `labels.csv`: DESCRIBED with captions, ACTIONS with one label a clip, and in `group` what clips
of one take share. Intervals are of 95 %, over the captions or the labels. Queries are ranked by the probability that a
search tells; `cut` figures are of what it returns at its default threshold.
"""

import argparse
import csv
import json
import tempfile
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from olmv.library.encode import background_bank, library_parts
from olmv.library.library import Library
from olmv.library.settings import LibrarySettings
from olmv.library.writer import LibraryWriter
from olmv.metrics.bootstrap import Interval, interval, mean_interval
from olmv.metrics.ranked import average_precision
from olmv.metrics.retrieval import retrieval_ranks
from olmv.models.base import VideoModel
from olmv.models.registry import load_model
from olmv.scoring.windows import sampled
from olmv.video.options import DecodeOptions
from olmv.video.workers.loader import FrameLoader

MODEL = "olmv-lite"
THRESHOLD = 0.5

ABSENT = (
    "elephant, giraffe, zebra, lion, penguin, dolphin, whale, shark, octopus, camel, kangaroo, owl, parrot, bee, "
    "airplane, helicopter, rocket, submarine, sailboat, tractor, fire truck, locomotive, bulldozer, hot air balloon, "
    "volcano, waterfall, iceberg, desert, coral reef, canyon, glacier, rice field, lighthouse, windmill, castle, "
    "pyramid, skyscraper, igloo, pizza, sushi, hamburger, birthday cake, pineapple, watermelon, wedding dress, "
    "snowman, piano, microscope, chess board, grocery store"
)
"""Fifty everyday words that are in none of the ten actions' clips."""

Pixels = NDArray[np.uint8]
COPIES: dict[str, Callable[[Pixels], Pixels]] = {
    "encoded again": lambda frame: frame,
    "half the size": lambda frame: frame[::2, ::2],
    "cropped by a tenth a side": lambda frame: _cropped(frame, 0.1),
    "cropped by a fifth a side": lambda frame: _cropped(frame, 0.2),
    "mirrored": lambda frame: frame[:, ::-1],
    "brighter": lambda frame: np.clip(frame * 1.2 + 25, 0, 255).astype(np.uint8),
}


def measure(described: Path, actions: Path) -> dict[str, Any]:
    """Index both folders and search them."""
    model = load_model(MODEL, device="cpu", dtype="float32")
    with tempfile.TemporaryDirectory() as folder:
        captioned, labelled = _rows(described), _rows(actions)
        films = _index(Path(folder) / "described.olmv", model, [path for path, _ in captioned])
        clips = _index(Path(folder) / "actions.olmv", model, [path for path, _ in labelled])
        return {
            "model": MODEL,
            "described": _captions(films, captioned),
            "actions": _labels(clips, labelled),
            "absent": _absent(clips),
            "like": _like(clips, labelled, [path for path, _ in captioned]),
            "copies": _copies(Path(folder), model, labelled),
        }


def _rows(folder: Path) -> list[tuple[str, dict[str, str]]]:
    with (folder / "labels.csv").open(encoding="utf-8", newline="") as file:
        return [(str((folder / row["video"]).absolute()), row) for row in csv.DictReader(file)]


def _index(folder: Path, model: VideoModel, paths: list[str]) -> Library:
    decode = sampled(DecodeOptions(), frames=None, every_s=None, timeline=None, model_frames=model.default_frames)
    with (
        LibraryWriter(folder, LibrarySettings.of(model, decode, None)) as writer,
        FrameLoader(paths, preprocess=model.preprocess, options=decode) as loader,
    ):
        for part in library_parts(loader, model, decode, background=background_bank(model)):
            writer.add(part)
        writer.flush()
    library = Library.open(folder)
    library.model(model)
    return library


def _ranking(library: Library, paths: list[str], queries: list[str]) -> NDArray[np.float64]:
    """Return the probability of each query in each video [V, Q]."""
    scores = np.zeros((len(paths), len(queries)))
    place = {path: number for number, path in enumerate(paths)}
    for column, query in enumerate(queries):
        for moment in library.search(query, threshold=0, top=len(paths)):
            scores[place[moment.path], column] = moment.probability
    return scores


def _captions(library: Library, rows: list[tuple[str, dict[str, str]]]) -> dict[str, Any]:
    paths, captions = [path for path, _ in rows], [row["caption"] for _, row in rows]
    scores = _ranking(library, paths, captions)
    ranks, _ = retrieval_ranks(scores, np.eye(len(rows), dtype=bool))
    found = scores[np.arange(len(rows)), np.arange(len(rows))] >= THRESHOLD
    return {
        "videos": len(rows),
        "r1": _told(mean_interval(ranks <= 1)),
        "r5": _told(mean_interval(ranks <= 5)),
        "median_rank": _told(interval(lambda drawn: float(np.median(ranks[drawn])), len(ranks))),
        "found_at_the_cut": _told(mean_interval(found)),
        "others_at_the_cut": round(float(((scores >= THRESHOLD).sum() - found.sum()) / len(rows)), 3),
    }


def _labels(library: Library, rows: list[tuple[str, dict[str, str]]]) -> dict[str, Any]:
    paths, truth = [path for path, _ in rows], np.array([row["labels"] for _, row in rows])
    labels = sorted(set(truth))
    scores = _ranking(library, paths, labels)
    true = truth[:, None] == np.array(labels)
    precision = average_precision(scores, true)
    passing = scores >= THRESHOLD
    hits = (passing & true).sum(axis=0)
    return {
        "videos": len(rows),
        "map": _told(mean_interval(precision)),
        "cut_precision": round(float(hits.sum() / max(passing.sum(), 1)), 3),
        "cut_recall": round(float(hits.sum() / true.sum()), 3),
        "labels": {
            label: {
                "ap": round(float(precision[place]), 3),
                "cut_found": int(passing[:, place].sum()),
                "cut_right": int(hits[place]),
                "videos": int(true[:, place].sum()),
            }
            for place, label in enumerate(labels)
        },
    }


def _absent(library: Library) -> dict[str, Any]:
    words = ABSENT.split(", ")
    found = {word: library.search(word, threshold=THRESHOLD, top=len(library)) for word in words}
    return {
        "words": len(words),
        "nothing_found": _told(mean_interval(np.array([not moments for moments in found.values()]))),
        "false_moments_a_word": round(sum(map(len, found.values())) / len(words), 3),
        "found": {word: len(moments) for word, moments in found.items() if moments},
    }


def _like(library: Library, rows: list[tuple[str, dict[str, str]]], others: list[str]) -> dict[str, Any]:
    """Search with each clip for others of its action, of another take; and with clips of none of them."""
    facts = {path: (row["labels"], row["group"]) for path, row in rows}
    right = wrong = true = 0
    for path, (label, group) in facts.items():
        mates = {other for other, own in facts.items() if own[0] == label and own[1] != group}
        true += len(mates)
        for moment in library.search(like=path, threshold=THRESHOLD, top=len(rows)):
            right += moment.path in mates
            wrong += facts[moment.path][0] != label
    nothing = [not library.search(like=other, threshold=THRESHOLD, top=1) for other in others]
    return {
        "cut_precision": round(right / max(right + wrong, 1), 3),
        "cut_recall": round(right / true, 3),
        "described_find_nothing": _told(mean_interval(np.array(nothing))),
    }


def _copies(folder: Path, model: VideoModel, rows: list[tuple[str, dict[str, str]]]) -> dict[str, Any]:
    """Look for copies of one clip of each take, three of an action, among all clips."""
    takes: dict[tuple[str, str], str] = {}
    for path, row in rows:
        takes.setdefault((row["labels"], row["group"]), path)
    labels = sorted({label for label, _ in takes})
    originals = [path for label in labels for path in [own for key, own in takes.items() if key[0] == label][:3]]
    (folder / "copies").mkdir()
    kinds: dict[str, tuple[str, str]] = {}
    for number, path in enumerate(originals):
        for kind, (name, change) in enumerate(COPIES.items()):
            copy = folder / "copies" / f"{number}-{kind}.mp4"
            _encode(Path(path), copy, change)
            kinds[str(copy)] = (path, name)
    facts = {path: (row["labels"], row["group"]) for path, row in rows}
    facts |= {made: facts[path] for made, (path, _) in kinds.items()}
    _index(folder / "copies.olmv", model, [*(path for path, _ in rows), *kinds])
    library = Library.open(folder / "copies.olmv")
    found: dict[str, list[bool]] = {name: [] for name in COPIES}
    groups = [{copy.path for copy in group.copies} for group in library.duplicates(threshold=THRESHOLD)]
    for made, (path, name) in kinds.items():
        found[name].append(any({made, path} <= group for group in groups))
    pairs = [(a, b) for group in groups for a in group for b in group if a < b]
    one_take = sum(facts[a] == facts[b] for a, b in pairs)
    return {
        "originals": len(originals),
        "recall": {name: round(float(np.mean(own)), 3) for name, own in found.items()},
        "pairs": len(pairs),
        "pairs_of_one_take": round(one_take / max(len(pairs), 1), 4),
        "pairs_of_one_action": round(sum(facts[a][0] == facts[b][0] for a, b in pairs) / max(len(pairs), 1), 4),
    }


def _encode(source: Path, target: Path, change: Callable[[Pixels], Pixels]) -> None:
    frames = _decoded(source)
    rate = next(frames)
    with av.open(str(target), "w") as container:
        stream = None
        for frame in frames:
            changed = np.ascontiguousarray(change(frame))
            height, width = (size // 2 * 2 for size in changed.shape[:2])
            if stream is None:
                stream = container.add_stream("libx264", rate=rate)
                stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
                stream.options = {"crf": "32", "preset": "veryfast"}
            container.mux(stream.encode(av.VideoFrame.from_ndarray(changed[:height, :width].copy(), format="rgb24")))
        if stream is not None:
            container.mux(stream.encode())


def _decoded(path: Path) -> Iterator[Any]:
    """Yield the frame rate, then the frames."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        yield Fraction(stream.average_rate).limit_denominator(1000)
        for frame in container.decode(stream):
            yield frame.to_ndarray(format="rgb24")


def _cropped(frame: Pixels, share: float) -> Pixels:
    top, left = (int(size * share) for size in frame.shape[:2])
    return frame[top : frame.shape[0] - top, left : frame.shape[1] - left]


def _told(figure: Interval) -> list[float]:
    return [round(value, 3) for value in (figure.value, figure.low, figure.high)]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("described", type=Path)
    parser.add_argument("actions", type=Path)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    figures = json.dumps(measure(arguments.described, arguments.actions), indent=1)
    print(figures)
    if arguments.json is not None:
        arguments.json.write_text(figures + "\n", encoding="utf-8")
