"""Videos with several labels: Charades, ActivityNet, YouTube-8M-style label lists, and any manifest."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from olmv.datasets.benchmarks.trees import Finder, ListFiles, Tree, count, csv_rows, read_json, read_lines, some
from olmv.datasets.benchmarks.types import Benchmark, BenchmarkOptions, Split
from olmv.datasets.groups import group_note, groups_of
from olmv.datasets.judged import check_complete, judged_pairs
from olmv.datasets.manifests import join_rows, misnamed_group_note, read_manifest
from olmv.errors import InputError
from olmv.labels.lookup import LabelLookup, check_known, first_spellings

__all__ = ["activitynet", "charades", "manifest", "seen_and_unseen", "youtube8m"]

VIDEO_COLUMNS = ("video", "video_id", "VideoId", "id")
LABEL_COLUMNS = ("labels", "Labels", "label_ids", "LabelIds")


def charades(name: str, root: Path, options: BenchmarkOptions) -> Benchmark:
    """Read Charades test videos (Sigurdsson et al., ECCV 2016): 157 actions, several in each video.

    A video without any action is left out, as in the official evaluation, which ranks it last.

    Raises:
        InputError: Charades_v1_test.csv, Charades_v1_classes.txt or the videos are missing or do not fit.
    """
    tree = Tree(root)
    files = ListFiles(tree, options.lists)
    if options.lists is not None and options.lists.is_file():
        raise InputError(f"{options.lists} is a file; name the folder with the lists of Charades")
    names = files.need("class names of Charades", "Charades_v1_classes.txt")
    table = files.need("test list of Charades", "Charades_v1_test.csv")
    codes: dict[str, int] = {}
    labels = []
    for line in read_lines(names):
        match = re.fullmatch(r"(c\d+)\s+(\S.*)", line)
        if match is None or match[1] in codes:
            raise InputError(f"{names} has {some([line])}, not 'c000 Holding some clothes'; get it again")
        codes[match[1]] = len(codes)
        labels.append(match[2])
    finder = Finder(tree)
    empty = 0
    for row in csv_rows(table, "id", "actions"):
        actions = [action.split()[0] for action in row["actions"].split(";") if action.strip()]
        if unknown := [action for action in actions if action not in codes]:
            raise InputError(f"{table} has {some(unknown)}, which {names.name} lacks; take both from the same copy")
        if actions:
            finder.add(tree.inside(row["id"], table.name), truth=[codes[action] for action in actions])
        empty += not actions
    notes = (f"{count(empty, 'video')} without an action left out, as in the official evaluation",) if empty else ()
    source = f"{files.told(table)}, {files.told(names)}"
    return _benchmark(name, "test", labels, finder, options, source, notes)


def activitynet(name: str, root: Path, options: BenchmarkOptions) -> Benchmark:
    """Read ActivityNet 1.3 validation videos (Caba Heilbron et al., CVPR 2015): the labels of a whole video.

    Files are v_ID.mp4, .mkv, .webm, or ID.*.

    Raises:
        InputError: activity_net.v1-3.min.json or the videos are missing or do not fit.
    """
    tree = Tree(root)
    files = ListFiles(tree, options.lists)
    path = files.need("annotations of ActivityNet", "activity_net.v1-3.min.json", "activity_net.v1-3.json")
    document = read_json(path)
    database = document.get("database") if isinstance(document, dict) else None
    if not isinstance(database, dict):
        raise InputError(f"{path} has no 'database'; get activity_net.v1-3.min.json again")
    try:
        annotations = {
            str(identity): {str(part["label"]) for part in entry["annotations"]} for identity, entry in database.items()
        }
        identities = [str(identity) for identity, entry in database.items() if entry["subset"] == "validation"]
    except (TypeError, KeyError):
        raise InputError(f"{path} has videos without 'subset' and 'annotations'; get it again") from None
    labels = sorted(set().union(*annotations.values()))
    number = {label: index for index, label in enumerate(labels)}
    if not any(annotations[identity] for identity in identities):
        raise InputError(f"{path} has no labels of validation videos; get activity_net.v1-3.min.json again")
    finder = Finder(tree)
    for identity in identities:
        names = (f"v_{identity}", identity)
        finder.add(
            *(tree.inside(entry, path.name) for entry in names), truth=[number[one] for one in annotations[identity]]
        )
    return _benchmark(name, "validation", labels, finder, options, files.told(path))


def youtube8m(name: str, root: Path, options: BenchmarkOptions) -> Benchmark:
    """Read a label list as of YouTube-8M: a csv of videos and label numbers, and vocabulary.csv (Index, Name).

    Labels without a name are left out; labels with the same name are one.

    Raises:
        InputError: a list or the videos are missing or do not fit.
    """
    tree = Tree(root)
    files = ListFiles(tree, options.lists)
    vocabulary = files.need(
        "names of the labels", "vocabulary.csv", own=options.lists is None or options.lists.is_dir()
    )
    table = files.need("list of labels", "labels.csv", "validate.csv", "test.csv", "train.csv")
    by_index: dict[str, str] = {}
    for row in csv_rows(vocabulary, "Index", "Name"):
        by_index[row["Index"].strip()] = row["Name"].strip()
    labels = list(dict.fromkeys(label for label in by_index.values() if label))
    number = {label: index for index, label in enumerate(labels)}
    rows = csv_rows(table)
    video, column = (_column(table, rows[0], names) for names in (VIDEO_COLUMNS, LABEL_COLUMNS))
    unknown: Counter[str] = Counter()
    finder = Finder(tree)
    for row in rows:
        indices = re.split(r"[\s;,]+", row[column].strip("[] \t"))
        known = [by_index[index] for index in indices if by_index.get(index)]
        unknown.update(index for index in indices if index and not by_index.get(index))
        finder.add(tree.inside(row[video], table.name), truth=[number[label] for label in known])
    notes = _unknown_note(unknown, vocabulary.name)
    return _benchmark(name, "all", labels, finder, options, f"{files.told(table)}, {files.told(vocabulary)}", notes)


def manifest(name: str, path: Path, options: BenchmarkOptions) -> Benchmark:
    """Read any manifest: its labels are the truth, the vocabulary is the user's or all labels of the manifest.

    Files are not looked for: a missing one costs its own row later. Rows that do not say what is true (no labels at
    all; an empty list says "nothing") are left out; labels that the vocabulary lacks are counted.

    Raises:
        InputError: a bad manifest, no such split, no labelled rows, or none of the labels, or too few, are in the
            vocabulary; a video with two groups; pairs of video and label that nobody has judged.
    """
    notes: list[str] = []
    rows = read_manifest(path, labels=None if options.labels is None else options.labels.names, note=notes.append)
    notes += misnamed_group_note(path)
    if options.split is not None:
        there = dict.fromkeys(row.split for row in rows if row.split)
        rows = [row for row in rows if row.split == options.split]
        if not rows:
            cure = f"it has {some(list(there))}" if there else "it has no 'split' column, so leave the split out"
            raise InputError(f"{path} has no rows of the split {options.split!r}; {cure}")
    joined, _ = join_rows([replace(row, caption=None, split=None) for row in rows])
    labelled = sum(row.labels is not None for row in rows)
    names_of = {row.video: row.labels for row in joined if row.labels is not None}
    every = first_spellings(label for names in names_of.values() for label in names)
    if not every:
        raise InputError(f"{path} has no rows with labels; add a 'labels' column")
    labels = every if options.labels is None else options.labels.names
    lookup = LabelLookup(labels)
    check_complete(judged_pairs([row for row in joined if row.labels is not None], lookup), "an evaluation")
    places_of = {video: [(name, lookup.find(name)) for name in names] for video, names in names_of.items()}
    unknown = Counter(name for names in places_of.values() for name, place in names if place is None)
    times = sum(map(len, places_of.values()))
    if unknown.total() == times:
        raise InputError(f"{path} has none of the labels to look for; it has {some(list(every))}, name these")
    problem = check_known(unknown, times, known=labels[0], where=path.name)
    if problem is not None and not options.allow_unknown:
        raise InputError(f"{problem}, or leave unknown labels out", option="allow_unknown")
    truth = {video: {place for _, place in names if place is not None} for video, names in places_of.items()}
    if labelled < len(rows):
        notes.append(f"{len(rows) - labelled} of {len(rows)} rows without labels left out")
    notes += _unknown_note(unknown, "the vocabulary")
    notes += lookup.notes()
    if len(truth) < labelled:
        notes.append(f"{count(labelled - len(truth), 'row')} for a video met before; the labels were put together")
    video_groups = groups_of(((row.video, row.group) for row in rows), tuple(truth))
    notes += group_note(video_groups)
    return Benchmark(
        name=name,
        kind="multi-label",
        labels=tuple(labels),
        classes=tuple(labels),
        videos=tuple(truth),
        truth=tuple(tuple(sorted(places)) for places in truth.values()),
        splits=(Split(options.split or "all", tuple(range(len(truth))), tuple(range(len(labels)))),),
        groups=seen_and_unseen(labels, options.unseen),
        video_groups=video_groups,
        choices={
            "lists": path.name,
            "labels": "of the manifest" if options.labels is None else "the user's vocabulary",
            **({"split": options.split} if options.split else {}),
        },
        notes=tuple(notes),
    )


def _benchmark(
    name: str,
    split: str,
    labels: Sequence[str],
    finder: Finder,
    options: BenchmarkOptions,
    source: str,
    notes: tuple[str, ...] = (),
) -> Benchmark:
    """Take every video and every label in one split; label strings are the data set's own in either style."""
    notes = (*notes, *finder.notes(source))
    return Benchmark(
        name=name,
        kind="multi-label",
        labels=tuple(labels),
        classes=tuple(labels),
        videos=finder.videos,
        truth=finder.truth,
        splits=(Split(split, tuple(range(len(finder.videos))), tuple(range(len(labels)))),),
        groups=seen_and_unseen(labels, options.unseen),
        choices={"label strings": "as the data set writes them", "lists": source},
        notes=notes,
    )


