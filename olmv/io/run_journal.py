"""Keep a run's rows as they come, and the settings that they belong to.

    out.jsonl            the rows themselves, or for out.csv: out.csv.journal.jsonl
    out.jsonl.run.json   {"format": "olmv-run/1", "settings_sha256": ..., "settings": {...}}

A row is appended as soon as it is known. A later run with the same settings reads which videos are done and
goes on from there; with other settings it refuses, because one file must not hold answers to two questions.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

from olmv.errors import OutputError, UsageError, interruption, reason
from olmv.io.atomic import write_atomic
from olmv.io.digests import sha256_json
from olmv.io.journal import JsonlJournal, encode_row

__all__ = ["FORMAT", "RunJournal", "difference", "journal_path", "read_settings", "settings_path"]

FORMAT = "olmv-run/1"


class RunJournal:
    """The rows of a run that can be killed and taken up again.

    Args:
        output: the file that the user asked for; names the journal and the settings file.
        settings: everything that a row depends on, as plain data.
        resume: go on from what is there; False starts over.
        finished: whether a row needs no more work; by default every row. Of several rows of a video the last counts.
        check: raises ValueError, with what is wrong, for a row that olmv did not write (people edit files by hand).

    Attributes:
        done: the videos that already have a finished row.
        failed: those of them whose row is an error.

    Raises:
        UsageError: what is there was made with other settings, or not by olmv.
        OutputError: a file cannot be read or written, or another run is writing it.
    """

    def __init__(
        self,
        output: Path,
        settings: Mapping[str, Any],
        *,
        resume: bool = True,
        finished: Callable[[Mapping[str, Any]], bool] = lambda _: True,
        check: Callable[[Mapping[str, Any]], None] = lambda _: None,
    ) -> None:
        self._finished, self._check = finished, check
        self.path = journal_path(output)
        self.settings_path = settings_path(output)
        self._journal = JsonlJournal(self.path)
        self._settings = settings
        self._start_over = not resume
        self.done: set[str] = set()
        self.failed: set[str] = set()
        self._new = True  # nothing is there, as far as this run knows
        try:
            if resume and _has_content(self.path):
                self._journal.open()  # the lock comes first: a torn last row may be another run's, not yet whole
                self._take_up(output)
                self._new = False
        except BaseException:
            self._journal.close()
            raise

    def __enter__(self) -> "RunJournal":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._journal.close()
        stop = value if value is None or isinstance(value, BrokenPipeError) else interruption(value)
        if stop is not None and self.done:
            rows = "1 row" if len(self.done) == 1 else f"{len(self.done)} rows"
            stop.add_note(f"{rows} kept in {self.path}; run the same command to go on")

    def begin(self) -> None:
        """Lock the journal and write the settings; until here nothing is created or changed.

        Raises:
            OutputError: a file cannot be written, another run is writing it, or has written it since this one looked.
        """
        if self._start_over:
            self._journal.clear()  # under the lock: another run may be writing these very rows
        else:
            self._journal.open()
            if self._new and _has_content(self.path):
                raise OutputError(f"another run has just written {self.path}; run the same command to go on from there")
        self._new = False
        write_atomic(self.settings_path, _document(self._settings))

    def check_complete(self, videos: Iterable[str]) -> None:
        """Make sure, at the end, that every row is where the user will look for it.

        Raises:
            OutputError: rows are gone, or something else changed the file.
        """
        self._journal.check_unchanged()
        missing = sum(video not in self.done for video in videos)
        if missing:
            raise OutputError(f"{self.path} lacks the rows of {missing} videos; run the same command again")

    def append(self, row: Mapping[str, Any]) -> None:
        """Append a row; it survives a kill from here on.

        Raises:
            OutputError: the disk is full; the rows so far are kept.
        """
        before = self._journal.size
        try:
            self._journal.append(row)
        finally:
            if self._journal.size > before:  # also where Ctrl-C came when the row was written
                self._count(row)

    def rows(self) -> Iterator[dict[str, Any]]:
        """Yield all rows, one at a time, also those of earlier runs."""
        return self._journal.rows()

    def offsets(self) -> dict[str, int]:
        """Map each video to where its last row is, for `row_at`."""
        return self._journal.offsets("video")

    def row_at(self, offset: int) -> dict[str, Any]:
        """Read the row that begins there."""
        return self._journal.row_at(offset)

    def compact(
        self,
        order: Iterable[str],
        clean: Callable[[dict[str, Any]], dict[str, Any]],
        *,
        settings: Mapping[str, Any] | None = None,
    ) -> None:
        """Keep the last row of every video only, cleaned: first the videos of `order`, then others. Closes the journal.

        Without a row, the files go. With `settings`, these are what the cleaned rows belong to from now on.

        Raises:
            OutputError: it cannot be written; the rows are as before.
        """
        self._journal.check_unchanged()
        places = self.offsets()
        if not places:
            self.path.unlink(missing_ok=True)
            self.settings_path.unlink(missing_ok=True)
            self._journal.close()
            return
        names = [name for name in dict.fromkeys((*order, *places)) if name in places]
        rows = (encode_row(clean(self.row_at(places[name]))) for name in names)
        write_atomic(self.path, rows)
        if settings is not None:  # killed before this, the same command cleans the rows again
            write_atomic(self.settings_path, _document(settings))
        self._journal.close()

    def _take_up(self, output: Path) -> None:
        if changed := difference(self._earlier_settings(output), self._settings):
            raise UsageError(
                f"{output} was made with other settings ({changed}); start over, or choose another output",
                option=("resume", "output"),
            )
        for number, row in enumerate(self._journal.rows(), start=1):
            try:
                self._check_row(row)
            except (ValueError, TypeError, LookupError, AttributeError) as failure:
                raise OutputError(
                    f"{self.path} line {number} is not a row that olmv wrote ({reason(failure)}); "
                    "remove that line and run again: its video is done anew"
                ) from None
            self._count(row)

    def _check_row(self, row: Mapping[str, Any]) -> None:
        if not isinstance(row.get("video"), str):
            raise ValueError("it names no 'video'")  # noqa: TRY004 - it is the file's fault, not the caller's
        self._check(row)

    def _count(self, row: Mapping[str, Any]) -> None:
        video = str(row.get("video"))
        self.done.discard(video)
        self.failed.discard(video)
        if self._finished(row):
            self.done.add(video)
            if row.get("status") == "error":
                self.failed.add(video)

    def _earlier_settings(self, output: Path) -> Mapping[str, Any]:
        settings = read_settings(output)
        if settings is not None:
            return settings
        raise UsageError(
            f"{output} is already there, but {self.settings_path.name} that tells its settings is not; "
            "start over to overwrite it, or choose another output",
            option=("resume", "output"),
        )


def journal_path(output: Path) -> Path:
    """Return where the rows of an output are, whatever its format."""
    return output if output.suffix.lower() == ".jsonl" else _beside(output, ".journal.jsonl")


def settings_path(output: Path) -> Path:
    """Return where the settings of the run that wrote an output are."""
    return _beside(output, ".run.json")


def read_settings(output: Path) -> dict[str, Any] | None:
    """Read the settings of the run that wrote an output; None if there are none that can be read."""
    with suppress(OSError, ValueError, RecursionError):
        document = json.loads(settings_path(output).read_text(encoding="utf-8"))
        if isinstance(document, dict) and document.get("format") == FORMAT:
            settings = document.get("settings")
            return settings if isinstance(settings, dict) else None
    return None


def difference(earlier: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """Say what differs between two settings, in words: "frames: 8 before, 16 now"; nothing where they are the same."""
    now = json.loads(json.dumps(now))  # as it would have been read back
    names = [name for name in {**earlier, **now} if earlier.get(name) != now.get(name)]
    return "; ".join(_change(name, earlier.get(name), now.get(name)) for name in names)


def _has_content(path: Path) -> bool:
    try:
        return path.stat().st_size > 0
    except OSError:
        return False


def _beside(output: Path, ending: str) -> Path:
    return output.with_name(output.name + ending)


def _document(settings: Mapping[str, Any]) -> str:
    document = {"format": FORMAT, "settings_sha256": sha256_json(settings), "settings": settings}
    return json.dumps(document, indent=1) + "\n"


def _change(name: str, before: Any, after: Any) -> str:
    if isinstance(before, list) and isinstance(after, list) and len(before) != len(after):
        return f"{name}: {len(before)} before, {len(after)} now"
    if isinstance(before, list | dict) or isinstance(after, list | dict):
        return f"{name} differ"
    one, other = ("none" if value is None else value for value in (before, after))
    return f"{name}: {one} before, {other} now"
