"""Kinetics-400, and the zero-shot splits of Kinetics-600: annotations, lists or class folders -> `Benchmark`.

Every copy of Kinetics lacks some videos; they are counted, not an error.
"""

from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from olmv.datasets.benchmarks.trees import (
    Finder,
    ListFiles,
    Tree,
    csv_rows,
    list_entry,
    loose,
    read_json,
    read_lines,
    some,
)
from olmv.datasets.benchmarks.types import Benchmark, BenchmarkOptions, Split
from olmv.errors import InputError

__all__ = ["kinetics400", "kinetics600_zero_shot"]

VALIDATION = ("val", "validate", "validation", "videos_val")
FOLDERS = "folders of classes"
Rows = list[tuple[tuple[str, ...], str]]
"""For every video what its file may be called, and its class."""


def kinetics400(name: str, root: Path, options: BenchmarkOptions) -> Benchmark:
    """Read the validation videos of Kinetics-400, from whichever of three layouts is there.

    An annotation csv (label, youtube_id, time_start, time_end) with YOUTUBEID_000012_000022.mp4 anywhere below the
    root; a list "PATH NUMBER" or "PATH,NUMBER" with a file of class names; or folders named after classes.

    Raises:
        InputError: none of these is there, or the files do not fit each other.
    """
    tree = Tree(root)
    rows, source = _validation(tree, ListFiles(tree, options.lists), "400", own=True)
    classes = tuple(sorted({label for _, label in rows}))
    finder = _find(tree, rows, classes)
    everything = tuple(range(len(classes)))
    in_words = source == FOLDERS and options.label_style == "words"  # the annotations have no underscores
    notes = (
        ()
        if len(classes) == 400
        else (f"{len(classes)} classes, Kinetics-400 has 400: not to be compared with others",)
    )
    return Benchmark(
        name=name,
        kind="single-label",
        labels=tuple(label.replace("_", " ") for label in classes) if in_words else classes,
        classes=classes,
        videos=finder.videos,
        truth=finder.truth,
        splits=(Split("validation", tuple(range(len(finder.videos))), everything),),
        choices={"label strings": options.label_style, "lists": source},
        notes=(*notes, *finder.notes(source)),
    )


def kinetics600_zero_shot(name: str, root: Path, options: BenchmarkOptions) -> Benchmark:
    """Read validation videos of the classes that Kinetics-600 has and 400 has not: three splits of 160 (ER-ZSAR).

    The splits (Chen & Huang, ICCV 2021) come from the user's copy, see `_class_splits`.

    Raises:
        InputError: the class splits or the videos are missing or do not fit each other.
    """
    tree = Tree(root)
    parts, origin = _class_splits(ListFiles(tree, options.lists), options.lists or tree.root)
    rows, source = _validation(tree, ListFiles(tree), "600", own=False)
    classes = tuple(sorted({label for part in parts for label in part}))
    spelled = {loose(label): label for label in classes}
    rows = [(names, spelled[loose(label)]) for names, label in rows if loose(label) in spelled]
    if not rows:
        raise InputError(
            f"{source} has no video of the classes of {origin} ({some(classes)}); are both of Kinetics-600?"
        )
    finder = _find(tree, rows, classes)
    splits = []
    for number, part in enumerate(parts, start=1):
        labels = tuple(index for index, label in enumerate(classes) if label in part)
        members = set(labels)
        videos = tuple(index for index, truth in enumerate(finder.truth) if members.intersection(truth))
        splits.append(Split(f"split {number}", videos, labels))
    notes = [
        f"split {number} has {len(part)} classes, the protocol has 160"
        for number, part in enumerate(parts, start=1)
        if len(part) != 160
    ]
    if empty := sorted(set(classes) - {label for _, label in rows}):
        notes.append(f"{len(empty)} of {len(classes)} classes have no video in {source}: {some(empty)}")
    return Benchmark(
        name=name,
        kind="single-label",
        labels=classes,
        classes=classes,
        videos=finder.videos,
        truth=finder.truth,
        splits=tuple(splits),
        choices={"label strings": options.label_style, "lists": source, "class splits": origin},
        notes=(*notes, *finder.notes(source)),
    )


def _find(tree: Tree, rows: Rows, classes: Sequence[str]) -> Finder:
    finder = Finder(tree, classes)
    number = {label: index for index, label in enumerate(classes)}
    for names, label in rows:
        finder.add(*names, truth=[number[label]])
    return finder


def _validation(tree: Tree, files: ListFiles, count: str, *, own: bool) -> tuple[Rows, str]:
    stems = (f"kinetics{count}_val", f"kinetics_{count}_val", f"kinetics-{count}_val", f"k{count}_val")
    tables = ("val.csv", "validate.csv", *(f"{stem}.csv" for stem in stems), "kinetics_val.csv")
    lists = (f"kinetics{count}_val_list_videos.txt", "val_list.txt", "val.txt")
    path = files.find(*tables, *lists, own=own)
    if path is not None:
        first = read_lines(path)[0]
        rows = _annotated(path) if "youtube_id" in first else _listed(path, tree, files, count)
        return rows, files.told(path)
    rows = _in_folders(tree)
    if len({label for _, label in rows}) < 2:
        looked = f"{', '.join(tables)}, {', '.join(lists)} or folders of classes below val/"
        raise InputError(f"{tree.root} has no Kinetics-{count}: looked below it for {looked}, {tree.found()}; add one")
    return rows, FOLDERS


