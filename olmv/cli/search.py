"""`olmv search`."""

from pathlib import Path
from typing import Annotated

import typer

from olmv.cli.help import WHERE, PanelCommand
from olmv.cli.options import DeviceOption, QuietOption, parse_time
from olmv.errors import UsageError

EPILOG = """\b
Examples:
  olmv search films.olmv "a dog catches a frisbee" --without snow --report found.html
  olmv search films.olmv --duplicates --output copies.csv
"""


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command("search", cls=PanelCommand, epilog=EPILOG)(search)


def search(
    library: Annotated[Path, typer.Argument(metavar="LIBRARY", help="Made by olmv index.", show_default=False)],
    texts: Annotated[
        list[str] | None,
        typer.Argument(metavar="TEXT...", help="What to look for; of several all must be true.", show_default=False),
    ] = None,
    without: Annotated[
        list[str] | None,
        typer.Option("--without", metavar="TEXT", help="What must not be true; may come again.", show_default=False),
    ] = None,
    like: Annotated[
        Path | None,
        typer.Option("--like", metavar="FILE", help="An image or a video to compare with.", show_default=False),
    ] = None,
    duplicates: Annotated[
        bool, typer.Option("--duplicates", help="Videos that are copies of each other, in place of moments.")
    ] = False,
    threshold: Annotated[
        float | None,
        typer.Option(
            "--threshold",
            metavar="P",
            help="The probability from which something is found.  [default: 0.5]",
            show_default=False,
        ),
    ] = None,
    top: Annotated[int | None, typer.Option("--top", metavar="K", help="The most moments.  [default: 20]")] = None,
    all_moments: Annotated[
        bool, typer.Option("--all-moments", help="Every moment of a video, not only its best.")
    ] = False,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="FILE", help="Rows as .jsonl or .csv; - for JSON lines on standard output."
        ),
    ] = None,
    report: Annotated[
        Path | None, typer.Option("--report", "-r", metavar="X.html", help="One HTML page to look at.")
    ] = None,
    path: Annotated[
        str | None,
        typer.Option("--path", metavar="GLOB", help="Those whose path or name matches.", rich_help_panel=WHERE),
    ] = None,
    longer_than: Annotated[
        float | None,
        typer.Option("--longer-than", parser=parse_time, metavar="TIME", help="Such as 2min.", rich_help_panel=WHERE),
    ] = None,
    shorter_than: Annotated[
        float | None,
        typer.Option("--shorter-than", parser=parse_time, metavar="TIME", help="Such as 30s.", rich_help_panel=WHERE),
    ] = None,
    labels: Annotated[
        list[str] | None,
        typer.Option(
            "--label",
            metavar="LABEL>P",
            help='Those of which a label is true, such as "dog>0.5", or "dog<0.2"; may come again.',
            rich_help_panel=WHERE,
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option("--model", "-m", metavar="NAME", help="The library's model, where it lies elsewhere by now."),
    ] = None,
    device: DeviceOption = "auto",
    quiet: QuietOption = False,
) -> None:
    """Find moments in a library by words, an image or a video, or videos that are copies."""
    from olmv.cli.views.search_view import SearchView
    from olmv.library.query.duplicates import DuplicateQuery
    from olmv.library.query.filters import LabelLimit, VideoFilter
    from olmv.library.query.queries import SearchQuery
    from olmv.search.job import SearchJob, run

    videos = VideoFilter(path=path, longer_than_s=longer_than, shorter_than_s=shorter_than)
    query: SearchQuery | DuplicateQuery
    if duplicates:
        _refuse_beside_duplicates(
            TEXT=texts, without=without, like=like, label=labels, top=top, **{"all-moments": all_moments or None}
        )
        query = DuplicateQuery(videos=videos, threshold=0.5 if threshold is None else threshold)
    else:
        query = SearchQuery(
            texts=tuple(texts or ()),
            without=tuple(without or ()),
            like=like,
            labels=tuple(LabelLimit.parse(text) for text in labels or ()),
            videos=videos,
            threshold=0.5 if threshold is None else threshold,
            top=20 if top is None else top,
            all_moments=all_moments,
        )
    to_stdout = output == Path("-")
    job = SearchJob(
        library=library,
        query=query,
        model=model,
        device=device,
        output=None if to_stdout else output,
        report=report,
    )
    with SearchView(quiet=quiet, to_file=job.output is not None or report is not None, json_rows=to_stdout) as view:
        view.finished(run(job, view), query)


def _refuse_beside_duplicates(**options: object) -> None:
    for name, value in options.items():
        if value is not None:
            shown = name if name == "TEXT" else f"--{name}"
            raise UsageError(f"--duplicates compares the videos with each other; leave out {shown}")
