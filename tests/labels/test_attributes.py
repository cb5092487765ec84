import json
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from olmv.errors import OutputError, VocabularyError
from olmv.labels.attributes import AttributeBook, BookEntry, write_book
from tests.labels.test_vocabulary import words


def write(folder: Path, labels: object, *, kind: object = "olmv-attributes/1", **extra: object) -> Path:
    file = folder / "book.json"
    file.write_text(json.dumps({"format": kind, "labels": labels, **extra}), encoding="utf-8")
    return file


def test_load_keeps_provenance_and_what_it_does_not_know(tmp_path: Path) -> None:
    entry = {
        "attributes": [" a tail ", "a tail", "wet nose"],
        "llm": "vllm:tiny",
        "prompt_sha256": "ab",
        "date": "2026",
    }
    book = AttributeBook.load(write(tmp_path, {" dog ": entry, "cat": {"attributes": []}}, made_by="me"))
    assert dict(book) == {"dog": ("a tail", "wet nose"), "cat": ()}
    assert book.entry("dog").llm == "vllm:tiny"
    assert repr(book) == "AttributeBook(2 labels, 2 attributes)"
    book.save(tmp_path / "again.json")
    assert json.loads((tmp_path / "again.json").read_text("utf-8")) == {
        "format": "olmv-attributes/1",
        "made_by": "me",
        "labels": {"dog": {**entry, "attributes": ["a tail", "wet nose"]}, "cat": {"attributes": []}},
    }


@given(labels=st.dictionaries(words, st.lists(words, max_size=4), max_size=4))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_round_trip(tmp_path: Path, labels: dict[str, list[str]]) -> None:
    book = AttributeBook(labels)
    book.save(tmp_path / "book.json")
    assert dict(AttributeBook.load(tmp_path / "book.json")) == dict(book)
    assert set(book) == set(labels)


def test_entries_and_plain_lists() -> None:
    book = AttributeBook({"dog": BookEntry(attributes=("tail",), llm="handwritten"), "cat": ["fur"]})
    assert book["cat"] == ("fur",)
    assert book.entry("cat").llm is None
    assert "zebra" not in book
    with pytest.raises(KeyError):
        book["zebra"]
    with pytest.raises(KeyError):
        book.entry("zebra")


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ({"dog": {"llm": "x"}}, "labels.dog.attributes: Field required; correct it there"),
        ({"dog": {"attributes": "a tail"}}, "labels.dog.attributes: .*tuple"),
        ({"dog": {"attributes": [3]}}, "labels.dog.attributes.0: .*string"),
        ({"dog": ["a tail"]}, "labels.dog: .*"),
        (["dog"], "labels: .*dictionary"),
        ({"dog": {"attributes": ["a", " "]}}, "attribute of 'dog' is empty; write it out"),
        ({"dog": {"attributes": ["a\nb"]}}, r"attribute of 'dog' 'a\\nb' has the control character U\+000A"),
        ({"dog": {"attributes": ["x" * 1001]}}, "has 1001 characters; keep it under 1001"),
        ({"do\x00g": {"attributes": []}}, r"label 'do\\x00g' has the control character"),
    ],
)
def test_bad_content(tmp_path: Path, labels: object, message: str) -> None:
    file = write(tmp_path, labels)
    with pytest.raises(VocabularyError, match=message) as caught:
        AttributeBook.load(file)
    assert str(caught.value).count(str(file)) == 1
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", ["olmv-attributes/2", None, "olmv-thresholds/1"])
def test_unknown_format(tmp_path: Path, kind: object) -> None:
    message = rf"is not an attribute book that this version reads \(format {kind!r}, needed 'olmv-attributes/1'\)"
    with pytest.raises(VocabularyError, match=message):
        AttributeBook.load(write(tmp_path, {}, kind=kind))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"dog", "is not valid JSON .*; an attribute book is needed here"),
        (b"[" * 100_000, "is not valid JSON"),
        (b"[]", "is not an attribute book that this version reads"),
        (b"\xff", "not UTF-8"),
        (
            b'{"format": "olmv-attributes/1", "labels": {"dog": {}, "dog": {"attributes": []}}}',
            "'dog' is there twice; merge the two",
        ),
    ],
)
def test_not_a_book(tmp_path: Path, data: bytes, message: str) -> None:
    file = tmp_path / "book.json"
    file.write_bytes(data)
    with pytest.raises(VocabularyError, match=message):
        AttributeBook.load(file)


def test_missing_and_not_writable(tmp_path: Path) -> None:
    with pytest.raises(VocabularyError, match="no such file"):
        AttributeBook.load(tmp_path / "book.json")
    with pytest.raises(OutputError, match="its folder does not exist"):
        AttributeBook({}).save(tmp_path / "missing" / "book.json")
    with pytest.raises(VocabularyError, match="attributes of 'dog' must be a list of texts"):
        AttributeBook({"dog": "a tail"})


@given(
    labels=st.dictionaries(words, st.lists(words, max_size=3), max_size=4),
    extra=st.dictionaries(words, words, max_size=2),
)
def test_a_book_written_label_by_label_is_json(labels: dict[str, list[str]], extra: dict[str, str]) -> None:
    extra.pop("format", None), extra.pop("labels", None)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "b.json"
        write_book(path, ((label, BookEntry(attributes=tuple(found))) for label, found in labels.items()), extra=extra)
        document = json.loads(path.read_text("utf-8"))
    assert document == {
        "format": "olmv-attributes/1", **extra, "labels": {label: {"attributes": f} for label, f in labels.items()}
    }  # fmt: skip


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("book.json", '{"dog": ["four legs", "a tail"], "format": ["a page layout"]}'),
        ("book.yaml", "dog:\n- four legs\n- a tail\nformat: [a page layout]\n"),
        ("book.yml", '{"dog": ["four legs", "a tail"], "format": ["a page layout"]}'),
    ],
)
def test_a_book_by_hand(name: str, text: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    book = AttributeBook.load(path)
    assert dict(book) == {"dog": ("four legs", "a tail"), "format": ("a page layout",)}
    book.save(tmp_path / "saved.json")
    assert dict(AttributeBook.load(tmp_path / "saved.json")) == dict(book)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        (
            "book.yaml",
            "dog: [a]\ndog: [b]\n",
            r"book.yaml is not valid YAML \('dog' is there twice; merge the two\)",
        ),
        ("book.yaml", "no: [a]\n", r"False is no text; put the label in quotes"),
        ("book.yaml", "dog: [1]\n", r"an attribute of 'dog' is no text: 1; put it in quotes"),
        ("book.yaml", "dog: [a\n", r"book.yaml is not valid YAML .*; correct it there"),
        ("book.json", '{"dog": "a tail"}', r"is not an attribute book that this version reads"),
    ],
)
def test_a_book_by_hand_that_cannot_be_read(name: str, text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    with pytest.raises(VocabularyError, match=message):
        AttributeBook.load(path)
