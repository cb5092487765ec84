"""What is imported when, and who may import whom."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.samples import write_clip

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
    "olmv.index.job",
    "olmv.library.files",
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


def test_rooms_and_files_stay_small() -> None:
    """A room has at most 16 modules at one level, and no file is over 350 lines: else it is time to part it."""
    package = REPO / "olmv"
    rooms: dict[Path, list[str]] = {}
    for file in package.rglob("*.py"):
        rooms.setdefault(file.parent, []).append(file.name)
        lines = len(file.read_text(encoding="utf-8").splitlines())
        assert lines <= 350, f"{file.relative_to(REPO)} has {lines} lines"
    for room, names in rooms.items():
        modules = [name for name in names if name != "__init__.py"]
        assert len(modules) <= 16, f"{room.relative_to(REPO)} has {len(modules)} modules"
        assert "__init__.py" in names, f"{room.relative_to(REPO)} is no package"


def test_there_are_no_circles() -> None:
    """No module imports another that imports it, at whatever depth, not even for its types."""
    import grimp

    graph = grimp.build_graph("olmv", cache_dir=None)
    circles = []
    for module in sorted(graph.modules):
        for other in graph.find_modules_directly_imported_by(module):
            if module != other and graph.chain_exists(importer=other, imported=module):
                circles.append(f"{module} <-> {other}")
    assert circles == []


COMPILERS = {"sympy", "torch._dynamo", "torch._inductor", "torch.onnx"}
ELSEWHERE = {"transformers", "open_clip", "torchvision", "timm", "datasets", "pyarrow", "scipy", "sklearn"}


@pytest.mark.parametrize("model", ["olmv-mini", "olmv-lite"])
def test_a_prediction_imports_what_it_needs(model: str, tmp_path: Path) -> None:
    """What takes long to import is torch, and nothing of it but torch itself; see `python -X importtime -m olmv`."""
    clip = write_clip(tmp_path / "a.mp4")
    arguments = ["predict", str(clip), "--labels", "dog", "--model", model, "--quiet", "-o", str(tmp_path / "x.jsonl")]
    code = f"import sys; from olmv.cli.app import main; assert main({arguments!r}) == 0; print(*sys.modules, sep='\\n')"
    environment = {**os.environ, "OLMV_CACHE": str(tmp_path / "cache")}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    modules = set(done.stdout.split())
    assert "torch" in modules
    assert modules & COMPILERS == set()
    assert {name.partition(".")[0] for name in modules} & ELSEWHERE == set()


def test_a_dry_run_of_describe_labels_imports_no_torch() -> None:
    code = "from olmv.cli.app import main; assert main(['describe-labels', 'dog, guitar', '--dry-run']) == 0"
    assert imported_by(code) & HEAVY == set()
