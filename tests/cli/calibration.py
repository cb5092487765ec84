"""Rows and their truth, to calibrate with."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from scipy.special import expit

LABELS = ("dog", "<b>cat</b>", "rain", "never")
SETTINGS = {"labels": [["dog", ["hound"], []], ["<b>cat</b>", [], []]], "mode": "multi-label", "frames": 8}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to stand in, with rows and truth of 120 videos."""
    monkeypatch.chdir(tmp_path)
    write(tmp_path, 120)
    return tmp_path


def write(folder: Path, videos: int) -> list[dict[str, object]]:
    """rows.jsonl and truth.csv: scores far too low for dog, `rain` with few positives, one failed video."""
    random = np.random.default_rng(0)
    truth = random.random((videos, 4)) < (0.4, 0.5, 0.03, 0.0)
    truth[0, 2] = True
    logit = random.normal(np.where(truth, 1.5, -1.5) + np.array([-4, 0, 0, 0]), 1.0)
    rows: list[dict[str, object]] = [
        {
            "video": f"clips/{i}.mp4", "status": "ok", "error": None, "duration_s": 1.0,
            "frames": {"requested": 8, "decoded": 8, "corrupt": 0}, "model": "olmv-mini",
            "labels": [
                {"label": label, "similarity": 0.1, "logit": float(logit[i, c]), "threshold": 0.5,
                 "probability": float(f"{expit(logit[i, c]):.6g}"), "positive": bool(logit[i, c] >= 0)}
                for c, label in enumerate(LABELS)
            ],
        }
        for i in range(videos)
    ]  # fmt: skip
    rows.append(
        {**rows[0], "video": "clips/bad.mp4", "status": "error", "error": {"type": "E", "message": "bad"}, "labels": []}
    )
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "rows.jsonl.run.json").write_text(json.dumps({"format": "olmv-run/1", "settings": SETTINGS}))
    lines = [f"clips/{i}.mp4,{';'.join(n for c, n in enumerate(LABELS) if truth[i, c])}" for i in range(1, videos)]
    (folder / "truth.csv").write_text("video,labels\n" + "\n".join(lines) + "\nclips/more.mp4,dog;snow\n")
    return rows


def grouped(folder: Path, group: Callable[[int], object], name: str = "group") -> None:
    """Give truth.csv a further column."""
    head, *lines = (folder / "truth.csv").read_text().splitlines()
    numbers = [re.search(r"(\d+)\.mp4", line) for line in lines]
    rows = [f"{line},{group(int(n[1])) if n else 'x'}" for line, n in zip(lines, numbers, strict=True)]
    (folder / "truth.csv").write_text("\n".join([f"{head},{name}", *rows]) + "\n")