def seen_and_unseen(labels: Sequence[str], unseen: Iterable[str]) -> dict[str, tuple[int, ...]]:
    """Return the label indices of "seen" and "unseen"; no groups where nothing is said to be unseen.

    Raises:
        InputError: an unseen label is not among the labels.
    """
    lookup = LabelLookup(labels)
    place_of = {label: lookup.find(label) for label in unseen}
    if not place_of:
        return {}
    if strangers := sorted(label for label, place in place_of.items() if place is None):
        raise InputError(f"unseen labels {some(strangers)} are not among the labels; there are {some(labels)}")
    chosen = set(place_of.values())
    groups = {
        "seen": tuple(index for index in range(len(labels)) if index not in chosen),
        "unseen": tuple(index for index in range(len(labels)) if index in chosen),
    }
    return {name: indices for name, indices in groups.items() if indices}


def _column(path: Path, row: dict[str, str], names: Sequence[str]) -> str:
    column = next((name for name in names if name in row), None)
    if column is None:
        raise InputError(f"{path} has no column {' or '.join(names)} (columns: {some(list(row), most=6)}); name it so")
    return column


def _unknown_note(unknown: "Counter[str]", what: str) -> tuple[str, ...]:
    if not unknown:
        return ()
    labels = [label for label, _ in unknown.most_common()]
    times = count(unknown.total(), "time")
    return (f"{count(len(labels), 'label')} not in {what} left out, given {times}: {some(labels)}",)
