"""Benchmarks by name: the user's copy of a data set, in its own layout -> `Benchmark`.

    benchmark = load_benchmark("ucf101-ep2", Path("/data/ucf101"), options=BenchmarkOptions())

Nothing of a data set is shipped: class names and splits are read from the user's files.
"""

import csv
import difflib
import io
import json
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from olmv.datasets.benchmarks.action_sets import action_set, action_set_training
from olmv.datasets.benchmarks.kinetics import kinetics400, kinetics600_zero_shot
from olmv.datasets.benchmarks.msrvtt import msrvtt, msrvtt_full
from olmv.datasets.benchmarks.multilabel_sets import activitynet, charades, manifest, youtube8m
from olmv.datasets.benchmarks.types import Benchmark, BenchmarkOptions, Kind, LabelStyle, Split
from olmv.errors import InputError
from olmv.io.atomic import write_atomic

__all__ = [
    "BENCHMARKS",
    "Benchmark",
    "BenchmarkOptions",
    "Kind",
    "LabelStyle",
    "Split",
    "load_benchmark",
    "load_few_shot_training",
    "write_train_manifest",
]

Loader = Callable[[str, Path, BenchmarkOptions], Benchmark]

_LOADERS: dict[str, tuple[Loader, str]] = {
    "ucf101-ep1": (
        action_set,
        "UCF101: ten draws of 50 of the 101 classes, all their videos; top-1, mean and deviation",
    ),
    "ucf101-ep2": (action_set, "UCF101: all 13,320 videos, 101 classes"),
    "ucf101-ep3": (action_set, "UCF101: the three official test splits, mean and deviation"),
    "ucf101-few-shot": (action_set, "UCF101: test split 1, for a model trained on a few videos of each class"),
    "hmdb51-ep1": (
        action_set,
        "HMDB51: ten draws of 25 of the 51 classes, all their videos; top-1, mean and deviation",
    ),
    "hmdb51-ep2": (action_set, "HMDB51: all 5,100 videos of split 1, 51 classes"),
    "hmdb51-ep3": (action_set, "HMDB51: the three official test splits, mean and deviation"),
    "hmdb51-few-shot": (action_set, "HMDB51: test split 1, for a model trained on a few videos of each class"),
    "kinetics400": (kinetics400, "Kinetics-400: the validation videos that are there"),
    "kinetics600-zero-shot": (
        kinetics600_zero_shot,
        "Kinetics-600: validation videos of classes that Kinetics-400 lacks, three splits of 160",
    ),
    "msrvtt": (msrvtt, "MSR-VTT 1k-A: 1,000 videos and sentences, retrieval both ways"),
    "msrvtt-full": (msrvtt_full, "MSR-VTT: the 2,990 test videos with all their sentences, retrieval both ways"),
    "charades": (charades, "Charades: test videos, 157 actions, several in each; mAP"),
    "activitynet": (activitynet, "ActivityNet 1.3: validation videos, 200 labels, of the whole video; mAP"),
    "youtube8m": (youtube8m, "a YouTube-8M-style list: videos and label numbers, and vocabulary.csv"),
    "manifest": (manifest, "your own videos and labels: a csv, jsonl or parquet manifest"),
}

BENCHMARKS: Mapping[str, str] = {name: text for name, (_, text) in _LOADERS.items()}
"""Name -> one line of help."""


def close_protocols(name: str, known: Iterable[str]) -> list[str]:
    """Return the names that may be meant, in their order: those that begin so, else the most alike, else none."""
    names = list(known)
    matches = [other for other in names if name and other.startswith(name)]
    return matches or sorted(difflib.get_close_matches(name, names, n=4, cutoff=0.5), key=names.index)


def load_benchmark(name: str, root: Path | None, *, options: BenchmarkOptions) -> Benchmark:
    """Read a benchmark from the user's copy of its data set. Videos are found, not opened.

    Args:
        name: one of `BENCHMARKS`.
        root: the data set's folder; for "manifest" the manifest itself.
        options: what may be decided about the protocol.

    Raises:
        InputError: no such benchmark, no folder, or a layout that does not fit; the message says which file was
            looked for and what is there instead.
    """
    if name not in _LOADERS:
        close = close_protocols(name, BENCHMARKS)
        raise InputError(f"no benchmark {name!r}; use {' or '.join(close) if close else ', '.join(BENCHMARKS)}")
    return _LOADERS[name][0](name, _given(name, root), options)


def load_few_shot_training(name: str, root: Path | None, *, options: BenchmarkOptions) -> Benchmark:
    """Read the training videos of a few-shot benchmark, `options.shots` of each class, as one split "train".

    Raises:
        InputError: not a few-shot benchmark, a class with too few videos, or as `load_benchmark`.
    """
    known = [other for other in BENCHMARKS if other.endswith("-few-shot")]
    if name not in known:
        raise InputError(f"{name!r} draws no training videos; use {' or '.join(known)}")
    return action_set_training(name, _given(name, root), options)


def write_train_manifest(benchmark: Benchmark, path: Path) -> None:
    """Write videos and their true labels as a manifest that `olmv train` reads: video, labels, split.

    Videos are written as absolute paths, so that the manifest may lie anywhere.

    Args:
        benchmark: as from `load_few_shot_training`.
        path: ends with .csv or .jsonl.

    Raises:
        InputError: the ending is another one, or a label has a `;`, which csv cannot hold.
        OutputError: it cannot be written there.
    """
    rows = [
        (os.path.abspath(benchmark.videos[index]), [benchmark.labels[label] for label in benchmark.truth[index]], split)  # noqa: PTH100
        for split, videos in ((split.name, split.videos) for split in benchmark.splits)
        for index in videos
    ]
    if path.suffix.lower() == ".jsonl":
        keys = ("video", "labels", "split")
        write_atomic(path, (json.dumps(dict(zip(keys, row, strict=True))) + "\n" for row in rows))
        return
    if path.suffix.lower() != ".csv":
        raise InputError(f"{path} is no name for a manifest; let it end with .csv or .jsonl")
    if broken := next((label for label in benchmark.labels if ";" in label), None):
        raise InputError(f"label {broken!r} has a ';', which csv cannot hold; write a .jsonl manifest")
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("video", "labels", "split"))
    writer.writerows((video, ";".join(labels), split) for video, labels, split in rows)
    write_atomic(path, text.getvalue())


def _given(name: str, root: Path | None) -> Path:
    if root is None:
        what = "manifest" if name == "manifest" else "data set's folder"
        raise InputError(f"{name} needs the {what}; name it", option="data")
    return root
