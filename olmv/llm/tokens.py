"""What the two backends that hold a model themselves share: its chat template, its options, batches of work."""

import contextlib
import difflib
import warnings
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import yaml

from olmv.errors import LLMUnavailableError, UsageError, reason
from olmv.io.network import is_online
from olmv.io.plain_yaml import load_yaml
from olmv.llm.types import Conversation, Message

__all__ = ["ChatTokenizer", "batches", "parse_options", "quiet_transformers", "unavailable"]

# What a hexadecimal revision or a name would lose as a YAML number.
_TEXTS = frozenset({"revision", "code_revision", "tokenizer_revision", "tokenizer", "hf_token"})


class ChatTokenizer:
    """A model's tokenizer and chat template; knows how many tokens a conversation is without any weights.

    Args:
        model: a folder or a hub id.
        revision: of the hub repository.

    Raises:
        LLMUnavailableError: it cannot be had.
        UsageError: it has no chat template.
    """

    def __init__(self, model: str, *, revision: str | None = None) -> None:
        from transformers import AutoTokenizer

        self.local_only = Path(model).is_dir() or not is_online()
        """Whether only what is on this machine can be asked; the weights' loader needs to know it too."""
        try:
            self.hf: Any = AutoTokenizer.from_pretrained(
                model, revision=revision, local_files_only=self.local_only, trust_remote_code=False, padding_side="left"
            )
        except Exception as failure:
            raise unavailable(model, failure, local_only=self.local_only) from failure
        if not getattr(self.hf, "chat_template", None):
            raise UsageError(f"{model} has no chat template; use an -Instruct model")
        self._takes_system = self._can_render([Message("system", "a"), Message("user", "b")])

    def messages(self, conversation: Conversation) -> list[dict[str, str]]:
        """The conversation as the chat template takes it; some (Gemma 2) know no system turn."""
        turns = [{"role": message.role, "content": message.content} for message in conversation]
        if not self._takes_system and len(turns) > 1 and turns[0]["role"] == "system":
            system = turns.pop(0)
            turns[0] = {**turns[0], "content": f"{system['content']}\n\n{turns[0]['content']}"}
        return turns

    def encode(self, conversation: Conversation) -> list[int]:
        """The prompt's tokens, up to where the answer begins."""
        return list(
            self.hf.apply_chat_template(
                self.messages(conversation), add_generation_prompt=True, return_dict=False, **TEMPLATE_OPTIONS
            )
        )

    def count(self, conversations: Sequence[Conversation]) -> list[int]:
        """Prompt tokens of every conversation."""
        return [len(self.encode(conversation)) for conversation in conversations]

    def _can_render(self, conversation: Conversation) -> bool:
        from jinja2 import TemplateError

        turns = [{"role": message.role, "content": message.content} for message in conversation]
        try:
            self.hf.apply_chat_template(turns, add_generation_prompt=True, tokenize=False)
        except TemplateError:
            return False
        return True


TEMPLATE_OPTIONS: dict[str, Any] = {"enable_thinking": False}
"""Variables for chat templates. An answer held to a schema leaves no room for thinking; other templates ignore it."""


def batches(conversations: Iterable[Conversation], size: int) -> Iterator[list[tuple[int, Conversation]]]:
    """Numbered conversations, at most `size` at a time; a list may grow while it is read."""
    number = 0
    if isinstance(conversations, Sequence):
        while part := conversations[number : number + size]:
            yield list(enumerate(part, start=number))
            number += len(part)
        return
    waiting = iter(conversations)
    while batch := list(enumerate(islice(waiting, size), start=number)):
        yield batch
        number += len(batch)


def parse_options(options: Mapping[str, str], known: Collection[str], what: str) -> dict[str, Any]:
    """The options of a command line with their values as YAML means them (`2`, `0.8`, `true`, `auto`).

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
            raise UsageError("olmv runs no code from a model's repository; serve such a model yourself: --llm openai:")
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
    """The error for a model that cannot be loaded: why, and what to do."""
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
    """Without transformers' progress bars and advice; what matters is raised."""
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
