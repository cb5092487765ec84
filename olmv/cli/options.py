"""Options that several commands share: each is declared here once, with its help."""

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from olmv.cli.help import CLUSTER, LOOKING, RUNNING, TIMES
from olmv.errors import UsageError
from olmv.io.clock import parse_seconds
from olmv.placement import Runtime
from olmv.scoring.options import FramePooling, Pooling
from olmv.video.options import Decoder, Sampling

if TYPE_CHECKING:
    from olmv.cluster.engine import RayEngine
    from olmv.datasets.shards import Shard
    from olmv.predict.engine import ServerPredictor

__all__ = [
    "ActorsOption",
    "AddressOption",
    "AllowUnknownOption",
    "AttributesOption",
    "BatchSizeOption",
    "DecoderOption",
    "DeviceOption",
    "DtypeOption",
    "EngineOption",
    "EveryOption",
    "FpsOption",
    "FramePoolingOption",
    "GpusPerActorOption",
    "InputsArgument",
    "JoinOption",
    "LeastOption",
    "MaxFramesOption",
    "PoolingOption",
    "QuietOption",
    "ResumeOption",
    "RetriesOption",
    "RuntimeOption",
    "SamplingOption",
    "ServerOption",
    "ShardOption",
    "StepOption",
    "TemplatesOption",
    "ThresholdsOption",
    "TimelineOption",
    "TimeoutOption",
    "WindowOption",
    "WorkersOption",
    "open_engine",
    "open_server",
    "parse_shard",
    "parse_time",
]


Engine = Literal["ray"]


def parse_time(value: str | float) -> float:
    """Read an option that is a time, for typer's `parser`, which also hands over a default as it is."""
    if not isinstance(value, str):
        return float(value)
    try:
        return parse_seconds(value)
    except UsageError as failure:
        raise typer.BadParameter(str(failure)) from None


def parse_shard(text: str | None) -> "Shard | None":
    """Read an option that is one of several parts, such as `3/16`.

    Raises:
        UsageError: there is no such part.
    """
    from olmv.datasets.shards import Shard

    return None if text is None else Shard.parse(text)


def open_engine(
    engine: str | None, *, address: str | None, actors: int | None, gpus_per_actor: float | None, workers: int | None
) -> "AbstractContextManager[RayEngine | None]":
    """Return what runs a command elsewhere, to be entered; of None without `--engine`.

    Raises:
        UsageError: options of an engine without one.
        MissingDependencyError: it is not installed.
    """
    if engine is None:
        given = {"--address": address, "--actors": actors, "--gpus-per-actor": gpus_per_actor}
        for flag, value in given.items():
            if value is not None:
                raise UsageError(f"{flag} goes with --engine ray; add it")
        return nullcontext(None)
    from olmv.cluster.engine import RayEngine, RayOptions

    options = RayOptions(address=address, actors=actors, gpus_per_actor=gpus_per_actor)
    return RayEngine(options, workers=workers)


@contextmanager
def open_server(url: str | None) -> "Iterator[ServerPredictor | None]":
    """Give what asks a server; None without `--server`.

    Raises:
        UsageError: the address is none, or has a token in it.
    """
    if url is None:
        yield None
        return
    if "#" in url:
        raise UsageError("the address shows its token to ps; leave out what follows #, and set OLMV_SERVER_TOKEN")
    from olmv.client.client import Client
    from olmv.predict.engine import ServerPredictor

    with Client(url, os.environ.get("OLMV_SERVER_TOKEN") or os.environ.get("OLMV_TOKEN")) as client:
        yield ServerPredictor(client)


InputsArgument = Annotated[
    list[str],
    typer.Argument(
        metavar="INPUT...",
        help="Videos, photos, folders, globs, manifests (csv, jsonl, parquet with a `video` column), or - for "
        "paths on standard input; or a library of olmv index.",
        show_default=False,
    ),
]
AttributesOption = Annotated[
    Path | None,
    typer.Option(help="Attribute book: what each label looks like.", metavar="BOOK", rich_help_panel=LOOKING),
]
ThresholdsOption = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Thresholds per label, from olmv calibrate.")
]


