"""How long work is shown: a bar on a terminal, a line every ten seconds elsewhere; everything on standard error."""

import contextlib
import os
import sys
import time
from typing import Any, Self

from olmv.cli.views.log import LogFormat, log_format, write_line
from olmv.progress import JobListener

__all__ = ["Progress", "ProgressView", "drop_output", "printable"]

PLAIN_EVERY_S = 10.0


def printable(text: str) -> str:
    """Return `text` with control characters, odd bytes and other invisible things as backslash escapes."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode("ascii") for char in text)


def drop_output() -> None:
    """Send what is still written to standard output nowhere, also what Python writes at its exit."""
    with contextlib.suppress(OSError, ValueError):  # ValueError: it has no descriptor, as in tests
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


class Progress:
    """Tells how far a run is.

    Args:
        noun: what is counted ("videos").
        console: rich's console to write to.
        quiet: say nothing at all.
    """

    def __init__(self, noun: str, console: Any, *, quiet: bool) -> None:
        self._noun, self._console, self._quiet = noun, console, quiet
        self._bars: Any = None
        self._bar: Any = None
        self._side: dict[str, Any] = {}
        self._total = self._done = self._earlier = 0
        self._begun = self._told = time.monotonic()

    def say(self, text: str) -> None:
        """Print one line for the user; what is not printable in it is escaped."""
        if self._quiet:
            return
        if log_format() == LogFormat.json:
            remark = text.removeprefix("note: ")
            write_line("info" if remark == text else "warning", remark)
            return
        style = "dim" if self._console.is_terminal else None
        self._console.print(printable(text), markup=False, style=style, soft_wrap=True)

    def start(self, *, total: int, done: int) -> None:
        """Put up the bar; `done` of `total` were done by an earlier run."""
        self._total, self._done, self._earlier = total, done, done
        self._begun = self._told = time.monotonic()
        if self._quiet:
            return
        if done:
            rest = "; going on with the rest" if done < total else ""
            self.say(f"{done} of {total} {self._noun} were done before{rest}")
        if self._console.is_terminal and done < total and log_format() == LogFormat.text:
            from rich import progress

            columns = (
                progress.TextColumn("{task.description}"),
                progress.BarColumn(),
                progress.MofNCompleteColumn(),
                progress.TextColumn("{task.fields[rate]}"),
                progress.TextColumn("left"),
                progress.TimeRemainingColumn(),
            )
            self._bars = progress.Progress(*columns, console=self._console, transient=True)
            self._bars.start()
            self._bar = self._bars.add_task(self._noun, total=total, completed=done, rate="starting")

    def side(self, what: str, done: int, total: int) -> None:
        """Show work beside the main bar, such as encoding the label texts; its bar goes when it is done."""
        if self._bars is None:
            if time.monotonic() - self._told > PLAIN_EVERY_S and done < total:
                self._told = time.monotonic()
                self.say(f"{what}: {done} of {total}")
            return
        if what not in self._side:
            self._side[what] = self._bars.add_task(what, total=total, rate="")
        self._bars.update(self._side[what], completed=done, total=total, visible=done < total)

    def step(self) -> None:
        """Move the main bar on: one more is done."""
        self._done += 1
        if self._done == self._earlier + 1:
            self._begun = self._told = time.monotonic()  # loading a model is not part of the rate
        if self._quiet:
            return
        since_first = self._done - self._earlier - 1
        rate = since_first / max(time.monotonic() - self._begun, 1e-9)
        if self._bars is not None:
            self._bars.update(self._bar, completed=self._done, rate=f"{rate:.1f} {self._noun}/s" if since_first else "")
        elif time.monotonic() - self._told > PLAIN_EVERY_S and self._done < self._total:
            self._told = time.monotonic()
            left = (self._total - self._done) / rate
            self.say(f"{self._done} of {self._total} {self._noun}, {rate:.1f} {self._noun}/s, {left:.0f} s left")

    def stop(self) -> None:
        """Take the bar down. May be called twice."""
        if self._bars is not None:
            self._bars.stop()
            self._bars = None


class ProgressView(JobListener):
    """Shows a job: remarks on lines of their own, and a bar of what is done.

    Args:
        noun: what is counted ("videos").
        quiet: say nothing at all.
        prefix: of every remark, such as "note: ".
        console: rich's console to write to; None for standard error.
    """

    def __init__(self, noun: str, *, quiet: bool, prefix: str = "", console: Any = None) -> None:
        from rich.console import Console

        self.progress = Progress(noun, console or Console(stderr=True, highlight=False), quiet=quiet)
        self._prefix = prefix

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.progress.stop()

    def note(self, text: str) -> None:
        """Put a remark on its own line."""
        self.progress.say(self._prefix + text)

    def started(self, *, total: int, done: int) -> None:
        """Put up the bar."""
        self.progress.start(total=total, done=done)

    def advanced(self, done: int, total: int, *, stage: str = "") -> None:
        """Count one more, or show a stage of its own, such as encoding the label texts."""
        if stage:
            self.progress.side(stage, done, total)
        else:
            self.progress.step()
