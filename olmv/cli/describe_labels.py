"""`olmv describe-labels`."""

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from olmv.cli.describe_view import DescribeView, show_answers, show_preview
from olmv.errors import UsageError

if TYPE_CHECKING:
    from olmv.describe.job import DescribeSummary
    from olmv.labels.quality import Gate
    from olmv.labels.vocabulary import Vocabulary

EPILOG = """\b
Examples:
  olmv describe-labels labels.txt -o book.json
  olmv describe-labels "cardioversion, suturing" -o medical.json --llm openai:llama@http://127.0.0.1:8000/v1
"""

WORDNET = "wordnet"
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
)


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command("describe-labels", epilog=EPILOG)(describe_labels)


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
            help="general, actions, objects, domain, or your own file.  [default: general; domain with --domain]",
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
    concurrency: Annotated[int, typer.Option(min=1, metavar="N", help="Labels asked for at once.")] = 32,
    timeout: Annotated[float, typer.Option(min=1, metavar="SECONDS", help="Of one answer of a server.")] = 120.0,
    llm_option: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KEY=VALUE",
            help="Passed on to the model: tensor_parallel_size=2, max_model_len=4096, device_map=auto ...",
            show_default=False,
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would be written, or asked of a model; write and ask nothing.")
    ] = False,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume/--no-resume", help="Ask only for what the book lacks, or anew for all not changed by hand."
        ),
    ] = True,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress, notes or summary.")] = False,
) -> None:
    """Write what every label looks like, for olmv predict --attributes: from WordNet, or by a language model."""
    from olmv.describe.job import describe_labels, waiting_labels
    from olmv.describe.preview import preview
    from olmv.describe.questions import Questions
    from olmv.io.atomic import check_writable
    from olmv.labels.vocabulary import Vocabulary
    from olmv.llm.open import open_chat
    from olmv.llm.prompts import load_prompt
    from olmv.llm.types import Generation
    from olmv.models.default import DEFAULT_MODEL

    given = [name for name in FOR_LANGUAGE_MODELS if _is_given(context, name)]
    if given and (llm == WORDNET or (llm is None and not dry_run)):
        flag = f"--{given[0].replace('_', '-')}"
        raise UsageError(f"{flag} is for a language model; name one with --llm, or leave {flag} out")
    if output is None and not dry_run:
        raise UsageError("-o BOOK.json is needed; or look first, with --dry-run")
    vocabulary = Vocabulary.load(labels)
    if output is not None and not dry_run:
        check_writable(output)
    if llm == WORDNET or (llm is None and not given):
        _from_wordnet(
            vocabulary, output, attributes_per_label, model, templates,
            default=llm is None, dry_run=dry_run, resume=resume, quiet=quiet,
        )  # fmt: skip
        return
    if llm is not None and ":" not in llm:
        raise UsageError(f"--llm {llm!r} is not wordnet, vllm:MODEL, openai:MODEL@URL or transformers:MODEL")
    questions = Questions(
        load_prompt(prompt or ("domain" if domain else "general")), count=attributes_per_label, domain=domain
    )
    generation = Generation(
        temperature=temperature, top_p=top_p, max_tokens=max_tokens or 40 * attributes_per_label + 64, seed=seed
    )
    options = key_values(llm_option, "--llm-option")
    view = DescribeView(quiet=quiet, remedy="the same command asks for them again")
    for note in vocabulary.notes:
        view.note(note)
    waiting = waiting_labels(vocabulary, output, resume=resume) if dry_run else []
    if llm is None:
        show_preview(preview(waiting, None, questions=questions, generation=generation), len(waiting))
        return
    with closing(open_chat(llm, concurrency=concurrency, timeout_s=timeout, options=options)) as chat:
        if dry_run:
            show_preview(preview(waiting, chat, questions=questions, generation=generation), len(waiting))
            return
        assert output is not None
        try:
            summary = describe_labels(
                vocabulary,
                output,
                chat=chat,
                questions=questions,
                gate=_gate(vocabulary, model or DEFAULT_MODEL, templates),
                generation=generation,
                retries=retries,
                resume=resume,
                listener=view,
            )
        finally:
            view.progress.stop()
    _finish(view, summary, output)


def _from_wordnet(
    vocabulary: "Vocabulary",
    output: Path | None,
    count: int,
    model: str | None,
    templates: str | None,
    *,
    default: bool,
    dry_run: bool,
    resume: bool,
    quiet: bool,
) -> None:
    from olmv.describe.job import describe_from_wordnet, waiting_labels
    from olmv.describe.wordnet import write_attributes

    gate = _gate(vocabulary, model, templates)
    waiting = waiting_labels(vocabulary, output, resume=resume) if dry_run else []
    view = DescribeView(quiet=quiet, remedy="name a language model with --llm, or write them by hand")
    if default:
        view.note("no --llm is given: WordNet, a dictionary that ships with olmv, describes the labels")
    for note in vocabulary.notes:
        view.note(note)
    if dry_run:
        show_answers(write_attributes(waiting, vocabulary, count=count, gate=gate))
        return
    assert output is not None
    try:
        summary = describe_from_wordnet(vocabulary, output, gate=gate, count=count, resume=resume, listener=view)
    finally:
        view.progress.stop()
    _finish(view, summary, output)


def _finish(view: DescribeView, summary: "DescribeSummary", output: Path) -> None:
    view.finished(summary, output)
    if summary.failed or summary.stopped:
        raise typer.Exit(1)


def _is_given(context: typer.Context, name: str) -> bool:
    """Whether an option stands on the command line, whatever its value."""
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


def key_values(texts: list[str] | None, flag: str) -> dict[str, str]:
    """The options of a repeated `--flag KEY=VALUE`.

    Raises:
        UsageError: one is not KEY=VALUE.
    """
    found = {}
    for text in texts or ():
        key, equals, value = text.partition("=")
        if not equals or not key.strip():
            raise UsageError(f"{flag} {text!r} is not KEY=VALUE")
        found[key.strip().replace("-", "_")] = value.strip()
    return found


def _gate(vocabulary: "Vocabulary", model: str | None, templates: str | None) -> "Gate":
    """What an attribute must be; without a model its length is not limited by one."""
    from olmv.labels.quality import Gate
    from olmv.labels.templates import DEFAULT_TEMPLATES, resolve

    if model is None:
        return Gate(vocabulary, templates=resolve(templates or DEFAULT_TEMPLATES))
    from olmv.models.text_limit import text_limit

    limit = text_limit(model)
    return Gate(vocabulary, templates=resolve(templates or limit.templates), limit=limit)
