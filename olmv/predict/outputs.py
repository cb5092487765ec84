"""Write what a predict run leaves behind: its table and its page, beside the journal of its rows."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from olmv.errors import UsageError
from olmv.io.atomic import check_writable
from olmv.io.curves import Curve, CurveFile, curves_path
from olmv.io.prediction_rows import check_format, write_rows
from olmv.io.run_journal import RunJournal
from olmv.labels.vocabulary import Vocabulary
from olmv.models.default import model_note
from olmv.pages.picture_folder import ReportPictures, check_picture_folder, in_folder
from olmv.pages.pictures import Pictures, PictureStore
from olmv.predict.page import ReportInfo, write_report
from olmv.predict.part_journal import PartJournal
from olmv.predict.segment_files import check_segments_output, needs_pictures, segment_format, write_segments
from olmv.predict.settings import PredictSettings
from olmv.predict.sheets import check_sheet, write_wide, write_xlsx
from olmv.video.options import DecodeOptions
from olmv.video.transforms import Preprocess

if TYPE_CHECKING:
    from olmv.library.source import StoredVideos
    from olmv.predict.engine import NamedModel

__all__ = ["Outputs", "fetch_missing_pictures"]


class Outputs:
    """The files that the user asked for.

    Args:
        output: rows as .jsonl, .csv, .parquet or .xlsx, or of a timeline segments, see `olmv.predict.segment_files`;
            None for none.
        report: an HTML page; None for none.
        report_pictures: where its pictures are, see `olmv.predict.page.write_report`.
        wide: the table has a row a video and a column a label.
        timeline: rows have segments.

    Attributes:
        written: the files that are there by now.
    """

    def __init__(
        self,
        output: Path | None,
        report: Path | None,
        *,
        wide: bool,
        timeline: bool = False,
        report_pictures: ReportPictures = "auto",
    ) -> None:
        self._output, self._report, self._wide, self._timeline = output, report, wide, timeline
        self._report_pictures: ReportPictures = report_pictures
        self.written: list[Path] = []

    @property
    def first(self) -> Path | None:
        """Return the file that names the journal."""
        return self._output or self._report

    def check(self) -> None:
        """Check names and folders before anything is done.

        Raises:
            UsageError: a format that there is not, a wide table without a file, or pictures without a page.
            OutputError: a file cannot be written.
        """
        if self._wide and self._output is None:
            raise UsageError("a wide table needs a file; name an output X.csv or X.xlsx", option="output")
        if self._wide and self._timeline:
            raise UsageError("a wide table has no times; leave out one of them", option=("wide", "timeline"))
        if self._timeline and self._output is not None and "{}" in self._output.name and not self._writes_segments:
            raise UsageError(f"rows of all videos go into one file; leave {{}} out of {self._output}", option="output")
        if self._output is not None and not self._writes_segments:
            if not self._timeline and segment_format(self._output) not in (None, "csv", "parquet"):
                raise UsageError(f"{self._output} is for segments; ask for a timeline", option="timeline")
            check_format(self._output)
            check_writable(self._output)
        if self._report is None and self._report_pictures != "auto":
            raise UsageError("these are pictures of a page; name a report", option="report_pictures")
        if self._report is not None:
            if self._report.suffix.lower() not in (".html", ".htm"):
                raise UsageError(f"the report is an HTML file; end {self._report} in .html")
            check_writable(self._report)

    def check_videos(self, videos: Sequence[str]) -> None:
        """Check that what is asked for can be written of these videos.

        Raises:
            UsageError: a format that there is not, or one that holds a single video.
            OutputError: a file cannot be written, or something else has the name of the page's folder.
        """
        if self._output is not None and self._writes_segments:
            check_segments_output(self._output, videos)
        if self._report is not None and in_folder(self._report_pictures, len(videos)):
            check_picture_folder(self._report)

    @property
    def _writes_segments(self) -> bool:
        return self._timeline and self._output is not None and self._output.suffix.lower() != ".jsonl"

    @property
    def shows_pictures(self) -> bool:
        """Tell whether frames are looked at afterwards."""
        return self._report is not None or (self._output is not None and needs_pictures(self._output))

    def check_labels(self, labels: int) -> None:
        """Raise UsageError if a sheet has no room for so many labels."""
        if self._output is not None:
            check_sheet(self._output, wide=self._wide, labels=labels)

    def open_pictures(self, stack: ExitStack, *, resume: bool) -> PictureStore | None:
        """Open the store of frames for the page; None where there is no page."""
        owner = self._report or self._output
        if owner is None or not self.shows_pictures:
            return None
        path = owner.with_name(owner.name + ".pictures.jsonl")
        store = PictureStore(path, resume=resume)
        stack.callback(store.close)
        return store

    def open_parts(
        self, stack: ExitStack, settings: PredictSettings, pictures: PictureStore | None, *, resume: bool
    ) -> PartJournal | None:
        """Open the journal of parts of a timeline; None where nothing is written."""
        if self.first is None:
            return None
        names = settings.vocabulary.names
        parts = PartJournal(self.first, settings.of_parts(), names, pictures=pictures, resume=resume)
        stack.callback(parts.close)
        return parts

    def write_curves(self, journal: RunJournal, parts: PartJournal) -> None:
        """Write the curves of all rows."""
        self.written.append(parts.write_curves(row["video"] for row in journal.rows() if row["status"] == "ok"))

    def write_table(self, journal: RunJournal, vocabulary: Vocabulary, pictures: PictureStore | None) -> None:
        """Write the rows of the journal as the file that was asked for; a .jsonl file is the journal itself."""
        output = self._output
        if output is None:
            return
        if self._writes_segments:
            none: Callable[[str], Pictures | None] = lambda video: None  # noqa: E731
            self.written += write_segments(output, journal.rows, none if pictures is None else pictures.get)
            return
        if self._wide:
            write_wide(output, journal.rows(), vocabulary.names)
        elif output.suffix.lower() == ".xlsx":
            write_xlsx(output, journal.rows())
        elif output != journal.path:
            write_rows(output, journal.rows())
        self.written.append(output)

    def write_page(
        self, journal: RunJournal, pictures: PictureStore, model: "NamedModel", settings: PredictSettings
    ) -> None:
        """Write the page of all rows."""
        if self._report is None or self.first is None:
            return
        sampling = {"frames": str(settings.frames), "sampling": str(settings.sampling)}
        if settings.every_s is not None:
            least = "" if self._timeline else f", at least {settings.frames}"
            sampling["frames"] = f"one each {settings.every_s:g} s{least}"
        if settings.timeline is not None:
            sampling["windows"] = f"{settings.timeline.window_s:g} s each {settings.timeline.step_s:g} s"
        info = ReportInfo(
            model=model.name,
            labels=list(settings.vocabulary.names),
            settings={
                "mode": str(settings.mode),
                **sampling,
                "pooling": str(settings.pooling),
                "frame pooling": settings.frame_pooling or model.frame_pooling,
            },
            note=model_note(model.name),
            calibrated=bool(settings.scalings),
        )
        curves: Callable[[str], Curve | None] = lambda video: None  # noqa: E731
        if self._timeline and (path := curves_path(self.first)).exists():
            curves = CurveFile(path).get
        write_report(
            self._report,
            journal.rows,
            pictures=pictures.get,
            curves=curves,
            info=info,
            report_pictures=self._report_pictures,
        )
        self.written.append(self._report)


def fetch_missing_pictures(
    journal: RunJournal,
    pictures: PictureStore,
    preprocess: Preprocess,
    decode: DecodeOptions,
    stored: "StoredVideos | None" = None,
) -> None:
    """Decode again, for their pictures only, the videos whose rows are from a run that kept none.

    Those of a library have them there.
    """
    missing = [row["video"] for row in journal.rows() if row["status"] == "ok" and row["video"] not in pictures]
    if not missing:
        return
    if stored is not None:
        for part in stored.pictures(missing):
            pictures.add(part.path, part.thumbnail_times_s, part.thumbnails, part=part.part, parts=part.parts)
        return
    from olmv.video.workers.loader import FrameLoader

    options = replace(decode, thumbnails=True)
    with FrameLoader(missing, preprocess=preprocess, options=options) as loader:
        for video in loader:
            if video.thumbnails:
                times, jpegs = video.thumbnail_times_s, video.thumbnails
                pictures.add(video.path, times, jpegs, part=video.part, parts=video.parts)
