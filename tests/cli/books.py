"""`olmv describe-labels` run with a stand-in for a language model, and the book that it wrote."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.support.llm_stub import StubServer

ROOT = Path(__file__).resolve().parents[2]
COMMAND = """
import sys
import olmv.describe.towers
from olmv.cli import main
from tests.support.towers import WordTower
olmv.describe.towers.SentenceEncoder = olmv.describe.towers.ModelTower = WordTower
sys.exit(main())
"""


def start_describe(server: StubServer, labels: str, *more: str, cwd: Path) -> "subprocess.Popen[str]":
    """Run the command in a process of its own, with the fixture `word_tower` in place."""
    return subprocess.Popen(
        [
            *(sys.executable, "-c", COMMAND, "describe-labels", labels, "-o", "book.json", "--llm", server.spec),
            *("-m", "olmv-mini", *more),
        ],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def describe(olmv: Any, server: StubServer, labels: str, *more: str) -> tuple[int, str, str]:
    result: tuple[int, str, str] = olmv(
        "describe-labels", labels, "-o", "book.json", "--llm", server.spec, "-m", "olmv-mini", *more
    )
    return result


def book() -> dict[str, Any]:
    labels: dict[str, Any] = json.loads(Path("book.json").read_text("utf-8"))["labels"]
    return labels


def names(count: int) -> str:
    """Labels whose second word is none of the language."""
    letters = "bcdfghjklmnpqrtvwxz"
    return ", ".join(f"thing {letters[i // 19]}{letters[i % 19]}" for i in range(count))
