"""Books that are there already: a run that was cut short goes on, and what a hand wrote stays."""

import json
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from olmv.describe.draft import PARTIAL
from olmv.io.journal import JsonlJournal
from tests.cli.books import book, describe, names, start_describe
from tests.support.llm_stub import StubServer, good

pytestmark = pytest.mark.usefixtures("word_tower")


def test_server_killed_mid_run_then_resume(olmv: Any, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("olmv.llm.backends.openai.RETRIES", 1)

    def dies(body: dict[str, Any], number: int) -> tuple[int, Any]:
        return good(body, number) if number < 7 else (0, None)

    with StubServer(dies) as server:
        code, _, err = describe(olmv, server, names(20), "--concurrency", "4")
    assert code == 1
    assert "stopped: no server answers" in err
    assert "the same command goes on from there" in err
    done = set(book())
    assert 1 <= len(done) <= 7
    with StubServer() as server:
        code, _, err = describe(olmv, server, names(20))
        asked = server.labels
    assert code == 0
    assert len(asked) == len(set(asked)) == 20 - len(done)
    assert done.isdisjoint(asked)
    assert list(book()) == names(20).split(", ")
    assert f"{len(done)} of 20 labels were done before" in err


def test_where_nothing_is_left_to_ask_nothing_is_loaded(olmv: Any, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with StubServer() as server:
        assert describe(olmv, server, names(3))[0] == 0

    def loaded(*_: Any, **__: Any) -> None:
        raise AssertionError("a model is loaded")

    monkeypatch.setattr("olmv.describe.towers.SentenceEncoder", loaded)
    monkeypatch.setattr("olmv.models.registry.load_model", loaded)
    monkeypatch.setattr("olmv.models.registry.text_limit", loaded)
    code, _, err = describe(olmv, server, names(3))  # the server is gone, too
    assert code == 0, err
    assert "unchanged: book.json" in err


def test_killed_without_warning_then_resume(olmv: Any, here: Path) -> None:
    killed = threading.Event()

    def stalls(body: dict[str, Any], number: int) -> tuple[int, Any]:
        if number >= 12:
            killed.wait(60)
        return good(body, number)

    partial = Path("book.json" + PARTIAL)
    with StubServer(stalls) as server:
        running = start_describe(server, names(60), "--concurrency", "2", cwd=here)
        while not partial.exists() or partial.read_bytes().count(b"\n") < 8:
            assert running.poll() is None, running.communicate()
            time.sleep(0.02)
        running.kill()
        running.communicate()
        killed.set()
    assert not Path("book.json").exists()
    done = [json.loads(line)["label"] for line in partial.read_text("utf-8").splitlines()]
    assert len(done) >= 8
    with partial.open("a") as file:
        file.write('{"label": "torn')
    with StubServer() as server:
        code, _, err = describe(olmv, server, names(60))
        asked = server.labels
    assert code == 0, err
    assert sorted([*done, *asked]) == sorted(names(60).split(", "))
    assert list(book()) == names(60).split(", ")
    assert not partial.exists()


def test_a_book_changed_by_hand_survives(olmv: Any, here: Path) -> None:
    with StubServer() as server:
        describe(olmv, server, "dog, guitar, rain")
    document = json.loads(Path("book.json").read_text("utf-8"))
    document["labels"]["dog"]["attributes"][0] = "my own old dog on its blanket"
    document["labels"]["violin"] = {"attributes": ["a small brown fiddle under a chin"]}
    document["labels"]["rain"]["attributes"] = []
    document["owner"] = "me"
    Path("book.json").write_text(json.dumps(document))
    with StubServer() as server:
        code, _, err = describe(olmv, server, "dog, guitar, rain, violin, snow")
        assert sorted(server.labels) == ["rain", "snow"]
    assert code == 0
    assert "note: 2 labels written or changed by hand: kept as they are" in err
    with StubServer() as server:
        code, _, err = describe(olmv, server, "dog, guitar, rain, violin, snow", "--no-resume")
        assert sorted(server.labels) == ["guitar", "rain", "snow"]
    assert code == 0
    after = json.loads(Path("book.json").read_text("utf-8"))
    assert after["owner"] == "me"
    assert after["labels"]["dog"] == document["labels"]["dog"]
    assert after["labels"]["violin"] == document["labels"]["violin"]
    assert list(after["labels"]) == ["dog", "guitar", "rain", "violin", "snow"]


def test_a_run_that_starts_over_and_is_cut_short_goes_on_starting_over(
    olmv: Any, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("olmv.llm.backends.openai.RETRIES", 0)
    with StubServer() as server:
        describe(olmv, server, names(6))
    before = book()
    with StubServer(lambda body, n: good(body, n) if n < 3 else (0, None)) as server:
        code, _, _ = describe(olmv, server, names(6), "--no-resume", "--concurrency", "1", "--seed", "9")
    assert code == 1
    assert book() == before
    with StubServer() as server:
        code, _, _ = describe(olmv, server, names(6), "--seed", "9")
        assert len(server.requests) == 3
    assert code == 0
    assert {entry["sampling"]["seed"] for entry in book().values()} == {9}


def test_another_prompt_is_told_and_what_is_there_stays(olmv: Any, here: Path) -> None:
    with StubServer() as server:
        describe(olmv, server, "dog, guitar")
        code, _, err = describe(olmv, server, "dog, guitar, rain", "--prompt", "objects")
    assert code == 0
    assert "note: 2 labels from another model or prompt: kept; starting over asks for them anew" in err
    assert [entry["prompt"] for entry in book().values()] == ["general/2", "general/2", "objects/2"]


def test_nothing_to_do_asks_nothing(olmv: Any, here: Path) -> None:
    with StubServer() as server:
        describe(olmv, server, "dog,")
    before = Path("book.json").read_bytes()
    code, _, err = describe(olmv, server, "dog,")  # the server is gone, and not missed
    assert code == 0
    assert "0 labels described, 1 from before" in err
    assert "unchanged: book.json" in err
    assert Path("book.json").read_bytes() == before


def test_two_runs_cannot_write_one_book(olmv: Any, here: Path) -> None:
    with JsonlJournal(here / ("book.json" + PARTIAL)) as other, StubServer() as server:
        other.open()
        code, _, err = describe(olmv, server, "dog,")
        assert server.requests == []
    assert code == 2
    assert "another run is writing" in err
