"""Label files and books of a size that no person writes: refused with a message, in linear time."""

import json
from pathlib import Path

import pytest

from olmv.errors import ModelError, VocabularyError
from olmv.labels.attributes import AttributeBook
from olmv.labels.label import MAX_TEXTS, Label
from olmv.labels.vocabulary import Vocabulary
from olmv.models.storage.label_embeddings import LabelEmbeddings


@pytest.mark.parametrize("field", ["aliases", "attributes"])
def test_a_label_with_too_many_texts(field: str) -> None:
    many = tuple(str(number) for number in range(MAX_TEXTS + 1))

    def label(texts: tuple[str, ...]) -> Label:
        return Label("dog", aliases=texts) if field == "aliases" else Label("dog", attributes=texts)

    assert len(getattr(label(many[1:]), field)) == MAX_TEXTS
    with pytest.raises(VocabularyError, match=f"'dog' has 1,001 {field}; keep at most 1,000, a few tens are plenty"):
        label(many)


def test_the_same_in_files(tmp_path: Path) -> None:
    many = [str(number) for number in range(100_000)]
    (tmp_path / "labels.json").write_text(json.dumps([{"label": "dog", "attributes": many}]))
    with pytest.raises(VocabularyError, match=r"labels.json: label 1: 'dog' has 100,000 attributes"):
        Vocabulary.load(tmp_path / "labels.json")
    book = {"format": "olmv-attributes/1", "labels": {"dog": {"attributes": many}}}
    (tmp_path / "book.json").write_text(json.dumps(book))
    with pytest.raises(VocabularyError, match=r"book.json: 'dog' has 100,000 attributes"):
        AttributeBook.load(tmp_path / "book.json")
    # its own and those of the book together
    half = tuple(many[:600])
    with pytest.raises(VocabularyError, match="'dog' has 1,200 attributes"):
        Vocabulary([Label("dog", attributes=half)]).with_attributes({"dog": many[600:1200]})


def test_one_doubled_key_among_sixty_thousand_is_found_at_once(tmp_path: Path) -> None:
    keys = [*(f"label {number}" for number in range(60_000)), "label 59999"]
    labels = ", ".join(f'{json.dumps(key)}: {{"attributes": ["a"]}}' for key in keys)
    (tmp_path / "book.json").write_text(f'{{"format": "olmv-attributes/1", "labels": {{{labels}}}}}')
    with pytest.raises(VocabularyError, match="'label 59999' is there twice; merge the two"):
        AttributeBook.load(tmp_path / "book.json")


def test_the_same_of_label_embeddings() -> None:
    import torch

    labels = (*(f"label {number}" for number in range(60_000)), "label 59999")
    with pytest.raises(ModelError, match="'label 59999' has two embeddings; give every label once"):
        LabelEmbeddings(labels, torch.ones(len(labels), 1))
