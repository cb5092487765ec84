"""`olmv describe-labels` in a process, in either environment."""

import subprocess
from pathlib import Path

__all__ = ["console_script", "describe"]


def console_script(python: str) -> str:
    """The command beside an interpreter; the link that a virtual environment's python is must not be followed."""
    return str(Path(python).with_name("olmv"))


def describe(python: str, labels: Path, book: Path, llm: str, *options: str) -> subprocess.CompletedProcess[str]:
    """Run it from a folder that is not the checkout."""
    command = [console_script(python), "describe-labels", str(labels), "-o", str(book), "--llm", llm]
    command += ["--model", "olmv-mini", *options]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=500, cwd=labels.parent)
