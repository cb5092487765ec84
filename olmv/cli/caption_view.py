"""What `olmv caption` shows: captions on standard output, everything else on standard error."""

from typing import Any

from rich.console import Console

from olmv.caption.job import CaptionListener, CaptionSummary
from olmv.cli.progress import Progress, drop_output, printable

__all__ = ["CaptionView"]


class CaptionView(CaptionListener):
    """Shows a run.

    Args:
        quiet: say nothing.
    """

    def __init__(self, *, quiet: bool) -> None:
        self.progress = Progress("videos", Console(stderr=True, highlight=False), quiet=quiet)
        self._quiet = quiet

    def note(self, text: str) -> None:
        """Print a remark on its own line."""
        self.progress.say(f"note: {text}")

    def started(self, *, total: int, done: int) -> None:
        """Put up the progress bar."""
        self.progress.start(total=total, done=done)

    def advanced(self, done: int, total: int, *, stage: str = "") -> None:
        """Show the frame captions on a bar of their own."""
        self.progress.side(stage, done, total)

    def captioned(self, row: dict[str, Any]) -> None:
        """Print one more row: results go to standard output."""
        if not self._quiet:
            text = (
                row["caption"] or f"{len(row['frame_captions'])} frame captions"
                if row["error"] is None
                else f"error: {row['error']['type']}: {row['error']['message']}"
            )
            try:
                print(f"{printable(row['video'])}\t{printable(text)}", flush=True)
            except BrokenPipeError:  # `| head`: the reader has seen enough, but the file wants every row
                drop_output()
        self.progress.step()

    def finished(self, summary: CaptionSummary) -> None:
        """Print the last lines: what was done, what failed, what was written."""
        say = self.progress.say
        parts = [f"{summary.ok} videos captioned" if summary.ok != 1 else "1 video captioned"]
        if summary.earlier:
            parts.append(f"{summary.earlier} from before")
        if summary.failed:
            parts.append(f"{summary.failed} failed")
        if summary.answers:
            parts.append(
                f"{summary.answers} answers, {summary.prompt_tokens} prompt and "
                f"{summary.completion_tokens} answer tokens"
            )
        say(f"{', '.join(parts)}, {summary.seconds:.1f} s")
        for video, message in summary.failures:
            say(f"failed: {video}: {message}")
        if summary.stopped:
            say(f"stopped: {summary.stopped}; frame captions are kept, the same command goes on from there")
        for path in summary.written:
            labels = f" ({summary.labels} labels)" if summary.labels is not None and path == summary.written[-1] else ""
            say(f"wrote {path}{labels}")
