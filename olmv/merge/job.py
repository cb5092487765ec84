"""Run `olmv merge`: the rows or libraries of several runs become those of one; safe to run again."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from olmv.errors import InputError, UsageError
from olmv.library.settings import is_library
from olmv.merge.summary import MergeSummary
from olmv.progress import JobListener

__all__ = ["MergeJob", "MergeSummary", "run"]


@dataclass(frozen=True, kw_only=True)
class MergeJob:
    """What to put together, and where.

    Attributes:
        output: the file of rows (.jsonl), or the library. One that is there must hold nothing but what the parts hold.
        parts: rows of `olmv predict` or `olmv caption`, or libraries.
    """

    output: Path
    parts: list[Path]


def run(job: MergeJob, listener: JobListener) -> MergeSummary:
    """Do the job.

    Raises:
        UsageError: parts of other settings, or an output that is something else; nothing was done.
        InputError: a part is not there, or damaged.
        OutputError: the output cannot be written; what was there is there, and the same command goes on.
    """
    if not job.parts:
        raise InputError("nothing to merge: name the rows or the libraries of several runs")
    names = [part.resolve() for part in job.parts]
    for part, name in zip(job.parts, names, strict=True):
        if name == job.output.resolve():
            raise UsageError(f"{part} is a part and the output; name the output first, and as something new")
        if names.count(name) > 1:
            raise UsageError(f"{part} is named twice; leave one out")
    return _merge(job)(job.output, job.parts, listener.note)


def _merge(job: MergeJob) -> Callable[[Path, list[Path], Callable[[str], None]], MergeSummary]:
    libraries = [is_library(part) for part in job.parts]
    if any(libraries) and not all(libraries):
        one, other = job.parts[libraries.index(True)], job.parts[libraries.index(False)]
        raise UsageError(f"{one} is a library and {other} is not; merge libraries, or rows")
    if libraries[0]:
        from olmv.merge.libraries import merge_libraries

        return merge_libraries
    from olmv.merge.rows import merge_rows

    return merge_rows
