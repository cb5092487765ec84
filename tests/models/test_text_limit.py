"""How long a text a model reads, told without its weights."""

from pathlib import Path

import pytest

from olmv.errors import ModelError, ModelNotFoundError, WeightsUnavailableError
from olmv.models.registry import SHIPPED, load_model, text_limit
from tests.support.tiny import write_open_clip_folder

TEXTS = ["a dog", "a video of an extraordinarily long-winded label, indeed."]


def test_olmv_mini_counts_as_the_model_does() -> None:
    limit, model = text_limit("olmv-mini"), load_model("olmv-mini", device="cpu")
    assert limit.context_length == model.context_length
    assert limit.templates == model.templates
    assert limit.token_counts(TEXTS) == model.token_counts(TEXTS)


def test_an_open_clip_folder_counts_as_the_model_does(tmp_path: Path) -> None:
    name = f"local-dir:{write_open_clip_folder(tmp_path)}"
    limit, model = text_limit(name), load_model(name, device="cpu")
    assert limit.context_length == model.context_length
    assert limit.token_counts(TEXTS) == model.token_counts(TEXTS)


@pytest.mark.parametrize(("name", "context"), [("PE-Core-L-14-336/meta", 32), ("ViT-B-32/openai", 77)])
def test_models_whose_weights_are_not_here(name: str, context: int) -> None:
    limit = text_limit(name)
    assert limit.context_length == context
    assert limit.token_counts(["a dog"]) == [4]


def test_a_tokenizer_that_cannot_be_had(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(WeightsUnavailableError, match=r"the tokenizer of 'ViT-B-16-SigLIP2/webli' cannot be had \("):
        text_limit("ViT-B-16-SigLIP2/webli")


def test_no_such_model() -> None:
    with pytest.raises(ModelNotFoundError, match="did you mean"):
        text_limit("ViT-B-32/opnai")


def test_a_folder_with_a_broken_tokenizer(tmp_path: Path) -> None:
    for name in ("config.json", "preprocess.json"):
        (tmp_path / name).write_text((SHIPPED["olmv-mini"] / name).read_text())
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(ModelError, match="cannot be read as a tokenizer"):
        text_limit(tmp_path)
