"""docs/architecture.md tells the house as it is."""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")


def test_every_room_has_a_line() -> None:
    told = set(re.findall(r"^\| `([\w./]+)` \|", PAGE, re.MULTILINE))
    package = ROOT / "olmv"
    rooms = {f"{path.parent.name}/" for path in package.glob("*/__init__.py")}
    modules = {path.name for path in package.glob("[!_]*.py")}
    assert told == rooms | modules | {"data/"}


def test_the_floors_are_those_that_are_checked() -> None:
    contract = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"][
        "contracts"
    ][0]
    floors = [re.findall(r"\w+", layer) for layer in contract["layers"]]
    listed = PAGE.partition("<!-- floors -->")[2].partition("<!-- /floors -->")[0]
    assert [re.findall(r"`(\w+)`", line) for line in listed.strip().splitlines()] == floors


def test_the_modules_that_it_names_exist() -> None:
    steps = PAGE.partition("## One predict call")[2].partition("## Rules")[0]
    named = set(re.findall(r"`((?:[a-z_]+/)*[a-z_]+\.py|[a-z_/]+/)`", steps))
    assert named
    assert not [name for name in named if not (ROOT / "olmv" / name).exists() and not (ROOT / name).exists()]
