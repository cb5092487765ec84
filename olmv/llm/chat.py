"""What olmv asks of a language model, and how one is named.

    vllm:MODEL             vLLM's offline engine, in this process (extra `vllm`)
    openai:MODEL@URL       any OpenAI-compatible server: vLLM, llama.cpp, a hosted one (extra `openai`);
                           without @URL the hosted API; the key comes from OPENAI_API_KEY only
    transformers:MODEL     transformers' own generate, for small machines (extra `transformers`)

MODEL is a hub id or, for `vllm` and `transformers`, a folder.
"""

import importlib.util
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from olmv.errors import MissingDependencyError, UsageError

__all__ = ["ChatModel", "Completion", "Conversation", "FinishReason", "Message", "Sampling", "open_chat", "seed_of"]

FinishReason = Literal["stop", "length", "refusal", "error"]


@dataclass(frozen=True)
class Message:
    """One turn of a conversation."""

    role: Literal["system", "user", "assistant"]
    content: str


Conversation = Sequence[Message]


@dataclass(frozen=True)
class Sampling:
    """How an answer is drawn.

    Args:
        temperature: 0 takes the most probable token.
        top_p: the smallest set of tokens with this probability is drawn from, in (0, 1].
        max_tokens: an answer is cut off here, and says so.
        seed: the same prompt and seed give the same answer where the backend can promise it.
    """

    temperature: float = 0.7
    top_p: float = 0.95
    max_tokens: int = 512
    seed: int = 0


@dataclass(frozen=True)
class Completion:
    """The answer to one conversation.

    Args:
        text: what was written; possibly cut off, empty for a refusal or an error.
        finish_reason: `stop`, `length` (cut off at `max_tokens`), `refusal`, or `error`.
        prompt_tokens: of the conversation in the model's chat template; 0 where the backend does not say.
        completion_tokens: of the answer.
        error: with `error` or `refusal`, why, in one line.
    """

    text: str
    finish_reason: FinishReason
    prompt_tokens: int = 0
    completion_tokens: int = 0
    error: str | None = None


def seed_of(conversation: Conversation, seed: int) -> int:
    """The seed of one answer: the same for the same prompt, so that a label alone gets what it gets in a list.

    With one seed for all, a server draws every answer with the same luck, and different labels get the same words.
    """
    text = "\0".join(f"{turn.role}\0{turn.content}" for turn in conversation)
    return zlib.crc32(text.encode("utf-8", "surrogatepass"), seed & 0xFFFFFFFF) & 0x7FFFFFFF


class ChatModel(Protocol):
    """A language model that answers conversations. Nothing heavy is loaded before the first `complete`."""

    name: str
    """As the user wrote it; goes into the provenance of what it writes."""

    def check(self) -> None:
        """Tell at once, before long work for it begins, if nothing answers. Loads no weights.

        Raises:
            LLMUnavailableError: nothing does.
        """

    def complete(
        self,
        conversations: Iterable[Conversation],
        *,
        schema: Mapping[str, Any] | None = None,
        sampling: Sampling,
    ) -> Iterator[tuple[int, Completion]]:
        """Answer every conversation, in whatever order they are done: (its number from 0, its answer).

        `conversations` is read lazily, only as far ahead as answers are under way, and may grow while it is
        read. With a JSON `schema` the answer is constrained to it as far as the backend can.

        Raises:
            LLMUnavailableError: nothing answers, or the model cannot be loaded. One conversation that fails
                is a `Completion` with `finish_reason == "error"`.
        """

    def count_tokens(self, conversations: Sequence[Conversation]) -> list[int] | None:
        """Prompt tokens of every conversation, without loading weights; None where nobody can tell."""

    def close(self) -> None:
        """Give back memory, threads and connections. May be called twice."""


def open_chat(
    spec: str, *, concurrency: int = 32, timeout_s: float = 120.0, options: Mapping[str, str] | None = None
) -> ChatModel:
    """The language model that `spec` names (see the module's docstring).

    Args:
        spec: `vllm:MODEL`, `openai:MODEL@URL` or `transformers:MODEL`.
        concurrency: conversations under way at once; for `transformers` the batch size.
        timeout_s: seconds that one answer of a server may take, from the request to the last byte.
        options: passed on by name: to vLLM's `LLM` (`tensor_parallel_size`, `max_model_len`, ...), to
            transformers' `from_pretrained` (`device_map`, `dtype`), to a server's request body.

    Raises:
        UsageError: the spec or an option cannot be used.
        MissingDependencyError: the backend is not installed; the message names the extra.
    """
    backend, _, rest = spec.partition(":")
    if backend not in _NEEDS or not rest.strip():
        raise UsageError(f"--llm {spec!r} is not vllm:MODEL, openai:MODEL@URL or transformers:MODEL")
    for module in _NEEDS[backend]:
        if importlib.util.find_spec(module) is None:
            raise MissingDependencyError(f"--llm {backend}: needs {module}; install it: pip install 'olmv[{backend}]'")
    given = dict(options or {})
    if backend == "openai":
        from olmv.llm.openai_server import OpenAIChat

        return OpenAIChat(rest, name=spec, concurrency=concurrency, timeout_s=timeout_s, options=given)
    if backend == "vllm":
        from olmv.llm.vllm_engine import VLLMChat

        return VLLMChat(rest, name=spec, batch_size=max(concurrency, 256), options=given)
    from olmv.llm.transformers_local import TransformersChat

    return TransformersChat(rest, name=spec, batch_size=concurrency, options=given)


_NEEDS = {
    "vllm": ("vllm",),
    "openai": ("openai",),
    "transformers": ("transformers", "llguidance"),
}
