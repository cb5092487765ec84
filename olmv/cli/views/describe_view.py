"""What `olmv describe-labels` shows: a dry run on standard output, a run on standard error."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from olmv.cli.views.progress import ProgressView, printable
from olmv.describe.ask import Answer
from olmv.describe.gate.reasons import Reason
from olmv.describe.job import DescribeListener, DescribeSummary
from olmv.describe.preview import Preview
from olmv.describe.prune import Pruning
from olmv.scoring.drift import drift_note

__all__ = ["DescribeView", "show_answers", "show_preview"]

FAILURES_SHOWN = 20
NOTHING = "every label is described already; there is nothing to ask"


def show_preview(preview: Preview | None) -> None:
    """Print what a language model would be asked."""
    if preview is None:
        print(NOTHING)
        return
    for turn in preview.conversation:
        print(f"[{turn.role}]")
        print("\n".join(printable(line) for line in turn.content.split("\n")), end="\n\n")
    about = "" if preview.exact else "about "
    for names, tokens in preview.counted:
        print(f"{about}{tokens} tokens\t{printable(', '.join(names))}")
    if more := preview.labels - sum(len(names) for names, _ in preview.counted):
        print(f"... and {more} more labels")
    print(
        f"{preview.labels} labels, {about}{preview.prompt_tokens} prompt tokens, "
        f"at most {preview.answer_tokens} answer tokens"
    )


def show_answers(answers: Iterable[Answer]) -> None:
    """Print the meanings and attributes that would be written."""
    labels = attributes = failed = 0
    for answer in answers:
        labels += 1
        attributes += len(answer.attributes)
        failed += answer.error is not None
        print(f"{printable(answer.label.name)}\t{printable(answer.error or answer.source['sense'])}")
        for attribute in answer.attributes:
            print(f"\t{printable(attribute)}")
    if not labels:
        print(NOTHING)
        return
    print(f"{labels} labels, {attributes} attributes" + (f", {failed} without" if failed else ""))


def show_pruning(pruning: Pruning, output: Path | None, *, written: bool) -> None:
    """Print every attribute that goes, with its reason, and what stays."""
    for label, text, rejection in pruning.dropped:
        print(f"{printable(label)}\t{printable(text)}\t{rejection.reason}: {printable(rejection.detail)}")
    total = sum(map(len, pruning.book.values()))
    gone = len(pruning.dropped)
    print(f"{gone} of {total} attributes {'dropped' if written else 'would go'}" + _shares(pruning.reasons, total))
    if pruning.emptied:
        several = f"{len(pruning.emptied)} labels keep none and are scored by their names"
        print(several if len(pruning.emptied) > 1 else "1 label keeps none and is scored by its name")
    if pruning.by_hand:
        labels = "1 label" if pruning.by_hand == 1 else f"{pruning.by_hand} labels"
        print(f"{labels} written or changed by hand: kept as they are")
    before, after = pruning.moved
    about = "labels whose attributes are nearer to another label's name than to their own"
    print(f"{about}: {before} before, {after} after")
    if written and gone:
        print(f"wrote {output}")


class DescribeView(ProgressView, DescribeListener):
    """Shows a run.

    Args:
        quiet: say nothing.
        remedy: what to do for labels that failed.
    """

    def __init__(self, *, quiet: bool, remedy: str) -> None:
        self._remedy = remedy
        super().__init__("labels", quiet=quiet, prefix="note: ")

    def described(self, answer: Answer) -> None:
        """Move the progress bar on."""
        self.progress.step()

    def finished(self, summary: DescribeSummary, output: Path | None) -> None:
        """Print the last lines: what was done, what failed, what was written."""
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
        if summary.answers:
            parts.append(
                f"{summary.answers} answers, {summary.prompt_tokens} prompt and {summary.completion_tokens} answer "
                f"tokens, {summary.seconds:.1f} s"
            )
        say(", ".join(parts))
        counts = summary.counts
        if counts.candidates:
            passed = f"{counts.accepted} of {counts.candidates} attributes passed the gate"
            first = f"{counts.first_accepted} of {counts.first_candidates} in first answers"
            say(f"{passed} ({first})" + _shares(counts.refused, counts.candidates))
        if summary.moved and (warning := drift_note(summary.moved, summary.total)) is not None:
            say(f"warning: {warning}")
        for name, why in summary.failed[:FAILURES_SHOWN]:
            say(f"failed: {name}: {why}")
        if len(summary.failed) > FAILURES_SHOWN:
            say(f"and {len(summary.failed) - FAILURES_SHOWN} more")
        if summary.stopped:
            say(f"stopped: {summary.stopped}; what is done is kept, the same command goes on from there")
        elif summary.failed:
            say(f"labels that failed are not in the book; {self._remedy}")
        if output is not None and output.is_file():
            say(f"wrote {output}" if summary.described else f"unchanged: {output}")


def _shares(reasons: Mapping[Reason, int], total: int) -> str:
    """Return ": off topic 12 %, loop 5 %", the most common first; "" where nothing was refused."""
    if not reasons:
        return ""
    ordered = sorted(reasons.items(), key=lambda item: -item[1])
    return ": " + ", ".join(f"{reason} {count / total:.0%}" for reason, count in ordered)
