"""`olmv caption`."""

from pathlib import Path
from typing import Annotated

import typer

from olmv.cli.describe_labels import key_values
from olmv.cli.help import PanelCommand
from olmv.cli.options import (
    ActorsOption,
    AddressOption,
    DecoderOption,
    DeviceOption,
    DtypeOption,
    EngineOption,
    GpusPerActorOption,
    InputsArgument,
    QuietOption,
    ResumeOption,
    RetriesOption,
    SamplingOption,
    ShardOption,
    TimeoutOption,
    WorkersOption,
    open_engine,
    parse_shard,
)
from olmv.placement import PlacementOptions
from olmv.video.options import DecodeOptions

EPILOG = """\b
Examples:
  olmv caption clips/ -o captions.jsonl --captioner labels:olmv-mini
  olmv caption clips/ -o blip.jsonl --captioner blip2:Salesforce/blip2-opt-2.7b --llm openai:llama@http://127.0.0.1:8000/v1
"""


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command("caption", cls=PanelCommand, epilog=EPILOG)(caption)


def caption(
    inputs: InputsArgument,
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FILE", help="captions.jsonl, or .csv: a row a video.")
    ],
    captioner: Annotated[
        str,
        typer.Option(
            metavar="SPEC",
            help="blip2:MODEL, hf:MODEL (a vision language model), or labels:MODEL (the labels of olmv predict, told "
            "as a sentence; nothing to download with labels:olmv-mini).",
        ),
    ],
    llm: Annotated[
        str | None,
        typer.Option(
            metavar="SPEC",
            help="Makes one caption of the frames' (without it these are all, or the template tells labels): "
            "vllm:MODEL, openai:MODEL@URL or transformers:MODEL.",
        ),
    ] = None,
    prompt: Annotated[str, typer.Option(metavar="NAME|FILE", help="How the LLM is asked.")] = "summary",
    labels: Annotated[
        str | None, typer.Option("--labels", "-l", help="What labels:MODEL may say; not needed for olmv-mini.")
    ] = None,
    extract_labels: Annotated[
        Path | None,
        typer.Option(metavar="MANIFEST.jsonl", help="Also list the things and actions named, for training."),
    ] = None,
    model: Annotated[
        str | None, typer.Option("--model", "-m", metavar="NAME", help="A CLIP that compares caption and video.")
    ] = None,
    min_similarity: Annotated[
        float | None, typer.Option(metavar="S", help="Captions below are marked, and stay out of the manifest.")
    ] = None,
    frames: Annotated[
        int | None, typer.Option(min=1, help="Frames to caption in a video.  [default: 16]", show_default=False)
    ] = None,
    sampling: SamplingOption = None,
    batch_size: Annotated[
        int | None,
        typer.Option(
            min=1, metavar="N", help="Frames captioned at once.  [default: 128, on a CPU 16]", show_default=False
        ),
    ] = None,
    retries: RetriesOption = 3,
    temperature: Annotated[float, typer.Option(min=0, max=2, help="Of the LLM.")] = 0.2,
    max_tokens: Annotated[int, typer.Option(min=1, metavar="N", help="Of one answer of the LLM.")] = 160,
    seed: Annotated[int, typer.Option(help="Of the LLM's sampling.")] = 0,
    concurrency: Annotated[int, typer.Option(min=1, metavar="N", help="Requests to a server at once.")] = 32,
    llm_option: Annotated[
        list[str] | None, typer.Option(metavar="KEY=VALUE", help="Passed on to the LLM.", show_default=False)
    ] = None,
    captioner_option: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY=VALUE", help="Passed on to the captioner: device_map=auto ...", show_default=False),
    ] = None,
    resume: ResumeOption = True,
    shard: ShardOption = None,
    decoder: DecoderOption = "auto",
    device: DeviceOption = "auto",
    dtype: DtypeOption = "auto",
    workers: WorkersOption = None,
    timeout: TimeoutOption = DecodeOptions.timeout_s,
    engine: EngineOption = None,
    address: AddressOption = None,
    actors: ActorsOption = None,
    gpus_per_actor: GpusPerActorOption = None,
    quiet: QuietOption = False,
) -> None:
    """Say in one sentence what each video shows."""
    from olmv.caption.job import CaptionJob, run
    from olmv.cli.views.caption_view import CaptionView
    from olmv.llm.types import Generation

    job = CaptionJob(
        inputs=inputs,
        output=output,
        captioner=captioner,
        llm=llm,
        prompt=prompt,
        labels=labels,
        model=model,
        min_similarity=min_similarity,
        extract_labels=extract_labels,
        frames=frames,
        sampling=sampling,
        decode=DecodeOptions(decoder=decoder, workers=workers, timeout_s=timeout),
        placement=PlacementOptions(device=device, dtype=dtype, batch_size=batch_size),
        generation=Generation(temperature=temperature, max_tokens=max_tokens, seed=seed),
        retries=retries,
        concurrency=concurrency,
        llm_options=key_values(llm_option, "--llm-option"),
        captioner_options=key_values(captioner_option, "--captioner-option"),
        resume=resume,
        shard=parse_shard(shard),
    )
    cluster = open_engine(engine, address=address, actors=actors, gpus_per_actor=gpus_per_actor, workers=workers)
    with cluster as ray_engine, CaptionView(quiet=quiet) as view:
        captioner_engine = None
        if ray_engine is not None:
            from olmv.cluster.caption import RayCaptioner

            captioner_engine = RayCaptioner(ray_engine)
        summary = run(job, view, captioner_engine)
    view.finished(summary)
    if summary.failed or summary.stopped:
        raise typer.Exit(1)
