import json
import sqlite3
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer

from olmv.io.paths import cache_dir
from olmv.models import text_cache
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


def encoding(model: VideoCLIP, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """What the text tower is asked from now on, call by call."""
    calls: list[list[str]] = []
    encode: Callable[[Sequence[str]], torch.Tensor] = model.encode_texts

    def note(texts: Sequence[str]) -> torch.Tensor:
        calls.append(list(texts))
        return encode(texts)

    monkeypatch.setattr(model, "encode_texts", note)
    return calls


def file_of(model: VideoCLIP) -> Path:
    return cache_dir() / "texts" / f"{model.fingerprint}.sqlite"


def kept(model: VideoCLIP) -> int:
    with closing(sqlite3.connect(file_of(model))) as cache:
        (count,) = cache.execute("SELECT count(*) FROM vectors").fetchone()
        return int(count)


def keep_at_most(texts: int, model: VideoCLIP, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_cache, "_MOST_BYTES", 4 * model.embed_dim * texts)


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
    path = file_of(model)
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


def test_texts_of_like_length_are_encoded_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_cache, "_CHUNK", 3)
    model = tiny_model()
    calls = encoding(model, monkeypatch)
    texts = ["rain in may", "dog", "a cat, asleep", "cat", "fox"]
    found = encode_texts_cached(model, texts)
    assert calls == [["dog", "cat", "fox"], ["rain in may", "a cat, asleep"]]
    torch.testing.assert_close(found, tiny_model().encode_texts(texts))


def test_who_gives_up_loses_nothing_that_was_encoded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_cache, "_CHUNK", 2)
    model = tiny_model()
    calls = encoding(model, monkeypatch)

    def give_up(done: int, total: int) -> None:
        if done == 4:
            raise InterruptedError

    texts = [f"text {number}" for number in range(10)]
    with pytest.raises(InterruptedError):
        encode_texts_cached(model, texts, progress=give_up)
    assert (len(calls), kept(model)) == (2, 4)
    encode_texts_cached(model, texts)
    assert sum(map(len, calls)) == 10


@pytest.mark.parametrize("written", [1, 3, 512])
def test_a_file_keeps_the_newest(written: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_cache, "_WRITTEN", written)
    model = tiny_model()
    keep_at_most(8, model, monkeypatch)
    for begin in range(0, 20, 5):
        encode_texts_cached(model, [f"text {number}" for number in range(begin, begin + 5)])
        assert kept(model) == min(begin + 5, 8)
    calls = encoding(model, monkeypatch)
    encode_texts_cached(model, [f"text {number}" for number in range(12, 20)])
    assert calls == []
    encode_texts_cached(model, ["text 11"])
    assert calls == [["text 11"]]


def test_more_texts_than_a_file_keeps_are_encoded_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny_model()
    keep_at_most(4, model, monkeypatch)
    texts = [f"text {number}" for number in range(10)]
    for _ in range(2):
        torch.testing.assert_close(encode_texts_cached(model, texts), model.encode_texts(texts))
    assert kept(model) == 4


def test_what_is_asked_again_and_again_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny_model()
    keep_at_most(4, model, monkeypatch)
    encode_texts_cached(model, ["dog"])
    calls = encoding(model, monkeypatch)
    for number in range(10):
        encode_texts_cached(model, ["dog", f"text {number}"])
    assert calls == [[f"text {number}"] for number in range(10)]
    assert kept(model) <= 4


def test_several_may_write_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny_model()
    keep_at_most(50, model, monkeypatch)
    monkeypatch.setattr(text_cache, "_WRITTEN", 5)
    monkeypatch.setattr(text_cache, "_CHUNK", 5)
    lists = [[f"text {number}" for number in range(begin, begin + 30)] for begin in range(0, 60, 10)]
    with ThreadPoolExecutor(6) as pool:  # each opens the file for itself, as processes do
        found = list(pool.map(lambda texts: encode_texts_cached(model, texts), lists))
    for texts, embeddings in zip(lists, found, strict=True):
        torch.testing.assert_close(embeddings, model.encode_texts(texts))
    assert 0 < kept(model) <= 50


def test_a_file_that_another_holds_is_left_alone(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    model = tiny_model()
    encode_texts_cached(model, ["dog"])
    monkeypatch.setattr(text_cache, "_PATIENCE_S", 0.01)
    with closing(sqlite3.connect(file_of(model))) as other:
        other.execute("BEGIN EXCLUSIVE")
        assert encode_texts_cached(model, ["dog", "rain"]).shape == (2, 16)
    assert "no text cache (database is locked): texts are encoded anew; OLMV_CACHE can name another" in caplog.text
    assert kept(model) == 1


def test_what_earlier_versions_kept_makes_room() -> None:
    model = tiny_model()
    file_of(model).parent.mkdir(parents=True)
    with closing(sqlite3.connect(file_of(model))) as cache, cache:
        cache.execute("CREATE TABLE texts (key BLOB PRIMARY KEY, vector BLOB NOT NULL) WITHOUT ROWID")
        cache.executemany("INSERT INTO texts VALUES (?, ?)", [(bytes([n]) * 32, bytes(5000)) for n in range(100)])
    before = file_of(model).stat().st_size
    encode_texts_cached(model, [f"text {number}" for number in range(100)])
    with closing(sqlite3.connect(file_of(model))) as cache:
        assert cache.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall() == [("vectors",)]
    assert file_of(model).stat().st_size <= before
