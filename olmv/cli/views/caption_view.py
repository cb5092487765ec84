"""What `olmv caption` shows: captions on standard output, everything else on standard error."""

from typing import Any

from olmv.caption.job import CaptionListener, CaptionSummary
from olmv.cli.views.progress import ProgressView, drop_output, printable

__all__ = ["CaptionView"]


class CaptionView(ProgressView, CaptionListener):
    """Shows a run.

    Args:
        quiet: say nothing.
    """

    def __init__(self, *, quiet: bool) -> None:
        super().__init__("videos", quiet=quiet, prefix="note: ")
        self._quiet = quiet

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
        if summary.refused:
            parts.append(f"{summary.refused} of them by the template, no sentence of the LLM could be used")
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
