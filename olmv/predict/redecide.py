"""Decide the rows of a finished output anew, from their probabilities and new thresholds, without a model."""

import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from olmv.errors import UsageError
from olmv.io.prediction_fields import check_row
from olmv.io.run_journal import FORMAT, RunJournal

__all__ = ["redecide"]

_NAMED = 3


def redecide(output: Path, settings: Mapping[str, Any]) -> str | None:
    """Decide the rows of an earlier run anew, if it differs from this one by its thresholds alone.

    A probability that stands exactly at a new threshold is decided as it is written, with six digits.

    Args:
        output: the file that the user asked for.
        settings: of this run, as `olmv.predict.job` makes them.

    Returns:
        What was done, for the user; None if nothing was.

    Raises:
        UsageError: there are labels that the earlier run did not have; the message says what they cost.
        OutputError: the rows cannot be written, or another run is writing them.
    """
    earlier = _earlier(output)
    if earlier is None:
        return None
    now = json.loads(json.dumps(settings))  # as it would have been read back
    changed = {name for name in {**earlier, **now} if earlier.get(name) != now.get(name)}
    if "labels" in changed and changed <= {"labels", "thresholds", "scalings"}:
        _refuse_more_labels(output, earlier, now)
    if changed != {"thresholds"}:
        return None
    thresholds = dict(zip((label[0] for label in now["labels"]), now["thresholds"], strict=True))
    with RunJournal(output, earlier, check=check_row) as journal:
        rows = len(journal.done)
        if not rows:
            return None
        journal.begin()
        journal.compact((), lambda row: _decided(row, thresholds), settings=settings)
    return f"{rows} rows were decided anew from their probabilities, with the new thresholds; no video was decoded"


def _decided(row: dict[str, Any], thresholds: Mapping[str, float]) -> dict[str, Any]:
    labels = [
        {**label, "threshold": limit, "positive": label["probability"] >= limit}
        for label in row["labels"]
        for limit in [thresholds[label["label"]]]
    ]
    return {**row, "labels": labels}


def _refuse_more_labels(output: Path, earlier: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    with suppress(TypeError, IndexError, KeyError):
        before, after = ({label[0]: label for label in side["labels"]} for side in (earlier, now))
        new = [name for name in after if name not in before]
        if not new or any(after.get(name) != label for name, label in before.items()):
            return
        with RunJournal(output, earlier, check=check_row) as journal:
            videos = len(journal.done)
        named = ", ".join(repr(name) for name in new[:_NAMED]) + (", ..." if len(new) > _NAMED else "")
        raise UsageError(
            f"{len(new)} labels are new ({named}), and {output} has {videos} videos without them: all are decoded and "
            "scored again when you start over; or name the new labels alone, and another output",
            option=("resume", "output"),
        )


def _earlier(output: Path) -> Mapping[str, Any] | None:
    """Read the settings of the run that wrote it; None if there are none that can be read."""
    path = output.with_name(output.name + ".run.json")
    with suppress(OSError, ValueError, RecursionError):
        document = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(document, dict) and document.get("format") == FORMAT:
            settings = document.get("settings")
            return settings if isinstance(settings, dict) else None
    return None
