"""A folder of clips, a tiny model, and the command line in a process of its own or in this one."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from olmv.cli import main
from tests.cli.captions import Captioner
from tests.support.samples import write_clip
from tests.support.tiny import write_open_clip_folder
from tests.support.towers import WordTower

COMMAND = [sys.executable, "-c", "import sys; from olmv.cli import main; sys.exit(main())"]


DIES = """
import os, signal, sys
from olmv.io.journal import JsonlJournal
ending, left = sys.argv.pop(1), int(sys.argv.pop(1))
append = JsonlJournal.append
def counted(journal, row):
    global left
    append(journal, row)
    left -= str(journal.path).endswith(ending)
    if not left:
        os.kill(os.getpid(), signal.SIGKILL)
JsonlJournal.append = counted
from olmv.cli import main
sys.exit(main())
"""


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return f"local-dir:{write_open_clip_folder(tmp_path_factory.mktemp('model'))}"


@pytest.fixture(scope="session")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "clips"
    for seed in range(5):
        write_clip(folder / f"{seed}.mp4", seed=seed)
    return folder


@pytest.fixture
def here(tmp_path: Path, clips: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to stand in, with a link to the clips, a cache of its own, and no key of a language model."""
    (tmp_path / "clips").symlink_to(clips)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OLMV_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    return tmp_path


@pytest.fixture
def olmv(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Run the command line in this process: (exit code, standard output, standard error)."""

    def run(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = main(list(arguments))
        out, err = capsys.readouterr()
        return code, out, err

    return run


@pytest.fixture
def word_tower(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the gate of describe-labels compare words; the real encoder knows more of them than a stub can write."""
    monkeypatch.setattr("olmv.describe.towers.SentenceEncoder", WordTower)
    monkeypatch.setattr("olmv.describe.towers.ModelTower", WordTower)


def start(*arguments: str, cwd: Path, preexec_fn: Callable[[], object] | None = None) -> "subprocess.Popen[str]":
    """Run the command line in a process of its own."""
    return subprocess.Popen(
        [*COMMAND, *arguments],
        cwd=cwd,
        env=dict(os.environ),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=preexec_fn,
    )


def many_clips(here: Path, count: int) -> None:
    """Make a folder `many` of so many clips, all the same one: more than can be done before somebody looks again."""
    (here / "many").mkdir()
    for number in range(count):
        (here / "many" / f"{number}.mp4").symlink_to(here / "clips" / "0.mp4")


def run_to_death(*arguments: str, ending: str, rows: int, cwd: Path) -> None:
    """Run the command line in a process that is killed when a file of this ending has got so many rows."""
    command = [sys.executable, "-c", DIES, ending, str(rows), *arguments]
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr


@pytest.fixture
def captioner(monkeypatch: pytest.MonkeyPatch) -> Captioner:
    """The captioner that every spec opens, in this process; a server that fails is not asked again."""
    captioner = Captioner()
    monkeypatch.setattr("olmv.caption.captioner.open_captioner", lambda *_, **__: captioner)
    monkeypatch.setattr("olmv.llm.backends.openai.RETRIES", 0)
    return captioner
