"""A language model that makes sentences of the labels of frames: `--captioner labels:MODEL --llm SPEC`."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

import olmv as package
from olmv.llm.prompts import load_prompt
from tests.cli.captions import rows
from tests.support.llm_stub import StubServer, answer, tells

CLIPS = Path(package.__file__).parent / "data" / "clips"
CAPTIONER = ("--captioner", "labels:olmv-mini", "--workers", "0", "--frames", "4")


@pytest.fixture
def two(here: Path) -> Path:
    """A folder with two of the clips that ship."""
    (here / "two").mkdir()
    for clip in sorted(CLIPS.glob("*.mp4"))[:2]:
        (here / "two" / clip.name).symlink_to(clip)
    return here


def run(olmv: Any, server: StubServer, *more: str) -> tuple[int, str, str]:
    result: tuple[int, str, str] = olmv("caption", "two", "-o", "c.jsonl", *CAPTIONER, "--llm", server.spec, *more)
    return result


def first_words(body: dict[str, Any], _: int) -> tuple[int, Any]:
    """A model that says the captions of all frames, once."""
    said = body["messages"][-1]["content"].split("<captions>")[1].split("</captions>")[0].split("\n")
    words = ", ".join(dict.fromkeys(part for line in said for part in line.strip().strip('"').split(", ") if part))
    return 200, answer({"the_video_shows": f"{words} in a video"})


def test_words_of_frames_become_a_sentence(olmv: Any, two: Path) -> None:
    with StubServer(first_words) as server:
        code, _, err = run(olmv, server, "--extract-labels", "m.jsonl")
        assert len(server.requests) == 2  # the labels are the classifier's: nobody is asked for them
        assert server.spec == rows()[0]["llm"]
    assert code == 0, err
    assert "knows drawings" in err
    for row in rows():
        assert row["status"] == "ok"
        assert row["caption"].endswith(" in a video.")
        assert 1 <= len(row["frame_captions"]) <= 4
        assert all(item["text"].count(", ") <= 2 for item in row["frame_captions"])
        assert row["labels"]
        assert -1 <= row["similarity"] <= 1
        assert not {"refused", "embedding"} & set(row)
    assert len(Path("m.jsonl").read_text().splitlines()) == 2


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ('{"the_video_shows": "a man on a beach throwing a frisbee that a dog carries away"}', "copies the prompt"),
        ('{"the_video_shows": "ein Hund läuft über eine grüne Wiese"}', "says what no caption does"),
        ('{"the_video_shows": "<b>the video</b> and more"}', "has markup"),
        ("```json\n{}\n```", 'the answer had no text "the_video_shows"'),
        ("<think>what now", 'the answer had no text "the_video_shows"'),
        ('{"the_video_shows": "' + "captions " * 50 + '"}', "has 1 words"),
    ],
)
def test_the_template_tells_what_no_sentence_does(olmv: Any, two: Path, said: str, why: str) -> None:
    olmv("caption", "two", "-o", "t.jsonl", *CAPTIONER)
    with StubServer(lambda *_: (200, answer(said))) as server:
        code, _, err = run(olmv, server, "--retries", "1")
        assert len(server.requests) == 4
        told = "".join(turn["content"] for turn in server.requests[-1]["messages"])
        assert "Wiese" not in told  # nothing that it wrote goes back to it
        assert run(olmv, server)[0] == 0
        assert len(server.requests) == 4  # such a row is done
    assert code == 0, err
    assert "2 of them by the template" in err
    for row, template in zip(rows(), rows("t.jsonl"), strict=True):
        assert row["caption"] == template["caption"]
        assert row["similarity"] == pytest.approx(template["similarity"], abs=2e-3)  # kept in half precision
        assert row["labels"] == template["labels"]
        assert row["llm"] is None
        assert why in row["refused"]
        assert row["frame_captions"]
        assert "refused" not in template


def test_the_gate_is_for_prompts_in_english(olmv: Any, two: Path) -> None:
    text = load_prompt("summary").document.model_dump(by_alias=False)
    text["schema"] = text.pop("schema_")
    text |= {"name": "satz", "system": "Du bekommst Beschreibungen einzelner Bilder eines Videos. Schreibe einen Satz."}
    text["examples"] = []
    Path("satz.yaml").write_text(yaml.safe_dump(text, allow_unicode=True), encoding="utf-8")
    with StubServer(lambda *_: (200, answer({"the_video_shows": "ein Hund läuft über eine Wiese"}))) as server:
        assert run(olmv, server, "--prompt", "satz.yaml")[0] == 0
    assert rows()[0]["caption"] == "The video shows ein Hund läuft über eine Wiese."


def test_a_run_goes_on_between_the_stages(olmv: Any, two: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("olmv.llm.backends.openai.RETRIES", 0)
    with StubServer(lambda body, n: first_words(body, n) if n == 0 else (0, None)) as server:
        code, _, err = run(olmv, server, "--concurrency", "1")
    assert code == 1
    assert "frame captions are kept" in err
    before = rows()
    assert [row["status"] for row in before].count("ok") == 1
    assert all(row["frame_captions"] for row in before)

    def no_frames(*_: Any, **__: Any) -> None:
        raise AssertionError("frames are looked at again")

    monkeypatch.setattr("olmv.caption.frame_labels.FrameLoader", no_frames)
    with StubServer(first_words) as other:
        settings = Path("c.jsonl.run.json")
        settings.write_text(settings.read_text().replace(server.spec, other.spec).replace(server.url, other.url))
        record = json.loads(settings.read_text())
        assert record["settings"]["llm"] == other.spec
        code, _, err = run(olmv, other)
        assert len(other.requests) == 1
    assert code == 0, err
    assert [row["status"] for row in rows()] == ["ok", "ok"]
    assert [row["frame_captions"] for row in rows()] == [row["frame_captions"] for row in before]
    assert [row["labels"] for row in rows()] == [row["labels"] for row in before]


def test_a_bad_file_costs_its_row(olmv: Any, two: Path) -> None:
    (two / "two" / "bad.mp4").write_bytes(b"no video")
    with StubServer(first_words) as server:
        code, _, _ = olmv("caption", "two", "-o", "c.csv", *CAPTIONER, "--llm", server.spec)
    assert code == 1
    with Path("c.csv").open(newline="") as file:
        statuses = {row["video"]: row["status"] for row in csv.DictReader(file)}
    assert statuses["two/bad.mp4"] == "error"
    assert sorted(statuses.values()) == ["error", "ok", "ok"]


def test_nothing_to_tell_is_an_error(olmv: Any, two: Path) -> None:
    Path("labels.csv").write_text("label,threshold\nguitar,1\n")
    with StubServer(tells) as server:
        code, _, _ = run(olmv, server, "--labels", "labels.csv")
        assert server.requests == []
    assert code == 1
    assert {row["error"]["message"] for row in rows()} == {"labels:olmv-mini said nothing of any frame"}
