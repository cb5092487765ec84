"""README and docs/: their Python runs, their commands exist, their figures are those of the results."""

import json
import re
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from olmv.cli.app import app

ROOT = Path(__file__).resolve().parents[2]
CLIPS = ROOT / "olmv" / "data" / "clips"
PAGES = (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md")))
GUIDES = [page for page in PAGES if page.parent.name == "guides" or page.name in ("README.md", "index.md")]


def fenced(page: Path, language: str) -> list[str]:
    """The code blocks of a page in one language."""
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


def commands(page: Path) -> Iterator[list[str]]:
    """The olmv commands that a page shows, split as a shell does."""
    for block in fenced(page, "console"):
        for line in block.replace("\\\n", " ").splitlines():
            if found := re.match(r"\$ (?:\.venv/bin/)?olmv (.*)", line):
                yield shlex.split(found[1], comments=True)


def test_the_readme_is_short_and_shows_a_picture() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 130
    for picture in re.findall(r"!\[[^]]*\]\(([^)]+)\)", text):
        assert (ROOT / picture).is_file()


def test_every_link_of_the_readme_leads_to_a_file_and_a_heading() -> None:
    for target in re.findall(r"\]\(([^)]+)\)", (ROOT / "README.md").read_text(encoding="utf-8")):
        name, _, anchor = target.partition("#")
        page = ROOT / name
        assert page.exists(), target
        if anchor:
            headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
            slugs = [re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings]
            assert anchor in slugs, target


@pytest.mark.slow
def test_the_python_of_the_readme_runs(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(ROOT)
    (block,) = fenced(ROOT / "README.md", "python")
    exec(block, {})
    assert capsys.readouterr().out == "olmv/data/footage/cat_then_coffee.mp4 ['cat', 'coffee']\n"


@pytest.mark.slow
def test_the_python_of_the_guide_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copy(CLIPS / "dog_and_apple.mp4", tmp_path / "a.mp4")
    shutil.copy(CLIPS / "guitar.mp4", tmp_path / "b.mp4")
    monkeypatch.chdir(tmp_path)
    exec("\n".join(fenced(ROOT / "docs" / "guides" / "python.md", "python")), {})
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == ["a.mp4 ['dog']", "b.mp4 ['guitar']"]
    assert lines[2:4] == ["['dog']", "['guitar']"]
    assert lines[7] == "['chordophone']"
    assert "random" in lines[-1]


@pytest.mark.parametrize("page", GUIDES, ids=lambda page: page.stem)
def test_the_commands_that_a_page_shows_exist(page: Path) -> None:
    root: Any = typer.main.get_command(app)
    for words in commands(page):
        command, rest = root, list(words)
        while hasattr(command, "commands"):
            if command.name == "index" and rest[0] not in command.commands:
                break  # it has arguments of its own
            assert rest[0] in command.commands, f"{page.name}: olmv {shlex.join(words)}"
            command = command.commands[rest.pop(0)]
        options = {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}
        flags = {word.partition("=")[0] for word in rest if re.match(r"--?[a-z]", word)}
        assert flags <= options, f"{page.name}: olmv {shlex.join(words)}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_files_that_a_page_names_exist(page: Path) -> None:
    named = re.findall(
        r"(?<![\w/])(?:scripts|olmv|tests|examples|docs|configs|prompts)/[\w./-]*\w", page.read_text("utf-8")
    )
    elsewhere = ("olmv/_share", "docs/results/coverage.json")  # in a wheel; what a script writes
    assert not [name for name in named if not (ROOT / name).exists() and not name.startswith(elsewhere)]


def test_the_figures_in_the_table_of_models_are_those_measured() -> None:
    figures = json.loads((ROOT / "docs" / "results" / "eval_real.json").read_text(encoding="utf-8"))["figures"]
    row = next(
        line for line in (ROOT / "README.md").read_text(encoding="utf-8").splitlines() if "| `olmv-lite`" in line
    )
    keys = ("nouns/templates/top1", "actions/templates/top1", "objects/templates/map")
    assert re.findall(r"0\.\d{3}", row) == [f"{figures[key]:.3f}" for key in keys]
    card = (ROOT / "olmv" / "models" / "olmv-mini" / "README.md").read_text(encoding="utf-8")
    row = next(
        line for line in (ROOT / "README.md").read_text(encoding="utf-8").splitlines() if "| `olmv-mini`" in line
    )
    for key, shown in zip(("seen_map", "motion_map"), re.findall(r"0\.\d{3}", row), strict=True):
        assert f"| `{key}` | {shown} |" in card
