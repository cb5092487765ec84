"""Documents show what `docs/results` holds."""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def test_every_table_is_that_of_its_result() -> None:
    script = ROOT / "scripts" / "benchmarks" / "tables.py"
    done = subprocess.run([sys.executable, str(script), "--check"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_every_result_says_what_it_rests_on() -> None:
    files = sorted((ROOT / "docs" / "results").glob("*.json"))
    assert files
    for path in files:
        result = json.loads(path.read_text(encoding="utf-8"))
        assert {"figures", "settings", "versions", "commit", "seed", "n"} <= set(result), path.name
        assert all(isinstance(value, int | float) for value in result["figures"].values()), path.name
