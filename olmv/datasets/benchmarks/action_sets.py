"""UCF101 and HMDB51: official splits, all videos, ten draws of half the classes, few-shot training.

Protocols as Open-VCLIP (Weng et al., ICML 2023, section 4.1) runs them. Its published draws follow from the order of
the classes in the official lists and `random.seed(2023)`: `half_draws` gives the same ones.
"""

import random
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from olmv.datasets.benchmarks.trees import (
    Finder,
    ListFiles,
    Tree,
    count,
    list_entry,
    loose,
    read_json,
    read_lines,
    some,
)
from olmv.datasets.benchmarks.types import Benchmark, BenchmarkOptions, LabelStyle, Split
from olmv.errors import InputError

__all__ = ["action_set", "action_set_training", "half_draws", "in_words"]

DRAWS = 10
DRAW_SEED = 2023
SETS = {"ucf101": ("UCF101", 101), "hmdb51": ("HMDB51", 51)}
HMDB_TRAIN, HMDB_TEST = 1, 2  # 0 is neither


@dataclass(frozen=True)
class _Official:
    """What the official lists of a data set say.

    Attributes:
        classes: in the order of the lists, which the published draws depend on.
        train, test: number of the split -> (CLASS/NAME.avi, index of the class).
        source: what the lists are called.
    """

    classes: tuple[str, ...]
    train: Mapping[int, list[tuple[str, int]]]
    test: Mapping[int, list[tuple[str, int]]]
    source: str


def action_set(name: str, root: Path, options: BenchmarkOptions) -> Benchmark:
    """Read one of DATA-ep1, DATA-ep2, DATA-ep3, DATA-few-shot, where DATA is ucf101 or hmdb51.

    ep1 is all videos of half of the classes, ten draws; ep2 all videos; ep3 the three official test splits; few-shot
    the first of these.

    Raises:
        InputError: a list or the videos are missing or do not fit.
    """
    data, protocol = name.split("-", 1)
    tree = Tree(root)
    files = ListFiles(tree, options.lists)
    own = protocol in ("ep2", "ep3")  # else the user's lists are draws
    if own and options.lists is not None and options.lists.is_file():
        raise InputError(f"{options.lists} is a file; name the folder with the official lists")
    official = _official(data, tree, files, (1, 2, 3) if protocol == "ep3" else (1,), own=own)
    finder = Finder(tree, official.classes)
    everything = tuple(range(len(official.classes)))
    choices: dict[str, str] = {}
    notes = _class_notes(data, official)
    if protocol == "ep3":
        splits = [Split(f"test {number}", _add(finder, rows), everything) for number, rows in official.test.items()]
    elif protocol == "few-shot":
        splits = [Split("test 1", _add(finder, official.test[1]), everything)]
        if options.shots is not None or options.lists is not None:
            _, choices["training videos"] = _drawn_training(name, official, files, options)
    else:
        videos = _add(finder, [*official.test[1], *official.train[1]])
        splits = [Split("all", videos, everything)]
        if protocol == "ep1":
            draws, choices["draws"] = _draws(official, options)
            splits = [_half(finder, f"draw {number}", draw) for number, draw in enumerate(draws)]
            if len(draws) != DRAWS:
                notes += (
                    f"{count(len(draws), 'draw')} of classes, the protocol has {DRAWS}: not to be compared with others",
                )
    notes += tuple(finder.notes(official.source))
    return _benchmark(name, official, finder, splits, options, choices=choices, notes=notes)


def action_set_training(name: str, root: Path, options: BenchmarkOptions) -> Benchmark:
    """Read the training videos of DATA-few-shot: `shots` of each class, from the first official training list.

    They are drawn by `random.Random(seed)`, class by class; a file in `lists` takes the place of the draw.

    Raises:
        InputError: a list or a video is missing, a class has too few videos, or the user's list names others than
            the official training videos.
    """
    data = name.split("-", 1)[0]
    tree = Tree(root)
    files = ListFiles(tree, options.lists)
    official = _official(data, tree, files, (1,), own=False)
    rows, drawn = _drawn_training(name, official, files, options)
    finder = Finder(tree, official.classes)
    videos = _add(finder, rows)
    if missing := finder.notes("the drawn training videos"):
        raise InputError(f"{name}: {missing[0]}; get them, or draw with another seed")
    split = Split("train", videos, tuple(range(len(official.classes))))
    return _benchmark(name, official, finder, [split], options, choices={"training videos": drawn})


def _benchmark(
    name: str,
    official: _Official,
    finder: Finder,
    splits: Sequence[Split],
    options: BenchmarkOptions,
    *,
    choices: Mapping[str, str],
    notes: Sequence[str] = (),
) -> Benchmark:
    return Benchmark(
        name=name,
        kind="single-label",
        labels=_labels(name.split("-", 1)[0], official.classes, options.label_style),
        classes=official.classes,
        videos=finder.videos,
        truth=finder.truth,
        splits=tuple(splits),
        choices={"label strings": options.label_style, "lists": official.source, **choices},
        notes=tuple(notes),
    )


