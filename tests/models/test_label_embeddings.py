"""Label embeddings in a folder, and in a model that has them."""

import json
from pathlib import Path

import pytest
import torch
from torch.nn.functional import normalize

from olmv.errors import ModelError
from olmv.models.label_embeddings import LabelEmbeddings, load_label_embeddings, save_label_embeddings


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
    for other in ({"format": "other"}, {"labels": "ab"}, {"labels": [1, 2]}, {"source": 3}):
        listed.write_text(json.dumps(described | other))
        with pytest.raises(ModelError, match="not of format olmv-labels/1; compute"):
            load_label_embeddings(tmp_path)
    for wrong in ("{", "[]", "{}", '{"format": "olmv-labels/1", "labels": 3}'):
        listed.write_text(wrong)
        with pytest.raises(ModelError, match=r"labels\.json cannot be read: .*; compute"):
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
