"""Soft attributes with tiny language models and text towers of random weights."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from olmv.errors import ModelError, OutputError, VocabularyError
from olmv.labels.texts import build_texts
from olmv.labels.vocabulary import Vocabulary
from olmv.models.clip.model import VideoCLIP
from olmv.models.mini.towers import MiniTowers
from olmv.models.soft_attributes.language_model import LanguageModel, load_language_model
from olmv.models.soft_attributes.module import SoftAttributes
from olmv.models.soft_attributes.text import soft_text
from olmv.scoring.bank import TextBank
from tests.models.kinds import towers_of
from tests.support.tiny import tiny_model

LABELS = ["dog", "rain", "a car", "striped cat"]
SIZES: dict[str, Any] = {"n_prefix": 4, "n_query": 3, "layers": 1}


def opened(module: SoftAttributes) -> SoftAttributes:
    with torch.no_grad():
        module.gate.fill_(0.7)
    return module


def bank_rows(model: VideoCLIP, templates: str) -> Tensor:
    """What predicting without soft attributes compares videos with."""
    texts = build_texts(Vocabulary.from_names(LABELS), templates)
    return TextBank.from_texts(texts, model.encode_texts(texts.texts)).embeddings


@pytest.mark.parametrize("templates", ["none", "video", "open-vclip", "{} on a mat"])
def test_with_its_gate_at_zero_it_is_exactly_clip(lm: LanguageModel, clip: VideoCLIP, templates: str) -> None:
    for model in (tiny_model(), clip):
        made = SoftAttributes(model.towers, lm, templates=templates, **SIZES)
        rows = bank_rows(model, templates)
        assert torch.equal(made(LABELS).detach(), rows)
        assert torch.equal(made.precompute(LABELS), rows)
        assert not torch.allclose(opened(made)(LABELS), rows, atol=1e-3)


@torch.no_grad()
def test_the_embedding_is_clip_plus_the_gated_soft_one(towers: Any, llama: LanguageModel) -> None:
    """CLIP's over all templates, the soft one over the first."""
    made = opened(SoftAttributes(towers, llama, templates=["see {}", "a {}!"], **SIZES))
    sees, others = ([form.format(label) for label in LABELS] for form in made.templates)
    clip = normalize(normalize(towers.text(sees), dim=-1) + normalize(towers.text(others), dim=-1), dim=-1)
    soft = normalize(soft_text(towers, sees, made.soft_tokens(LABELS)), dim=-1)
    torch.testing.assert_close(made(LABELS), normalize(clip + 0.7 * soft, dim=-1), rtol=0, atol=1e-5)


def test_gradients_reach_the_trained_parts_and_only_them(towers: Any, lm: LanguageModel) -> None:
    for _, weight in towers.text_parameters():
        weight.requires_grad_(True)
    made = opened(SoftAttributes(towers, lm, **SIZES))
    target = normalize(torch.randn(len(LABELS), towers.embed_dim), dim=-1)
    (made(LABELS) * target).sum().backward()
    for name, parameter in made.named_parameters():
        assert parameter.grad is not None, name
        assert float(parameter.grad.abs().max()) > 0, name
    frozen = [*lm.model.parameters(), *(weight for _, weight in towers.text_parameters())]
    assert all(weight.grad is None and not weight.requires_grad for weight in frozen)
    kept = {id(parameter) for parameter in made.parameters()}
    assert not kept & {id(weight) for weight in frozen}


def test_a_zero_gate_can_be_trained_open(llama: LanguageModel) -> None:
    made = SoftAttributes(tiny_model().towers, llama, **SIZES)
    target = normalize(torch.randn(len(LABELS), 16, generator=torch.Generator().manual_seed(0)), dim=-1)
    optimizer = torch.optim.Adam(made.parameters(), lr=1e-2)
    losses = []
    for _ in range(40):
        loss = 1 - (made(LABELS) * target).sum(-1).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < losses[0] - 0.1
    assert float(made.gate.detach()) != 0


@torch.no_grad()
def test_a_label_alone_is_as_in_a_batch(towers: Any, lm: LanguageModel) -> None:
    made = opened(SoftAttributes(towers, lm, **SIZES))
    together = made(LABELS)
    for label, row in zip(LABELS, together, strict=True):
        made._clip.clear()
        torch.testing.assert_close(made([label])[0], row, rtol=0, atol=1e-5)
    torch.testing.assert_close(made.precompute(LABELS, batch_size=2), together, rtol=0, atol=1e-5)


def test_shapes_and_lengths(llama: LanguageModel) -> None:
    towers = towers_of(tiny_model(), MiniTowers)
    made = SoftAttributes(towers, llama, **SIZES)
    soft = made.soft_tokens(LABELS)
    assert soft.shape == (4, 3, 16)
    table = towers.textual.widen(towers.textual.tokens.weight)
    torch.testing.assert_close(soft.norm(dim=-1), table.norm(dim=-1).mean().expand(4, 3))
    assert made([]).shape == made.precompute([]).shape == (0, 16)
    out = opened(made).precompute(LABELS)
    assert not out.requires_grad
    torch.testing.assert_close(out.norm(dim=-1), torch.ones(4))


