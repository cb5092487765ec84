"""`olmv train` with soft attributes from end to end: a tiny language model, tiny towers, drawn clips."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors import safe_open
from torch import Tensor

from olmv.classifier import Classifier
from olmv.cli import main
from olmv.models.base import VideoModel
from olmv.models.clip.model import VideoCLIP
from olmv.models.registry import load_model
from olmv.models.soft_attributes.language_model import LanguageModel
from olmv.models.soft_attributes.module import SoftAttributes
from olmv.models.storage.saving import save_pretrained
from olmv.moji.world import object_names
from olmv.scoring.bank import TextBank
from tests.support.samples import write_clip
from tests.support.tiny import tiny_model, write_open_clip_folder
from tests.support.tiny_lm import write_language_model

SEEN, UNSEEN = object_names("seen")[:5], object_names("unseen")[:3]


def write_config(folder: Path, model: str, **changes: Any) -> Path:
    """A run of two steps on objects; the second validation source has objects that are never trained."""

    def moji(seed: int, clips: int, objects: str) -> dict[str, Any]:
        return {"moji": {"seed": seed, "clips": clips, "objects": objects, "labels": ["objects"]}}

    llm = write_language_model(folder / "llm", "llama")
    soft = {"llm": str(llm), "prefixes": 2, "queries": 2, "labels_per_step": 4}
    config: dict[str, Any] = {
        "model": {"name": model, "train": "new", "templates": "video", "soft_attributes": soft},
        "data": {
            "train": moji(1, 8, "seen[:5]"),
            "validation": {"seen": moji(2, 4, "seen[:5]"), "unseen": moji(3, 4, "unseen[:3]")},
            "frames": 2,
            "workers": 0,
        },
        "optimizer": {"lr": 0.05, "epochs": 1, "warmup_epochs": 0, "batch_size": 4},
        "run": {"steps": 2, "device": "cpu", "log_every": 1},
        **changes,
    }
    path = folder / "soft.yaml"
    path.write_text(yaml.safe_dump(config), encoding="utf-8")
    return path


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("OLMV_CACHE", str(tmp_path / "cache"))
    return tmp_path


def refuse_language_models(monkeypatch: pytest.MonkeyPatch) -> None:
    from transformers import AutoModel, AutoTokenizer

    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("a language model was loaded")

    for kind in (AutoModel, AutoTokenizer):
        monkeypatch.setattr(kind, "from_pretrained", refuse)


def trained(here: Path, config: Path) -> VideoCLIP:
    assert main(["train", str(config), "-o", str(here / "run"), "--quiet"]) == 0
    model = load_model(here / "run" / "model", device="cpu", dtype="float32")
    assert isinstance(model, VideoCLIP)
    return model


def test_a_run_from_config_to_prediction(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_pretrained(tiny_model(), here / "tiny")
    passes: list[Sequence[str]] = []
    call = LanguageModel.__call__

    def counted(self: LanguageModel, prefixes: Tensor, labels: Sequence[str]) -> Any:
        passes.append(labels)
        return call(self, prefixes, labels)

    monkeypatch.setattr(LanguageModel, "__call__", counted)
    model = trained(here, write_config(here, str(here / "tiny")))
    # two steps with four labels each; three times all labels once: after the epoch, for the card, to be saved
    assert [len(labels) for labels in passes] == [4, 4, 8, 8, 8]

    stored = model.label_embeddings
    assert stored is not None
    assert stored.labels == (*SEEN, *UNSEEN)
    assert stored.source["templates"] == list(model_templates(model))
    plain = embeddings_of(tiny_model(), model)
    embeddings = embeddings_of(model, model)
    known = [*SEEN, *UNSEEN]
    torch.testing.assert_close(embeddings[: len(known)], stored.embeddings, rtol=0, atol=0)
    assert not torch.allclose(embeddings[: len(known)], plain[: len(known)], atol=1e-3)
    assert torch.equal(embeddings[len(known) :], plain[len(known) :])

    with safe_open(here / "run" / "model" / "model.safetensors", framework="pt") as weights:
        assert set(weights.keys()) == set(tiny_model().state_dict())  # neither soft attributes nor language model
    rows = [json.loads(line) for line in (here / "run" / "metrics.jsonl").read_text().splitlines()]
    assert any("unseen/map" in json.dumps(row) for row in rows)

    again = SoftAttributes.load(here / "run" / "model" / "soft_attributes", model.towers)
    torch.testing.assert_close(again.precompute(stored.labels), stored.embeddings, rtol=0, atol=1e-6)
    assert float(again.gate.detach()) != 0

    refuse_language_models(monkeypatch)
    loaded = load_model(here / "run" / "model", device="cpu", dtype="float32")
    clip = write_clip(here / "a.mp4")
    (found,) = Classifier(loaded).predict([clip], known, frames=2, workers=0, embeddings=True)
    assert found.embedding is not None
    similar = [label.similarity for label in found.labels]
    assert similar == pytest.approx((stored.embeddings @ found.embedding).tolist(), abs=1e-5)


def model_templates(model: VideoCLIP) -> Sequence[str]:
    from olmv.labels.templates import resolve

    assert model.templates == "video"
    return resolve(model.templates)


def embeddings_of(model: VideoModel, trained: VideoCLIP) -> Tensor:
    """What a model gives for the labels of a trained one."""
    bank = Classifier(model).text_bank(texts_of(trained))
    assert isinstance(bank, TextBank)
    return bank.embeddings


def texts_of(model: VideoCLIP) -> Any:
    """Of all labels of the run and one that it never met."""
    from olmv.labels.texts import build_texts
    from olmv.labels.vocabulary import Vocabulary

    return build_texts(Vocabulary.from_names([*SEEN, *UNSEEN, "striped cat"]), model.templates)


def test_a_softmax_trained_model_and_a_sweep(here: Path) -> None:
    """It gets a bias; what the original did not have stays as trained, so at ratio 1 the labels are not CLIP's own."""
    source = write_open_clip_folder(here / "oc")
    config = write_config(here, f"local-dir:{source}", sweep={"ratios": [0.0, 1.0], "ratio": 1.0})
    model = trained(here, config)
    assert model.logit_bias is not None
    assert model.label_embeddings is not None
    original = load_model(f"local-dir:{source}", device="cpu", dtype="float32")
    rows = embeddings_of(original, model)[: len(SEEN) + len(UNSEEN)]
    assert not torch.allclose(model.label_embeddings.embeddings, rows, atol=1e-3)
    soft = SoftAttributes.load(here / "run" / "model" / "soft_attributes", model.towers)
    assert float(soft.gate.detach()) != 0
    torch.testing.assert_close(model.label_embeddings.embeddings, soft.precompute([*SEEN, *UNSEEN]), rtol=0, atol=1e-6)
    curve = json.loads((here / "run" / "curve.json").read_text())
    assert set(curve["original"]) == set(curve["points"][1]) - {"ratio"}


def test_a_model_with_label_embeddings_keeps_them_in_another_run(here: Path) -> None:
    """They take part in training, and are saved again."""
    save_pretrained(tiny_model(), here / "tiny")
    first = trained(here, write_config(here, str(here / "tiny")))
    config = yaml.safe_load((here / "soft.yaml").read_text())
    config["model"] = {"name": str(here / "run" / "model"), "train": "new", "temporal": "attention"}
    (here / "next.yaml").write_text(yaml.safe_dump(config))
    assert main(["train", str(here / "next.yaml"), "-o", str(here / "next"), "--quiet"]) == 0
    second = load_model(here / "next" / "model", device="cpu", dtype="float32")
    assert first.label_embeddings is not None
    assert second.label_embeddings is not None
    assert second.label_embeddings.labels == first.label_embeddings.labels
    assert torch.equal(second.label_embeddings.embeddings, first.label_embeddings.embeddings)
