"""`olmv models push`."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer

from olmv.cli.models.push import EPILOG, push
from olmv.errors import ModelError, UsageError
from olmv.evaluate.results import write_result
from olmv.models.hub.download import download
from olmv.models.registry import load_model
from olmv.models.storage.saving import save_pretrained
from tests.evaluate.made_results import made_result
from tests.support.hub_server import HubServer, client_at, environment
from tests.support.tiny import tiny_model

app = typer.Typer(rich_markup_mode=None)
app.callback()(lambda: None)
app.command("push", epilog=EPILOG)(push)


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    monkeypatch.chdir(tmp_path)
    with HubServer(tmp_path / "hub") as server, client_at(server.url, tmp_path / "cache", monkeypatch):
        save_pretrained(tiny_model(), tmp_path / "runs" / "pets" / "model")
        write_result(tmp_path / "runs" / "moji", made_result())
        yield server


def run(*arguments: str) -> None:
    app(args=["push", *arguments], prog_name="olmv models", standalone_mode=False)


MODEL = "runs/pets/model"


def test_the_examples_work(hub: HubServer, capsys: pytest.CaptureFixture[str]) -> None:
    lines = [line.strip() for line in EPILOG.splitlines() if line.strip().startswith("olmv ")]
    assert len(lines) == 2
    for line in lines:
        run(*line.split()[3:])
    out, err = capsys.readouterr()
    assert out == f"{hub.url}/somebody/pets\nshared/pets\n"
    assert hub.repos["somebody/pets"].private
    assert "load it with --model hf:somebody/pets\n" in err
    assert "load it with --model shared/pets\n" in err
    assert "### some-benchmark" in (download("somebody/pets") / "README.md").read_text()
    assert load_model(Path("shared/pets"), device="cpu", dtype="float32").embed_dim == 16


def test_what_goes_is_listed(hub: HubServer, capsys: pytest.CaptureFixture[str]) -> None:
    Path(MODEL, "notes.txt").write_text("mine")
    run(MODEL, "somebody/pets", "--revision", "v1", "--message", "the first")
    out, err = capsys.readouterr()
    assert out == f"{hub.url}/somebody/pets/tree/v1\n"
    names = [line.split()[-1] for line in err.splitlines()[:-2]]
    assert names == ["README.md", "config.json", "model.safetensors", "preprocess.json", "tokenizer.json"]
    assert err.splitlines()[-2].endswith("kB  to somebody/pets")
    assert err.splitlines()[-1] == "load it with --model hf:somebody/pets@v1"
    assert "B/s" not in err
    assert hub.messages == ["the first"]
    run(MODEL, "./again", "--quiet")
    assert capsys.readouterr() == ("again\n", "")


def test_wrong_use_leaves_the_card_alone(hub: HubServer, tmp_path: Path) -> None:
    before = Path(MODEL, "README.md").read_bytes()
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "a.txt").write_text("")
    for arguments, told in [
        ((MODEL, "pets"), "is not the name of a repository"),
        ((MODEL, "./x", "--private"), "has no branches"),
        ((MODEL, "./full"), "holds 'a.txt'"),
        ((str(tmp_path), "a/b"), r"holds no config\.json"),
        ((MODEL, "a/b", "--evaluation", str(tmp_path)), r"has no result\.json"),
    ]:
        with pytest.raises(UsageError, match=told):
            run(*arguments)
    assert Path(MODEL, "README.md").read_bytes() == before
    assert not hub.requests


def test_the_size_of_things(
    hub: HubServer, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from olmv.cli.models.push import _size

    assert [_size(n) for n in (999, 1500, 2_500_000, 3_000_000_000)] == ["999 B", "1.5 kB", "2.5 MB", "3.0 GB"]


SCRIPT = """
import sys
from olmv.errors import OlmvError
from tests.cli.test_models_push import run
from olmv.models.hub.download import download, parse
try:
    run(sys.argv[1], "somebody/pets")
    print(download(*parse("hf:somebody/pets")))
except OlmvError as error:
    sys.exit(f"told: {error}")
"""


@pytest.mark.slow
def test_with_nothing_but_the_users_environment(hub: HubServer, tmp_path: Path) -> None:
    """HF_ENDPOINT, HF_HOME and HF_TOKEN, as a user of a mirror sets them; then offline, from the cache."""
    repo = Path(__file__).resolve().parents[2]

    def process(**extra: str) -> "subprocess.CompletedProcess[str]":
        settings = environment(hub.url, tmp_path / "home") | extra
        arguments = [sys.executable, "-c", SCRIPT, str(tmp_path / MODEL)]
        return subprocess.run(arguments, env=settings, cwd=repo, capture_output=True, text=True, check=False)

    done = process()
    assert done.returncode == 0, done.stderr
    fetched = Path(done.stdout.splitlines()[-1])
    assert fetched.is_relative_to(tmp_path / "home")
    assert (fetched / "model.safetensors").read_bytes() == Path(MODEL, "model.safetensors").read_bytes()
    assert "it/s" not in done.stderr
    offline = process(HF_HUB_OFFLINE="1")
    assert offline.returncode == 1
    assert offline.stderr.startswith("told: HF_HUB_OFFLINE is set, and pushing needs the network; unset it")


def test_an_offline_machine_says_so_before_it_writes(hub: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    before = Path(MODEL, "README.md").read_bytes()
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(ModelError, match="HF_HUB_OFFLINE is set"):
        run(MODEL, "somebody/pets")
    assert Path(MODEL, "README.md").read_bytes() == before
