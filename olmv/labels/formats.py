"""Label files: reading and writing.

    .txt          one label a line; blank lines and lines that begin with # are skipped
    .csv .tsv     a header with `label` and any of `aliases`, `attributes` (`;`-separated), `threshold`
    .json .yaml   a list of names or of objects with those keys, or {"labels": such a list}
    inline        "dog, guitar, rain"; quotes keep a comma: 'dog, "salt, pepper"'; or "dog; guitar", '["dog", "guitar"]'

Any other ending is read as .txt. All are UTF-8. Columns that are not known are skipped and named in a note.
"""

import csv
import io
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from olmv.errors import VocabularyError
from olmv.io.paths import read_text
from olmv.labels.label import Label
from olmv.labels.lists import WIDE_MARKS, parse_list

__all__ = ["dump", "load", "parse"]

_QUOTED = re.compile(r'("(?:[^"]|"")*")')
COLUMNS = ("label", "aliases", "attributes", "threshold")
TABLES = {".csv": ",", ".tsv": "\t"}
TREES = (".json", ".yaml", ".yml")
OTHER_FILES = {
    "olmv-attributes/": ("an attribute book; give it as the attributes", "attributes"),
    "olmv-thresholds/": ("a thresholds file; give it as the thresholds", "thresholds"),
}


def load(source: str | Path) -> tuple[list[Label], list[str]]:
    """Return the labels of a file or an inline list, and notes for the user.

    Raises:
        VocabularyError: no such file, not UTF-8, or malformed; the line or item is named.
    """
    path = _as_path(source)
    if path is None:
        return _inline(str(source)), []
    text = read_text(path, error=VocabularyError)
    notes: list[str] = []
    try:
        suffix = path.suffix.lower()
        if suffix in TABLES:
            labels = _table(text, TABLES[suffix], notes)
        elif suffix in TREES:
            labels = _tree(_parse_tree(text, suffix), notes)
        else:
            labels = _lines(text)
            if len(labels) == 1 and re.search("[,，;；|]", labels[0].name):
                notes.append(f"{path} has one label, {labels[0].name!r:.80}; for several write one a line")
    except VocabularyError as failure:
        raise VocabularyError(f"{path}: {failure}", option=failure.options) from failure.__cause__
    if not labels:
        raise VocabularyError(f"{path} holds no labels; write one per line")
    return labels, notes


def parse(text: str) -> list[Label]:
    """Return the labels of a text of a stranger, which is never taken for the name of a file.

    Args:
        text: one label a line, as in a .txt file, or an inline list.

    Raises:
        VocabularyError: it is malformed, or there is no label.
    """
    lines = text.strip("\r\n")
    if "\n" not in lines and "\r" not in lines:
        return _inline(lines)
    labels = _lines(text)
    if not labels:
        raise VocabularyError("the list of labels is empty; give at least one, as in 'dog, guitar, rain'")
    return labels


def dump(labels: Sequence[Label], suffix: str) -> str:
    """Return the text of a label file, such that `load` gives the same labels.

    Raises:
        VocabularyError: the format is unknown or cannot hold what these labels carry.
    """
    if suffix == ".txt":
        return _dump_lines(labels)
    if suffix in TABLES:
        return _dump_table(labels, TABLES[suffix])
    if suffix in TREES:
        records = [_record(label) for label in labels]
        if suffix == ".json":
            return json.dumps(records, ensure_ascii=False, indent=1) + "\n"
        import yaml

        dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
        text: str = yaml.dump(records, Dumper=dumper, allow_unicode=True, sort_keys=False, width=10_000)
        return text
    raise VocabularyError(f"no label file ends with {suffix!r}; use .txt, .csv, .tsv, .json or .yaml")


def _as_path(source: str | Path) -> Path | None:
    if isinstance(source, str) and not source.strip():
        return None  # Path("") would be this folder
    path = Path(source)
    try:
        if path.is_dir():
            raise VocabularyError(f"{source} is a folder, not a label file; for a label of this name write '{source},'")
        if path.exists() or isinstance(source, Path):
            return path
    except (OSError, ValueError):  # a long list is no possible file name
        return None
    looks_like_path = path.suffix.lower() in (".txt", *TABLES, *TREES) or str(source).startswith(
        ("/", "./", "../", "~")
    )
    if looks_like_path and "," not in str(source):
        raise VocabularyError(
            f"no such label file: {source}; give an existing file or a list such as 'dog, guitar, rain'"
        )
    return None


def _inline(text: str) -> list[Label]:
    if "\n" in text or "\r" in text:
        raise VocabularyError("an inline list of labels must be one line; separate labels by commas")
    try:
        names = _inline_names(text)
    except csv.Error as failure:
        raise VocabularyError(f"the list of labels cannot be read ({failure}); put a long list in a file") from None
    labels = [Label(name) for name in names if name.strip()]
    if not labels:
        raise VocabularyError("the list of labels is empty; give at least one, as in 'dog, guitar, rain'")
    return labels


def _inline_names(text: str) -> list[str]:
    listed = parse_list(text)
    if listed is not None:
        return listed
    bare = re.fullmatch(r"\s*\[([^\[\]]*[,，][^\[\]]*)\]\s*", text)  # as YAML writes a list
    if bare:
        text = bare[1]
    pieces = _QUOTED.split(text)  # every other one is quoted
    for mark, wide in WIDE_MARKS.items():
        pieces[::2] = [re.sub(f"[{wide}]", mark, piece) for piece in pieces[::2]]
    there = [mark for mark in (",", ";", "|") if any(mark in piece for piece in pieces[::2])]
    if len(there) > 1:
        raise VocabularyError(
            f"the list of labels has both {there[0]!r} and {there[1]!r}; separate labels by commas, "
            "and put a label that holds another mark in double quotes"
        )
    return next(csv.reader(["".join(pieces)], delimiter=there[0] if there else ",", skipinitialspace=True), [])


