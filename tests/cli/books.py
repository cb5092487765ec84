"""`olmv describe-labels` run with a stand-in for a language model, and the book that it wrote."""

import json
from pathlib import Path
from typing import Any

from tests.support.llm_stub import StubServer


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
