"""Label embeddings in a folder, and in a model that has them."""

import json
from pathlib import Path

import pytest
import torch
from torch.nn.functional import normalize

from olmv.classifier import Classifier
from olmv.errors import ModelError, OutputError
from olmv.labels.label import Label
from olmv.labels.texts import build_texts
from olmv.labels.vocabulary import Vocabulary
from olmv.models.registry import load_model
from olmv.models.storage.label_embeddings import (
    LABEL_FILES,
    LabelEmbeddings,
    load_label_embeddings,
    save_label_embeddings,
)
from olmv.models.storage.saving import save_pretrained
from olmv.scoring.bank import TextBank
from tests.support.tiny import tiny_model


def test_label_embeddings_round_trip(tmp_path: Path) -> None:
    labels = ["dog", "Straße", "犬"]
    embeddings = normalize(torch.randn(3, 16), dim=-1)
    assert load_label_embeddings(tmp_path) is None
    save_label_embeddings(tmp_path / "m", labels, embeddings, source={"language_model": "x", "n_prefix": 4})
    loaded = load_label_embeddings(tmp_path / "m")
    assert loaded is not None
    assert loaded.labels == tuple(labels)
    assert torch.equal(loaded.embeddings, embeddings)
    assert loaded.source == {"language_model": "x", "n_prefix": 4}
    known, found = loaded.lookup(["犬", "Dog", "dog"])
    assert known.tolist() == [True, False, True]
    assert torch.equal(found, torch.stack([embeddings[2], torch.zeros(16), embeddings[0]]))
    assert loaded.lookup([])[1].shape == (0, 16)
    assert repr(loaded) == "LabelEmbeddings(labels=3, embeddings=[3, 16])"


def test_label_embeddings_that_cannot_be() -> None:
    unit = torch.eye(2)
    with pytest.raises(ModelError, match=r"1 labels and embeddings .* do not fit each other; give"):
        LabelEmbeddings(("a",), unit)
    with pytest.raises(ModelError, match="the label 'a' has two embeddings; give every label once"):
        LabelEmbeddings(("a", "a"), unit)
    for wrong in (2 * unit, unit * torch.nan):
        with pytest.raises(ModelError, match="not a unit vector; compute label embeddings again"):
            LabelEmbeddings(("a", "b"), wrong)


def test_broken_label_files(tmp_path: Path) -> None:
    save_label_embeddings(tmp_path, ["a", "b"], torch.eye(2))
    listed, weights = tmp_path / "labels.json", tmp_path / "label_embeddings.safetensors"
    described = json.loads(listed.read_text())
    listed.write_text(json.dumps(described | {"labels": ["b", "a"]}))
    with pytest.raises(ModelError, match=r"is not of the labels in labels\.json; compute"):
        load_label_embeddings(tmp_path)
    for other in ({"format": "other"}, {"labels": "ab"}, {"labels": 3}, {"labels": [1, 2]}, {"source": 3}):
        listed.write_text(json.dumps(described | other))
        with pytest.raises(ModelError, match="not of format olmv-labels/1; compute"):
            load_label_embeddings(tmp_path)
    for wrong in ("{", '{"a":' * 100_000):
        listed.write_text(wrong)
        with pytest.raises(ModelError, match=r"labels\.json cannot be read: .*; compute"):
            load_label_embeddings(tmp_path)
    listed.write_text("[]")
    with pytest.raises(ModelError, match=r"labels\.json holds a list in place of an object; compute"):
        load_label_embeddings(tmp_path)
    listed.unlink()
    with pytest.raises(ModelError, match=r"labels\.json cannot be read"):
        load_label_embeddings(tmp_path)
    listed.write_text(json.dumps(described))
    weights.write_bytes(b"torn")
    with pytest.raises(ModelError, match=r"cannot be read: .*; write it again"):
        load_label_embeddings(tmp_path)
    weights.unlink()
    with pytest.raises(ModelError, match=r"cannot be read: .*; write it again"):
        load_label_embeddings(tmp_path)


# ---------------------------------------------------------------- in a model


def stored(dim: int = 16) -> LabelEmbeddings:
    return LabelEmbeddings(("dog", "rain"), torch.eye(dim)[:2], {"made": "by hand"})


def test_a_model_keeps_them_in_its_folder(tmp_path: Path) -> None:
    model = tiny_model()
    assert model.label_embeddings is None
    model.label_embeddings = stored()
    save_pretrained(model, tmp_path)
    again = load_model(tmp_path, device="cpu", dtype="bfloat16").label_embeddings
    assert again is not None
    assert again.labels == ("dog", "rain")
    assert torch.equal(again.embeddings, stored().embeddings)
    assert again.source == {"made": "by hand"}
    assert {file.name for file in tmp_path.iterdir()} >= set(LABEL_FILES)
    model.label_embeddings = None
    save_pretrained(model, tmp_path)
    assert not {file.name for file in tmp_path.iterdir()} & set(LABEL_FILES)
    assert load_model(tmp_path, device="cpu", dtype="float32").label_embeddings is None


def test_a_model_refuses_those_of_another(tmp_path: Path) -> None:
    model = tiny_model(name="mine")
    with pytest.raises(ModelError, match="dimension 8 do not fit 'mine', which has 16; compute them with this model"):
        model.label_embeddings = stored(8)
    assert model.label_embeddings is None
    save_pretrained(model, tmp_path)
    save_label_embeddings(tmp_path, ["dog"], torch.eye(8)[:1])
    with pytest.raises(ModelError, match="dimension 8 do not fit"):
        load_model(tmp_path, device="cpu", dtype="float32")


def test_old_ones_that_cannot_be_deleted(tmp_path: Path) -> None:
    (tmp_path / "labels.json").mkdir()
    with pytest.raises(OutputError, match=r"cannot delete '.*labels\.json': .*; save into another folder"):
        save_pretrained(tiny_model(), tmp_path)


def test_the_text_bank_has_them_for_names_only() -> None:
    """An attribute or an alias that reads like a known label keeps its text's embedding."""
    words = Vocabulary(
        (Label("dog", aliases=("hound",)), Label("weather", aliases=("rain",)), Label("Rain"), Label("cat"))
    )
    for templates in ("none", "video"):
        texts = build_texts(words, templates)
        model = tiny_model()
        plain = Classifier(model).text_bank(texts)
        model.label_embeddings = stored()
        bank = Classifier(model).text_bank(texts)
        assert bank.texts == ("dog", "hound", "weather", "rain", "Rain", "cat")
        assert isinstance(plain, TextBank)
        assert isinstance(bank, TextBank)
        assert torch.equal(bank.embeddings[0], stored().embeddings[0])
        assert torch.equal(bank.embeddings[1:], plain.embeddings[1:])
