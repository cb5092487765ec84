"""Models scored against texts: whose logits take a background, and what it costs."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from olmv import Classifier
from olmv.labels.background import BACKGROUND_WORDS
from olmv.labels.texts import LabelTexts, build_texts
from olmv.labels.vocabulary import Vocabulary
from olmv.models.base import VideoModel
from olmv.models.registry import load_model
from olmv.scoring.bank import TextBank
from olmv.scoring.options import FRAME_POOLINGS, FramePooling
from olmv.scoring.score import score_clips
from tests.support.samples import write_clip
from tests.support.tiny import tiny_model, write_open_clip_folder

LABELS = ["dog", "guitar", "rain"]


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OLMV_CACHE", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def softmax_trained(tmp_path_factory: pytest.TempPathFactory) -> Classifier:
    folder = write_open_clip_folder(tmp_path_factory.mktemp("clip") / "model")
    return Classifier(load_model(f"local-dir:{folder}", device="cpu", dtype="float32"))


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("clips")
    return [write_clip(folder / f"{seed}.mp4", seed=seed, frames=3 + 5 * seed) for seed in range(3)]


def texts_of(*labels: str, templates: str = "none") -> LabelTexts:
    return build_texts(Vocabulary.from_names(labels or LABELS), templates)


def plain_bank(classifier: Classifier, label: str) -> TextBank:
    bank = classifier.text_bank(texts_of(label, templates="video"))
    assert isinstance(bank, TextBank)
    return bank


def count_encoded(model: VideoModel, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """List every text that is encoded from now on."""
    encoded: list[str] = []
    encode = model.encode_texts

    def counted(texts: Sequence[str], **options: Any) -> torch.Tensor:
        encoded.extend(texts)
        result: torch.Tensor = encode(texts, **options)
        return result

    monkeypatch.setattr(model, "encode_texts", counted)
    return encoded


def test_the_background_is_encoded_once_a_model(softmax_trained: Classifier, monkeypatch: pytest.MonkeyPatch) -> None:
    encoded = count_encoded(softmax_trained.model, monkeypatch)
    first = plain_bank(softmax_trained, "dog")
    assert first.background is not None
    assert first.background.labels == BACKGROUND_WORDS
    assert len(encoded) == 4 * len(BACKGROUND_WORDS), "dog is one of the words"
    again = plain_bank(softmax_trained, "a zebra")
    assert sorted(encoded[4 * len(BACKGROUND_WORDS) :]) == sorted(texts_of("a zebra", templates="video").texts)
    assert again.background is not None
    assert torch.equal(again.background.embeddings, first.background.embeddings)
    dog = first.background.embeddings[BACKGROUND_WORDS.index("dog")]
    assert torch.allclose(first.embeddings[0], dog)


def test_only_where_it_is_needed(softmax_trained: Classifier, monkeypatch: pytest.MonkeyPatch) -> None:
    encoded = count_encoded(softmax_trained.model, monkeypatch)
    assert softmax_trained.text_bank(texts_of(), mode="single-label").background is None
    sigmoid_trained = Classifier(tiny_model())
    assert sigmoid_trained.text_bank(texts_of()).background is None
    assert sorted(encoded) == sorted(LABELS)


@pytest.mark.parametrize("frame_pooling", FRAME_POOLINGS)
def test_neither_the_list_nor_the_batch_changes_a_number(
    softmax_trained: Classifier, clips: list[Path], frame_pooling: FramePooling
) -> None:
    def rows(labels: Sequence[str], batch_size: int) -> list[Any]:
        predictions = softmax_trained.predict(
            clips, labels, workers=0, frame_pooling=frame_pooling, batch_size=batch_size
        )
        return [prediction.labels for prediction in predictions]

    together = rows(LABELS, 64)
    assert rows(LABELS, 8) == together
    for index, label in enumerate(LABELS):
        for (alone,), among in zip(rows([label], 64), together, strict=True):
            assert alone.logit == pytest.approx(among[index].logit, abs=1e-3)


def test_a_bank_without_its_background_is_refused(softmax_trained: Classifier) -> None:
    embedded = softmax_trained.embed_clips([torch.zeros(2, 3, 32, 32, dtype=torch.uint8)])
    bank = softmax_trained.text_bank(texts_of(), mode="single-label")
    assert isinstance(bank, TextBank)
    similarity, logits = score_clips(softmax_trained.model, embedded, bank, mode="single-label")
    torch.testing.assert_close(logits, softmax_trained.model.logit_scale * similarity)
    with pytest.raises(ValueError, match="this text bank has no background"):
        score_clips(softmax_trained.model, embedded, bank)