def _lines(text: str) -> list[Label]:
    labels = []
    # not splitlines(), which also splits at characters that a label must not have
    for number, line in enumerate(re.split(r"\r\n|\r|\n", text), start=1):
        if line.strip() and not line.lstrip().startswith("#"):
            labels.append(_at(f"line {number}", {"label": line}))
    return labels


def _table(text: str, delimiter: str, notes: list[str]) -> list[Label]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    labels = []
    try:
        header = [name.strip().lower() for name in next(reader, [])]
        if "label" not in header:
            raise VocabularyError(f"the first row must name the columns, one of them `label`; it has {header}")
        for row in reader:
            where = f"line {reader.line_num}"
            if not any(field.strip() for field in row):
                continue
            if len(row) > len(header):
                raise VocabularyError(
                    f"{where} has {len(row)} fields, the header {len(header)}; quote fields with commas"
                )
            fields: dict[str, Any] = dict(zip(header, row, strict=False))
            labels.append(_at(where, fields))
    except csv.Error as failure:
        raise VocabularyError(f"line {reader.line_num} is not valid csv ({failure}); check its quotes") from failure
    _note_unknown(header, notes)
    return labels


def _parse_tree(text: str, suffix: str) -> object:
    try:
        if suffix == ".json":
            return json.loads(text)
        from olmv.io.plain_yaml import load_yaml

        return load_yaml(text)
    except RecursionError as failure:
        raise VocabularyError("nested too deeply; write a plain list of labels") from failure
    except Exception as failure:
        # yaml raises ValueError for 2020-99-99, besides its own errors; all mean the same to the user
        detail = " ".join(str(failure).split())
        raise VocabularyError(f"not valid {suffix[1:]} ({detail}); correct it there") from failure


def _tree(tree: object, notes: list[str]) -> list[Label]:
    if isinstance(tree, Mapping):
        for prefix, (advice, option) in OTHER_FILES.items():
            if str(tree.get("format", "")).startswith(prefix):
                raise VocabularyError(f"this is {advice}", option=option)
        tree = tree.get("labels")
    if tree is None:
        return []
    if not isinstance(tree, list):
        raise VocabularyError("a list of labels is needed at the top, or under the key `labels`")
    seen: dict[str, None] = {}
    labels = []
    for number, item in enumerate(tree, start=1):
        where = f"label {number}"
        if isinstance(item, Mapping):
            if "label" not in item:
                raise VocabularyError(
                    f"{where} ({dict(item)!r:.80}) lacks the key `label`; a name with a colon needs quotes"
                )
            seen.update(dict.fromkeys(str(key) for key in item))
            labels.append(_at(where, item))
        else:
            labels.append(_at(where, {"label": item}))
    _note_unknown(seen, notes)
    return labels


def _at(where: str, fields: Mapping[Any, Any]) -> Label:
    """Make one label of its fields; errors say where it stands."""
    try:
        return Label(
            fields["label"],
            aliases=_split(fields.get("aliases"), "aliases"),
            attributes=_split(fields.get("attributes"), "attributes"),
            threshold=_number(fields.get("threshold")),
        )
    except VocabularyError as failure:
        raise VocabularyError(f"{where}: {failure}") from failure.__cause__


def _split(value: object, column: str) -> tuple[str, ...]:
    if value is None:
        return ()
    if isinstance(value, str):
        return tuple(part for part in value.split(";") if part.strip())
    if isinstance(value, list):
        return tuple(value)
    raise VocabularyError(f"{column} must be a list, or one text separated by ';', not {value!r:.40}")


def _number(value: object) -> Any:
    if isinstance(value, str):
        try:
            return float(value) if value.strip() else None
        except ValueError:
            raise VocabularyError(f"threshold {value!r} is not a number; give one from 0 to 1") from None
    return value


def _note_unknown(names: Iterable[str], notes: list[str]) -> None:
    unknown = [name for name in names if name not in COLUMNS]
    if unknown:
        notes.append(f"columns not used: {', '.join(unknown)} (known are {', '.join(COLUMNS)})")


def _record(label: Label) -> dict[str, object]:
    record: dict[str, object] = {"label": label.name}
    if label.aliases:
        record["aliases"] = list(label.aliases)
    if label.attributes:
        record["attributes"] = list(label.attributes)
    if label.threshold is not None:
        record["threshold"] = label.threshold
    return record


def _dump_lines(labels: Sequence[Label]) -> str:
    for label in labels:
        if len(_record(label)) > 1 or label.name.startswith("#"):
            raise VocabularyError(f"a .txt file cannot hold all of label {label.name!r}; save as .json")
    return "".join(f"{label.name}\n" for label in labels)


def _dump_table(labels: Sequence[Label], delimiter: str) -> str:
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=delimiter, lineterminator="\n")
    writer.writerow(COLUMNS)
    for label in labels:
        for part in (*label.aliases, *label.attributes):
            if ";" in part:
                raise VocabularyError(
                    f"{part!r} of label {label.name!r} has a ';', which separates here; save as .json"
                )
        threshold = "" if label.threshold is None else repr(label.threshold)
        writer.writerow([label.name, ";".join(label.aliases), ";".join(label.attributes), threshold])
    return text.getvalue()
