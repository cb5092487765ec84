import json
from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer

from olmv.io.paths import cache_dir
from olmv.models.clip.model import VideoCLIP
from olmv.models.mini.towers import MiniTowers
from olmv.models.text_cache import encode_texts_cached
from tests.models.kinds import towers_of
from tests.support.tiny import tiny_model


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("OLMV_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def no_encoding(model: VideoCLIP, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(texts: list[str], **_: object) -> torch.Tensor:
        raise AssertionError(f"encoded {texts}")

    monkeypatch.setattr(model, "encode_texts", refuse)


def test_a_second_run_encodes_nothing_and_gives_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    model, seen = tiny_model(), []
    texts = ["dog", "rain", "dog", "snow"]
    first = encode_texts_cached(model, texts, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(3, 3)]
    torch.testing.assert_close(first, model.encode_texts(texts))
    no_encoding(model, monkeypatch)
    torch.testing.assert_close(encode_texts_cached(model, ["snow", "dog"]), first[[3, 0]], rtol=0, atol=0)


def test_models_do_not_share_vectors() -> None:
    first = encode_texts_cached(tiny_model(seed=0), ["dog"])
    assert not torch.allclose(first, encode_texts_cached(tiny_model(seed=1), ["dog"]))


def test_a_broken_cache_is_made_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny_model()
    path = cache_dir() / "texts" / f"{model.fingerprint}.sqlite"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"this is no database" * 100)
    first = encode_texts_cached(model, ["dog"])
    no_encoding(model, monkeypatch)
    torch.testing.assert_close(encode_texts_cached(model, ["dog"]), first)


def test_a_cache_that_cannot_be_written_is_done_without(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("OLMV_CACHE", str(tmp_path / "file"))
    assert encode_texts_cached(tiny_model(), ["dog"]).shape == (1, 16)


def test_another_vocabulary_is_another_text_tower() -> None:
    model, swapped = tiny_model(), tiny_model()
    towers = towers_of(swapped, MiniTowers)
    words = json.loads(towers.tokenizer.to_str())
    vocabulary = words["model"]["vocab"]
    vocabulary["d"], vocabulary["c"] = vocabulary["c"], vocabulary["d"]
    towers.tokenizer = Tokenizer.from_str(json.dumps(words))
    assert not torch.allclose(encode_texts_cached(model, ["dog"]), encode_texts_cached(swapped, ["dog"]))
