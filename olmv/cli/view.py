"""What a person sees of `olmv predict`: a table and a progress bar on a terminal, plain lines elsewhere.

Results go to standard output, everything else to standard error, so a pipe gets results only. File names and
labels are somebody else's text: what is not printable is escaped, so that none of it can move a cursor.
"""

import sys
import time
from types import TracebackType
from typing import TYPE_CHECKING, Any

from olmv.predictions import LabelPrediction, VideoPrediction

if TYPE_CHECKING:
    from olmv.report.job import Summary

LABELS_SHOWN = 5
# Rows on the screen when the results also go to a file.
ROWS_BESIDE_FILE = 20
PLAIN_EVERY_S = 10.0


def printable(text: str) -> str:
    """`text` with control characters, odd bytes and other invisible things as backslash escapes."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode("ascii") for char in text)


class PredictView:
    """Shows a run; see `olmv.report.job.Listener`.

    Args:
        quiet: no progress, notes or summary; results only where they go to no file.
        to_file: results also go to a file, so a long run need not fill the screen.
        explain: show what carried each positive label.
    """

    def __init__(self, *, quiet: bool, to_file: bool, explain: bool) -> None:
        from rich.console import Console

        self._quiet, self._to_file, self._explain = quiet, to_file, explain
        self._show_rows = not (quiet and to_file)
        self._out = Console(highlight=False)
        # Bar and table share a terminal only if they share a console.
        both = sys.stdout.isatty() and sys.stderr.isatty()
        self._err = self._out if both else Console(stderr=True, highlight=False)
        self._progress: Any = None
        self._bar: Any = None
        self._texts: Any = None
        self._total = self._done = self._earlier = self._rows = 0
        self._begun = self._told = time.monotonic()

    def __enter__(self) -> "PredictView":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._progress is not None:
            self._progress.stop()
            self._progress = None

    def note(self, text: str) -> None:
        """A remark on its own line."""
        if not self._quiet:
            self._say(f"note: {text}")

    def started(self, *, total: int, done: int) -> None:
        """Put up the progress bar."""
        self._total, self._done, self._earlier = total, done, done
        self._begun = self._told = time.monotonic()
        if self._quiet:
            return
        if done:
            self._say(f"{done} of {total} videos were done before; going on with the rest")
        if self._err.is_terminal and done < total:
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

            columns = (
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("{task.fields[rate]}"),
                TextColumn("left"),
                TimeRemainingColumn(),
            )
            self._progress = Progress(*columns, console=self._err, transient=True)
            self._progress.start()
            self._bar = self._progress.add_task("videos", total=total, completed=done, rate="")

    def encoding_texts(self, done: int, total: int) -> None:
        """Text encoding comes once per label list and can take a while."""
        if self._progress is None:
            return
        if self._texts is None:
            self._texts = self._progress.add_task("label texts", total=total, rate="")
        self._progress.update(self._texts, completed=done, visible=done < total)

    def predicted(self, prediction: VideoPrediction) -> None:
        """Show one more row, and how far the run is."""
        self._done += 1
        if self._done == self._earlier + 1:
            self._begun = self._told = time.monotonic()  # loading the model is not part of the rate
        if self._show_rows:
            self._show(prediction)
        if self._quiet:
            return
        since_first = self._done - self._earlier - 1
        rate = since_first / max(time.monotonic() - self._begun, 1e-9)
        if self._progress is not None:
            shown = f"{rate:.1f} videos/s" if since_first else ""
            self._progress.update(self._bar, completed=self._done, rate=shown)
        elif time.monotonic() - self._told > PLAIN_EVERY_S and self._done < self._total:
            self._told = time.monotonic()
            left = (self._total - self._done) / rate
            self._say(f"{self._done} of {self._total} videos, {rate:.1f} videos/s, {left:.0f} s left")

    def finished(self, summary: "Summary") -> None:
        """The last lines: what was done, what failed, what was written."""
        self.__exit__(None, None, None)
        if self._quiet:
            return
        done = summary.ok + summary.failed
        parts = [f"{summary.ok} videos" if summary.ok != 1 else "1 video"]
        if summary.failed:
            parts.append(f"{summary.failed} failed")
        if summary.earlier:
            failed = f" ({summary.earlier_failed} failed)" if summary.earlier_failed else ""
            parts.append(f"{summary.earlier} from before{failed}")
        if done and summary.seconds > 0:
            parts.append(f"{summary.seconds:.1f} s, {done / summary.seconds:.1f} videos/s")
        self._say(", ".join(parts))
        for path in summary.written:
            self._say(f"wrote {path}")
        # On the screen the rows have told already.
        if summary.failures and self._to_file and not self._rows_complete(done):
            for video, message in summary.failures:
                self._say(f"failed: {video}: {message}")
            if summary.failed > len(summary.failures):
                self._say(f"and {summary.failed - len(summary.failures)} more; their rows say why")

    def _rows_complete(self, done: int) -> bool:
        return self._show_rows and self._rows >= done

    def _say(self, text: str) -> None:
        self._err.print(printable(text), markup=False, style="dim" if self._err.is_terminal else None, soft_wrap=True)

    def _show(self, prediction: VideoPrediction) -> None:
        if self._to_file and self._out.is_terminal and self._rows >= ROWS_BESIDE_FILE:
            if self._rows == ROWS_BESIDE_FILE:
                self._out.print("...", style="dim")
                self._rows += 1
            return
        self._rows += 1
        if self._out.is_terminal:
            self._show_in_table(prediction)
        else:
            lines = explanation_lines(prediction) if self._explain else []
            print("\n\t".join([plain_line(prediction), *lines]), flush=True)  # rich would expand the tabs

    def _show_in_table(self, prediction: VideoPrediction) -> None:
        from rich.table import Table
        from rich.text import Text

        width = self._out.width
        first = max(16, width * 2 // 5)
        table = Table.grid(padding=(0, 2))
        table.add_column(width=first, overflow="fold")
        table.add_column(width=max(16, width - first - 2), overflow="fold")
        if self._rows == 1:
            table.add_row(Text("video", style="bold"), Text("labels (green: positive)", style="bold"))
        cell = Text()
        if prediction.error is not None:
            cell.append(printable(prediction.error.message), style="red")
        for index, label in enumerate(_best(prediction)):
            style = "bold green" if label.positive else "dim"
            cell.append("  " if index else "").append(f"{printable(label.label)} {label.probability:.2f}", style=style)
        more = len(prediction.positives) - sum(label.positive for label in _best(prediction))
        if more > 0:
            cell.append(f"  and {more} more", style="green")
        if self._explain:
            for line in explanation_lines(prediction):
                cell.append(f"\n  {line}", style="dim")
        table.add_row(Text(printable(prediction.video)), cell)
        self._out.print(table)


def plain_line(prediction: VideoPrediction) -> str:
    """Tab-separated: the video, then its most probable labels; positive ones begin with a plus sign."""
    if prediction.error is not None:
        reason = f"{prediction.error.type}: {prediction.error.message}"
        return f"{printable(prediction.video)}\terror: {printable(reason)}"
    labels = [
        f"{'+' if label.positive else ' '}{printable(label.label)} {label.probability:.3f}"
        for label in _best(prediction)
    ]
    return "\t".join([printable(prediction.video), *labels])


def explanation_lines(prediction: VideoPrediction) -> list[str]:
    """Per positive label among the best: the texts and the moments that carried it."""
    shown = {label.label for label in _best(prediction) if label.positive}
    lines = []
    for explanation in prediction.explanations:
        if explanation.label not in shown:
            continue
        texts = ", ".join(f'"{text.text}" {text.contribution:+.3f}' for text in explanation.texts[:2])
        times = [frame.time_s for frame in explanation.frames[:3]]
        moments = ", ".join(f"{moment:.1f} s" for moment in times if moment is not None)
        lines.append(printable(f"{explanation.label}: {texts}" + (f"; at {moments}" if moments else "")))
    return lines


def _best(prediction: VideoPrediction) -> list[LabelPrediction]:
    return sorted(prediction.labels, key=lambda label: (-label.probability, -label.logit))[:LABELS_SHOWN]
