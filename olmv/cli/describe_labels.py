"""`olmv describe-labels`."""

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from olmv.cli.progress import Progress, printable
from olmv.errors import UsageError

if TYPE_CHECKING:
    from olmv.labels.asking import Answer
    from olmv.labels.describe import DescribeSummary
    from olmv.labels.preview import Preview
    from olmv.labels.quality import Gate
    from olmv.labels.vocabulary import Vocabulary

EPILOG = """\b
Examples:
  olmv describe-labels labels.txt -o book.json --llm openai:llama@http://127.0.0.1:8000/v1
  olmv describe-labels "cardioversion, suturing" --domain "hospital training videos" --dry-run
"""

FAILURES_SHOWN = 20


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command("describe-labels", epilog=EPILOG)(describe_labels)


def describe_labels(
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
            help="vllm:MODEL, openai:MODEL@URL (any compatible server; key in OPENAI_API_KEY) or transformers:MODEL.",
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
        bool, typer.Option("--dry-run", help="Show the prompts and token counts; ask and write nothing.")
    ] = False,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume/--no-resume", help="Ask only for what the book lacks, or anew for all not changed by hand."
        ),
    ] = True,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress, notes or summary.")] = False,
) -> None:
    """Let a language model write what every label looks like, for olmv predict --attributes."""
    from olmv.files import check_writable
    from olmv.labels.asking import Questions
    from olmv.labels.describe import describe_labels, waiting_labels
    from olmv.labels.preview import preview
    from olmv.labels.vocabulary import Vocabulary
    from olmv.llm.chat import Sampling, open_chat
    from olmv.llm.prompts import load_prompt

    if not dry_run and (output is None or llm is None):
        raise UsageError(f"{'-o BOOK.json' if output is None else '--llm'} is needed; or look first, with --dry-run")
    vocabulary = Vocabulary.load(labels)
    questions = Questions(
        load_prompt(prompt or ("domain" if domain else "general")), count=attributes_per_label, domain=domain
    )
    sampling = Sampling(
        temperature=temperature, top_p=top_p, max_tokens=max_tokens or 40 * attributes_per_label + 64, seed=seed
    )
    if output is not None and not dry_run:
        check_writable(output)
    options = key_values(llm_option, "--llm-option")
    view = _View(quiet=quiet)
    for note in vocabulary.notes:
        view.note(note)
    waiting = waiting_labels(vocabulary, output, resume=resume) if dry_run else []
    if llm is None:
        _show(preview(waiting, None, questions=questions, sampling=sampling), len(waiting))
        return
    with closing(open_chat(llm, concurrency=concurrency, timeout_s=timeout, options=options)) as chat:
        if dry_run:
            _show(preview(waiting, chat, questions=questions, sampling=sampling), len(waiting))
            return
        assert output is not None
        try:
            summary = describe_labels(
                vocabulary,
                output,
                chat=chat,
                questions=questions,
                gate=_gate(vocabulary, model, templates),
                sampling=sampling,
                retries=retries,
                resume=resume,
                listener=view,
            )
        finally:
            view.progress.stop()
    view.finished(summary, output)
    if summary.failed or summary.stopped:
        raise typer.Exit(1)


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
    from olmv.labels.quality import Gate
    from olmv.labels.templates import resolve
    from olmv.models.hub import DEFAULT_MODEL
    from olmv.models.text_limit import text_limit

    limit = text_limit(model or DEFAULT_MODEL)
    return Gate(vocabulary, templates=resolve(templates or limit.templates), limit=limit)


def _show(found: "Preview | None", labels: int) -> None:
    """The dry run: results, so they go to standard output."""
    if found is None:
        print("every label is described already; there is nothing to ask")
        return
    for turn in found.conversation:
        print(f"[{turn.role}]")
        print("\n".join(printable(line) for line in turn.content.split("\n")), end="\n\n")
    about = "" if found.exact else "about "
    for name, tokens in found.counted:
        print(f"{about}{tokens} tokens\t{printable(name)}")
    if len(found.counted) < labels:
        print(f"... and {labels - len(found.counted)} more labels")
    print(f"{labels} labels, {about}{found.prompt_tokens} prompt tokens, at most {found.answer_tokens} answer tokens")


class _View:
    """Shows a run; see `olmv.labels.describe.DescribeListener`."""

    def __init__(self, *, quiet: bool) -> None:
        from rich.console import Console

        self.progress = Progress("labels", Console(stderr=True, highlight=False), quiet=quiet)

    def note(self, text: str) -> None:
        """A remark on its own line."""
        self.progress.say(f"note: {text}")

    def started(self, *, total: int, done: int) -> None:
        """Put up the progress bar."""
        self.progress.start(total=total, done=done)

    def described(self, answer: "Answer") -> None:
        """One more label."""
        self.progress.step()

    def finished(self, summary: "DescribeSummary", output: Path) -> None:
        """The last lines: what was done, what failed, what was written."""
        say = self.progress.say
        parts = [f"{summary.described} labels described" if summary.described != 1 else "1 label described"]
        if summary.attributes:
            parts.append(f"{summary.attributes} attributes")
        if summary.earlier:
            parts.append(f"{summary.earlier} from before")
        if summary.failed:
            parts.append(f"{len(summary.failed)} failed")
        if summary.short:
            parts.append(f"{summary.short} with fewer attributes than asked for")
        if summary.asked:
            parts.append(
                f"{summary.asked} answers, {summary.prompt_tokens} prompt and {summary.completion_tokens} answer "
                f"tokens, {summary.seconds:.1f} s"
            )
        say(", ".join(parts))
        for name, why in summary.failed[:FAILURES_SHOWN]:
            say(f"failed: {name}: {why}")
        if len(summary.failed) > FAILURES_SHOWN:
            say(f"and {len(summary.failed) - FAILURES_SHOWN} more")
        if summary.stopped:
            say(f"stopped: {summary.stopped}; what is done is kept, the same command goes on from there")
        elif summary.failed:
            say("labels that failed are not in the book; the same command asks for them again")
        if output.is_file():
            say(f"wrote {output}" if summary.described else f"unchanged: {output}")
