"""What a person sees of `olmv index`: a progress bar on a terminal, plain lines elsewhere, and what a library has."""

from typing import TYPE_CHECKING

from olmv.cli.views.progress import ProgressView

if TYPE_CHECKING:
    from olmv.index.info import LibraryInfo
    from olmv.index.job import IndexJob, IndexSummary

__all__ = ["IndexView", "byte_text", "info_lines"]


class IndexView(ProgressView):
    """Shows a run.

    Args:
        quiet: say nothing at all.
    """

    def __init__(self, *, quiet: bool) -> None:
        super().__init__("videos", quiet=quiet, prefix="note: ")

    def finished(self, job: "IndexJob", summary: "IndexSummary") -> None:
        """Say the last lines: what was done, what failed, what the library has."""
        self.progress.stop()
        done = summary.ok + summary.failed
        parts = [f"{summary.ok} videos" if summary.ok != 1 else "1 video"]
        counts = (("failed", summary.failed), ("changed", summary.changed), ("moved", summary.moved))
        parts += [f"{count} {what}" for what, count in (*counts, ("removed", summary.removed)) if count]
        if (earlier := summary.earlier - summary.moved) > 0:
            failed = f" ({summary.earlier_failed} failed)" if summary.earlier_failed else ""
            parts.append(f"{earlier} from before{failed}")
        if done and summary.seconds > 0:
            parts.append(f"{summary.seconds:.1f} s, {done / summary.seconds:.1f} videos/s")
        self.progress.say(", ".join(parts))
        self.progress.say(
            f"{job.output}: {summary.videos:,} videos, {summary.all_windows:,} windows, {byte_text(summary.bytes)} in "
            f"{_fragments(summary.fragments)}"
        )
        for video, message in summary.failures:
            self.progress.say(f"failed: {video}: {message}")
        if summary.failed > len(summary.failures):
            self.progress.say(f"and {summary.failed - len(summary.failures)} more; videos.parquet says why")


def info_lines(info: "LibraryInfo") -> list[str]:
    """Write what a library has, a line each."""
    sampling = info.sampling
    if sampling["window_s"] is not None:
        looked = f"windows of {sampling['window_s']:g} s, each {sampling['step_s']:g} s; a frame each "
        looked += f"{sampling['every_s']:g} s"
    elif sampling["every_s"] is None:
        looked = f"{sampling['frames']} frames"
    else:
        looked = f"a frame each {sampling['every_s']:g} s, at least {sampling['frames']}"
        looked += "" if sampling["max_frames"] is None else f", at most {sampling['max_frames']}"
    lines = [
        f"library    {info.library}",
        f"model      {info.model}, {info.dtype}, {info.dimension} numbers",
        f"sampling   {looked}, {sampling['sampling']}",
        f"videos     {info.videos:,}" + (f", {info.failed:,} of them failed" if info.failed else ""),
        f"windows    {info.windows:,}",
        f"length     {info.hours:,.1f} h" if info.hours >= 1 else f"length     {60 * info.hours:.1f} min",
        f"on disk    {byte_text(info.bytes)} in {_fragments(info.fragments)}",
        f"dead       {100 * info.dead:.1f} %" + ("; compact it: olmv index -o LIBRARY --compact" * info.compactable),
    ]
    return [*lines, "verified   every file is as it was written"] if info.verified else lines


def byte_text(count: float) -> str:
    """Write a number of bytes: "3.2 MB"."""
    units = ["bytes", "kB", "MB", "GB", "TB"]
    while count >= 1000 and len(units) > 1:
        count /= 1000
        units.pop(0)
    return f"{count:.0f} {units[0]}" if units[0] == "bytes" or count >= 100 else f"{count:.1f} {units[0]}"


def _fragments(count: int) -> str:
    return "1 fragment" if count == 1 else f"{count:,} fragments"
