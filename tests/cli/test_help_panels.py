"""How --help looks: usage lines, panels, whole sentences; and the completion of shells."""

import os
import re
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
import typer

from olmv.cli.app import app
from olmv.cli.help import CLUSTER, LOOKING, RUNNING, TIMES, WHERE
from tests.cli.conftest import COMMAND

PANELS = ["Arguments", "Options", WHERE, LOOKING, TIMES, RUNNING, CLUSTER]


def walk(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """List every command and group below this one, with the words that call it."""
    yield path, command
    for name, child in getattr(command, "commands", {}).items():
        yield from walk(child, (*path, name))


EVERY = dict(walk(typer.main.get_command(app)))
GROUPS = [path for path, command in EVERY.items() if hasattr(command, "commands")]
LEAVES = [path for path in EVERY if path not in GROUPS]
every_command = pytest.mark.parametrize("path", LEAVES, ids=" ".join)
every_group = pytest.mark.parametrize("path", GROUPS, ids=lambda path: " ".join(("olmv", *path)))


def squeeze(text: str) -> str:
    """Take the white space out, so that it does not matter where lines were wrapped."""
    return "".join(text.split())


def panels_of(text: str) -> dict[str, str]:
    """Part the text of --help into its panels, by title."""
    parts = re.split(r"^(\S.*):$", text.partition("\n\n  Examples:")[0], flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def descriptions(panel: str) -> dict[str, str]:
    """Read the rows of a panel: name -> description, its lines joined."""
    rows: dict[str, str] = {}
    for line in panel.strip("\n").splitlines():
        if match := re.match(r"  (\S+)  +(.*)", line):
            name = match[1]
            rows[name] = match[2]
        else:
            rows[name] += f" {line.strip()}"
    return rows


def test_the_usage_line_of_predict(olmv: Any) -> None:
    assert olmv("predict", "--help")[1].startswith("Usage: olmv predict [OPTIONS] INPUT...\n")


@every_command
def test_usage_lines_are_plain(olmv: Any, path: tuple[str, ...]) -> None:
    usage = olmv(*path, "--help")[1].splitlines()[0]
    assert re.fullmatch(rf"Usage: olmv {' '.join(path)} \[OPTIONS\]( \[?[A-Za-z._|]+\]?(\.\.\.)?)*", usage), usage


@every_command
def test_panels_are_in_order_and_help_stands_in_the_last(olmv: Any, path: tuple[str, ...]) -> None:
    code, out, _ = olmv(*path, "--help")
    assert code == 0
    panels = panels_of(out)
    assert list(panels) == [title for title in PANELS if title in panels]
    assert [title for title, text in panels.items() if "-h, --help" in text] == list(panels)[-1:]


def test_what_people_need_first_comes_first(olmv: Any) -> None:
    panels = panels_of(olmv("predict", "--help")[1])
    assert list(panels) == [title for title in PANELS if title != WHERE]
    for title, option in (
        ("Options", "--labels"),
        ("Options", "--output"),
        (LOOKING, "--frames"),
        (TIMES, "--timeline"),
        (RUNNING, "--device"),
    ):
        assert f" {option} " in panels[title]
        assert sum(f" {option} " in text for text in panels.values()) == 1


@every_group
def test_no_description_is_cut(olmv: Any, path: tuple[str, ...]) -> None:
    code, out, _ = olmv(*path, "--help")
    assert code == 0
    rows = descriptions(panels_of(out)["Commands"])
    assert list(rows) == [below[-1] for below in EVERY if below and below[:-1] == path]
    for name, shown in rows.items():
        whole = squeeze(EVERY[(*path, name)].help)
        # cut off by click it would end in "...", which the sentence itself may do as well
        assert whole.startswith(squeeze(shown)), f"{name}: {shown}"


@every_group
def test_a_group_alone_shows_its_help(olmv: Any, path: tuple[str, ...]) -> None:
    code, out, err = olmv(*path)
    assert (code, out) == (2, "")
    assert err == olmv(*path, "--help")[1]


def test_olmv_alone_shows_two_examples(olmv: Any) -> None:
    _, _, examples = olmv()[2].partition("Examples:\n")
    assert [line.split()[:2] for line in examples.splitlines()] == [["olmv", "predict"]] * 2


@pytest.mark.parametrize(
    ("words", "answers"),
    [
        ("olmv ", [path[0] for path in EVERY if len(path) == 1]),
        ("olmv pre", ["predict"]),
        ("olmv models in", ["info"]),
        ("olmv predict --fra", ["--frames", "--frame-pooling"]),
        ("olmv predict --sampling k", ["keyframes"]),
    ],
)
def test_a_shell_is_told_what_may_follow(words: str, answers: list[str]) -> None:
    asking = {"_OLMV_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(words.count(" "))}
    done = subprocess.run(COMMAND, env=os.environ | asking, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.split() == answers


def test_the_script_that_makes_a_shell_ask() -> None:
    asking = {"_OLMV_COMPLETE": "source_bash"}
    done = subprocess.run(COMMAND, env=os.environ | asking, capture_output=True, text=True, check=True)
    assert "_OLMV_COMPLETE=complete_bash" in done.stdout
    assert done.stdout.rstrip().endswith(" olmv")