def test_labels_no_tokenizer_can_read_have_an_embedding(lm: LanguageModel) -> None:
    made = opened(SoftAttributes(tiny_model().towers, lm, **SIZES))
    assert made.precompute(["", "犬", "x" * 5000]).isfinite().all()


def test_the_text_tower_encodes_a_label_once(llama: LanguageModel, monkeypatch: pytest.MonkeyPatch) -> None:
    towers = tiny_model().towers
    made = SoftAttributes(towers, llama, **SIZES)
    seen: list[str] = []
    text = towers.text

    def recorded(texts: list[str]) -> Tensor:
        seen.extend(texts)
        return text(texts)

    monkeypatch.setattr(towers, "text", recorded)
    made(["dog", "rain", "dog"])
    made(["rain", "car"])
    assert sorted(seen) == ["car", "dog", "rain"]


def test_labels_first_seen_in_inference_mode_can_be_trained_on(llama: LanguageModel) -> None:
    made = opened(SoftAttributes(tiny_model().towers, llama, **SIZES))
    with torch.inference_mode():
        made(LABELS)
    made(LABELS).sum().backward()
    assert made.prefixes.grad is not None


def test_saved_soft_attributes_load_the_same(lm_folders: dict[str, Path], tmp_path: Path) -> None:
    model = tiny_model()
    language_model = load_language_model(lm_folders["bert"])
    made = opened(SoftAttributes(model.towers, language_model, templates=["a {}.", "{}!"], **SIZES))
    made.save(tmp_path / "soft")
    assert {file.name for file in (tmp_path / "soft").iterdir()} == {
        "soft_attributes.json", "soft_attributes.safetensors",
    }  # fmt: skip
    again = SoftAttributes.load(tmp_path / "soft", model.towers)
    assert torch.equal(again.precompute(LABELS), made.precompute(LABELS))
    assert again.source == made.source == SIZES | {"language_model": language_model.name, "templates": ["a {}.", "{}!"]}


def test_saved_soft_attributes_that_do_not_fit(
    llama: LanguageModel, lm_folders: dict[str, Path], tmp_path: Path
) -> None:
    towers = tiny_model().towers
    SoftAttributes(towers, llama, **SIZES).save(tmp_path)
    config = tmp_path / "soft_attributes.json"
    described = json.loads(config.read_text())
    with pytest.raises(ModelError, match=r"were trained with the language model .*; name that one"):
        SoftAttributes.load(tmp_path, towers, language_model=load_language_model(lm_folders["bert"]))
    config.write_text(json.dumps(described | {"text_width": 512}))
    with pytest.raises(ModelError, match="width 512 and dimension 16, not 16 and 16; load them with the model"):
        SoftAttributes.load(tmp_path, towers, language_model=llama)
    config.write_text(json.dumps(described | {"sizes": {"n_prefix": 5, "n_query": 3, "layers": 1}}))
    with pytest.raises(ModelError, match=r"do not fit: .*; train again"):
        SoftAttributes.load(tmp_path, towers, language_model=llama)
    config.write_text(json.dumps(described | {"templates": ["no slot"]}))
    with pytest.raises(ModelError, match=r"do not fit: .*no slot.*; train again"):
        SoftAttributes.load(tmp_path, towers, language_model=llama)
    config.write_text(json.dumps(described | {"format": "other"}))
    with pytest.raises(ModelError, match=r"not of format olmv-soft-attributes/1; is .* a folder that olmv saved"):
        SoftAttributes.load(tmp_path, towers, language_model=llama)
    for wrong in ("[]", "{", '{"format": "olmv-soft-attributes/1"}'):
        config.write_text(wrong)
        with pytest.raises(ModelError, match=r"cannot be read: .*; train soft attributes again"):
            SoftAttributes.load(tmp_path, towers, language_model=llama)
    config.write_text(json.dumps(described))
    (tmp_path / "soft_attributes.safetensors").write_bytes(b"torn")
    with pytest.raises(ModelError, match=r"cannot be read: .*; write it again"):
        SoftAttributes.load(tmp_path, towers, language_model=llama)


def test_templates_that_cannot_be_used_are_refused(llama: LanguageModel) -> None:
    with pytest.raises(VocabularyError, match="'see it' must have exactly one"):
        SoftAttributes(tiny_model().towers, llama, templates=["see it"], **SIZES)


def test_a_folder_that_cannot_be_made(llama: LanguageModel, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match=r"cannot make the folder .*; choose another"):
        SoftAttributes(tiny_model().towers, llama, **SIZES).save(tmp_path / "file")
