"""Open the language model that a spec names.

    vllm:MODEL             vLLM's offline engine, in this process (extra `vllm`)
    openai:MODEL@URL       any OpenAI-compatible server: vLLM, llama.cpp, a hosted one (extra `openai`);
                           without @URL the hosted API; the key comes from OPENAI_API_KEY only
    transformers:MODEL     transformers' own generate, for small machines (extra `transformers`)

MODEL is a hub id or, for `vllm` and `transformers`, a folder.

To add a backend, write one module in `olmv/llm/backends/` with a class that has the methods of
`olmv.llm.types.ChatModel` (one that holds its model in this process extends `backends.local.LocalChat`), a function
here that opens it, and its line in `_BACKENDS`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from olmv.errors import UsageError
from olmv.io.packages import require
from olmv.llm.types import ChatModel

__all__ = ["open_chat"]


@dataclass(frozen=True)
class _Settings:
    """What every backend is opened with; see `open_chat`."""

    spec: str
    concurrency: int
    timeout_s: float
    options: Mapping[str, str]


def open_chat(
    spec: str, *, concurrency: int = 32, timeout_s: float = 120.0, options: Mapping[str, str] | None = None
) -> ChatModel:
    """Open the language model that `spec` names; no weights are loaded and no server is asked yet.

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
    name, _, model = spec.partition(":")
    backend = _BACKENDS.get(name)
    if backend is None or not model.strip():
        raise UsageError(f"{spec!r} is not vllm:MODEL, openai:MODEL@URL or transformers:MODEL", option="llm")
    for package in backend.packages:
        require(package, extra=name, need=f"the language model {spec}")
    return backend.open(model, _Settings(spec, concurrency, timeout_s, dict(options or {})))


def _open_vllm(model: str, settings: _Settings) -> ChatModel:
    from olmv.llm.backends.vllm import VLLMChat

    batch_size = max(settings.concurrency, 256)
    return VLLMChat(model, name=settings.spec, batch_size=batch_size, options=settings.options)


def _open_openai(model: str, settings: _Settings) -> ChatModel:
    from olmv.llm.backends.openai import OpenAIChat

    return OpenAIChat(
        model,
        name=settings.spec,
        concurrency=settings.concurrency,
        timeout_s=settings.timeout_s,
        options=settings.options,
    )


def _open_transformers(model: str, settings: _Settings) -> ChatModel:
    from olmv.llm.backends.transformers import TransformersChat

    return TransformersChat(model, name=settings.spec, batch_size=settings.concurrency, options=settings.options)


@dataclass(frozen=True)
class _Backend:
    """A way to reach a language model; the extra of olmv that brings its packages has its name."""

    open: Callable[[str, _Settings], ChatModel]
    packages: tuple[str, ...]


_BACKENDS = {
    "vllm": _Backend(_open_vllm, ("vllm",)),
    "openai": _Backend(_open_openai, ("openai",)),
    "transformers": _Backend(_open_transformers, ("transformers", "llguidance")),
}
