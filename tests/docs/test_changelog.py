"""The table of moved modules leads to modules that exist."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_moved_modules_are_where_the_changelog_says() -> None:
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(olmv[\w.]+)` \| `(olmv[\w.]+)`", text, re.MULTILINE)
    assert len(rows) > 100
    gone = [now for _, now in rows if not (path := ROOT / now.replace(".", "/")).is_dir()
            and not path.with_suffix(".py").is_file()]  # fmt: skip
    assert not gone
