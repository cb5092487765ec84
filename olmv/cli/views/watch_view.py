"""What a person sees of `olmv watch`: events on standard output, a line each; how it goes on standard error."""

import json
import sys
import time
from typing import Any

from olmv.cli.views.log import LogFormat, log_format
from olmv.cli.views.progress import ProgressView, printable
from olmv.watch.job import WatchListener, WatchStatus, WatchSummary

PLAIN_EVERY_S = 60.0
LABELS_SHOWN = 5


class WatchView(ProgressView, WatchListener):
    """Shows a watch; see `olmv.watch.job.WatchListener`.

    Args:
        quiet: events only.
    """

    def __init__(self, *, quiet: bool) -> None:
        from rich.console import Console

        # the line of how it goes and the events share a terminal only if they share a console
        both = sys.stdout.isatty() and sys.stderr.isatty()
        self._out = Console(highlight=False)
        err = self._out if both else Console(stderr=True, highlight=False)
        super().__init__("frames", quiet=quiet, prefix="note: ", console=err)
        self._quiet, self._shared, self._err = quiet, both, err
        self._live: Any = None
        self._told = time.monotonic()

    def __exit__(self, *_: object) -> None:
        self._stop()
        super().__exit__()

    def event(self, row: dict[str, Any]) -> None:
        """Print one event."""
        line = json.dumps(row)  # ASCII, so that no terminal is moved by it
        if self._shared and self._live is not None:
            self._out.print(line, markup=False, soft_wrap=True)
        else:
            print(line, flush=True)

    def watched(self, status: WatchStatus) -> None:
        """Show how it goes: a line that changes on a terminal, a line a minute elsewhere."""
        if self._quiet:
            return
        if self._err.is_terminal and log_format() == LogFormat.text:
            if self._live is None:
                self._live = self._err.status("")
                self._live.start()
            self._live.update(_escaped(status_line(status)))
        elif time.monotonic() - self._told > PLAIN_EVERY_S:
            self._told = time.monotonic()
            self.progress.say(status_line(status))

    def finished(self, summary: WatchSummary) -> None:
        """Say the last lines."""
        self._stop()
        parts = [f"{summary.frames} frames"]
        if summary.dropped:
            parts.append(f"{summary.dropped} left out")
        if summary.reconnections:
            parts.append(f"{summary.reconnections} reconnections")
        events = sum(summary.events.values())
        parts.append(f"{events} event{'s' if events != 1 else ''}")
        shown = summary.events.most_common(LABELS_SHOWN)
        counts = ", ".join(f"{label} {count}" for label, count in shown)
        self.progress.say(", ".join(parts) + (f": {counts}" if counts else ""))
        if summary.unsent:
            self.progress.say(f"{summary.unsent} lines wait in {summary.queue}; the next run posts them")

    def _stop(self) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None


def status_line(status: WatchStatus) -> str:
    """Return how it goes in one line, such as `12.0 s, lag 0.2 s, 24 frames; dog 0.91, rain 0.10; on: dog`."""
    dropped = f", {status.dropped} left out" if status.dropped else ""
    top = ", ".join(f"{label[:40]} {probability:.2f}" for label, probability in status.top)
    more = f" and {len(status.on) - LABELS_SHOWN} more" if len(status.on) > LABELS_SHOWN else ""
    on = "; on: " + ", ".join(label[:40] for label in status.on[:LABELS_SHOWN]) + more if status.on else ""
    return printable(f"{status.at_s:.1f} s, lag {status.lag_s:.1f} s, {status.frames} frames{dropped}; {top}{on}")


def _escaped(text: str) -> str:
    from rich.markup import escape

    return escape(text)
