"""`olmv serve`."""

from pathlib import Path
from typing import Annotated

import typer

from olmv.cli.help import PanelCommand
from olmv.cli.options import (
    AttributesOption,
    DeviceOption,
    DtypeOption,
    RuntimeOption,
    ThresholdsOption,
    TimeoutOption,
    WorkersOption,
)
from olmv.placement import PlacementOptions
from olmv.serve.options import ServeJob, ServeOptions

EPILOG = """\b
Examples:
  olmv serve --labels "dog, guitar, rain"
  olmv serve films.olmv --labels labels.txt --root films/
"""


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command("serve", cls=PanelCommand, epilog=EPILOG)(serve)


def serve(
    source: Annotated[
        Path | None,
        typer.Argument(
            metavar="LIBRARY",
            help="Of olmv index, to search and review; or rows of olmv predict, to review.",
            show_default=False,
        ),
    ] = None,
    labels: Annotated[
        str | None,
        typer.Option(
            "--labels",
            "-l",
            help='A label file (txt, csv, json, yaml), or "dog, guitar, rain"; who asks may name others.',
            show_default=False,
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            "--model", "-m", metavar="NAME", help="See olmv models list.  [env: OLMV_MODEL]", show_default=False
        ),
    ] = None,
    host: Annotated[
        str, typer.Option(metavar="ADDRESS", help="Where to listen; beyond this machine a token is asked for.")
    ] = ServeOptions.host,
    port: Annotated[int, typer.Option(metavar="N", help="0 for any that is free.")] = ServeOptions.port,
    root: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Its files may be asked for by their paths.")
    ] = None,
    token: Annotated[
        str | None,
        typer.Option(
            envvar="OLMV_TOKEN",
            metavar="TOKEN",
            help="What clients must show; better in the environment, where ps does not tell it.",
            show_default=False,
        ),
    ] = None,
    allow_urls: Annotated[bool, typer.Option("--allow-urls", help="Public addresses may be asked for.")] = False,
    threshold: Annotated[
        float | None, typer.Option(min=0, max=1, metavar="P", help="One threshold for all labels.")
    ] = None,
    thresholds: ThresholdsOption = None,
    attributes: AttributesOption = None,
    max_upload: Annotated[
        int, typer.Option(metavar="MB", help="The most that one request may send.")
    ] = ServeOptions.max_upload_mb,
    queue: Annotated[
        int, typer.Option(metavar="N", help="Videos that may wait; beyond it clients are told to come back.")
    ] = ServeOptions.queue,
    timeout: TimeoutOption = ServeOptions.timeout_s,
    workers: WorkersOption = None,
    device: DeviceOption = "auto",
    dtype: DtypeOption = "auto",
    runtime: RuntimeOption = "torch",
) -> None:
    """Open a page and an HTTP service: predict, search and review with one warm model."""
    from olmv.cli.views.serve_view import ServeView
    from olmv.serve.job import run

    job = ServeJob(
        source=source,
        labels=labels,
        attributes=attributes,
        model=model,
        thresholds=thresholds,
        threshold=threshold,
        placement=PlacementOptions(device=device, dtype=dtype, runtime=runtime),
        options=ServeOptions(
            host=host,
            port=port,
            root=root,
            token=token,
            allow_urls=allow_urls,
            max_upload_mb=max_upload,
            queue=queue,
            timeout_s=timeout,
            workers=workers,
        ),
    )
    run(job, ServeView())
