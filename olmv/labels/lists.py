"""Several labels in one text: `dog;rain`, `["dog", "rain"]`, and what else people write, where it has one meaning only.

`;` separates labels. A text without one may mean several labels by `|` or a comma, but a label may hold these itself
("salt, pepper"), so the labels that are known decide; where they do not, `AmbiguousLabelsError` is raised.
"""

import json
import re
import unicodedata
from collections.abc import Iterable

__all__ = ["WIDE_MARKS", "AmbiguousLabelsError", "LabelKey", "LabelLists", "label_key", "parse_list", "split_at"]

LabelKey = str

# what separates -> its forms in full-width scripts
WIDE_MARKS = {";": "；", "|": "｜", ",": "，、"}
_OTHERS = ("|", ",")

# a list as json and as Python's repr write it, of texts only; repr's is what pandas puts into a csv cell
_TEXT = r"""(?:"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')"""
_QUOTED_LIST = re.compile(rf"\s*\[\s*(?:{_TEXT}\s*(?:,\s*{_TEXT}\s*)*(?:,\s*)?)?\]\s*")
_QUOTED = re.compile(_TEXT)


class AmbiguousLabelsError(ValueError):
    """A text that may be one label or several; the message says which, and how to write either."""


def label_key(label: str) -> LabelKey:
    """Return the label as it is compared where case and white space are forgiven."""
    return " ".join(unicodedata.normalize("NFC", label).casefold().split())


def parse_list(text: str) -> list[str] | None:
    """Return the texts of `["a", "b"]` or `['a', 'b']`; None for anything else."""
    if not _QUOTED_LIST.fullmatch(text):
        return None
    return [_unquoted(item) for item in _QUOTED.findall(text)]


def split_at(text: str, mark: str) -> list[str]:
    """Return the parts between `;`, `|` or `,`, or their full-width forms; without white space and empty parts."""
    parts = re.split(f"[{re.escape(mark + WIDE_MARKS[mark])}]", text)
    return [part.strip() for part in parts if part.strip()]


class LabelLists:
    """The cells of one file, read together: what separates labels in one tells what does so in another.

    Args:
        texts: all cells of the file.
        known: the labels that can be meant; None if there is no vocabulary. Then the labels that stand in cells of
            their own, or between `;`, are known.

    Attributes:
        guessed: by separator, an example of what it has separated, for a note.
    """

    def __init__(self, texts: Iterable[str], known: Iterable[str] | None = None) -> None:
        cells = dict.fromkeys(texts)
        self._closed = known is not None
        self._semicolons = any(len(_parts(text, ";")) > 1 for text in cells)
        self._known = {label_key(label) for label in (known if known is not None else _plain(cells))}
        self._commas = any(self._several(text, ",") for text in cells)
        self.guessed: dict[str, str] = {}

    def split(self, text: str) -> tuple[str, ...]:
        """Return the labels of one cell; none for an empty one.

        Raises:
            AmbiguousLabelsError: it may be one label or several.
        """
        listed = parse_list(text)
        if listed is not None:
            return tuple(label.strip() for label in listed if label.strip())
        if len(_parts(text, ";")) > 1:
            return tuple(split_at(text, ";"))
        for mark in _OTHERS:
            parts = split_at(text, mark)
            if len(parts) > 1 and self._separates(mark, text, parts):
                self.guessed.setdefault(mark, text.strip())
                return tuple(parts)
        return (text.strip(),) if text.strip() else ()

    def _separates(self, mark: str, text: str, parts: list[str]) -> bool:
        whole = label_key(text) in self._known
        known = [label_key(part) in self._known for part in parts]
        if self._semicolons:  # then these marks are part of names, unless the parts are names themselves
            if all(known) and not whole:
                raise AmbiguousLabelsError(
                    f"{text!r} looks like several labels, but ';' separates them elsewhere; "
                    f"write {';'.join(parts)!r}, or {text + ';'!r} for one label"
                )
            return False
        if whole:
            if self._closed and all(known):
                raise _ambiguous(text, parts)
            return False
        if all(known) or (mark == "|" and (not self._closed or any(known))):
            return True
        if mark == ",":
            # nothing of it is known: one unknown label, or several, comes to the same
            if self._closed and not any(known):
                return False
            if self._closed and self._commas:
                return True
            raise _ambiguous(text, parts)
        return False

    def _several(self, text: str, mark: str) -> bool:
        parts = split_at(text, mark)
        if len(parts) < 2 or label_key(text) in self._known:
            return False
        return all(label_key(part) in self._known for part in parts)


def _ambiguous(text: str, parts: list[str]) -> AmbiguousLabelsError:
    return AmbiguousLabelsError(
        f"{text!r} may be one label or several; write {';'.join(parts)!r} for several, {text + ';'!r} for one"
    )


def _plain(cells: Iterable[str]) -> list[str]:
    """Return the labels about which there is no doubt."""
    labels: list[str] = []
    for text in cells:
        listed = parse_list(text)
        if listed is not None:
            labels += listed
        elif len(_parts(text, ";")) > 1:
            labels += split_at(text, ";")
        elif all(len(_parts(text, mark)) == 1 for mark in _OTHERS):
            labels.append(text)
    return [label for label in labels if label.strip()]


def _parts(text: str, mark: str) -> list[str]:
    """Split as `split_at` does, with the empty parts: 'rain, snow;' has two."""
    return re.split(f"[{re.escape(mark + WIDE_MARKS[mark])}]", text)


def _unquoted(item: str) -> str:
    if item[0] == '"':
        try:
            return str(json.loads(item))
        except ValueError:
            pass
    return re.sub(r"\\(.)", r"\1", item[1:-1])
