"""`olmv evaluate`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from olmv.cli.help import PanelCommand
from olmv.cli.options import (
    AllowUnknownOption,
    AttributesOption,
    BatchSizeOption,
    DecoderOption,
    DeviceOption,
    DtypeOption,
    PoolingOption,
    QuietOption,
    TemplatesOption,
    ThresholdsOption,
    TimeoutOption,
    WorkersOption,
)
from olmv.cli.views.progress import ProgressView, printable
from olmv.io.clock import parse_seconds
from olmv.placement import PlacementOptions
from olmv.scoring.options import FramePooling, ScoreOptions
from olmv.video.options import DecodeOptions

if TYPE_CHECKING:
    from olmv.evaluate.compare import Comparison
    from olmv.evaluate.results import Result

EPILOG = """\b
Examples:
  olmv evaluate moji --clips 60 -o runs/moji
  olmv evaluate --compare runs/moji runs/other -o runs/compared

\b
Protocols: ucf101-ep1 -ep2 -ep3 -few-shot, hmdb51-ep1 -ep2 -ep3 -few-shot, kinetics400, kinetics600-zero-shot,
  msrvtt, charades, activitynet, youtube8m, manifest (csv, jsonl, parquet with video and labels),
  predictions (rows of olmv predict), timed (rows of olmv predict --timeline), moji (needs no data).
