"""Open the language model that a spec names.

    vllm:MODEL             vLLM's offline engine, in this process (extra `vllm`)
    openai:MODEL@URL       any OpenAI-compatible server: vLLM, llama.cpp, a hosted one (extra `openai`);
                           without @URL the hosted API; the key comes from OPENAI_API_KEY only
    transformers:MODEL     transformers' own generate, for small machines (extra `transformers`)

MODEL is a hub id or, for `vllm` and `transformers`, a folder.
"""

import importlib.util
from collections.abc import Mapping

from olmv.errors import MissingDependencyError, UsageError
from olmv.llm.types import ChatModel

__all__ = ["open_chat"]


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
        from olmv.llm.backends.openai import OpenAIChat

        return OpenAIChat(rest, name=spec, concurrency=concurrency, timeout_s=timeout_s, options=given)
    if backend == "vllm":
        from olmv.llm.backends.vllm import VLLMChat

        return VLLMChat(rest, name=spec, batch_size=max(concurrency, 256), options=given)
    from olmv.llm.backends.transformers import TransformersChat

    return TransformersChat(rest, name=spec, batch_size=concurrency, options=given)


_NEEDS = {
    "vllm": ("vllm",),
    "openai": ("openai",),
    "transformers": ("transformers", "llguidance"),
}
