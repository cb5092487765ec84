"""What is imported when, and who may import whom."""

import subprocess
import sys
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parent.parent
HEAVY = {"torch", "torchvision", "transformers", "open_clip", "av", "PIL", "timm", "datasets", "pyarrow"}
LIGHT_MODULES = [
    "olmv",
    "olmv.errors",
    "olmv.io.atomic",
    "olmv.io.journal",
    "olmv.io.paths",
    "olmv.labels.vocabulary",
    "olmv.labels.formats",
    "olmv.labels.attributes",
    "olmv.labels.templates",
    "olmv.labels.texts",
    "olmv.labels.quality",
    "olmv.describe.job",
    "olmv.describe.preview",
    "olmv.caption.job",
    "olmv.caption.rows",
    "olmv.train.config",
    "olmv.llm.types",
    "olmv.llm.prompts",
    "olmv.scoring.thresholds",
    "olmv.predictions",
    "olmv.predict",
    "olmv.cli",
]


def imported_by(code: str) -> set[str]:
    """The top-level packages that a fresh interpreter holds after this code."""
    code += "\nimport sys; print('\\n'.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return {name.partition(".")[0] for name in done.stdout.split()}


@pytest.mark.parametrize("module", LIGHT_MODULES)
def test_light_modules_import_nothing_heavy(module: str) -> None:
    assert imported_by(f"import {module}") & HEAVY == set()


def test_reading_label_files_needs_nothing_heavy(tmp_path: Path) -> None:
    file = tmp_path / "labels.yaml"
    file.write_text("- dog\n")
    code = f"import olmv; olmv.Vocabulary.load({str(file)!r}); olmv.AttributeBook; olmv.Thresholds"
    assert imported_by(code) & HEAVY == set()


def test_imports_run_downwards() -> None:
    """The contract stands in pyproject.toml."""
    lint = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([lint, "--no-cache"], cwd=REPO, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 kept, 0 broken" in done.stdout
