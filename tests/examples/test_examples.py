"""The scripts in examples/ run, and print what they promise."""

import re
import runpy
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
PRINTS = {
    "predict": r"penguin_in_the_snow\.mp4\n  \* \w+ +0\.9",
    "own_frames": r"<array 0> +striped background 0\.9.*\n<image 1> +blue background 0\.9.*\n<images 2> +striped",
    "attribute_book": r"chordophone +name alone 0\.\d+ +with the book 0\.[89]",
    "calibrate": r"34 thresholds.*\nat 0\.5: .*\ncalibrated: .*dog",
    "finetune": r"says: .*guitar",
    "evaluate": r"olmv-mini on 6 videos, 30 labels\n  mean average precision: 0\.9",
}
QUICK = ("predict", "own_frames")


def test_every_example_is_run() -> None:
    assert {path.stem for path in EXAMPLES.glob("*.py")} == set(PRINTS)


@pytest.mark.parametrize(
    "name", [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in PRINTS]
)
def test_an_example_prints_what_it_promises(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    script = EXAMPLES / f"{name}.py"
    text = script.read_text(encoding="utf-8")
    assert f"python examples/{name}.py" in text  # how to run it stands in its docstring
    assert 15 <= len(text.splitlines()) <= 50
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", [str(script)])
    runpy.run_path(str(script), run_name="__main__")
    printed = capsys.readouterr().out
    assert re.search(PRINTS[name], printed), printed
