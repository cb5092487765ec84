"""Do one `olmv describe-labels` run: labels in, an attribute book out, by a language model or from WordNet."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import dataclass, field
from pathlib import Path

from olmv.describe.ask import Answer
from olmv.describe.book import (
    DescribeListener,
    DescribeSummary,
    describe_from_wordnet,
    describe_labels,
    waiting_labels,
)
from olmv.describe.checks import ListChecks
from olmv.describe.draft import Draft
from olmv.describe.from_wordnet import write_attributes
from olmv.describe.preview import Preview, preview
from olmv.describe.prune import Pruning, prune, write_pruned
from olmv.describe.questions import Questions
from olmv.errors import UsageError
from olmv.io.atomic import check_writable
from olmv.labels.attributes import AttributeBook
from olmv.labels.label import Label
from olmv.labels.quality import TextLimit
from olmv.labels.vocabulary import Vocabulary
from olmv.llm.open import open_chat
from olmv.llm.prompts import Prompt, load_prompt
from olmv.llm.types import ChatModel, Generation
from olmv.models.default import DEFAULT_MODEL

__all__ = [
    "WORDNET",
    "DescribeJob",
    "DescribeListener",
    "DescribeSummary",
    "preview_llm",
    "preview_wordnet",
    "run",
    "run_pruning",
]

WORDNET = "wordnet"
"""What `llm` is where no language model is asked."""


@dataclass(frozen=True)
class DescribeJob:
    """What to describe, by whom, and where to write it.

    Args:
        labels: a label file, or names with commas between them.
        output: the attribute book (.json); what it says stays. A preview needs none.
        llm: `wordnet`, or a language model as in `olmv.llm.open`; None is WordNet, with a note that says so.
        count: attributes of a label, at least 1.
        prompt: a prompt's name or file; None for `general`, or `domain` where there is one.
        domain: what the videos are about.
        model: the model that will read the attributes, which must fit it; None for the default one if a language
            model is asked, and for any if it is WordNet.
        templates: as for `Classifier.predict`: attributes must fit inside.
        retries: how many times more a label is asked for when its answer cannot be used.
        generation: how answers are drawn.
        concurrency: labels asked for at once.
        timeout_s: seconds that one answer of a server may take.
        llm_options: passed on to the language model.
        labels_per_prompt: labels asked for together; more than 1 is quicker, with a model that is up to it.
        resume: False asks anew for every label, except those whose attributes were written or changed by hand.
    """

    labels: str
    output: Path | None = None
    llm: str | None = None
    count: int = 8
    prompt: str | None = None
    domain: str | None = None
    model: str | None = None
    templates: str | None = None
    retries: int = 3
    generation: Generation = field(default_factory=Generation)
    concurrency: int = 32
    timeout_s: float = 120.0
    llm_options: dict[str, str] = field(default_factory=dict)
    labels_per_prompt: int = 1
    resume: bool = True


def run(job: DescribeJob, listener: DescribeListener) -> DescribeSummary:
    """Do the job. Everything that can be checked is checked before a label is asked for.

    Raises:
        UsageError: labels, prompt, models, options or output that cannot be used; nothing was done.
        LLMUnavailableError: the model gave not one answer. If it goes away later, the run ends early instead:
            `stopped` says why, and the same job goes on from there.
        OutputError: the book cannot be written, or another run is writing it.
    """
    if job.output is None:
        raise UsageError("a BOOK.json to write is needed; or look first", option=("output", "dry_run"))
    vocabulary = Vocabulary.load(job.labels)
    check_writable(job.output)
    checks = _checks(job, vocabulary, listener)
    if job.llm in (None, WORDNET):
        gate = checks.gate_for_dictionary(_limit(job.model))
        _note(job, vocabulary, listener)
        return describe_from_wordnet(
            vocabulary, job.output, gate=gate, count=job.count, resume=job.resume, listener=listener
        )
    prompt = _prompt(job)
    questions = _questions(job, prompt, checks)
    _note(job, vocabulary, listener)
    with _chat(job) as chat:
        assert chat is not None
        waiting = waiting_labels(vocabulary, job.output, resume=job.resume)
        gate = checks.gate_for_dictionary(None)  # where nothing is asked, nothing need be loaded
        if waiting:
            chat.check()  # before models, and the libraries that they need, are loaded
            limit = _limit(job.model or DEFAULT_MODEL)
            assert limit is not None
            gate = checks.gate_for_answers(prompt, limit=limit, book=_book(job.output, without=waiting))
        summary = describe_labels(
            vocabulary,
            job.output,
            chat=chat,
            questions=questions,
            gate=gate,
            generation=job.generation,
            retries=job.retries,
            resume=job.resume,
            listener=listener,
        )
    if summary.described:
        described = vocabulary.with_attributes(AttributeBook.load(job.output))
        summary.moved = checks.moved_labels(described)
    return summary


def preview_llm(job: DescribeJob, listener: DescribeListener) -> Preview | None:
    """Tell what a language model would be asked; None if nothing. Asks and writes nothing.

    Without `job.llm` the tokens are estimated.

    Raises:
        UsageError: labels, prompt, model or book that cannot be used.
    """
    vocabulary = Vocabulary.load(job.labels)
    questions = _questions(job, _prompt(job), _checks(job, vocabulary, listener))
    for note in vocabulary.notes:
        listener.note(note)
    waiting = waiting_labels(vocabulary, job.output, resume=job.resume)
    with _chat(job) as chat:
        return preview(waiting, chat, questions=questions, generation=job.generation)


def preview_wordnet(job: DescribeJob, listener: DescribeListener) -> Iterator[Answer]:
    """Tell what WordNet says of the labels that the book lacks. Writes nothing.

    Raises:
        UsageError: labels, model or book that cannot be used.
    """
    vocabulary = Vocabulary.load(job.labels)
    gate = _checks(job, vocabulary, listener).gate_for_dictionary(_limit(job.model))
    waiting = waiting_labels(vocabulary, job.output, resume=job.resume)
    _note(job, vocabulary, listener)
    return write_attributes(waiting, vocabulary, count=job.count, gate=gate)


def run_pruning(job: DescribeJob, listener: DescribeListener, *, write: bool = True) -> Pruning:
    """Drop from the book what does not help; no language model is asked.

    Args:
        job: labels, output and model count.
        listener: is told what the labels and the model leave to say.
        write: False only tells what would go.

    Raises:
        UsageError: labels, model or book that cannot be used.
        OutputError: the book cannot be written, or another run is writing it.
    """
    if job.output is None:
        raise UsageError("the book to prune is needed", option="output")
    vocabulary = Vocabulary.load(job.labels)
    check_writable(job.output)
    for note in vocabulary.notes:
        listener.note(note)
    checks = _checks(job, vocabulary, listener)
    with Draft(job.output, fresh=False) as draft:
        draft.check_finished()
        pruning = prune(vocabulary, job.output, checks.gate_for_pruning)
        if write and pruning.dropped:
            write_pruned(job.output, pruning)
    if any(name in pruning.book for name in vocabulary.names):
        part = Vocabulary([label for label in vocabulary if label.name in pruning.book])
        before = checks.moved_labels(part.with_attributes(pruning.book))
        after = checks.moved_labels(part.with_attributes(pruning.kept))
        pruning.moved = (len(before), len(after))
    return pruning


def _note(job: DescribeJob, vocabulary: Vocabulary, listener: DescribeListener) -> None:
    if job.llm is None:
        listener.note("no language model is named: WordNet, a dictionary that ships with olmv, describes the labels")
    for note in vocabulary.notes:
        listener.note(note)


def _prompt(job: DescribeJob) -> Prompt:
    if job.llm is not None and ":" not in job.llm:
        raise UsageError(
            f"{job.llm!r} is not wordnet, vllm:MODEL, openai:MODEL@URL or transformers:MODEL", option="llm"
        )
    return load_prompt(job.prompt or ("domain" if job.domain else "general"))


def _questions(job: DescribeJob, prompt: Prompt, checks: ListChecks) -> Questions:
    return checks.questions(prompt, count=job.count, domain=job.domain, labels_per_prompt=job.labels_per_prompt)


def _checks(job: DescribeJob, vocabulary: Vocabulary, listener: DescribeListener) -> ListChecks:
    # a language model in this process has the accelerator for itself
    device = "auto" if job.llm is None or job.llm.startswith("openai:") else "cpu"
    return ListChecks(vocabulary, model=job.model, templates=job.templates, device=device, listener=listener)


def _chat(job: DescribeJob) -> AbstractContextManager[ChatModel | None]:
    if job.llm is None:
        return nullcontext()
    return closing(open_chat(job.llm, concurrency=job.concurrency, timeout_s=job.timeout_s, options=job.llm_options))


def _limit(model: str | None) -> TextLimit | None:
    if model is None:
        return None
    from olmv.models.registry import text_limit

    return text_limit(model)


def _book(path: Path, *, without: Sequence[Label]) -> dict[str, tuple[str, ...]]:
    """Return the attributes of a book, without labels that are described anew."""
    if not path.is_file():
        return {}
    names = {label.name for label in without}
    return {label: texts for label, texts in AttributeBook.load(path).items() if label not in names}
