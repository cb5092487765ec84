"""`olmv index` and `olmv index info`."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from olmv.cli.help import LOOKING, TIMES, PanelCommand
from olmv.cli.options import (
    ActorsOption,
    AddressOption,
    BatchSizeOption,
    DecoderOption,
    DeviceOption,
    DtypeOption,
    EngineOption,
    EveryOption,
    FpsOption,
    GpusPerActorOption,
    MaxFramesOption,
    QuietOption,
    RuntimeOption,
    ShardOption,
    StepOption,
    TimeoutOption,
    WindowOption,
    WorkersOption,
    open_engine,
    parse_shard,
)
from olmv.errors import UsageError
from olmv.placement import PlacementOptions
from olmv.video.options import DecodeOptions, Sampling

if TYPE_CHECKING:
    from olmv.scoring.windows import TimelineOptions

EPILOG = """\b
Examples:
  olmv index clips/ --output library
  olmv index clips/ --output library --update --compact
"""
INFO_EPILOG = """\b
Examples:
  olmv index info library
  olmv index info library --verify --json
"""


class IndexCommand(PanelCommand):
    """`olmv index INPUT...`, and a command of its own, `olmv index info`; a folder of that name is `./info`."""

    def make_context(self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any) -> Any:
        """Read the words behind the command."""
        if args[:1] == ["info"]:
            app = typer.Typer(rich_markup_mode=None, add_completion=False)
            app.command("info", cls=PanelCommand, epilog=INFO_EPILOG)(info)
            command: Any = typer.main.get_command(app)
            return command.make_context(f"{info_name} info", args[1:], parent=parent, **extra)
        return super().make_context(info_name, args, parent=parent, **extra)


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command("index", cls=IndexCommand, epilog=EPILOG)(index)


def index(
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="LIBRARY", help="Folder of the library, made or filled up.")
    ],
    inputs: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="INPUT...",
            help="Videos, photos, folders, globs, manifests, or - for paths on standard input; none to update or "
            "compact what the library has. olmv index info LIBRARY tells what it has.",
            show_default=False,
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            "-m",
            metavar="NAME",
            help="See olmv models list.  [default: the library's; env: OLMV_MODEL]",
            show_default=False,
        ),
    ] = None,
    update: Annotated[
        bool, typer.Option("--update", help="Also see to changed, deleted, moved and failed files.")
    ] = False,
    compact: Annotated[
        bool, typer.Option("--compact", help="Rewrite it into few files, without what counts no more.")
    ] = False,
    frames: Annotated[
        int | None,
        typer.Option(
            min=1, help="So many frames of a video, however long.", show_default=False, rich_help_panel=LOOKING
        ),
    ] = None,
    every: EveryOption = None,
    fps: FpsOption = None,
    max_frames: MaxFramesOption = None,
    sampling: Annotated[
        Sampling | None,
        typer.Option(help="Which frames.  [default: uniform]", show_default=False, rich_help_panel=LOOKING),
    ] = None,
    timeline: Annotated[
        bool, typer.Option("--timeline", help="Windows over time, not of whole videos.", rich_help_panel=TIMES)
    ] = False,
    window: WindowOption = None,
    step: StepOption = None,
    shard: ShardOption = None,
    decoder: DecoderOption = "auto",
    device: DeviceOption = "auto",
    dtype: DtypeOption = "auto",
    runtime: RuntimeOption = "torch",
    workers: WorkersOption = None,
    batch_size: BatchSizeOption = None,
    timeout: TimeoutOption = DecodeOptions.timeout_s,
    engine: EngineOption = None,
    address: AddressOption = None,
    actors: ActorsOption = None,
    gpus_per_actor: GpusPerActorOption = None,
    quiet: QuietOption = False,
) -> None:
    """Keep what a model makes of videos, to search it and to ask it new labels."""
    from olmv.cli.views.index_view import IndexView
    from olmv.index.job import IndexJob, run

    if every is not None and fps is not None:
        raise UsageError("--every and --fps say the same; leave out one of them")
    job = IndexJob(
        inputs=inputs or [],
        output=output,
        model=model,
        frames=frames,
        every_s=every if fps is None else 1 / fps,
        timeline=_timeline(timeline, window_s=window, step_s=step),
        sampling=sampling,
        decode=DecodeOptions(max_frames=max_frames, decoder=decoder, workers=workers, timeout_s=timeout),
        placement=PlacementOptions(device=device, dtype=dtype, runtime=runtime, batch_size=batch_size),
        update=update,
        compact=compact,
        shard=parse_shard(shard),
    )
    cluster = open_engine(engine, address=address, actors=actors, gpus_per_actor=gpus_per_actor, workers=workers)
    with cluster as ray_engine, IndexView(quiet=quiet) as view:
        indexer = None
        if ray_engine is not None:
            from olmv.cluster.index import RayIndexer

            indexer = RayIndexer(ray_engine)
        summary = run(job, view, indexer)
        view.finished(job, summary)
    if summary.failed or summary.earlier_failed:
        raise typer.Exit(1)


def info(
    library: Annotated[Path, typer.Argument(metavar="LIBRARY", help="Its folder.", show_default=False)],
    verify: Annotated[bool, typer.Option("--verify", help="Compare every file with its digest.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="As one JSON object.")] = False,
) -> None:
    """Tell what a library has."""
    from olmv.cli.views.index_view import info_lines
    from olmv.cli.views.progress import printable
    from olmv.index.info import library_info

    facts = library_info(library, verify=verify)
    if as_json:
        print(json.dumps(facts.to_document()))
        return
    print("\n".join(printable(line) for line in info_lines(facts)))


def _timeline(timeline: bool, **options: float | None) -> "TimelineOptions | None":
    """Make the options of a timeline; those that are None have their defaults."""
    from olmv.scoring.windows import TimelineOptions

    given = {name: value for name, value in options.items() if value is not None}
    if timeline:
        return TimelineOptions(**given)
    if given:
        raise UsageError(f"--{next(iter(given)).removesuffix('_s')} goes with --timeline; add it")
    return None
