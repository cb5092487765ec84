"""What the rows of a predict run depend on, as its `.run.json` has it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from olmv.labels.vocabulary import Vocabulary
from olmv.scoring.run_settings import RunSettings
from olmv.scoring.windows import TimelineOptions

if TYPE_CHECKING:
    from olmv.scoring.thresholds import Thresholds

__all__ = ["PredictSettings"]


@dataclass(frozen=True, kw_only=True)
class PredictSettings(RunSettings):
    """Everything that a row depends on: not the number of workers nor the batch size, which change no answer.

    Attributes:
        vocabulary: the labels with their words.
        thresholds: [C], those that decide.
        scalings: of a thresholds file, as plain data; empty if there is none.
        model: name or folder.
        revision: the commit of a model on the Hub, where the same name may mean other weights tomorrow.
        top_k, explain: as in `ScoreOptions`.
        decoder: as in `DecodeOptions`.
        device, dtype, runtime: where the model runs, resolved.
        max_frames: as in `DecodeOptions`.
        timeline: None for none.
        library: a name for what the libraries were made with that the rows come from; None where videos are decoded.
        leaves: [C] below which a label's segment ends, where a thresholds file says; empty where none does.
        shard: which part of the inputs, such as `3/16`; None for all.
    """

    vocabulary: Vocabulary
    thresholds: Sequence[float]
    scalings: Sequence[dict[str, Any]] = ()
    model: str
    revision: str | None = None
    top_k: int | None = None
    explain: bool = False
    decoder: str = "auto"
    device: str = "cpu"
    dtype: str = "float32"
    runtime: str = "torch"
    max_frames: int | None = None
    timeline: TimelineOptions | None = None
    leaves: Sequence[float] = ()
    shard: str | None = None
    library: str | None = None

    def to_document(self) -> dict[str, Any]:
        """Return them as plain data; runs begun by earlier versions have the same names and values."""
        return {
            "labels": [[label.name, list(label.aliases), list(label.attributes)] for label in self.vocabulary],
            "thresholds": list(self.thresholds),
            "scalings": list(self.scalings),
            "model": self.model,
            **super().to_document(),
            "top-k": self.top_k,
            "explain": self.explain,
            "decoder": self.decoder,
            "device": self.device,
            "dtype": self.dtype,
            **({} if self.runtime == "torch" else {"runtime": self.runtime}),
            **({} if self.revision is None else {"revision": self.revision}),
            "max-frames": self.max_frames,
            **({} if self.library is None else {"library": self.library}),
            **({"leaves": list(self.leaves)} if self.leaves else {}),
            **({} if self.timeline is None else {"join": self.timeline.join_s, "least": self.timeline.least_s}),
            **({} if self.shard is None else {"shard": self.shard}),
        }

    def of_parts(self) -> dict[str, Any]:
        """Return what the scores of a part depend on: not what is decided of them afterwards."""
        later = ("thresholds", "leaves", "top-k", "explain", "join", "least", "shard")
        return {name: value for name, value in self.to_document().items() if name not in later}

    def notes_on(self, thresholds: "Thresholds") -> list[str]:
        """List what differs from the run that a thresholds file was fitted to."""
        return thresholds.notes_for(self.vocabulary, model=self.model, settings=self)
