"""`olmv predict --server`: the rows of a local run, by a server's model; nothing is loaded here."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from olmv import Client
from olmv.models.registry import load_model
from tests.support.report_page import ReportPage
from tests.support.server import RunningServer, running_server

Olmv = Callable[..., tuple[int, str, str]]
LABELS = ("--single-label", "--labels", "dog, guitar, rain")  # quick: no everyday words are encoded
TOKEN = "a-long-secret-token"


@pytest.fixture(scope="module")
def server(model: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    patch = pytest.MonkeyPatch()
    patch.setenv("OLMV_CACHE", str(tmp_path_factory.mktemp("cache")))
    with running_server(load_model(model), tmp_path_factory.mktemp("uploads"), token=TOKEN) as running:
        yield running
    patch.undo()


@pytest.fixture(autouse=True)
def _token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OLMV_SERVER_TOKEN", TOKEN)


def rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_rows_are_those_of_a_run_here(olmv: Olmv, here: Path, model: str, server: RunningServer) -> None:
    (here / "broken.mp4").write_bytes(b"no video")
    (here / "labels.csv").write_text("label,aliases,threshold\ndog,hound|puppy,0.01\nrain,,\n", encoding="utf-8")
    for options in (("--single-label", "--labels", "labels.csv", "--explain", "--top-k", "1"), (*LABELS, "--timeline")):
        asked = ("clips", "broken.mp4", *options, "-q")
        assert olmv("predict", *asked, "-o", "here.jsonl", "--model", model, "--no-resume")[0] == 1
        code, out, err = olmv("predict", *asked, "-o", "there.jsonl", "--server", server.url, "--no-resume")
        assert (code, out, err) == (1, "", "")
        assert rows(here / "there.jsonl") == rows(here / "here.jsonl")
    code, out, _ = olmv("predict", "clips", *LABELS, "-q", "-o", "-", "--server", server.url)
    assert code == 0
    assert [json.loads(line)["video"] for line in out.splitlines()] == [f"clips/{seed}.mp4" for seed in range(5)]


def test_a_run_is_taken_up_again_and_a_page_is_written(
    olmv: Olmv, here: Path, server: RunningServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked_for: list[list[str]] = []
    predict = Client.predict

    def listed(self: Client, videos: Any, *arguments: Any, **options: Any) -> Any:
        asked_for.append(videos)
        return predict(self, videos, *arguments, **options)

    monkeypatch.setattr(Client, "predict", listed)
    asked = (*LABELS, "-q", "--server", server.url)
    assert olmv("predict", "clips/0.mp4", *asked, "-o", "rows.csv", "--report", "report.html")[0] == 0
    assert olmv("predict", "clips", *asked, "-o", "rows.csv", "--report", "report.html", "--timeline")[0] == 2
    assert olmv("predict", "clips", *asked, "-o", "rows.csv", "--report", "report.html")[0] == 0
    assert asked_for == [["clips/0.mp4"], [f"clips/{seed}.mp4" for seed in range(1, 5)]]
    page = ReportPage(here / "report.html")
    assert [entry["v"] for entry in page.entries] == [f"clips/{seed}.mp4" for seed in range(5)]
    assert [len(detail["jpegs"]) for detail in page.details] == [8] * 5
    assert [line.split(",")[0] for line in (here / "rows.csv").read_text().splitlines()][1].startswith("clips/0")


def test_nothing_heavy_is_loaded(here: Path, server: RunningServer) -> None:
    code = (
        "import sys; from olmv.cli import main; code = main(sys.argv[1:]);"
        "print(code, [name for name in ('torch', 'av', 'transformers') if name in sys.modules])"
    )
    asked = ("predict", "clips", *LABELS, "-q", "-o", "rows.jsonl", "--server", server.url)
    done = subprocess.run([sys.executable, "-c", code, *asked], capture_output=True, text=True, check=True)
    assert done.stdout == "0 []\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("--model", "olmv-lite"),
            "the server has .*, not olmv-lite; leave out the model, or start a server of it (--mod",
        ),
        (("--decoder", "decord"), "the decoder is the server's business; leave it out (--decoder)"),
        (("--max-frames", "9"), "the most of a video's frames is the server's business; leave it out (--max-frames)"),
        (("--workers", "2"), "the number of decoding processes is the server's business; leave it out (--workers)"),
        (("--timeout", "9"), "the time limit of a file is the server's business; leave it out (--timeout)"),
        (("--device", "cpu"), "where the model runs is the server's business; leave it out (--device)"),
        (("--dtype", "float32"), "the model's number format is the server's business; leave it out (--dtype)"),
        (("--runtime", "onnx"), "the model's runtime is the server's business; leave it out (--runtime)"),
        (("--batch-size", "2"), "the batch size is the server's business; leave it out (--batch-size)"),
        (("--timeline", "--window", "2s"), "how windows and segments are made is the server's business; leave it out"),
        (("--engine", "ray"), "--engine and --server say two places; leave out one of them"),
        (("--thresholds", "own.json"), "own.json calibrates probabilities or ends of labels, which is not sent; start"),
        (("--frames", "4", "--every", "1s"), "every_s already says how many frames; leave out frames (--frames)"),
    ],
)
def test_what_cannot_work_is_refused(
    arguments: tuple[str, ...], message: str, olmv: Olmv, here: Path, server: RunningServer
) -> None:
    (here / "own.json").write_text(
        '{"format": "olmv-thresholds/1", "labels": {"dog": {"threshold": 0.5, "leave": 0.2}}}', encoding="utf-8"
    )
    code, out, err = olmv("predict", "clips", *LABELS, "--server", server.url, *arguments, "-o", "rows.jsonl")
    assert (code, out, err.count("\n")) == (2, "", 1)
    before, _, after = message.partition(".*")
    assert err.startswith(f"olmv: {before}")
    assert after in err
    assert not (here / "rows.jsonl").exists()


def test_other_refusals(olmv: Olmv, here: Path, server: RunningServer, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = ("predict", "clips", *LABELS, "-q", "--server")
    code, _, err = olmv(*asked, f"{server.url}/#token={TOKEN}")
    assert code == 2
    assert "the address shows its token to ps; leave out what follows #, and set OLMV_SERVER_TOKEN" in err
    code, _, err = olmv(*asked, "http://127.0.0.1:1")
    assert code == 2
    assert err.startswith("olmv: no server at http://127.0.0.1:1 (")
    assert err.endswith("start olmv serve there, or check the address (--server)\n")
    code, _, err = olmv(*asked, "nonsense")
    assert err == "olmv: the server's address is none; write it as http://127.0.0.1:8080 (--server)\n"
    monkeypatch.delenv("OLMV_SERVER_TOKEN")
    code, _, err = olmv(*asked, server.url)
    assert code == 2
    assert "wants another token" in err
    monkeypatch.setenv("OLMV_TOKEN", TOKEN)
    assert olmv(*asked, server.url)[0] == 0
