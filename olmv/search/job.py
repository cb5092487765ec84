"""Run `olmv search`: a library and what is looked for in; moments or near-duplicates, rows and a page out."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from olmv.errors import UsageError
from olmv.io.atomic import check_writable
from olmv.progress import JobListener
from olmv.search.rows import (
    GROUP_FIELDS,
    MOMENT_FIELDS,
    check_rows_output,
    group_rows,
    moment_rows,
    write_search_rows,
)
from olmv.search.summary import SearchSummary

if TYPE_CHECKING:
    from olmv.library.library import Library
    from olmv.library.query.duplicates import DuplicateGroup, DuplicateQuery
    from olmv.library.query.moments import Moment
    from olmv.library.query.queries import SearchQuery

__all__ = ["SearchJob", "SearchListener", "run"]


class SearchListener(JobListener):
    """Watches a search."""

    def found(self, moment: "Moment") -> None:
        """Take one more moment, the most probable first."""

    def grouped(self, number: int, group: "DuplicateGroup") -> None:
        """Take one more group of near-duplicates, counted from 1."""


@dataclass(frozen=True, kw_only=True)
class SearchJob:
    """What to search and where to write what is found.

    Attributes:
        library: its folder.
        query: what for; of near-duplicates, which videos.
        model: the library's, where it lies elsewhere by now; None for where it was.
        device: to encode the query on.
        output: rows as .jsonl or .csv, or None.
        report: an HTML page, or None.
    """

    library: Path
    query: "SearchQuery | DuplicateQuery"
    model: str | None = None
    device: str = "auto"
    output: Path | None = None
    report: Path | None = None


VERIFIED_BYTES = 256 * 2**20
"""A library up to this size is compared with its digests by each search: a quarter of a second."""


def run(job: SearchJob, listener: SearchListener) -> SearchSummary:
    """Do the job; everything that can be checked is checked before the model is loaded.

    Raises:
        UsageError: a query or an output that cannot be used.
        InputError: there is no library, or it is damaged.
        OutputError: a file cannot be written.
    """
    from olmv.library.library import Library
    from olmv.library.query.queries import SearchQuery

    _check_outputs(job)
    job.query.check()
    library = Library.open(job.library)
    if sum(fragment.size for fragment in library.fragments) <= VERIFIED_BYTES:
        library.verify()
    summary = SearchSummary()
    if isinstance(job.query, SearchQuery):
        _search(job, job.query, library, summary, listener)
    else:
        from olmv.library.query.duplicates import find_duplicates

        begun = time.monotonic()
        summary.groups = find_duplicates(library, job.query, advanced=listener.advanced)
        summary.videos, summary.seconds = job.query.videos.count(library), time.monotonic() - begun
        for number, group in enumerate(summary.groups, start=1):
            listener.grouped(number, group)
    if job.output is not None:
        if summary.groups is None:
            write_search_rows(job.output, moment_rows(summary.moments), MOMENT_FIELDS)
        else:
            write_search_rows(job.output, group_rows(summary.groups), GROUP_FIELDS)
        summary.written.append(job.output)
    if job.report is not None:
        from olmv.search.page import write_search_page

        write_search_page(job.report, summary, job.query, library)
        summary.written.append(job.report)
    return summary


def _check_outputs(job: SearchJob) -> None:
    if job.output is not None:
        check_rows_output(job.output)
        check_writable(job.output)
    if job.report is not None:
        if job.report.suffix.lower() not in (".html", ".htm"):
            raise UsageError(f"the report is an HTML file; end {job.report} in .html", option="report")
        check_writable(job.report)


def _search(
    job: SearchJob, query: "SearchQuery", library: "Library", summary: SearchSummary, listener: SearchListener
) -> None:
    from olmv.library.query.find import find_moments

    if not len(library):
        listener.note(f"{job.library} has no videos; index some")
        return
    model = library.model(job.model, device=job.device)
    begun = time.monotonic()
    result = find_moments(library, query, model, note=listener.note)
    summary.videos, summary.windows = result.videos, result.windows
    summary.moments, summary.best = result.moments, result.best
    summary.seconds = time.monotonic() - begun
    for moment in result.moments:
        listener.found(moment)