"""

# headline figures that are printed in full; the rest stand on the page
_FIRST = (
    *("top1", "top5", "macro_map", "micro_ap", "macro_f1", "micro_f1", "harmonic_map"),
    *("brier_skill", "ece", "ece_above", "bin_error"),
    *("map_iou30", "map_iou50", "map_iou70", "mean_map", "frame_map", "event_f1", "event_precision", "event_recall"),
    *("t2v_r1", "v2t_r1"),
)


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command("evaluate", cls=PanelCommand, epilog=EPILOG)(evaluate)


def evaluate(
    protocol: Annotated[
        str | None, typer.Argument(metavar="PROTOCOL", help="What to measure; see below.", show_default=False)
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option("--data", "-d", metavar="ROOT", help="The data set's own folder, a manifest, or predictions."),
    ] = None,
    model: Annotated[
        str | None, typer.Option("--model", "-m", metavar="NAME", help="See olmv models list.", show_default=False)
    ] = None,
    library: Annotated[
        Path | None,
        typer.Option(metavar="LIBRARY", help="Has the videos' embeddings: nothing is decoded.", show_default=False),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="DIR", help="The result folder.  [default: runs/PROTOCOL]", show_default=False
        ),
    ] = None,
    compare: Annotated[
        tuple[Path, Path] | None,
        typer.Option(metavar="A B", help="Two result folders side by side, instead of a protocol.", show_default=False),
    ] = None,
    truth: Annotated[
        Path | None,
        typer.Option(metavar="MANIFEST", help="For predictions: what is true of the videos; for timed: and when."),
    ] = None,
    labels: Annotated[
        str | None, typer.Option("--labels", "-l", help="For manifest: the vocabulary.  [default: labels that occur]")
    ] = None,
    attributes: AttributesOption = None,
    unseen: Annotated[
        str | None, typer.Option(metavar="LABELS", help="Labels that training did not see: figures of their own.")
    ] = None,
    thresholds: ThresholdsOption = None,
    views: Annotated[
        str, typer.Option(help="What a model sees of a video: uniform, openvclip, xclip, xclip-4x3.")
    ] = "uniform",
    frames: Annotated[
        int | None, typer.Option(min=1, help="Frames of a clip.  [default: 8]", show_default=False)
    ] = None,
    templates: TemplatesOption = None,
    pooling: PoolingOption = "mean",
    frame_pooling: Annotated[
        FramePooling | None,
        typer.Option(
            help="Over a video's frames.  [default: that of the views, else the model's own]", show_default=False
        ),
    ] = None,
    lists: Annotated[
        Path | None, typer.Option(metavar="PATH", help="Your own sample lists, in the place of the seeded draw.")
    ] = None,
    shots: Annotated[
        int | None, typer.Option(min=1, metavar="K", help="For few-shot: training videos a class.")
    ] = None,
    split: Annotated[str | None, typer.Option(help="For manifest: only rows of this split.")] = None,
    allow_unknown: AllowUnknownOption = False,
    clips: Annotated[int | None, typer.Option(min=3, help="For moji: how many to draw.  [default: 1500]")] = None,
    seed: Annotated[int | None, typer.Option(help="Of a draw.  [default: the protocol's own]")] = None,
    tolerance_s: Annotated[
        str | None,
        typer.Option(
            "--tolerance",
            metavar="TIME",
            help="For timed: how far off begin and end of an event may be.  [default: 1s]",
            show_default=False,
        ),
    ] = None,
    resume: Annotated[bool, typer.Option(help="Go on from the scores of an earlier run, or start over.")] = True,
    decoder: DecoderOption = "auto",
    device: DeviceOption = "auto",
    dtype: DtypeOption = "auto",
    workers: WorkersOption = None,
    batch_size: BatchSizeOption = None,
    timeout: TimeoutOption = DecodeOptions.timeout_s,
    quiet: QuietOption = False,
) -> None:
    """Measure a model by a published protocol, or compare two results."""
    if compare is not None:
        if protocol is not None:
            raise typer.BadParameter("give a PROTOCOL to measure, or --compare A B, not both")
        _compare(compare, output, quiet=quiet)
        return
    if protocol is None:
        raise typer.BadParameter("give a PROTOCOL, such as moji, or --compare A B")
    from olmv.evaluate.job import EvaluateJob, run

    job = EvaluateJob(
        protocol=protocol,
        data=data,
        model=model,
        library=library,
        output=output,
        truth=truth,
        labels=labels,
        attributes=attributes,
        unseen=unseen,
        thresholds=thresholds,
        views=views,
        frames=frames,
        score=ScoreOptions(pooling=pooling, frame_pooling=frame_pooling, templates=templates),
        lists=lists,
        shots=shots,
        split=split,
        allow_unknown=allow_unknown,
        clips=clips,
        seed=seed,
        tolerance_s=None if tolerance_s is None else parse_seconds(tolerance_s),
        resume=resume,
        decode=DecodeOptions(decoder=decoder, workers=workers, timeout_s=timeout),
        placement=PlacementOptions(device=device, dtype=dtype, batch_size=batch_size),
    )
    with ProgressView("videos", quiet=quiet) as view:
        summary = run(job, view)
    result = summary.result
    _show(result)
    view.note(f"wrote {summary.folder / 'index.html'}")
    if result.counts["failed"]:
        view.note(f"{result.counts['failed']} videos could not be read and are left out; videos.jsonl says why")
        raise typer.Exit(1)


def _show(result: "Result") -> None:
    """Print the headline figures to standard output."""
    from rich.console import Console
    from rich.table import Table

    from olmv.pages.figures import title

    table = Table("figure", "value", "95 % interval", title=printable(f"{result.model} on {result.protocol}"))
    for name in [name for name in _FIRST if name in result.metrics]:
        spread = result.metrics.get(f"{name}_std")
        interval = result.intervals.get(name)
        value = f"{result.metrics[name]:.3f}" + ("" if spread is None else f" +- {spread:.3f}")
        table.add_row(title(name), value, "" if interval is None else f"{interval[0]:.3f} to {interval[1]:.3f}")
    for group, metrics in result.groups.items():
        if group == "harmonic":
            continue
        table.add_row(f"{title('macro_map')} of {printable(group)}", f"{metrics['macro_map']:.3f}", "")
    if any(name.endswith("_std") for name in result.metrics):
        table.caption = "+- is the sample standard deviation over the splits"
    Console(highlight=False).print(table)


def _compare(folders: tuple[Path, Path], output: Path | None, *, quiet: bool) -> None:
    from olmv.evaluate.compare import compare
    from olmv.evaluate.compare_page import write_comparison

    comparison = compare(*folders)
    _show_comparison(comparison)
    if output is not None:
        write_comparison(output, comparison)
        if not quiet:
            typer.echo(f"wrote {output / 'index.html'}", err=True)


def _show_comparison(comparison: "Comparison") -> None:
    """Print figures side by side to standard output."""
    from rich.console import Console
    from rich.table import Table

    from olmv.pages.figures import title

    first, second = (printable(name) for name in comparison.names)
    out = Console(highlight=False)
    table = Table("figure", first, second, "difference", "95 % interval", "p", title=f"{comparison.videos} videos")
    for name in [name for name in _FIRST if name in comparison.figures]:
        figure = comparison.figures[name]
        interval = f"{figure.low:+.3f} to {figure.high:+.3f}" if figure.resamples else ""
        row = (
            title(name),
            f"{figure.a:.3f}",
            f"{figure.b:.3f}",
            f"{figure.difference:+.3f}",
            interval,
            f"{figure.p:.3f}",
        )
        table.add_row(*row)
    out.print(table)
    for name, before, after in comparison.settings:
        out.print(printable(f"{name}: {before} / {after}"), markup=False)
    for note in comparison.notes:
        out.print(printable(note), markup=False)
