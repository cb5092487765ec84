"""Load models with transformers: the options of a user, silence, and the error where a model cannot be had."""

import contextlib
import difflib
import warnings
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from olmv.errors import LLMUnavailableError, UsageError, reason
from olmv.io.plain_yaml import load_yaml

__all__ = ["parse_options", "quiet_transformers", "unavailable"]

# What a hexadecimal revision or a name would lose as a YAML number.
_TEXTS = frozenset({"revision", "code_revision", "tokenizer_revision", "tokenizer", "hf_token"})


def parse_options(options: Mapping[str, str], known: Collection[str], what: str) -> dict[str, Any]:
    """Read options with their values as YAML means them (`2`, `0.8`, `true`, `auto`).

    Args:
        options: name to text.
        known: the names there are.
        what: whose options these are, for the error.

    Raises:
        UsageError: an unknown name, a value that is not YAML, or remote code.
    """
    values: dict[str, Any] = {}
    for name, text in options.items():
        if name == "trust_remote_code":
            raise UsageError(
                "olmv runs no code from a model's repository; serve such a model yourself, and name its server: "
                "openai:MODEL@URL"
            )
        if name not in known:
            close = difflib.get_close_matches(name, known, n=3, cutoff=0.6)
            hint = f"did you mean {' or '.join(close)}?" if close else "see its documentation"
            raise UsageError(f"{what} has no option {name!r}; {hint}")
        try:
            values[name] = text if name in _TEXTS else load_yaml(text)
        except yaml.YAMLError:
            raise UsageError(f"option {name}={text[:80]!r} is not a value; quote it as in YAML") from None
    return values


def unavailable(model: str, failure: BaseException, *, local_only: bool) -> LLMUnavailableError:
    """Make the error for a model that cannot be loaded: why, and what to do."""
    if Path(model).is_dir():
        return LLMUnavailableError(f"cannot load {model}: {reason(failure)}")
    if model.startswith((".", "/", "~")):
        return LLMUnavailableError(f"no such folder: {model}")
    if local_only:
        return LLMUnavailableError(
            f"{model} is neither a folder nor in the hub's cache, and the hub does not answer; "
            "download it where there is a network (hf download), or name a folder"
        )
    return LLMUnavailableError(f"cannot load {model} from the hub: {reason(failure)}")


@contextlib.contextmanager
def quiet_transformers() -> Iterator[None]:
    """Silence transformers' progress bars and advice; what matters is raised."""
    from transformers.utils import logging

    bars, level = logging.is_progress_bar_enabled(), logging.get_verbosity()
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()
