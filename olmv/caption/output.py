"""Write the rows of a caption run, count them, and finish its files."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from olmv.caption.rows import clean_row, failed_row, new_row, write_csv, write_manifest
from olmv.io.run_journal import RunJournal
from olmv.llm.ask import Exchange
from olmv.progress import JobListener

__all__ = ["CaptionListener", "CaptionOutput", "CaptionSummary"]

FAILURES_NAMED = 5


class CaptionListener(JobListener):
    """Watches a caption run; `advanced` counts the videos that have frame captions, as stage `frame captions`."""

    def captioned(self, row: dict[str, Any]) -> None:
        """Take the row of a video, a good one or an error."""


@dataclass
class CaptionSummary:
    """What a run did.

    Args:
        total: videos.
        earlier: of these, finished before.
        ok: captioned by this run.
        failed: without a caption; their rows say why.
        refused: of these, by the template, as no sentence of the language model could be used.
        frames_captioned: videos whose frames were captioned by this run.
        answers: that a language model gave, those that were refused among them.
        prompt_tokens: over all answers.
        completion_tokens: over all answers.
        labels: different labels in the manifest; None if none was asked for.
        stopped: why the sentences ended early; None if they did not.
        seconds: how long it took.
        failures: the first few failures, as (video, message).
        written: the files that the user asked for.
    """

    total: int
    earlier: int
    ok: int = 0
    failed: int = 0
    refused: int = 0
    frames_captioned: int = 0
    answers: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    labels: int | None = None
    stopped: str | None = None
    seconds: float = 0.0
    failures: list[tuple[str, str]] = field(default_factory=list)
    written: list[Path] = field(default_factory=list)


class CaptionOutput:
    """Holds the rows of a run while it goes.

    Args:
        journal: open; where the rows are.
        videos: all inputs, in order.
        listener: watches.
        captioner: as the user named it, for the rows.
        llm: as the user named it, for the rows.
    """

    def __init__(
        self,
        journal: RunJournal,
        videos: list[str],
        listener: CaptionListener,
        *,
        captioner: str,
        llm: str | None,
    ) -> None:
        self.journal, self.videos, self.listener = journal, videos, listener
        self.captioner, self._llm = captioner, llm
        self.todo = [video for video in videos if video not in journal.done]
        self.summary = CaptionSummary(total=len(videos), earlier=len(videos) - len(self.todo))

    def new_row(self, video: str, duration_s: float | None, frames: Mapping[str, int]) -> dict[str, Any]:
        """Make the row of a video that has no caption yet."""
        return new_row(video, captioner=self.captioner, llm=self._llm, duration_s=duration_s, frames=frames)

    def write(self, row: dict[str, Any]) -> None:
        """Write the row of a video that is done, or failed, and count it."""
        self.journal.append(row)
        if row["error"] is None:
            self.summary.ok += 1
            self.summary.refused += "refused" in row
        else:
            self.summary.failed += 1
            if len(self.summary.failures) < FAILURES_NAMED:
                self.summary.failures.append((row["video"], row["error"]["message"]))
        self.listener.captioned(row)

    def fail(self, row: Mapping[str, Any], kind: str, message: str) -> None:
        """Write the row of a video that failed."""
        self.write(failed_row(row, kind, message))

    def count(self, exchange: Exchange[Any]) -> None:
        """Count the answers that one question took."""
        self.summary.answers += exchange.times
        self.summary.prompt_tokens += exchange.prompt_tokens
        self.summary.completion_tokens += exchange.completion_tokens

    def finish(self, path: Path, *, min_similarity: float | None, manifest: Path | None) -> None:
        """Leave one row a video, in the order of the inputs, and write the manifest.

        Raises:
            OutputError: a file cannot be written.
        """
        if not self.videos:
            return  # a shard without any: its file is there, for who merges
        todo = set(self.todo)
        failed = 0

        def clean(row: dict[str, Any]) -> dict[str, Any]:
            nonlocal failed
            row = clean_row(row, stopped=self.summary.stopped, min_similarity=min_similarity)
            failed += row["status"] == "error" and row["video"] in todo
            return row

        self.journal.compact(self.videos, clean)
        self.summary.failed = failed
        if not self.journal.path.exists():
            return  # not one row: nothing was done
        if path.suffix.lower() == ".csv":
            write_csv(path, self.journal.rows())
        self.summary.written.append(path)
        if manifest is not None:
            self.summary.labels = write_manifest(manifest, self.journal.rows)
            self.summary.written.append(manifest)
