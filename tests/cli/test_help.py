"""--help: quick, and its examples work."""

import re
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import olmv as package
from olmv.models.registry import SHIPPED
from olmv.models.storage.saving import save_pretrained
from tests.cli.captions import Captioner
from tests.cli.conftest import COMMAND
from tests.support import tiny
from tests.support.llm_stub import StubServer, good, tells

COMMANDS = [
    *("predict", "index", "index info", "describe-labels", "caption", "train", "evaluate", "calibrate"),
    *("doctor", "models list", "models info"),  # those of models convert, push and export: in tests of their own
]


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as opened:
        yield opened


def examples(text: str) -> list[list[str]]:
    _, _, after = text.partition("Examples:")
    return [shlex.split(line, comments=False) for line in after.splitlines() if line.strip().startswith("olmv ")]


def test_help_names_every_command(olmv: Any) -> None:
    code, out, _ = olmv("--help")
    assert code == 0
    for command in (
        "predict",
        "index",
        "watch",
        "search",
        "describe-labels",
        "caption",
        "train",
        "evaluate",
        "calibrate",
        "doctor",
        "models",
    ):
        assert re.search(rf"^  {command} ", out, re.MULTILINE)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_two_examples_that_run(
    olmv: Any, here: Path, model: str, monkeypatch: pytest.MonkeyPatch, stack: ExitStack, command: str
) -> None:
    code, out, _ = olmv(*command.split(), "--help")
    assert code == 0
    found = examples(out)
    assert len(found) == 2
    (here / "labels.txt").write_text("dog\nguitar\n")
    # The examples use the default model, whose weights are not here; everything else is as written.
    monkeypatch.setattr("olmv.models.default.default_model", lambda: model)
    monkeypatch.setattr("olmv.models.registry.list_models", list)
    if command == "caption":  # olmv-mini has something to say of its own clips only
        (here / "clips").unlink()
        (here / "clips").symlink_to(Path(package.__file__).with_name("data") / "clips")
    elif command == "train":  # of olmv-mini's shape
        monkeypatch.setattr("tests.support.tiny.CONFIG", replace(tiny.CONFIG, image_size=64))
        save_pretrained(tiny.tiny_model(), here / "mini")
        monkeypatch.setitem(SHIPPED, "olmv-mini", here / "mini")
    else:
        monkeypatch.setitem(SHIPPED, "olmv-mini", saved_model(here))
    if command == "index info":
        assert olmv("index", "clips", "-o", "library")[0] == 0
    if command == "calibrate":
        (here / "truth.csv").write_text(
            "video,labels\n" + "".join(f"clips/{i}.mp4,{'dog' * (i % 2)}\n" for i in range(5))
        )
        assert olmv("predict", "clips", "-l", "dog,guitar", "-o", "rows.jsonl")[0] == 0
    server = stack.enter_context(StubServer(tells if command == "caption" else good))
    monkeypatch.setattr("olmv.caption.captioner.open_captioner", lambda *_, **__: Captioner())
    for words in found:
        assert words[: 1 + len(command.split())] == ["olmv", *command.split()]
        arguments = words[1:]
        if ">" in arguments:  # the shell's part
            arguments = arguments[: arguments.index(">")]
        arguments = [word.replace("openai:llama@http://127.0.0.1:8000/v1", server.spec) for word in arguments]
        code, _, err = olmv(*arguments)
        assert code == 0, err
        if command == "evaluate" and "moji" in words:  # something to compare with
            shutil.copytree("runs/moji", "runs/other")
    if command == "predict":
        assert {"rows.jsonl", "report.html"} <= {path.name for path in here.iterdir()}


def saved_model(folder: Path) -> Path:
    """Enough of a saved olmv-mini for `models info`."""
    mini = folder / "mini"
    mini.mkdir()
    (mini / "config.json").write_text(
        '{"format": "olmv-model/1", "family": "olmv-mini", "temporal": "mean", "architecture": {}}'
    )
    (mini / "preprocess.json").write_text('{"size": 64}')
    return mini


def test_help_is_quick() -> None:
    """It costs little more than Python and typer, whatever else the machine does."""

    def seconds(command: list[str]) -> float:
        begun = time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        return time.perf_counter() - begun

    bare = [sys.executable, "-c", "import typer.main, typer.core"]
    pairs = [(seconds([*COMMAND, "--help"]), seconds(bare)) for _ in range(7)]
    assert min(shown / floor for shown, floor in pairs) < 3


def test_version(olmv: Any) -> None:
    assert olmv("--version")[:2] == (0, f"olmv {package.__version__}\n")


def test_the_installed_command_is_this_one() -> None:
    script = Path(sys.executable).with_name("olmv")
    if not script.exists():
        pytest.skip("olmv is on the path, but not installed")
    assert "predict" in subprocess.run([script, "--help"], capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["predcit"], "No such command 'predcit'"),
        (["predict"], "Missing argument 'INPUT...'; see olmv predict --help"),
        (["predict", "x"], "name the labels that are looked for: a file, or dog, guitar, rain (--labels)"),
        (
            ["predict", "x", "-l", "dog", "--sampling", "random"],
            "Invalid value for '--sampling': 'random' is not one of",
        ),
        (["predict", "x", "-l", "dog", "--frames", "0"], "Invalid value for '--frames'"),
        (["predict", "x", "-l", "dog", "--nonsense"], "No such option"),
    ],
)
def test_wrong_usage_is_one_line(olmv: Any, arguments: list[str], message: str) -> None:
    code, out, err = olmv(*arguments)
    assert code == 2
    assert out == ""
    assert err.startswith("olmv: ")
    assert message in err
    assert err.count("\n") == 1
