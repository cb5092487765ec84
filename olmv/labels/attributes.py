"""The attribute book: what an LLM, or a person, wrote about every label."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from olmv.arguments import check_labelled, check_path, kind_of
from olmv.errors import VocabularyError
from olmv.io.atomic import write_atomic
from olmv.io.paths import read_text
from olmv.labels.label import MAX_ATTRIBUTE_CHARS, MAX_LABEL_CHARS, check_count, clean_text

__all__ = ["FORMAT", "AttributeBook", "BookEntry", "load_document", "one_line", "write_book"]

FORMAT = "olmv-attributes/1"


class BookEntry(BaseModel):
    """The attributes of one label and where they come from. Unknown fields are kept (date, sampling).

    Args:
        attributes: short descriptions of the label.
        llm: who wrote them ("vllm:MODEL", "handwritten").
        prompt_sha256: the prompt they answer.
    """

    model_config = ConfigDict(frozen=True, extra="allow")

    attributes: tuple[str, ...]
    llm: str | None = None
    prompt_sha256: str | None = None


class _Document(BaseModel):
    model_config = ConfigDict(extra="allow")

    format: str = FORMAT
    labels: dict[str, BookEntry]


class AttributeBook(Mapping[str, tuple[str, ...]]):
    """Label -> attributes, with provenance; immutable, in the order of the file.

    Args:
        labels: for every label its entry, or only its attributes.

    Raises:
        VocabularyError: a label or attribute is empty, too long or has control characters.
    """

    def __init__(self, labels: Mapping[str, BookEntry | Sequence[str]]) -> None:
        if not isinstance(labels, Mapping):
            raise VocabularyError(f"attributes are {kind_of(labels)}; give a dict, or AttributeBook.load(FILE)")
        self._entries: dict[str, BookEntry] = {}
        self._extra: dict[str, Any] = {}
        for name, value in labels.items():
            label = clean_text(name, what="label", limit=MAX_LABEL_CHARS)
            if not isinstance(value, BookEntry | Iterable):
                raise VocabularyError(f"attributes of {label!r} are {kind_of(value)}; give a list of texts")
            if isinstance(value, str):
                raise VocabularyError(f"attributes of {label!r} must be a list of texts, not one text")
            check_count(value.attributes if isinstance(value, BookEntry) else value, what="attributes", label=label)
            texts = value.attributes if isinstance(value, BookEntry) else value
            what = f"attribute of {label!r}"
            cleaned = dict.fromkeys(clean_text(text, what=what, limit=MAX_ATTRIBUTE_CHARS) for text in texts)
            entry = value if isinstance(value, BookEntry) else BookEntry(attributes=tuple(cleaned))
            self._entries[label] = entry.model_copy(update={"attributes": tuple(cleaned)})

    @classmethod
    def of(cls, attributes: Mapping[str, Sequence[str]], labels: Iterable[str]) -> "AttributeBook":
        """Return attributes of these labels that were given as a dict; a book stays, whatever it is of.

        Raises:
            UsageError: it is no dict, or has a label that is not among these.
            VocabularyError: as the class.
        """
        if isinstance(attributes, cls):
            return attributes
        check_labelled("attributes", attributes, labels, loader="AttributeBook.load")
        return cls(attributes)

    @classmethod
    def load(cls, path: str | Path) -> "AttributeBook":
        """Read a book that `olmv describe-labels` wrote, or a person: `label: [texts]` in JSON or YAML.

        Raises:
            VocabularyError: no such file, not UTF-8, not JSON or YAML, or not a book of a known format.
        """
        check_path("an attribute book", path, error=VocabularyError)
        try:
            content = _read_book(path)
            if (by_hand := _by_hand(content)) is not None:
                return cls(by_hand)
            document = _Document.model_validate(_of_format(content, path, FORMAT, what="attribute book"))
            book = cls(document.labels)
        except ValidationError as failure:
            raise VocabularyError(f"{path}: {one_line(failure)}; correct it there") from None
        except VocabularyError as failure:
            prefix = "" if str(path) in str(failure) else f"{path}: "
            raise VocabularyError(f"{prefix}{failure}") from failure.__cause__
        book._extra = dict(document.model_extra or {})
        return book

    def save(self, path: str | Path) -> None:
        """Write the book, whole or not at all.

        Raises:
            OutputError: it cannot be written there.
        """
        write_book(path, self._entries.items(), extra=self._extra)

    @property
    def extra(self) -> Mapping[str, Any]:
        """Return what else stands in the file beside the labels."""
        return self._extra

    def entry(self, label: str) -> BookEntry:
        """Return the attributes of a label with their provenance.

        Raises:
            KeyError: the book has no such label.
        """
        return self._entries[label]

    def __getitem__(self, label: str) -> tuple[str, ...]:
        return self._entries[label].attributes

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def __repr__(self) -> str:
        return f"AttributeBook({len(self)} labels, {sum(map(len, self.values()))} attributes)"


def write_book(
    path: str | Path, entries: Iterable[tuple[str, BookEntry]], *, extra: Mapping[str, Any] | None = None
) -> None:
    """Write a book label by label, so that a large one is never in memory; whole or not at all.

    Raises:
        OutputError: it cannot be written there.
    """

    def pieces() -> Iterator[str]:
        head = json.dumps({"format": FORMAT, **(extra or {})}, ensure_ascii=False, indent=1)
        yield head.removesuffix("\n}") + ',\n "labels": {'
        separator = "\n"
        for label, entry in entries:
            text = json.dumps(entry.model_dump(mode="json", exclude_none=True), ensure_ascii=False, indent=1)
            yield f"{separator}  {json.dumps(label, ensure_ascii=False)}: {text.replace(chr(10), chr(10) + '  ')}"
            separator = ",\n"
        yield "\n }\n}\n"

    write_atomic(path, pieces())


def load_document(path: str | Path, known: str, *, what: str) -> dict[str, Any]:
    """Return the JSON object of a file with a `format` line.

    Args:
        path: the file.
        known: the format that this version reads.
        what: how to call such a file in an error.

    Raises:
        VocabularyError: no such file, not UTF-8, not JSON, of another format, or with a key written twice.
    """
    check_path(f"an {what}", path, error=VocabularyError)
    return _of_format(_load_json(path, what), path, known, what=what)


def _load_json(path: str | Path, what: str) -> object:
    text = read_text(path, error=VocabularyError)
    try:
        content: object = json.loads(text, object_pairs_hook=_unique)
    except VocabularyError as failure:
        raise VocabularyError(f"{path}: {failure}") from None
    except (ValueError, RecursionError) as failure:
        raise VocabularyError(f"{path} is not valid JSON ({failure}); an {what} is needed here") from failure
    return content


def _of_format(content: object, path: str | Path, known: str, *, what: str) -> dict[str, Any]:
    name = content.get("format") if isinstance(content, dict) else None
    if name != known:
        raise VocabularyError(f"{path} is not an {what} that this version reads (format {name!r}, needed {known!r})")
    assert isinstance(content, dict)
    return content


def _read_book(path: str | Path) -> object:
    if Path(path).suffix.lower() not in (".yaml", ".yml"):
        return _load_json(path, "attribute book")
    import yaml

    from olmv.io.plain_yaml import load_yaml

    text = read_text(path, error=VocabularyError)
    try:
        content: object = load_yaml(text)
    except (yaml.YAMLError, ValueError, RecursionError) as failure:
        detail = " ".join(str(failure).split())
        raise VocabularyError(f"{path} is not valid YAML ({detail}); correct it there") from failure
    return content


def _by_hand(content: object) -> dict[str, list[str]] | None:
    """Return the labels of a book without a `format` line, `label: [texts]`; None where it is something else."""
    if not isinstance(content, dict) or not content or isinstance(content.get("format"), str):
        return None
    for label, texts in content.items():
        if not isinstance(label, str):
            raise VocabularyError(f"{label!r} is no text; put the label in quotes")
        if not isinstance(texts, list):
            return None
        for text in texts:
            if not isinstance(text, str):
                raise VocabularyError(f"an attribute of {label!r} is no text: {text!r:.60}; put it in quotes")
    return content


def one_line(failure: ValidationError) -> str:
    """Return the first complaint of pydantic, as 'labels.dog.attributes: Field required'."""
    first = failure.errors()[0]
    return f"{'.'.join(str(part) for part in first['loc'])}: {first['msg']}"


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    # Python keeps the last of two equal keys and says nothing: a hand-edited file would lose half of its work
    result = dict(pairs)
    if len(result) < len(pairs):
        twice = Counter(key for key, _ in pairs).most_common(1)[0][0]
        raise VocabularyError(f"{twice!r} is there twice; merge the two")
    return result
