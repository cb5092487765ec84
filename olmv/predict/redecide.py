"""Decide the rows of a finished output anew, from their probabilities and new thresholds, without a model.

Those of a timeline have segments, which are made anew from the curves beside the rows.
"""

import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from olmv.errors import InputError, UsageError
from olmv.io.curves import Curve, CurveFile, curves_path
from olmv.io.prediction_fields import check_row
from olmv.io.run_journal import FORMAT, RunJournal
from olmv.predictions import segment_row
from olmv.scoring.segments import SegmentOptions, find_segments

__all__ = ["Decider", "NoCurveError", "earlier_settings", "redecide"]

_NAMED = 3
# Settings that move no probability, neither of a video nor of a moment.
_DECIDING = ("thresholds", "leaves", "join", "least")


class NoCurveError(Exception):
    """The probabilities over time are not there any more."""


def redecide(output: Path, settings: Mapping[str, Any]) -> str | None:
    """Decide the rows of an earlier run anew, if it differs from this one only by what decides.

    That is by the thresholds, and of a timeline by what becomes of segments. A probability that stands exactly at a new
    threshold is decided as it is written, with six digits.

    Args:
        output: the file that the user asked for.
        settings: of this run, as `olmv.predict.job` makes them.

    Returns:
        What was done, for the user; None if nothing was, also where a timeline's curves are gone.

    Raises:
        UsageError: there are labels that the earlier run did not have; the message says what they cost.
        OutputError: the rows cannot be written, or another run is writing them.
    """
    earlier = earlier_settings(output)
    if earlier is None:
        return None
    now = json.loads(json.dumps(settings))  # as it would have been read back
    changed = {name for name in {**earlier, **now} if earlier.get(name) != now.get(name)}
    if "labels" in changed and changed <= {"labels", "thresholds", "scalings"}:
        _refuse_more_labels(output, earlier, now)
    if not changed or not changed <= {*_DECIDING}:
        return None
    with RunJournal(output, earlier, check=check_row) as journal:
        rows = len(journal.done)
        if not rows:
            return None
        journal.begin()
        decider = Decider(output, now)
        try:
            journal.compact((), decider.decide, settings=settings)
        except NoCurveError:
            return None
    new = " and ".join(name for name in _DECIDING if name in changed and name != "leaves") or "thresholds"
    return f"{rows} rows were decided anew from their probabilities, with the new {new}; no video was decoded"


class Decider:
    """Decides rows by other settings.

    Args:
        output: beside which curves are.
        settings: that decide.
    """

    def __init__(self, output: Path, settings: Mapping[str, Any]) -> None:
        names = [label[0] for label in settings["labels"]]
        self._thresholds = dict(zip(names, settings["thresholds"], strict=True))
        self._leaves = dict(zip(names, settings.get("leaves", ()), strict=False))
        lengths = {f"{name}_s": settings[name] for name in ("join", "least") if name in settings}
        self._options = SegmentOptions(**lengths)
        self._curves: CurveFile | None = None
        self._path = curves_path(output)

    def decide(self, row: dict[str, Any]) -> dict[str, Any]:
        """Return a row with other verdicts and, of a timeline, other segments.

        Raises:
            NoCurveError: there are none to make them of.
        """
        labels = [
            {**label, "threshold": limit, "positive": label["probability"] >= limit}
            for label in row["labels"]
            for limit in [self._thresholds[label["label"]]]
        ]
        row = {**row, "labels": labels}
        return row if "segments" not in row else {**row, "segments": self._segments(row)}

    def curve(self, video: str) -> Curve | None:
        """Return the probabilities of a video over time; None if it has none.

        Raises:
            NoCurveError: the file is gone, or damaged.
        """
        try:
            self._curves = self._curves or CurveFile(self._path)
            return self._curves.get(video)
        except InputError:
            raise NoCurveError from None

    def _segments(self, row: Mapping[str, Any]) -> list[dict[str, Any]]:
        curve = self.curve(row["video"])
        if curve is None or not {label["label"] for label in row["labels"]} <= {*curve.labels}:
            raise NoCurveError
        # of a long video a row tells no more than hundredths of a second
        end = max(row["duration_s"] or 0.0, float(curve.starts_s[-1]))
        return [
            segment_row(segment)
            for label in row["labels"]
            for segment in find_segments(
                label["label"],
                curve.starts_s,
                end,
                curve.probability[:, curve.labels.index(label["label"])],
                enter=label["threshold"],
                leave=self._leaves.get(label["label"]),
                options=self._options,
            )
        ]


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


def earlier_settings(output: Path) -> Mapping[str, Any] | None:
    """Read the settings of the run that wrote it; None if there are none that can be read."""
    path = output.with_name(output.name + ".run.json")
    with suppress(OSError, ValueError, RecursionError):
        document = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(document, dict) and document.get("format") == FORMAT:
            settings = document.get("settings")
            return settings if isinstance(settings, dict) else None
    return None
