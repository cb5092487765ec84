"""What an `olmv caption` run is asked to do, who watches it, and what it did."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from olmv.errors import UsageError
from olmv.io.atomic import check_writable
from olmv.llm.types import Generation

__all__ = ["CaptionJob", "CaptionListener", "CaptionSummary"]

LABELS = "labels:"
FORMATS = (".jsonl", ".csv")


_EXAMPLES = {"blip2": "blip2:Salesforce/blip2-opt-2.7b", "hf": "hf:HuggingFaceTB/SmolVLM-256M-Instruct"}


class CaptionListener(Protocol):
    """Who watches a run: the command line, or a test."""

    def note(self, text: str) -> None:
        """Something the user should know; one line."""

    def started(self, *, total: int, done: int) -> None:
        """`total` videos, of which `done` need no more work."""

    def captioned(self, done: int, total: int) -> None:
        """Frame captions of `done` videos are there (stage one)."""

    def told(self, row: dict[str, Any]) -> None:
        """A video has its row (stage two), a good one or an error."""


@dataclass(frozen=True)
class CaptionJob:
    """What to caption, by which models, and where to write it."""

    inputs: list[str]
    output: Path
    captioner: str
    llm: str | None = None
    prompt: str = "summary"
    labels: str | None = None
    model: str | None = None
    min_similarity: float | None = None
    extract_labels: Path | None = None
    frames: int | None = None  # 16, or what the model of `labels:` is made for
    sampling: str = "uniform"
    batch_size: int | None = None
    generation: Generation = field(default_factory=lambda: Generation(temperature=0.2, max_tokens=160))
    retries: int = 3
    concurrency: int = 32
    llm_timeout_s: float = 120.0
    llm_options: dict[str, str] = field(default_factory=dict)
    captioner_options: dict[str, str] = field(default_factory=dict)
    resume: bool = True
    decoder: str = "auto"
    device: str = "auto"
    dtype: str = "auto"
    workers: int | None = None
    timeout_s: float = 60.0

    @property
    def by_labels(self) -> bool:
        """Whether the classifier itself tells what it sees."""
        return self.captioner.startswith(LABELS)

    @property
    def knows_moji(self) -> bool:
        """Whether the classifier is olmv-mini, which knows its own world's words."""
        return self.captioner == f"{LABELS}olmv-mini"

    def check(self) -> None:
        """Whether the words of the command make sense, before anything is loaded.

        Raises:
            UsageError: they do not.
            OutputError: an output cannot be written.
        """
        if self.output.suffix.lower() not in FORMATS:
            raise UsageError(f"captions are rows of JSON or csv; end {self.output} in .jsonl or .csv")
        check_writable(self.output)
        if self.extract_labels is not None:
            if self.extract_labels.suffix.lower() != ".jsonl":
                raise UsageError(f"the manifest is rows of JSON; end {self.extract_labels} in .jsonl")
            if self.extract_labels.resolve() == self.output.resolve():
                raise UsageError("--extract-labels and -o name the same file; give the manifest a name of its own")
            check_writable(self.extract_labels)
        if self.captioner.partition(":")[0] in ("blip2", "hf") and not self.captioner.partition(":")[2].strip():
            family = self.captioner.partition(":")[0]
            raise UsageError(
                f"--captioner {self.captioner} names no model; write {family}:MODEL, as in {_EXAMPLES[family]}"
            )
        if not self.by_labels and self.llm is None and self.extract_labels is not None:
            raise UsageError("--extract-labels asks a language model which things a caption names: name one, --llm")
        if not self.by_labels and self.llm is None and self.min_similarity is not None:
            raise UsageError(
                "--min-similarity compares the one caption of a video, which needs a language model: --llm"
            )
        if self.by_labels and self.labels is None and not self.knows_moji:
            raise UsageError(f"--captioner {self.captioner} tells what its labels say: give them, --labels FILE")
        if self.min_similarity is not None and self.model is None and not self.by_labels:
            raise UsageError("--min-similarity compares captions with videos: name the CLIP that does, --model NAME")


@dataclass
class CaptionSummary:
    """What a run did.

    Args:
        total: videos.
        earlier: of these, finished before.
        ok: captioned by this run.
        failed: without a caption; their rows say why.
        frames_captioned: videos that went through stage one in this run.
        labels: different labels in the manifest; None if none was asked for.
        stopped: why the sentences ended early; None if they did not.
    """

    total: int
    earlier: int
    ok: int = 0
    failed: int = 0
    frames_captioned: int = 0
    asked: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    labels: int | None = None
    stopped: str | None = None
    seconds: float = 0.0
    failures: list[tuple[str, str]] = field(default_factory=list)
    written: list[Path] = field(default_factory=list)
