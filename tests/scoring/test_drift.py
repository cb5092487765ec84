"""Labels that their attributes move away from themselves."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from olmv.labels.label import Label
from olmv.labels.texts import build_texts
from olmv.labels.vocabulary import Vocabulary
from olmv.scoring import drift
from olmv.scoring.drift import drift_note, moved_labels


def unit(rows: object) -> torch.Tensor:
    return torch.nn.functional.normalize(torch.as_tensor(rows, dtype=torch.float32), dim=-1)


def random_rows(count: int, seed: int) -> torch.Tensor:
    return unit(np.random.default_rng(seed).standard_normal((count, 8)))


@given(st.integers(1, 40), st.integers(0, 2**32 - 1))
def test_names_alone_never_move(count: int, seed: int) -> None:
    texts = build_texts(Vocabulary.from_names([f"thing {number}" for number in range(count)]), "none")
    names = random_rows(count, seed)
    assert moved_labels(texts, names) == []
    names[count // 2] = names[0]  # two labels that the tower takes for one
    assert moved_labels(texts, names) == []


@given(st.integers(2, 12), st.integers(0, 2**32 - 1), st.data())
def test_a_label_with_the_attributes_of_another_moves_to_it(count: int, seed: int, data: st.DataObject) -> None:
    lost = data.draw(st.integers(0, count - 1))
    other = (lost + 1 + data.draw(st.integers(0, count - 2))) % count
    labels = [Label(f"thing {number}", attributes=("a b c", "d e f")) for number in range(count)]
    texts = build_texts(Vocabulary(labels), "none")
    names = torch.linalg.qr(torch.from_numpy(np.random.default_rng(seed).standard_normal((12, 12))))[0].float()
    owners = [other if owner == lost and kind == "attribute" else owner
              for owner, kind in zip(texts.label_of_phrase, texts.kind_of_phrase, strict=True)]  # fmt: skip
    assert moved_labels(texts, names[owners]) == [(f"thing {lost}", f"thing {other}")]


def test_only_attributes_count() -> None:
    labels = [Label("a", aliases=("x",), attributes=("y",)), Label("b", aliases=("x",))]
    texts = build_texts(Vocabulary(labels), "none")
    vectors = {"a": (1.0, 0.0), "b": (0.0, 1.0), "x": (0.1, 1.0), "y": (0.1, 1.0)}
    assert moved_labels(texts, unit([vectors[phrase] for phrase in texts.phrases])) == [("a", "b")]
    vectors["y"] = (1.0, 0.1)  # the alias leads away as before
    assert moved_labels(texts, unit([vectors[phrase] for phrase in texts.phrases])) == []


def test_lists_longer_than_a_block(monkeypatch: pytest.MonkeyPatch) -> None:
    count = 23
    labels = [Label(f"thing {number}", attributes=("a b c",)) for number in range(count)]
    texts = build_texts(Vocabulary(labels), "none")
    embeddings = random_rows(len(texts.phrases), 3)
    embeddings[1::4] = embeddings[::4]  # every second label is described as it is called
    whole = moved_labels(texts, embeddings)
    assert 0 < len(whole) < count
    monkeypatch.setattr(drift, "ROWS", 5)
    assert moved_labels(texts, embeddings) == whole


def test_the_note_has_figures_and_an_example() -> None:
    assert drift_note([], 10) is None
    note = drift_note([("crane", "stork"), ("bat", "ball")], 8)
    assert note == (
        "the attributes of 2 of 8 labels (25%) are nearer to another label's name than to their own, such as those of "
        "'crane' to 'stork': such a book can make a list worse; evaluate with and "
        "without it, or prune it"
    )


def test_few_labels_are_worth_no_note() -> None:
    assert drift_note([("crane", "stork")], 11) is None
    assert drift_note([("crane", "stork")], 10) is not None
