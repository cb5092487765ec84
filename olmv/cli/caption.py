"""`olmv caption`."""

from pathlib import Path
from typing import Annotated

import typer

from olmv.cli.describe_labels import key_values
from olmv.cli.predict import Decoder, Sampling

EPILOG = """\b
Examples:
  olmv caption clips/ -o captions.jsonl --captioner labels:olmv-mini
  olmv caption clips/ -o blip.jsonl --captioner blip2:Salesforce/blip2-opt-2.7b --llm openai:llama@http://127.0.0.1:8000/v1
"""


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command("caption", epilog=EPILOG)(caption)


def caption(
    inputs: Annotated[
        list[str],
        typer.Argument(
            metavar="INPUT...",
            help="Videos, photos, folders, globs, manifests (csv, jsonl, parquet with a `video` column), or - for "
            "paths on standard input.",
            show_default=False,
        ),
    ],
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
            help="Makes one caption of the frames' (without it these are all): vllm:MODEL, openai:MODEL@URL or "
            "transformers:MODEL.",
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
    sampling: Annotated[Sampling, typer.Option(help="Which frames.")] = Sampling.uniform,
    batch_size: Annotated[
        int | None,
        typer.Option(
            min=1, metavar="N", help="Frames captioned at once.  [default: 128, on a CPU 16]", show_default=False
        ),
    ] = None,
    retries: Annotated[int, typer.Option(min=0, metavar="N", help="Ask again so often after a bad answer.")] = 3,
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
    resume: Annotated[bool, typer.Option(help="Go on from the rows of an earlier run, or start over.")] = True,
    decoder: Annotated[Decoder, typer.Option(help="What reads the files.")] = Decoder.auto,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, mps.")] = "auto",
    dtype: Annotated[str, typer.Option(help="auto, float32, float16, bfloat16.")] = "auto",
    workers: Annotated[
        int | None,
        typer.Option(min=0, metavar="N", help="Decoding processes.  [default: one per core]", show_default=False),
    ] = None,
    timeout: Annotated[float, typer.Option(min=0.1, metavar="SECONDS", help="The most that one file may take.")] = 60.0,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress, notes or summary.")] = False,
) -> None:
    """Say in one sentence what each video shows."""
    from olmv.caption.job import CaptionJob, run
    from olmv.cli.caption_view import CaptionView
    from olmv.llm.types import Generation
    from olmv.placement import PlacementOptions
    from olmv.video.options import DecodeOptions

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
        decode=DecodeOptions(
            sampling=sampling.value, decoder=decoder.value, workers=workers, timeout_s=timeout
        ),
        placement=PlacementOptions(device=device, dtype=dtype, batch_size=batch_size),
        generation=Generation(temperature=temperature, max_tokens=max_tokens, seed=seed),
        retries=retries,
        concurrency=concurrency,
        llm_options=key_values(llm_option, "--llm-option"),
        captioner_options=key_values(captioner_option, "--captioner-option"),
        resume=resume,
    )
    view = CaptionView(quiet=quiet)
    try:
        summary = run(job, view)
    finally:
        view.progress.stop()
    view.finished(summary)
    if summary.failed or summary.stopped:
        raise typer.Exit(1)
