"""What a person sees of `olmv search`: moments on standard output, everything else on standard error."""

import json
import sys

from olmv.cli.views.progress import ProgressView, printable
from olmv.library.query.duplicates import DuplicateGroup, DuplicateQuery
from olmv.library.query.moments import Moment
from olmv.library.query.queries import SearchQuery
from olmv.pages.figures import clock
from olmv.search.job import SearchListener
from olmv.search.rows import group_rows, moment_rows
from olmv.search.summary import SearchSummary

__all__ = ["SearchView"]

SHORT_S = 60.0  # a video that is shorter is told in tenths of a second


class SearchView(ProgressView, SearchListener):
    """Shows a search.

    Args:
        quiet: no notes and no summary; results only where they go to no file.
        to_file: results also go to a file.
        json_rows: results on standard output are the rows of a .jsonl file (`--output -`).
    """

    def __init__(self, *, quiet: bool, to_file: bool, json_rows: bool = False) -> None:
        super().__init__("videos", quiet=quiet, prefix="note: ")
        self._shows = json_rows or not (quiet and to_file)
        self._json = json_rows

    def found(self, moment: Moment) -> None:
        """Print a moment."""
        if self._shows and self._json:
            [row] = moment_rows([moment])
            print(json.dumps(row), flush=True)
        elif self._shows:
            print(f"{printable(moment.video)}\t{span(moment)}\t{moment.probability:.3f}", flush=True)

    def grouped(self, number: int, group: DuplicateGroup) -> None:
        """Print the videos of a group."""
        if not self._shows:
            return
        for row in group_rows([group]):
            if self._json:
                print(json.dumps({**row, "group": number}), flush=True)
            else:
                print(f"{number}\t{printable(row['video'])}\t{row['similarity']:.3f}", flush=True)

    def finished(self, summary: SearchSummary, query: SearchQuery | DuplicateQuery) -> None:
        """Print the last lines: how much was found, in how many videos; and where nothing is, the best there is."""
        sys.stdout.flush()
        say = self.progress.say
        searched = f"{summary.videos} videos" if summary.videos != 1 else "1 video"
        if summary.groups is not None:
            copies = sum(len(group.copies) for group in summary.groups)
            groups = "1 group" if len(summary.groups) == 1 else f"{len(summary.groups)} groups"
            found = f"{copies} videos in {groups} of copies" if copies else "no copies"
            say(f"{found} among {searched}, {summary.seconds:.1f} s")
        else:
            count = len(summary.moments)
            found = f"{count} moments" if count != 1 else "1 moment"
            say(f"{found if count else 'nothing found'} in {searched}, {summary.seconds:.1f} s")
            if isinstance(query, SearchQuery) and not count and summary.videos:
                say(nothing_line(summary, query))
            elif isinstance(query, SearchQuery) and not summary.videos and query.videos.shown:
                say(f"no video of the library is of {', '.join(query.videos.shown)}")
        for path in summary.written:
            say(f"wrote {path}")


def nothing_line(summary: SearchSummary, query: SearchQuery) -> str:
    """Say what the best was where nothing passes."""
    best = summary.best
    if best is None:
        return "no moment is left by what must not be true, or by the labels"
    return (
        f"the best there is: {best.video} {span(best)}, probability {best.probability:.3g} "
        f"where {query.threshold:g} is asked for (--threshold)"
    )


def span(moment: Moment) -> str:
    """Write when a moment begins and ends."""
    digits = int(moment.duration_s is not None and moment.duration_s < SHORT_S)
    return f"{clock(moment.start_s, digits=digits)}-{clock(moment.end_s, digits=digits)}"
