"""A language model in vLLM's offline engine: the fastest way to describe many labels on a GPU of one's own."""

import contextlib
import dataclasses
import gc
import importlib
import os
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from olmv.errors import LLMUnavailableError
from olmv.llm.backends.local import Batch, LocalChat
from olmv.llm.backends.vllm_log import EngineLog, why
from olmv.llm.pretrained import parse_options
from olmv.llm.tokens import TEMPLATE_OPTIONS
from olmv.llm.types import Completion, Conversation, FinishReason, Generation, JsonSchema, seed_of

__all__ = ["VLLMChat"]

ENVIRONMENT = {
    # forking a process that has run torch can hang in OpenMP
    "VLLM_WORKER_MULTIPROC_METHOD": "spawn",
    "VLLM_NO_USAGE_STATS": "1",
}
"""Set before vLLM is imported, where the user has not set it."""

QUIET = {"PYTHONWARNINGS": "ignore", "TORCH_CPP_LOG_LEVEL": "ERROR"}
"""For the engine's own processes, while they start."""

DEFAULTS: dict[str, Any] = {
    # compact JSON: left free, a small model may write white space between two tokens for ever
    "structured_outputs_config": {"backend": "xgrammar", "disable_any_whitespace": True},
    "load_format": "safetensors",
    "use_tqdm_on_load": False,
    # the model's own length, or the longest that fits the memory
    "max_model_len": -1,
}


class VLLMChat(LocalChat):
    """Answers with `vllm.LLM`, which batches, pages and shares prefixes by itself.

    Args:
        model: a folder or a hub id.
        name: as the user wrote it.
        batch_size: conversations handed to the engine together.
        options: any of vLLM's `EngineArgs` by name; values as in YAML.

    Raises:
        UsageError: an option is unknown.
    """

    def __init__(self, model: str, *, name: str, batch_size: int, options: Mapping[str, str]) -> None:
        known = _engine_options() if options else ()
        super().__init__(model, name=name, batch_size=batch_size, options=parse_options(options, known, "vLLM"))
        self._engine: Any = None

    def _prepare(
        self, schema: JsonSchema | None, generation: Generation
    ) -> Callable[[Batch], Iterator[tuple[int, Completion]]]:
        engine = self._load()
        parameters = _vllm("sampling_params")
        constraint = None if schema is None else parameters.StructuredOutputsParams(json=dict(schema))

        def params(conversation: Conversation) -> Any:
            return parameters.SamplingParams(
                temperature=generation.temperature,
                top_p=generation.top_p,
                max_tokens=generation.max_tokens,
                seed=seed_of(conversation, generation.seed),
                structured_outputs=constraint,
            )

        def answer(batch: Batch) -> Iterator[tuple[int, Completion]]:
            requests = [(self._tokenizer.messages(turns), params(turns)) for _, turns in batch]
            return zip((number for number, _ in batch), self._answer(engine, requests), strict=True)

        return answer

    def close(self) -> None:
        """End the engine's process and give its memory back. The next `complete` starts it again."""
        engine, self._engine = self._engine, None
        if engine is None:
            return
        with contextlib.suppress(Exception):
            engine.llm_engine.engine_core.shutdown()
        del engine
        gc.collect()

    def _load(self) -> Any:
        if self._engine is not None:
            return self._engine
        local_only = self._tokenizer.local_only
        _prepare_environment()
        before = EngineLog.size()
        try:
            with _starting(local_only=local_only):
                self._engine = _vllm("entrypoints.llm").LLM(model=self._model_name, **{**DEFAULTS, **self._options})
        except Exception as failure:
            root = EngineLog.explain(failure, before)
            raise LLMUnavailableError(f"vLLM cannot load {self._model_name}: {root}") from failure
        return self._engine

    def _answer(self, engine: Any, requests: list[tuple[list[dict[str, str]], Any]]) -> list[Completion]:
        """Answer a batch; vLLM refuses all of it for one prompt that is too long, so it is tried again in halves."""
        before = EngineLog.size()
        try:
            outputs = engine.chat(
                [messages for messages, _ in requests],
                [params for _, params in requests],
                use_tqdm=False,
                chat_template_kwargs=TEMPLATE_OPTIONS,
            )
        except _vllm("v1.engine.exceptions").EngineDeadError as failure:
            self.close()
            root = EngineLog.explain(failure, before)
            raise LLMUnavailableError(f"the engine of {self.name} died: {root}") from failure
        except Exception as failure:
            if len(requests) == 1:
                return [Completion("", "error", error=why(failure))]
            half = len(requests) // 2
            return self._answer(engine, requests[:half]) + self._answer(engine, requests[half:])
        return [_completion(output) for output in outputs]


def _completion(output: Any) -> Completion:
    answer = output.outputs[0]
    reasons: dict[str, FinishReason] = {"stop": "stop", "length": "length"}
    finish = reasons.get(answer.finish_reason, "error")
    error = None if finish != "error" else f"vLLM ended the answer: {answer.finish_reason}"
    return Completion(answer.text, finish, len(output.prompt_token_ids or ()), len(answer.token_ids), error)


def _engine_options() -> frozenset[str]:
    _prepare_environment()
    return frozenset(field.name for field in dataclasses.fields(_vllm("engine.arg_utils").EngineArgs)) - {"model"}


def _vllm(module: str) -> Any:
    """Return a module of vLLM; imported late, and by name because mypy need not find it."""
    return importlib.import_module(f"vllm.{module}")


def _prepare_environment() -> None:
    """Set up what vLLM reads when it is imported."""
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    EngineLog.instead_of_the_terminal()


@contextlib.contextmanager
def _starting(*, local_only: bool) -> Iterator[None]:
    """Set the environment that the engine's processes inherit; ours is as before afterwards."""
    from huggingface_hub import constants

    variables = {**QUIET, "HF_HUB_OFFLINE": "1"} if local_only else QUIET
    before, offline = {name: os.environ.get(name) for name in variables}, constants.HF_HUB_OFFLINE
    os.environ.update({name: value for name, value in variables.items() if before[name] is None})
    # this process has read the variable long ago
    constants.HF_HUB_OFFLINE = offline or local_only
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = offline
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
