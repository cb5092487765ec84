"""`olmv predict`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from olmv.cli.config import ConfigOption
from olmv.cli.help import LOOKING, PanelCommand
from olmv.cli.options import (
    ActorsOption,
    AddressOption,
    AttributesOption,
    BatchSizeOption,
    DecoderOption,
    DeviceOption,
    DtypeOption,
    EngineOption,
    EveryOption,
    FpsOption,
    FramePoolingOption,
    GpusPerActorOption,
    InputsArgument,
    JoinOption,
    LeastOption,
    MaxFramesOption,
    PoolingOption,
    QuietOption,
    ResumeOption,
    RuntimeOption,
    SamplingOption,
    ServerOption,
    ShardOption,
    StepOption,
    TemplatesOption,
    ThresholdsOption,
    TimelineOption,
    TimeoutOption,
    WindowOption,
    WorkersOption,
    open_engine,
    open_server,
    parse_shard,
)
from olmv.errors import UsageError
from olmv.pages.picture_folder import ReportPictures
from olmv.placement import PlacementOptions
from olmv.scoring.options import ScoreOptions
from olmv.video.options import DecodeOptions

if TYPE_CHECKING:
    from olmv.predict.engine import PredictEngine
    from olmv.scoring.windows import TimelineOptions

EPILOG = """\b
Examples:
  olmv predict clips/ --labels "dog, guitar, rain" --output rows.jsonl
  olmv predict "clips/*.mp4" --labels labels.txt --timeline --report report.html
"""


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command("predict", cls=PanelCommand, epilog=EPILOG)(predict)


def predict(
    inputs: InputsArgument,
    labels: Annotated[
        str | None,
        typer.Option(
            "--labels",
            "-l",
            help='A label file (txt, csv, json, yaml), or "dog, guitar, rain"; none to decide rows anew.',
            show_default=False,
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            "--model", "-m", metavar="NAME", help="See olmv models list.  [env: OLMV_MODEL]", show_default=False
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="Rows as .jsonl, .csv, .parquet or .xlsx; - for JSON lines on standard output.",
        ),
    ] = None,
    report: Annotated[
        Path | None, typer.Option("--report", "-r", metavar="X.html", help="One HTML page to look at.")
    ] = None,
    report_pictures: Annotated[
        ReportPictures,
        typer.Option(
            help="The page's pictures inside it (file), in a folder beside it (folder), or there from 501 videos on.",
        ),
    ] = "auto",
    threshold: Annotated[
        float | None, typer.Option(min=0, max=1, metavar="P", help="One threshold for all labels.")
    ] = None,
    thresholds: ThresholdsOption = None,
    top_k: Annotated[int | None, typer.Option(min=1, metavar="K", help="Only the K most probable labels.")] = None,
    multi_label: Annotated[
        bool,
        typer.Option(
            "--multi-label/--single-label",
            help="Every label by itself, or the one best label.",
            show_default=False,
        ),
    ] = True,
    explain: Annotated[bool, typer.Option("--explain", help="Say which texts and frames carried a label.")] = False,
    wide: Annotated[bool, typer.Option("--wide", help="A csv or xlsx of a row a video and a column a label.")] = False,
    attributes: AttributesOption = None,
    frames: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="So many frames of a video, however long.",
            show_default=False,
            rich_help_panel=LOOKING,
        ),
    ] = None,
    every: EveryOption = None,
    fps: FpsOption = None,
    max_frames: MaxFramesOption = None,
    sampling: SamplingOption = None,
    pooling: PoolingOption = "mean",
    frame_pooling: FramePoolingOption = None,
    templates: TemplatesOption = None,
    timeline: TimelineOption = False,
    window: WindowOption = None,
    step: StepOption = None,
    join: JoinOption = None,
    least: LeastOption = None,
    config: ConfigOption = None,
    resume: ResumeOption = True,
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
    server: ServerOption = None,
    quiet: QuietOption = False,
) -> None:
    """Tell which of the labels are true of each video."""
    from olmv.cli.views.predict_view import PredictView
    from olmv.predict.job import PredictJob, run

    to_stdout = output == Path("-")
    if to_stdout and wide:
        raise UsageError("standard output gets rows as JSON lines; leave out --wide, or name a file")
    if every is not None and fps is not None:
        raise UsageError("--every and --fps say the same; leave out one of them")
    job = PredictJob(
        inputs=inputs,
        labels=labels,
        attributes=attributes,
        model=model,
        thresholds=thresholds,
        frames=frames,
        every_s=every if fps is None else 1 / fps,
        sampling=sampling,
        timeline=_timeline(timeline, inputs, window_s=window, step_s=step, join_s=join, least_s=least),
        decode=DecodeOptions(max_frames=max_frames, decoder=decoder, workers=workers, timeout_s=timeout),
        score=ScoreOptions(
            mode="multi-label" if multi_label else "single-label",
            pooling=pooling,
            frame_pooling=frame_pooling,
            templates=templates,
            threshold=threshold,
            top_k=top_k,
            explain=explain,
        ),
        placement=PlacementOptions(device=device, dtype=dtype, runtime=runtime, batch_size=batch_size),
        output=None if to_stdout else output,
        wide=wide,
        report=report,
        report_pictures=report_pictures,
        resume=resume,
        shard=parse_shard(shard),
    )
    to_file = job.output is not None or report is not None
    cluster = open_engine(engine, address=address, actors=actors, gpus_per_actor=gpus_per_actor, workers=workers)
    if engine is not None and server is not None:
        raise UsageError("--engine and --server say two places; leave out one of them")
    with (
        cluster as ray_engine,
        open_server(server) as server_predictor,
        PredictView(quiet=quiet, to_file=to_file, explain=explain, json_rows=to_stdout) as view,
    ):
        predictor: PredictEngine | None = server_predictor
        if ray_engine is not None:
            from olmv.cluster.predict import RayPredictor

            predictor = RayPredictor(ray_engine)
        summary = run(job, view, predictor)
        view.finished(summary)
    if summary.failed or summary.earlier_failed:
        raise typer.Exit(1)


def _timeline(timeline: bool, inputs: list[str], **options: float | None) -> "TimelineOptions | None":
    """Make the options of a timeline; those that are None have their defaults, or what a library was made with."""
    from olmv.predict.inputs import stored_windows
    from olmv.scoring.windows import TimelineOptions

    given = {name: value for name, value in options.items() if value is not None}
    if timeline:
        return TimelineOptions(**{**stored_windows(inputs), **given})
    if given:
        raise UsageError(f"--{next(iter(given)).removesuffix('_s')} goes with --timeline; add it")
    return None