def half_draws(count: int, *, seed: int = DRAW_SEED, draws: int = DRAWS) -> list[tuple[int, ...]]:
    """Draw half the classes (50 of 101, 25 of 51) several times, one after the other from one generator.

    With the default seed these are the ten draws that Open-VCLIP publishes for UCF101 and for HMDB51.

    Returns:
        Sorted, distinct class indices in [0, count), `count // 2` of them in each draw.

    Raises:
        InputError: there are fewer than two classes, so that no half can be drawn.
    """
    if count < 2:
        raise InputError(f"half of the classes cannot be drawn from {count}; are the lists whole?")
    generator = random.Random(seed)
    drawn = []
    for _ in range(draws):
        order = list(range(count))
        generator.shuffle(order)
        drawn.append(tuple(sorted(order[: count // 2])))
    return drawn


def in_words(data: str, name: str) -> str:
    """Write a class name of ucf101 or hmdb51 in the words of Open-VCLIP: "Apply Eye Makeup", "brush hair"."""
    if data == "hmdb51":
        return name.replace("_", " ").lower()
    words = re.sub(r"(?<!^)(?=[A-Z])", " ", name)
    return "Yoyo" if words == "Yo Yo" else words  # as its label file has it


def _labels(data: str, classes: Iterable[str], style: LabelStyle) -> tuple[str, ...]:
    return tuple(in_words(data, name) if style == "words" else name for name in classes)


def _official(data: str, tree: Tree, files: ListFiles, numbers: Sequence[int], *, own: bool) -> _Official:
    return (_ucf if data == "ucf101" else _hmdb)(tree, files, numbers, own)


def _ucf(tree: Tree, files: ListFiles, numbers: Sequence[int], own: bool) -> _Official:
    classes: dict[str, int] = {}
    parts: dict[str, dict[int, list[tuple[str, int]]]] = {"test": {}, "train": {}}
    folder = ""
    for number in numbers:
        for part, rows in parts.items():
            path = files.need("official list", f"{part}list{number:02}.txt", own=own)
            folder = PurePosixPath(files.told(path)).parent.name or "."
            rows[number] = []
            for line in read_lines(path):
                entry = tree.inside(list_entry(line)[0], files.told(path))
                name = PurePosixPath(entry).parent.name
                if not name:
                    raise InputError(f"{path} names {some([line])}, not CLASS/VIDEO.avi; get the official list again")
                rows[number].append((entry, classes.setdefault(name, len(classes))))
    return _Official(tuple(classes), parts["train"], parts["test"], f"{folder}/{{train,test}}list0{_span(numbers)}.txt")


def _hmdb(tree: Tree, files: ListFiles, numbers: Sequence[int], own: bool) -> _Official:
    first = files.need("official list", *_hmdb_names(tree, files, own), own=own)
    folder = first.parent
    names = sorted(path.name.removesuffix("_test_split1.txt") for path in folder.glob("*_test_split1.txt"))
    classes = tuple(sorted(names, key=lambda name: name.replace("_", " ")))
    train: dict[int, list[tuple[str, int]]] = {number: [] for number in numbers}
    test: dict[int, list[tuple[str, int]]] = {number: [] for number in numbers}
    for number in numbers:
        for index, name in enumerate(classes):
            path = folder / f"{name}_test_split{number}.txt"
            for line in read_lines(path):
                video, code = list_entry(line)
                if code not in (0, HMDB_TRAIN, HMDB_TEST):
                    raise InputError(f"{path} has {some([line])}, not 'video.avi 0|1|2'; get the official list again")
                entry = tree.inside(f"{name}/{video}", files.told(path))
                if code:
                    (train if code == HMDB_TRAIN else test)[number].append((entry, index))
    return _Official(classes, train, test, f"{files.told(folder)}/*_test_split{_span(numbers)}.txt")


def _hmdb_names(tree: Tree, files: ListFiles, own: bool) -> list[str]:
    """Return a split list that is there; brush_hair is the first class, for a message where there are none."""
    names = [PurePosixPath(path).name for path in files.lists(own=own)]
    return sorted(name for name in names if name.endswith("_test_split1.txt"))[:1] or ["brush_hair_test_split1.txt"]


def _span(numbers: Sequence[int]) -> str:
    return str(numbers[0]) if len(numbers) == 1 else "{" + ",".join(map(str, numbers)) + "}"


def _class_notes(data: str, official: _Official) -> tuple[str, ...]:
    title, expected = SETS[data]
    if len(official.classes) == expected:
        return ()
    return (f"the lists have {len(official.classes)} classes, {title} has {expected}: not to be compared with others",)


def _add(finder: Finder, rows: Iterable[tuple[str, int]]) -> tuple[int, ...]:
    indices = (finder.add(entry, truth=[label]) for entry, label in rows)
    return tuple(dict.fromkeys(index for index in indices if index is not None))


def _half(finder: Finder, name: str, draw: tuple[int, ...]) -> Split:
    classes = set(draw)
    return Split(name, tuple(index for index, labels in enumerate(finder.truth) if classes.intersection(labels)), draw)


def _draws(official: _Official, options: BenchmarkOptions) -> tuple[list[tuple[int, ...]], str]:
    """Return the draws of EP1 and where they come from."""
    classes = len(official.classes)
    if options.lists is not None:
        return _user_draws(options.lists, official.classes), f"files of {options.lists.name}"
    seed = DRAW_SEED if options.seed is None else options.seed
    return half_draws(classes, seed=seed), f"random.Random({seed}), {classes // 2} of {classes} classes each"


def _user_draws(folder: Path, classes: Sequence[str]) -> list[tuple[int, ...]]:
    """Read draws that somebody wrote down: 0, 1, ... as files, or as folders with test.csv or *-index2cls.json."""
    numbered = [path for path in folder.iterdir() if path.stem.isdecimal()] if folder.is_dir() else []
    if not numbered:
        contents = f", {Tree(folder).found()}" if folder.is_dir() else ""
        raise InputError(
            f"{folder} has no draws: looked for 0 to 9, files of class names or of CLASS/VIDEO,NUMBER, or folders "
            f"with test.csv or *index2cls.json{contents}; name the folder that holds them"
        )
    known = {loose(name): index for index, name in enumerate(classes)}
    draws = []
    for path in sorted(numbered, key=lambda path: (int(path.stem), path.name)):
        names = _drawn_names(path)
        unknown = [name for name in names if loose(name) not in known]
        if unknown:
            raise InputError(f"{path} names {some(unknown)}: no such class; the classes are {some(classes)}")
        draws.append(tuple(sorted({known[loose(name)] for name in names})))
    return draws


def _drawn_names(path: Path) -> list[str]:
    if path.is_dir():
        inside = [path / "test.csv", *sorted(path.glob("*index2cls.json")), *sorted(path.glob("*.txt"))]
        list_file = next((file for file in inside if file.is_file()), None)
        if list_file is None:
            raise InputError(f"{path} holds no draw: looked for test.csv, *index2cls.json, *.txt; put one there")
        path = list_file
    if path.suffix == ".json":
        names = read_json(path)
        names = list(names.values()) if isinstance(names, dict) else names
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise InputError(f"{path} is not a list of class names; write one")
        return list(names)
    entries = (list_entry(line)[0] for line in read_lines(path))
    return list(dict.fromkeys(PurePosixPath(entry).parent.name or entry for entry in entries))


def _drawn_training(
    name: str, official: _Official, files: ListFiles, options: BenchmarkOptions
) -> tuple[list[tuple[str, int]], str]:
    """Return (CLASS/NAME.avi, class) of the training videos, class by class, and how they were chosen."""
    shots = options.shots
    one_list = options.lists is not None and options.lists.is_file()
    if (shots is None and not one_list) or (shots is not None and shots < 1):
        raise InputError(f"{name} needs the number of training videos of a class; give 2, 4, 8 or 16 shots")
    rows: dict[int, list[str]] = {index: [] for index in range(len(official.classes))}
    for entry, index in official.train[1]:
        rows[index].append(entry)
    number = 1 if shots is None else shots
    if options.lists is not None:
        path = files.need("drawn training videos", f"train1_few_shot_{number}.txt", f"{number}.txt", f"{number}.csv")
        rows, origin = _named_training(path, rows), files.told(path)
    else:
        origin = f"{shots} of each class of training list 1, random.Random({options.seed or 0})"
    for index, entries in rows.items():
        if len(entries) < number or (options.lists is not None and shots is not None and len(entries) > shots):
            label = official.classes[index]
            raise InputError(
                f"{name}: {label} has {len(entries)} training videos, {number} are wanted; ask for another number"
            )
    if options.lists is None:
        generator = random.Random(options.seed or 0)
        rows = {index: sorted(generator.sample(sorted(entries), number)) for index, entries in rows.items()}
    return [(entry, index) for index, entries in rows.items() for entry in entries], origin


def _named_training(path: Path, rows: Mapping[int, Sequence[str]]) -> dict[int, list[str]]:
    """Return the training videos that a list names; only those of the official training list count as such."""
    known = {PurePosixPath(entry).stem: (entry, index) for index, entries in rows.items() for entry in entries}
    named: dict[int, list[str]] = {index: [] for index in rows}
    for line in read_lines(path):
        entry, index = known.get(PurePosixPath(list_entry(line)[0]).stem, ("", -1))
        if not entry:
            raise InputError(f"{path} names {some([line])}, no training video of official list 1; correct the list")
        named[index].append(entry)
    return named
