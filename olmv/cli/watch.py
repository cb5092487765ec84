"""`olmv watch`."""

from pathlib import Path
from typing import Annotated

import typer

from olmv.cli.help import LOOKING, PanelCommand
from olmv.cli.options import AttributesOption, DeviceOption, DtypeOption, QuietOption, ThresholdsOption, parse_time
from olmv.placement import PlacementOptions
from olmv.watch.options import WatchOptions

EPILOG = """\b
Examples:
  olmv watch rtsp://192.168.0.12/stream1 --labels "a person, a dog, a van"
  olmv watch /dev/video0 --labels labels.txt --post http://127.0.0.1:8080/events --pictures seen/
  ffmpeg -i SOMETHING -f mpegts - | olmv watch - --labels labels.txt --output events.jsonl
"""


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command("watch", cls=PanelCommand, epilog=EPILOG)(watch)


def watch(
    source: Annotated[
        str,
        typer.Argument(
            metavar="SOURCE",
            help="A live stream (rtsp, rtsps, http, https), a camera (/dev/video0), a file that grows, or - for "
            "standard input.",
            show_default=False,
        ),
    ],
    labels: Annotated[
        str,
        typer.Option("--labels", "-l", help='A label file (txt, csv, json, yaml), or "dog, guitar, rain".'),
    ],
    model: Annotated[
        str | None,
        typer.Option(
            "--model", "-m", metavar="NAME", help="See olmv models list.  [env: OLMV_MODEL]", show_default=False
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="X.jsonl", help="Append the events to this file as well."),
    ] = None,
    post: Annotated[
        str | None,
        typer.Option(metavar="URL", help="Post every event there; those not taken wait on disk and are sent again."),
    ] = None,
    pictures: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Keep a picture of each event's beginning and peak.")
    ] = None,
    threshold: Annotated[
        float | None, typer.Option(min=0, max=1, metavar="P", help="One threshold for all labels.")
    ] = None,
    thresholds: ThresholdsOption = None,
    hold: Annotated[
        float,
        typer.Option(
            parser=parse_time,
            metavar="TIME",
            help="A label begins when it has been true for so long.  [default: 1s]",
            show_default=False,
        ),
    ] = WatchOptions.hold_s,
    cooldown: Annotated[
        float,
        typer.Option(
            parser=parse_time,
            metavar="TIME",
            help="After its end a label begins not before so long.  [default: 5s]",
            show_default=False,
        ),
    ] = WatchOptions.cooldown_s,
    attributes: AttributesOption = None,
    fps: Annotated[
        float, typer.Option(metavar="N", help="Frames a second to look at.", rich_help_panel=LOOKING)
    ] = WatchOptions.fps,
    window: Annotated[
        float,
        typer.Option(
            parser=parse_time,
            metavar="TIME",
            help="How far back the labels are judged by.  [default: 4s]",
            show_default=False,
            rich_help_panel=LOOKING,
        ),
    ] = WatchOptions.window_s,
    device: DeviceOption = "auto",
    dtype: DtypeOption = "auto",
    quiet: QuietOption = False,
) -> None:
    """Tell when each label begins and ends in a live stream."""
    from olmv.cli.views.watch_view import WatchView
    from olmv.watch.job import WatchJob, run

    job = WatchJob(
        source=source,
        labels=labels,
        attributes=attributes,
        model=model,
        thresholds=thresholds,
        threshold=threshold,
        options=WatchOptions(fps=fps, window_s=window, hold_s=hold, cooldown_s=cooldown),
        placement=PlacementOptions(device=device, dtype=dtype),
        output=output,
        post=post,
        pictures=pictures,
    )
    with WatchView(quiet=quiet) as view:
        view.finished(run(job, view))
