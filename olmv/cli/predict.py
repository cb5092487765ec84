"""`olmv predict`."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from olmv.cli.config import ConfigOption

EPILOG = """\b
Examples:
  olmv predict clips/ --labels "dog, guitar, rain" --output rows.jsonl
  olmv predict "clips/*.mp4" --labels labels.txt --report report.html --explain
"""


class Sampling(StrEnum):
    """Which frames of a video are looked at."""

    uniform = "uniform"
    dense = "dense"
    adaptive = "adaptive"
    keyframes = "keyframes"


class Pooling(StrEnum):
    """How the texts of a label become one similarity."""

    mean = "mean"
    max = "max"
    topk = "topk"
    softmax = "softmax"


class FramePooling(StrEnum):
    """How the frames of a video become one similarity."""

    mean = "mean"
    max = "max"
    softmax = "softmax"
    logits = "logits"


class Decoder(StrEnum):
    """What reads the files."""

    auto = "auto"
    pyav = "pyav"
    decord = "decord"
    torchcodec = "torchcodec"


class Runtime(StrEnum):
    """What encodes frames."""

    torch = "torch"
    onnx = "onnx"
    openvino = "openvino"


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command("predict", epilog=EPILOG)(predict)


def predict(
    inputs: Annotated[
        list[str],
        typer.Argument(
            metavar="INPUT...",
            help="Videos, photos, folders, globs, manifests (csv, jsonl, parquet with a `video` column), or - for "
            "paths on standard input.",
            show_default=False,
        ),
    ],
    labels: Annotated[
        str,
        typer.Option("--labels", "-l", help='A label file (txt, csv, json, yaml), or "dog, guitar, rain".'),
    ],
    config: ConfigOption = None,
    attributes: Annotated[
        Path | None, typer.Option(help="Attribute book: what each label looks like.", metavar="BOOK")
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            "--model", "-m", metavar="NAME", help="See olmv models list.  [env: OLMV_MODEL]", show_default=False
        ),
    ] = None,
    multi_label: Annotated[
        bool,
        typer.Option(
            "--multi-label/--single-label",
            help="Every label by itself, or the one best label.",
            show_default=False,
        ),
    ] = True,
    thresholds: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Thresholds per label, from olmv calibrate.")
    ] = None,
    threshold: Annotated[
        float | None, typer.Option(min=0, max=1, metavar="P", help="One threshold for all labels.")
    ] = None,
    top_k: Annotated[int | None, typer.Option(min=1, metavar="K", help="Only the K most probable labels.")] = None,
    frames: Annotated[
        int | None,
        typer.Option(
            min=1, help="Frames to sample from a video.  [default: the model's own, mostly 8]", show_default=False
        ),
    ] = None,
    sampling: Annotated[Sampling, typer.Option(help="Which frames.")] = Sampling.uniform,
    pooling: Annotated[Pooling, typer.Option(help="Over a label's texts.")] = Pooling.mean,
    frame_pooling: Annotated[
        FramePooling | None,
        typer.Option(help="Over a video's frames.  [default: the model's own, mostly mean]", show_default=False),
    ] = None,
    templates: Annotated[
        str | None,
        typer.Option(help='Sentences around a label: video, open-vclip, none, or "a clip of {}."', show_default=False),
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
    wide: Annotated[bool, typer.Option("--wide", help="A csv or xlsx of a row a video and a column a label.")] = False,
    report: Annotated[
        Path | None, typer.Option("--report", "-r", metavar="X.html", help="One HTML page to look at.")
    ] = None,
    explain: Annotated[bool, typer.Option("--explain", help="Say which texts and frames carried a label.")] = False,
    resume: Annotated[bool, typer.Option(help="Go on from the rows of an earlier run, or start over.")] = True,
    decoder: Annotated[Decoder, typer.Option(help="What reads the files.")] = Decoder.auto,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, mps.")] = "auto",
    dtype: Annotated[str, typer.Option(help="auto, float32, float16, bfloat16.")] = "auto",
    runtime: Annotated[
        Runtime, typer.Option(help="What encodes frames; onnx and openvino run on the CPU in float32.")
    ] = Runtime.torch,
    workers: Annotated[
        int | None,
        typer.Option(min=0, metavar="N", help="Decoding processes.  [default: one per core]", show_default=False),
    ] = None,
    batch_size: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            help="Frames per forward pass.  [default: 64, on a CPU 16]",
            show_default=False,
        ),
    ] = None,
    timeout: Annotated[float, typer.Option(min=0.1, metavar="SECONDS", help="The most that one file may take.")] = 60.0,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress, notes or summary.")] = False,
) -> None:
    """Tell which of the labels are true of each video."""
    from olmv.cli.predict_view import PredictView
    from olmv.errors import UsageError
    from olmv.predict.job import PredictJob, run

    to_stdout = output == Path("-")
    if to_stdout and wide:
        raise UsageError("standard output gets rows as JSON lines; leave out --wide, or name a file")
    job = PredictJob(
        inputs=inputs,
        labels=labels,
        attributes=attributes,
        model=model,
        mode="multi-label" if multi_label else "single-label",
        thresholds=thresholds,
        threshold=threshold,
        top_k=top_k,
        frames=frames,
        sampling=sampling.value,
        pooling=pooling.value,
        frame_pooling=frame_pooling.value if frame_pooling else None,
        templates=templates,
        output=None if to_stdout else output,
        wide=wide,
        report=report,
        explain=explain,
        resume=resume,
        decoder=decoder.value,
        device=device,
        dtype=dtype,
        runtime=runtime.value,
        workers=workers,
        batch_size=batch_size,
        timeout_s=timeout,
    )
    to_file = job.output is not None or report is not None
    with PredictView(quiet=quiet, to_file=to_file, explain=explain, json_rows=to_stdout) as view:
        summary = run(job, view)
        view.finished(summary)
    if summary.failed or summary.earlier_failed:
        raise typer.Exit(1)
