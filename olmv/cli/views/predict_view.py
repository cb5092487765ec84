"""What a person sees of `olmv predict`: a table and a progress bar on a terminal, plain lines elsewhere.

Results go to standard output, everything else to standard error, so a pipe gets results only. File names and
labels are somebody else's text: what is not printable is escaped, so that none of it can move a cursor.
"""

import json
import sys
from collections import Counter

from olmv.cli.views.progress import ProgressView, drop_output, printable
from olmv.pages.figures import clock
from olmv.predict.job import PredictListener, PredictSummary
from olmv.predictions import LabelPrediction, VideoPrediction

LABELS_SHOWN = 5
# Labels whose positive videos are counted at the end.
COUNTS_SHOWN = 10
# Segments of a label.
SEGMENTS_SHOWN = 6
# Rows on the screen when the results also go to a file.
ROWS_BESIDE_FILE = 20


class PredictView(ProgressView, PredictListener):
    """Shows a run; see `olmv.predict.job.PredictListener`.

    Args:
        quiet: no progress, notes or summary; results only where they go to no file.
        to_file: results also go to a file, so a long run need not fill the screen.
        explain: show what carried each positive label.
        json_rows: results on standard output are the rows of a .jsonl file (`--output -`).
    """

    def __init__(self, *, quiet: bool, to_file: bool, explain: bool, json_rows: bool = False) -> None:
        from rich.console import Console

        self._to_file, self._explain = to_file, explain
        self._json_rows = json_rows
        self._show_rows = json_rows or not (quiet and to_file)
        self._out = Console(highlight=False)
        # Bar and table share a terminal only if they share a console.
        both = sys.stdout.isatty() and sys.stderr.isatty()
        err = self._out if both else Console(stderr=True, highlight=False)
        super().__init__("videos", quiet=quiet, prefix="note: ", console=err)
        self._rows = 0

    def predicted(self, prediction: VideoPrediction) -> None:
        """Show one more row, and how far the run is."""
        if self._show_rows:
            try:
                self._show(prediction)
            except BrokenPipeError:  # `| head`: the reader has seen enough, but the file wants every row
                if not self._to_file:
                    raise
                drop_output()
                self._show_rows = False
        self.progress.step()

    def finished(self, summary: PredictSummary) -> None:
        """Say the last lines: what was done, what failed, what was written."""
        self.progress.stop()
        done = summary.ok + summary.failed
        parts = [f"{summary.ok} videos" if summary.ok != 1 else "1 video"]
        if summary.failed:
            parts.append(f"{summary.failed} failed")
        if summary.earlier:
            failed = f" ({summary.earlier_failed} failed)" if summary.earlier_failed else ""
            parts.append(f"{summary.earlier} from before{failed}")
        if done and summary.seconds > 0:
            parts.append(f"{summary.seconds:.1f} s, {done / summary.seconds:.1f} videos/s")
        self.progress.say(", ".join(parts))
        if summary.ok or summary.earlier:
            self.progress.say(f"positive: {_counts(summary.positives)}")
        for path in summary.written:
            self.progress.say(f"wrote {path}")
        # On the screen the rows have told already.
        if summary.failures and self._to_file and not self._rows_complete(done):
            for video, message in summary.failures:
                self.progress.say(f"failed: {video}: {message}")
            if summary.failed > len(summary.failures):
                self.progress.say(f"and {summary.failed - len(summary.failures)} more; their rows say why")

    def _rows_complete(self, done: int) -> bool:
        return self._show_rows and self._rows >= done

    def _show(self, prediction: VideoPrediction) -> None:
        if self._json_rows:
            self._rows += 1
            print(json.dumps(prediction.to_row()), flush=True)  # ASCII, so that no terminal is moved by it
            return
        if self._to_file and self._out.is_terminal and self._rows >= ROWS_BESIDE_FILE:
            if self._rows == ROWS_BESIDE_FILE:
                self._out.print("...", style="dim")
                self._rows += 1
            return
        self._rows += 1
        if self._out.is_terminal:
            self._show_in_table(prediction)
        else:
            lines = segment_lines(prediction) + (explanation_lines(prediction) if self._explain else [])
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
        for line in segment_lines(prediction) + (explanation_lines(prediction) if self._explain else []):
            cell.append(f"\n  {line}", style="dim")
        table.add_row(Text(printable(prediction.video)), cell)
        self._out.print(table)


def plain_line(prediction: VideoPrediction) -> str:
    """Return a tab-separated line: the video, then its most probable labels; positive ones begin with a plus sign."""
    if prediction.error is not None:
        reason = f"{prediction.error.type}: {prediction.error.message}"
        return f"{printable(prediction.video)}\terror: {printable(reason)}"
    labels = [
        f"{'+' if label.positive else ' '}{printable(label.label)} {label.probability:.3f}"
        for label in _best(prediction)
    ]
    return "\t".join([printable(prediction.video), *labels])


def segment_lines(prediction: VideoPrediction) -> list[str]:
    """Return, per label among the best that has segments, when it is true: "dog: 0:03-0:12, 1:40-1:44"."""
    spans: dict[str, list[str]] = {label.label: [] for label in _best(prediction)}
    for segment in prediction.segments or ():
        if segment.label in spans:
            spans[segment.label].append(f"{clock(segment.start_s)}-{clock(segment.end_s)}")
    lines = []
    for label, own in spans.items():
        more = f" and {len(own) - SEGMENTS_SHOWN} more" if len(own) > SEGMENTS_SHOWN else ""
        if own:
            lines.append(printable(f"{label}: {', '.join(own[:SEGMENTS_SHOWN])}{more}"))
    return lines


def explanation_lines(prediction: VideoPrediction) -> list[str]:
    """Return, per positive label among the best, the texts and the moments that carried it."""
    shown = {label.label for label in _best(prediction) if label.positive}
    lines = []
    for explanation in prediction.explanations:
        if explanation.label not in shown:
            continue
        texts = ", ".join(f'"{text.text}" {text.contribution:+.3f}' for text in explanation.texts[:2])
        if [text.text for text in explanation.texts] == [explanation.label]:
            texts = ""  # it has no other text than its name
        times = [frame.time_s for frame in explanation.frames[:3]]
        moments = ", ".join(f"{moment:.1f} s" for moment in times if moment is not None)
        why = [part for part in (texts, f"at {moments}" if moments else "") if part]
        if why:
            lines.append(printable(f"{explanation.label}: {'; '.join(why)}"))
    return lines


def _counts(positives: Counter[str]) -> str:
    """Say in how many videos each label is positive, the most frequent first."""
    if not positives:
        return "no label in any video; lower the threshold with --threshold"
    shown = ", ".join(f"{label} {count}" for label, count in positives.most_common(COUNTS_SHOWN))
    return shown + (f" and {len(positives) - COUNTS_SHOWN} more labels" if len(positives) > COUNTS_SHOWN else "")


def _best(prediction: VideoPrediction) -> list[LabelPrediction]:
    return sorted(prediction.labels, key=lambda label: (-label.probability, -label.logit))[:LABELS_SHOWN]
