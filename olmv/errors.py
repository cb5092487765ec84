"""Every error that olmv raises on purpose.

    OlmvError
     ├── UsageError                 the call is wrong; nothing was done (exit code 2)
     │    ├── VocabularyError       a label file, an attribute book or a thresholds file
     │    ├── InputError            no such path, a folder without videos or photos, a bad manifest
     │    ├── OutputError           the result cannot be written where it was asked for
     │    └── ModelError            a model name or folder that cannot be used
     │         ├── ModelNotFoundError       no such name; close matches are named
     │         └── WeightsUnavailableError  the name is right, the weights cannot be had
     ├── MissingDependencyError     an optional package is not installed (exit code 2)
     ├── LLMUnavailableError        no language model answers (exit code 2; 1 if some work was done)
     ├── CaptionerUnavailableError  the captioning model cannot be loaded (exit code 2)
     ├── ServerError                a server of olmv serve is not there, or refuses (exit code 2)
     ├── TrainingError              a training run cannot go on (exit code 2); its last good checkpoint is kept
     └── VideoError                 one video cannot be read; costs one row, never the run
          ├── NotAVideoError        not a video or photo, or in a format that is not read
          ├── NoVideoStreamError    audio only
          ├── DecodeError           a video or photo of which no frame can be decoded
          ├── DecodeTimeoutError    took longer than the time allowed for one file
          ├── WorkerCrashedError    the process that decoded it died (memory cap, codec crash)
          └── ProgramFaultError     olmv or a package failed on it; the file may be sound

Messages are one line and end with what to do about it, where something can be done. They name no flag of the command
line: an error names the option that mends it, as the Python call has it (`option="decoder"`), and the command line
shows its own word for it.
"""

import re

__all__ = [
    "CaptionerUnavailableError",
    "DecodeError",
    "DecodeTimeoutError",
    "InputError",
    "LLMUnavailableError",
    "MissingDependencyError",
    "ModelError",
    "ModelNotFoundError",
    "NoVideoStreamError",
    "NotAVideoError",
    "OlmvError",
    "OutputError",
    "ProgramFaultError",
    "ServerError",
    "TrainingError",
    "UsageError",
    "VideoError",
    "VocabularyError",
    "WeightsUnavailableError",
    "WorkerCrashedError",
    "interruption",
    "reason",
]


class OlmvError(Exception):
    """Base of every error that olmv raises on purpose.

    Args:
        message: the fact and what to do about it, in one line.
        option: the parameters that mend it, by their Python names ("decoder", "resume"), most useful first.
    """

    def __init__(self, message: str = "", *, option: str | tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.options = (option,) if isinstance(option, str) else option


class UsageError(OlmvError):
    """The call is wrong; nothing was done."""


class VocabularyError(UsageError):
    """A label file, an attribute book or a thresholds file cannot be used."""


class InputError(UsageError):
    """No such path, a folder without videos or photos, or a bad manifest."""


class OutputError(UsageError):
    """The result cannot be written where it was asked for."""


class ModelError(UsageError):
    """A model name or folder that cannot be used."""


class ModelNotFoundError(ModelError):
    """No model has this name; the message names close matches."""


class WeightsUnavailableError(ModelError):
    """The name is right, but its weights are not here and cannot be fetched."""


class MissingDependencyError(OlmvError):
    """An optional package is not installed; the message names the extra to install."""


class LLMUnavailableError(OlmvError):
    """The language model cannot be loaded, or its server does not answer."""


class CaptionerUnavailableError(OlmvError):
    """The captioning model cannot be loaded."""


class ServerError(OlmvError):
    """A server of `olmv serve` is not there, refuses, or answers something else."""


class TrainingError(OlmvError):
    """A training run cannot go on; its last good checkpoint is kept."""


class VideoError(OlmvError):
    """One video cannot be read; costs one row, never the run."""


class NotAVideoError(VideoError):
    """Not a video or photo, or in a format that is not read."""


class NoVideoStreamError(VideoError):
    """The file has no video stream (audio only)."""


class DecodeError(VideoError):
    """It is a video or photo, but no frame of it can be decoded."""


class DecodeTimeoutError(VideoError):
    """Decoding took longer than the time allowed for one file."""


class WorkerCrashedError(VideoError):
    """The process that decoded the file died (memory cap, codec crash)."""


def reason(failure: BaseException) -> str:
    """Say why something failed, in one sentence of at most 200 characters: for the end of our own messages."""
    text = " ".join(str(failure).split()) or type(failure).__name__
    sentence = re.split(r"(?<=[a-z)'\"])\. ", text, maxsplit=1)[0].rstrip(".")
    return sentence if len(sentence) <= 200 else sentence[:197] + "..."


def interruption(failure: BaseException) -> KeyboardInterrupt | None:
    """Return the Ctrl-C from which another failure came, on the way out; None where there was none.

    A lock that is waited for may be left half released: Python then raises "cannot release un-acquired lock" in place
    of the interruption.
    """
    seen: BaseException | None = failure
    while seen is not None and not isinstance(seen, KeyboardInterrupt):
        seen = seen.__cause__ or seen.__context__
    return seen


class ProgramFaultError(VideoError):
    """olmv, or a package in a version that does not fit, failed on a file, which may be sound."""
