"""`olmv caption`, with a captioner of this process and a server that does well or does not."""

import csv
import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.cli.captions import Captioner, caption, rows
from tests.support.llm_stub import StubServer, tells
from tests.support.samples import write_clip


def test_a_row_a_video(olmv: Any, here: Path, captioner: Captioner) -> None:
    with StubServer(tells) as server:
        code, out, err = caption(olmv, server, "--batch-size", "8")
    assert code == 0, err
    assert out.count("\n") == 5
    assert "5 videos captioned, 5 answers, 50 prompt and 25 answer tokens" in err
    found = rows()
    assert [row["video"] for row in found] == [f"clips/{number}.mp4" for number in range(5)]
    first = found[0]
    assert first["status"] == "ok"
    assert first["error"] is None
    assert first["captioner"] == "blip2:stub"
    assert first["llm"] == server.spec
    assert len(first["frame_captions"]) == 4
    assert set(first["frame_captions"][0]) == {"time_s", "text"}
    assert first["caption"].startswith("The video shows ")
    assert first["frames"] == {"requested": 4, "decoded": 4, "corrupt": 0}
    assert "embedding" not in first
    # frames of several videos are one batch
    assert captioner.batches == [8, 8, 4]
    assert captioner.closed == 1


def test_a_bad_file_costs_its_row(olmv: Any, here: Path, captioner: Captioner) -> None:
    (here / "more").mkdir()
    (here / "more" / "a.mp4").write_bytes(b"not a video")
    (here / "more" / "b.mp4").symlink_to(here / "clips" / "0.mp4")
    with StubServer(tells) as server:
        code, _, err = caption(olmv, server, inputs="more")
        again, _, _ = caption(olmv, server, inputs="more")
    assert (code, again) == (1, 0)
    assert [(row["status"], row["error"] and row["error"]["type"]) for row in rows()] == [
        ("error", "NotAVideoError"),
        ("ok", None),
    ]
    assert "1 failed" in err


def test_the_llm_is_unreachable_then_comes_back(olmv: Any, here: Path, captioner: Captioner) -> None:
    with StubServer(tells) as server:
        pass
    code, _, err = caption(olmv, server)
    assert code == 1
    assert "stopped: no server answers" in err
    assert "frame captions are kept" in err
    assert err.index("no server answers") < err.index("videos captioned")
    assert {row["status"] for row in rows()} == {"error"}
    assert {row["error"]["type"] for row in rows()} == {"LLMUnavailableError"}
    assert all(len(row["frame_captions"]) == 4 for row in rows())
    before, captioned = rows(), sum(captioner.batches)
    with StubServer(tells) as server:
        settings = json.loads(Path("c.jsonl.run.json").read_text())
        settings["settings"]["llm"] = server.spec  # the same server on another port
        Path("c.jsonl.run.json").write_text(json.dumps(settings))
        code, _, err = caption(olmv, server)
    assert code == 0, err
    assert sum(captioner.batches) == captioned == 20
    assert {row["status"] for row in rows()} == {"ok"}
    assert [row["frame_captions"] for row in rows()] == [row["frame_captions"] for row in before]


def test_without_a_language_model_frame_captions_are_all(olmv: Any, here: Path, captioner: Captioner) -> None:
    command = ("caption", "clips", "-o", "c.csv", "--captioner", "blip2:stub", "--frames", "4")
    code, out, err = olmv(*command)
    assert code == 0, err
    assert out.count("4 frame captions") == 5
    with Path("c.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert [line["status"] for line in lines] == ["ok"] * 5
    assert [line["caption"] for line in lines] == [""] * 5
    assert lines[0]["frame_captions"].splitlines()[0] == "0.25: a dog on a red lawn"
    assert olmv(*command)[0] == 0
    assert sum(captioner.batches) == 20


def test_the_llm_dies_in_the_middle(olmv: Any, here: Path, captioner: Captioner) -> None:
    with StubServer(lambda body, n: tells(body, n) if n < 2 else (0, None)) as server:
        code, _, err = caption(olmv, server, "--concurrency", "1")
    assert code == 1
    assert "3 failed" in err
    assert [row["status"] for row in rows()].count("ok") == 2
    assert sum(captioner.batches) == 20


def test_killed_between_the_stages(olmv: Any, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The real command in a process of its own, with a captioner put in its place there."""
    (here / "run.py").write_text(
        "import sys\n"
        "from tests.cli.captions import Captioner\n"
        "import olmv.caption.captioner as c\n"
        "c.open_captioner = lambda *_, **__: Captioner()\n"
        "from olmv.cli import main\n"
        "sys.exit(main())\n"
    )

    def slow(body: dict[str, Any], number: int) -> tuple[int, Any]:
        time.sleep(60 if number else 0)
        return tells(body, number)

    root = Path(__file__).resolve().parents[2]
    with StubServer(slow) as server:
        command = ["caption", "clips", "-o", "c.jsonl", "--captioner", "blip2:stub", "--llm", server.spec]
        running = subprocess.Popen(
            [sys.executable, "run.py", *command, "--frames", "4"],
            env={"PYTHONPATH": f"{root}", "PATH": "/usr/bin:/bin", "OLMV_CACHE": str(here / "cache")},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        deadline = time.monotonic() + 60
        while not Path("c.jsonl").exists() or len(rows()) < 6:  # five captioned, one told
            assert running.poll() is None, running.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.05)
        running.send_signal(signal.SIGKILL)
        running.communicate()
        assert [row["status"] for row in rows()].count("captioned") == 5
    with Path("c.jsonl").open("a") as file:
        file.write('{"video": "torn')
    captioner = Captioner()
    monkeypatch.setattr("olmv.caption.captioner.open_captioner", lambda *_, **__: captioner)
    with StubServer(tells) as other:
        settings = Path("c.jsonl.run.json").read_text().replace(server.spec, other.spec)
        Path("c.jsonl.run.json").write_text(settings.replace(server.url, other.url))
        code, _, err = caption(olmv, other)
        assert len(other.requests) == 4
    assert code == 0, err
    assert captioner.batches == []
    assert "1 of 5 videos were done before" in err
    assert [(row["video"], row["status"]) for row in rows()] == [(f"clips/{number}.mp4", "ok") for number in range(5)]


def test_a_video_shorter_than_the_frames_asked_for(olmv: Any, here: Path, captioner: Captioner) -> None:
    write_clip(here / "short.mp4", frames=5)
    with StubServer(tells) as server:
        code, _, err = caption(olmv, server, "--frames", "16", inputs="short.mp4")
    assert code == 0, err
    assert rows()[0]["frames"]["requested"] == 16
    times = [item["time_s"] for item in rows()[0]["frame_captions"]]
    assert len(times) == len(set(times)) == rows()[0]["frames"]["decoded"] == 5  # nothing is told twice
