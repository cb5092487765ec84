"""What becomes of an error, a closed pipe, a full disk and Ctrl-C; exit codes."""

import errno
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from olmv.__main__ import main as start_of_olmv
from olmv.cli import app
from olmv.cli.views import fault
from tests.cli.conftest import COMMAND, many_clips, start

LABELS = ("--labels", "dog, guitar, rain")
full_device = pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux only")


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """The command line, with a doctor that raises what it is told to, and a temporary folder of its own."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    def run(error: BaseException, *arguments: str) -> int:
        def fails(*_: object, **__: object) -> None:
            raise error

        monkeypatch.setattr(app, "_run", fails)
        return app.main(["doctor", *arguments])

    return run


def test_a_fault_is_one_line_a_file_and_an_exit_code(broken: Any, capsys: Any, tmp_path: Path) -> None:
    assert broken(KeyError("boxes\n\x1b[31m")) == 70
    out, err = capsys.readouterr()
    (path,) = tmp_path.glob("olmv-fault-*.txt")
    assert out == ""
    assert err == (
        f"olmv: a fault of olmv: KeyError: 'boxes\\n\\x1b[31m'; please report it with {path}, which says where\n"
    )
    text = path.read_text()
    assert text.startswith("olmv ")
    assert "command: 'doctor'" in text
    assert "Traceback (most recent call last)" in text
    assert "KeyError: 'boxes" in text
    assert path.stat().st_mode & 0o077 == 0


def test_a_fault_of_endless_recursion(broken: Any, capsys: Any) -> None:
    def deeper(number: int) -> int:
        return deeper(number + 1) + 1

    with pytest.raises(RecursionError) as caught:
        deeper(0)
    assert broken(caught.value) == 70
    assert "RecursionError: maximum recursion depth exceeded" in capsys.readouterr().err


def test_no_key_is_written_down(broken: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-0123456789")
    broken(ValueError("Bearer sk-0123456789"), "openai:m@http://me:pass@h/v1", "api_key=abcdef", "--x", "token: ghijk")
    text = next(tmp_path.glob("olmv-fault-*.txt")).read_text()
    for secret in ("sk-0123456789", "me:pass", "abcdef", "ghijk"):
        assert secret not in text
    assert "Bearer ***" in text


def test_a_fault_without_a_temporary_folder(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("tempfile.mkstemp", full)
    assert fault.write_fault_report(ValueError("gone"), []) is None
    assert "ValueError: gone" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (OSError(errno.ENAMETOOLONG, "File name too long", "a" * 100_000), f"File name too long ({'a' * 200}); mend"),
        (
            OSError(errno.ENOSPC, "No space left on device"),
            r"No space left on device (standard output, or a file being",
        ),
        (PermissionError(errno.EACCES, "Permission denied", "/x"), "Permission denied (/x); mend that and run again"),
    ],
)
def test_what_the_surroundings_do_is_no_fault(broken: Any, capsys: Any, error: OSError, line: str) -> None:
    assert broken(error) == 2
    err = capsys.readouterr().err
    assert line in err
    assert err.count("\n") == 1


def test_ctrl_c_tells_what_is_kept(broken: Any, capsys: Any) -> None:
    stop = KeyboardInterrupt()
    stop.add_note("3 rows kept in x.jsonl; run the same command to go on")
    assert broken(stop) == 130
    assert capsys.readouterr().err == "olmv: stopped; 3 rows kept in x.jsonl; run the same command to go on\n"


def test_what_ctrl_c_breaks_on_its_way_is_no_fault(broken: Any, capsys: Any) -> None:
    failure = RuntimeError("cannot release un-acquired lock")
    failure.__context__ = stop = KeyboardInterrupt()
    stop.add_note("3 rows kept in x.jsonl")
    assert broken(failure) == 130
    assert capsys.readouterr().err == "olmv: stopped; 3 rows kept in x.jsonl\n"


def test_ctrl_c_while_the_command_line_is_imported(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    class Interrupted(ModuleType):
        def __getattr__(self, name: str) -> object:
            raise KeyboardInterrupt

    monkeypatch.setitem(sys.modules, "olmv.cli", Interrupted("olmv.cli"))
    assert start_of_olmv() == 130
    assert capsys.readouterr().err == "olmv: stopped\n"


def test_ctrl_c_in_a_run(here: Path, model: str) -> None:
    many_clips(here, 1000)
    with start("predict", "many", *LABELS, "-m", model, "--workers", "1", "-o", "x.csv", cwd=here) as child:
        journal = here / "x.csv.journal.jsonl"
        while not (journal.exists() and journal.stat().st_size) and child.poll() is None:
            time.sleep(0.01)
        child.send_signal(signal.SIGINT)
        _, err = child.communicate()
    kept = len(journal.read_bytes().splitlines())
    rows = "1 row" if kept == 1 else f"{kept} rows"
    assert child.returncode == 130, err
    assert f"olmv: stopped; {rows} kept in x.csv.journal.jsonl; run the same command to go on" in err
    assert "Traceback" not in err


@pytest.mark.parametrize("output", [(), ("-o", "x.jsonl")])
def test_a_reader_that_has_seen_enough_is_no_failure(here: Path, model: str, output: tuple[str, ...]) -> None:
    arguments = [*COMMAND, "predict", "clips", *LABELS, "-m", model, "--workers", "0", *output]
    with subprocess.Popen(
        arguments, cwd=here, env=dict(os.environ), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        assert child.stderr is not None
        assert child.stdout.readline().startswith("clips/0.mp4\t")
        child.stdout.close()
        err = child.stderr.read()
    assert child.returncode == 0
    assert "Traceback" not in err
    assert "Exception" not in err
    if output:  # the file wants every row
        assert len((here / "x.jsonl").read_text().splitlines()) == 5


@full_device
@pytest.mark.parametrize("command", [("doctor",), ("models", "list"), ("--version",)])
def test_standard_output_on_a_full_disk(here: Path, command: tuple[str, ...]) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [*COMMAND, *command], cwd=here, stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert done.returncode == 2
    assert "olmv: No space left on device (standard output, or a file being written); mend that" in done.stderr
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr


def test_a_row_edited_by_hand_is_named(olmv: Any, here: Path, model: str) -> None:
    arguments = ("predict", "clips", *LABELS, "-m", model, "--workers", "0", "-q", "-o", "x.csv")
    assert olmv(*arguments)[0] == 0
    before = Path("x.csv").read_bytes()
    journal = Path("x.csv.journal.jsonl")
    lines = journal.read_text().splitlines()
    edited = {key: value for key, value in json.loads(lines[1]).items() if key != "status"}
    journal.write_text("\n".join([lines[0], json.dumps(edited), *lines[2:], ""]))
    code, _, err = olmv(*arguments)
    assert code == 2
    assert "line 2 is not a row that olmv wrote (its 'status' is missing); remove that line and run again" in err
    journal.write_text("\n".join([lines[0], *lines[2:], lines[1], ""]))
    assert olmv(*arguments)[0] == 0
    assert sorted(Path("x.csv").read_bytes().splitlines()) == sorted(before.splitlines())
