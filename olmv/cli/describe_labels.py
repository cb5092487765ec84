"""`olmv describe-labels`."""

from pathlib import Path
from typing import Annotated

import typer

from olmv.cli.help import PanelCommand
from olmv.cli.options import QuietOption
from olmv.errors import UsageError

EPILOG = """\b
Examples:
  olmv describe-labels labels.txt -o book.json
  olmv describe-labels "cardioversion, suturing" -o medical.json --llm openai:llama@http://127.0.0.1:8000/v1
"""

FOR_LANGUAGE_MODELS = (
    "prompt",
    "domain",
    "retries",
    "temperature",
    "top_p",
    "max_tokens",
    "seed",
    "concurrency",
    "timeout",
    "llm_option",
    "labels_per_prompt",
)


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command("describe-labels", cls=PanelCommand, epilog=EPILOG)(describe_labels)


def describe_labels(
    context: typer.Context,
    labels: Annotated[
        str, typer.Argument(metavar="LABELS", help='A label file (txt, csv, json, yaml), or "dog, guitar, rain".')
    ],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="BOOK.json", help="The attribute book; what is in it stays."),
    ] = None,
    llm: Annotated[
        str | None,
        typer.Option(
            metavar="SPEC",
            help="Who describes them: wordnet (a dictionary that ships with olmv), or a language model: vllm:MODEL, "
            "openai:MODEL@URL (any compatible server; key in OPENAI_API_KEY) or transformers:MODEL.  "
            "[default: wordnet]",
            show_default=False,
        ),
    ] = None,
    attributes_per_label: Annotated[int, typer.Option(min=1, max=64, metavar="N", help="Attributes of a label.")] = 8,
    prompt: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|FILE",
            help="general, actions, objects, contrast (what tells a label from its neighbours), short (for small "
            "models), domain, or your own file.  [default: general; domain with --domain]",
            show_default=False,
        ),
    ] = None,
    domain: Annotated[
        str | None, typer.Option(metavar="TEXT", help='What the videos are about: "hospital training videos".')
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            "--model", "-m", metavar="NAME", help="The model that will read the attributes: they must fit it."
        ),
    ] = None,
    templates: Annotated[
        str | None, typer.Option(help="As for olmv predict: attributes must fit inside.", show_default=False)
    ] = None,
    retries: Annotated[int, typer.Option(min=0, metavar="N", help="Ask again so often after a bad answer.")] = 3,
    temperature: Annotated[float, typer.Option(min=0, max=2, help="0 for the most probable answer.")] = 0.7,
    top_p: Annotated[float, typer.Option(min=0.01, max=1, help="Draw from the tokens with this probability.")] = 0.95,
    max_tokens: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="Of one answer.  [default: 40 per attribute + 64]", show_default=False),
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the sampling.")] = 0,
    concurrency: Annotated[int, typer.Option(min=1, metavar="N", help="Questions under way at once.")] = 32,
    labels_per_prompt: Annotated[
        int, typer.Option(min=1, max=32, metavar="N", help="Labels in one question; quicker with a good model.")
    ] = 1,
    timeout: Annotated[float, typer.Option(min=1, metavar="SECONDS", help="Of one answer of a server.")] = 120.0,
    llm_option: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KEY=VALUE",
            help="Passed on to the model: tensor_parallel_size=2, max_model_len=4096, device_map=auto ...",
            show_default=False,
        ),
    ] = None,
    prune: Annotated[
        bool,
        typer.Option(
            "--prune",
            help="Ask nobody: drop from the book what is redundant or nearer to other labels. What was written by hand "
            "stays.",
        ),
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would be written, or asked of a model; write and ask nothing.")
    ] = False,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume/--no-resume", help="Ask only for what the book lacks, or anew for all not changed by hand."
        ),
    ] = True,
    quiet: QuietOption = False,
) -> None:
    """Write what every label looks like, for olmv predict --attributes: from WordNet, or by a language model."""
    from olmv.cli.views.describe_view import DescribeView, show_answers, show_preview, show_pruning
    from olmv.describe.job import WORDNET, DescribeJob, preview_llm, preview_wordnet, run, run_pruning
    from olmv.describe.questions import answer_tokens
    from olmv.llm.types import Generation

    if prune and llm is not None:
        raise UsageError("--prune asks no language model; leave --llm out")
    llm_flags = [f"--{name.replace('_', '-')}" for name in FOR_LANGUAGE_MODELS if _is_given(context, name)]
    if llm_flags and (llm == WORDNET or (llm is None and not dry_run)):
        raise UsageError(f"{llm_flags[0]} is for a language model; name one with --llm, or leave {llm_flags[0]} out")
    by_wordnet = llm == WORDNET or (llm is None and not llm_flags)
    job = DescribeJob(
        labels=labels,
        output=output,
        llm=llm,
        count=attributes_per_label,
        prompt=prompt,
        domain=domain,
        model=model,
        templates=templates,
        retries=retries,
        generation=Generation(
            temperature=temperature,
            top_p=top_p,
            max_tokens=max_tokens or answer_tokens(attributes_per_label, labels_per_prompt),
            seed=seed,
        ),
        concurrency=concurrency,
        timeout_s=timeout,
        llm_options=key_values(llm_option, "--llm-option"),
        labels_per_prompt=labels_per_prompt,
        resume=resume,
    )
    remedy = "name a language model with --llm, or write them by hand"
    view = DescribeView(quiet=quiet, remedy=remedy if by_wordnet else "the same command asks for them again")
    if prune:
        show_pruning(run_pruning(job, view, write=not dry_run), output, written=not dry_run)
        return
    if dry_run and by_wordnet:
        show_answers(preview_wordnet(job, view))
        return
    if dry_run:
        show_preview(preview_llm(job, view))
        return
    with view:
        summary = run(job, view)
    view.finished(summary, output)
    if summary.failed or summary.stopped:
        raise typer.Exit(1)


def _is_given(context: typer.Context, name: str) -> bool:
    """Tell whether an option stands on the command line, whatever its value."""
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


def key_values(texts: list[str] | None, flag: str) -> dict[str, str]:
    """Return the options of a repeated `--flag KEY=VALUE`.

    Raises:
        UsageError: one is not KEY=VALUE.
    """
    values = {}
    for text in texts or ():
        key, equals, value = text.partition("=")
        if not equals or not key.strip():
            raise UsageError(f"{flag} {text!r} is not KEY=VALUE")
        values[key.strip().replace("-", "_")] = value.strip()
    return values