def _annotated(path: Path) -> Rows:
    """Read the official csv. Files are YOUTUBEID_000012_000022.mp4, or only YOUTUBEID.mp4."""
    rows: Rows = []
    for row in csv_rows(path, "label", "youtube_id", "time_start", "time_end"):
        if row.get("split") and row["split"] not in VALIDATION:
            continue
        identity, label = row["youtube_id"], row["label"].strip()
        try:
            start, end = (int(float(row[column])) for column in ("time_start", "time_end"))
        except (ValueError, OverflowError):
            raise InputError(f"{path} has {some([identity])} without times in seconds; get the file again") from None
        rows.append(((f"{identity}_{start:06d}_{end:06d}", identity), label))
    if not rows:
        raise InputError(f"{path} has no rows of the validation split; get the file for it")
    return rows


def _listed(path: Path, tree: Tree, files: ListFiles, count: str) -> Rows:
    """Read lists as mmaction, SlowFast and Open-VCLIP write them: PATH and the number of the class."""
    names = _class_names(files, count)
    rows: Rows = []
    for line in read_lines(path):
        entry, number = list_entry(line)
        if number is None or number not in names:
            what = "no class number" if number is None else f"class {number}, which the class names lack"
            raise InputError(f"{path} has {what} in {some([line])}; write PATH NUMBER, as the class names count")
        rows.append(((tree.inside(entry, files.told(path)),), names[number]))
    return rows


def _class_names(files: ListFiles, count: str) -> dict[int, str]:
    path = files.need(
        f"class names of Kinetics-{count}, which a list with numbers needs",
        f"label_map_k{count}.txt",
        f"k{count}-index2cls.json",
        f"kinetics_{count}_labels.csv",
        "classes.txt",
        own=False,
    )
    if path.suffix == ".json":
        return _numbered(path, read_json(path))
    if path.suffix == ".csv":
        return _numbered(path, {row["id"]: row["name"] for row in csv_rows(path, "id", "name")})
    return dict(enumerate(read_lines(path)))


def _numbered(path: Path, names: object) -> dict[int, str]:
    """Read numbered class names as JSON has them: {"0": "abseiling"}."""
    pairs = names.items() if isinstance(names, dict) else ()
    if not pairs or not all(str(number).isdecimal() and isinstance(name, str) for number, name in pairs):
        raise InputError(f'{path} has no class names; write {{"0": "abseiling", ...}}')
    return {int(number): name for number, name in pairs}


def _in_folders(tree: Tree) -> Rows:
    """List val/CLASS/VIDEO.mp4, as the archives of the CVD Foundation are sorted; the folder may also be val itself."""
    paths = [PurePosixPath(path) for path in tree.videos]
    inside = [path for path in paths if set(VALIDATION).intersection(path.parts[:-1])] or [
        path for path in paths if "train" not in path.parts[:-1]
    ]
    rows: Rows = []
    for path in inside:
        folder = path.parent.name
        if folder and folder not in VALIDATION:
            rows.append(((str(path),), folder))
    return rows


def _class_splits(files: ListFiles, place: Path) -> tuple[list[list[str]], str]:
    """Read three lists of class names and where they are from.

    `tst_class_idxs.json` with `classes620_label_defn.json` (ER-ZSAR); k600_split1/ to 3/ with
    k600-openset-index2cls.json (Open-VCLIP); or split1.txt to split3.txt with a name in a line.
    """
    if place.is_file():
        raise InputError(f"{place} is a file; name the folder with the class splits")
    indices, names = files.find("tst_class_idxs.json"), files.find("classes620_label_defn.json")
    if indices is not None and names is not None:
        return _indexed_splits(indices, names), f"{files.told(indices)}, {files.told(names)}"
    parts, origins = [], []
    for number in (1, 2, 3):
        path = place / f"k600_split{number}" / "k600-openset-index2cls.json"
        if path.is_file():
            parts.append(list(_numbered(path, read_json(path)).values()))
        else:
            list_file = files.find(f"split{number}.txt")
            if list_file is None:
                looked = "tst_class_idxs.json with classes620_label_defn.json, k600_split1/ to k600_split3/ with "
                looked += "k600-openset-index2cls.json, or split1.txt to split3.txt"
                here = Tree(place).found()
                raise InputError(f"{place} has no class splits: looked for {looked}, {here}; name them with lists")
            path = list_file
            parts.append(read_lines(path))
        origins.append(files.told(path))
    return parts, ", ".join(origins)


def _indexed_splits(indices: Path, names: Path) -> list[list[str]]:
    words = read_json(names)
    splits = read_json(indices)
    try:
        labels = [str(word["word"]) for word in words]
        parts = [[labels[_index(index, len(labels))] for index in split] for split in splits]
    except (TypeError, KeyError, IndexError):
        raise InputError(f"{indices} does not fit {names}; take both from the same copy of ER-ZSAR") from None
    if not parts or not all(parts):
        raise InputError(f"{indices} has no class splits; get it again")
    return parts


def _index(value: object, count: int) -> int:
    if not isinstance(value, int) or not 0 <= value < count:
        raise IndexError(value)
    return value