EveryOption = Annotated[
    float | None,
    typer.Option(
        "--every",
        parser=parse_time,
        metavar="TIME",
        help="A frame each so often, such as 2s.  [default: 8 frames, then one each 2s]",
        show_default=False,
        rich_help_panel=LOOKING,
    ),
]
FpsOption = Annotated[
    float | None,
    typer.Option("--fps", min=0.001, max=1000, metavar="N", help="So many frames a second.", rich_help_panel=LOOKING),
]
MaxFramesOption = Annotated[
    int | None,
    typer.Option(
        "--max-frames",
        min=1,
        metavar="N",
        help="The most of a video.  [default: 512, with --every none]",
        show_default=False,
        rich_help_panel=LOOKING,
    ),
]
TimelineOption = Annotated[
    bool, typer.Option("--timeline", help="Also tell when each label is true.", rich_help_panel=TIMES)
]
WindowOption = Annotated[
    float | None,
    typer.Option(
        "--window",
        parser=parse_time,
        metavar="TIME",
        help="Seen together.  [default: 4s]",
        show_default=False,
        rich_help_panel=TIMES,
    ),
]
StepOption = Annotated[
    float | None,
    typer.Option(
        "--step",
        parser=parse_time,
        metavar="TIME",
        help="From one window to the next.  [default: 1s]",
        show_default=False,
        rich_help_panel=TIMES,
    ),
]
JoinOption = Annotated[
    float | None,
    typer.Option(
        "--join",
        parser=parse_time,
        metavar="TIME",
        help="Close shorter gaps.  [default: 1s]",
        show_default=False,
        rich_help_panel=TIMES,
    ),
]
LeastOption = Annotated[
    float | None,
    typer.Option(
        "--least",
        parser=parse_time,
        metavar="TIME",
        help="Drop shorter segments.  [default: 500ms]",
        show_default=False,
        rich_help_panel=TIMES,
    ),
]
SamplingOption = Annotated[
    Sampling | None,
    typer.Option(help="Which frames.  [default: uniform]", show_default=False, rich_help_panel=LOOKING),
]
PoolingOption = Annotated[Pooling, typer.Option(help="Over a label's texts.", rich_help_panel=LOOKING)]
TemplatesOption = Annotated[
    str | None,
    typer.Option(
        help='Sentences around a label: video, open-vclip, none, or "a clip of {}."',
        show_default=False,
        rich_help_panel=LOOKING,
    ),
]
AllowUnknownOption = Annotated[
    bool, typer.Option("--allow-unknown", help="Go on where many true labels are not among those looked for.")
]
DecoderOption = Annotated[Decoder, typer.Option(help="What reads the files.", rich_help_panel=RUNNING)]
DeviceOption = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, mps.", rich_help_panel=RUNNING)]
DtypeOption = Annotated[
    str, typer.Option(help="auto, float32, float16, bfloat16; int8 on a CPU.", rich_help_panel=RUNNING)
]
RuntimeOption = Annotated[
    Runtime,
    typer.Option(help="What encodes frames; onnx and openvino run on the CPU in float32.", rich_help_panel=RUNNING),
]
WorkersOption = Annotated[
    int | None,
    typer.Option(
        min=0,
        metavar="N",
        help="Decoding processes.  [default: one per core]",
        show_default=False,
        rich_help_panel=RUNNING,
    ),
]
BatchSizeOption = Annotated[
    int | None,
    typer.Option(
        min=1,
        metavar="N",
        help="Frames per forward pass.  [default: 64, on a CPU 16]",
        show_default=False,
        rich_help_panel=RUNNING,
    ),
]
TimeoutOption = Annotated[
    float,
    typer.Option(min=0.1, metavar="SECONDS", help="The most that one file may take.", rich_help_panel=RUNNING),
]
QuietOption = Annotated[
    bool, typer.Option("--quiet", "-q", help="No progress, notes or summary.", rich_help_panel=RUNNING)
]
ResumeOption = Annotated[
    bool, typer.Option(help="Go on from the rows of an earlier run, or start over.", rich_help_panel=RUNNING)
]
ShardOption = Annotated[
    str | None,
    typer.Option(
        "--shard",
        metavar="I/N",
        help="Only part I of N of the videos, for a job array; see olmv merge.",
        rich_help_panel=RUNNING,
    ),
]
EngineOption = Annotated[
    Engine | None,
    typer.Option(
        "--engine",
        help="Spread the videos over actors of Ray, here or on a cluster.",
        show_default=False,
        rich_help_panel=CLUSTER,
    ),
]
AddressOption = Annotated[
    str | None,
    typer.Option(
        "--address",
        metavar="HOST",
        help="The cluster: auto, or ray://HOST:10001.  [default: this machine]",
        show_default=False,
        rich_help_panel=CLUSTER,
    ),
]
ActorsOption = Annotated[
    int | None,
    typer.Option(
        "--actors",
        min=1,
        metavar="N",
        help="So many load the model.  [default: one a GPU, or for 8 cores]",
        show_default=False,
        rich_help_panel=CLUSTER,
    ),
]
GpusPerActorOption = Annotated[
    float | None,
    typer.Option(
        "--gpus-per-actor",
        min=0,
        metavar="N",
        help="May be a part of one, 0.5.  [default: 1 where there are any]",
        show_default=False,
        rich_help_panel=CLUSTER,
    ),
]
ServerOption = Annotated[
    str | None,
    typer.Option(
        "--server",
        metavar="URL",
        help="Ask an olmv serve, with the token of OLMV_SERVER_TOKEN, in place of a model here.",
        show_default=False,
        rich_help_panel=CLUSTER,
    ),
]
RetriesOption = Annotated[
    int, typer.Option(min=0, metavar="N", help="Ask again so often after a bad answer.", rich_help_panel=RUNNING)
]


FramePoolingOption = Annotated[
    FramePooling | None,
    typer.Option(
        help="Over a video's frames.  [default: the model's own, mostly mean]",
        show_default=False,
        rich_help_panel=LOOKING,
    ),
]
