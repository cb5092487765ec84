"""A language model in vLLM's offline engine: the fastest way to describe many labels on a GPU of one's own."""

import contextlib
import dataclasses
import gc
import importlib
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from olmv.errors import LLMUnavailableError
from olmv.llm.backends.vllm_log import EngineLog, why
from olmv.llm.tokens import TEMPLATE_OPTIONS, ChatTokenizer, batches, parse_options
from olmv.llm.types import Completion, Conversation, FinishReason, Generation, seed_of

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


class VLLMChat:
    """A `ChatModel` on `vllm.LLM`; vLLM batches, pages and shares prefixes by itself.

    Args:
        model: a folder or a hub id.
        name: as the user wrote it.
        batch_size: conversations handed to the engine together.
        options: any of vLLM's `EngineArgs` by name; values as in YAML.

    Raises:
        UsageError: an option is unknown.
    """

    def __init__(self, model: str, *, name: str, batch_size: int, options: Mapping[str, str]) -> None:
        self.name = name
        self._model = model
        self._batch_size = batch_size
        known = _engine_options() if options else ()
        self._options = parse_options(options, known, "vLLM")
        self._tokenizer: ChatTokenizer | None = None
        self._engine: Any = None

    def check(self) -> None:
        """See `olmv.llm.types.ChatModel.check`; the folder was looked at when this was made."""

    def complete(
        self,
        conversations: Iterable[Conversation],
        *,
        schema: Mapping[str, Any] | None = None,
        generation: Generation,
    ) -> Iterator[tuple[int, Completion]]:
        """Answer batch by batch, in order; see `ChatModel.complete`.

        Raises:
            LLMUnavailableError: the model cannot be loaded, or the engine died.
            UsageError: it has no chat template.
        """
        engine = self._load()
        assert self._tokenizer is not None
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

        for batch in batches(conversations, self._batch_size):
            asked = [(self._tokenizer.messages(turns), params(turns)) for _, turns in batch]
            yield from zip((number for number, _ in batch), self._answer(engine, asked), strict=True)

    def count_tokens(self, conversations: Sequence[Conversation]) -> list[int]:
        """Prompt tokens of every conversation; reads the tokenizer only.

        Raises:
            LLMUnavailableError: the tokenizer cannot be had.
            UsageError: it has no chat template.
        """
        return self._read_tokenizer().count(conversations)

    def close(self) -> None:
        """End the engine's process and give its memory back. The next `complete` starts it again."""
        engine, self._engine = self._engine, None
        if engine is None:
            return
        with contextlib.suppress(Exception):
            engine.llm_engine.engine_core.shutdown()
        del engine
        gc.collect()

    def _read_tokenizer(self) -> ChatTokenizer:
        if self._tokenizer is None:
            options = self._options
            revision = options.get("tokenizer_revision") or options.get("revision")
            self._tokenizer = ChatTokenizer(options.get("tokenizer") or self._model, revision=revision)
        return self._tokenizer

    def _load(self) -> Any:
        if self._engine is not None:
            return self._engine
        local_only = self._read_tokenizer().local_only
        _prepare_environment()
        before = EngineLog.size()
        try:
            with _starting(local_only=local_only):
                self._engine = _vllm("entrypoints.llm").LLM(model=self._model, **{**DEFAULTS, **self._options})
        except Exception as failure:
            root = EngineLog.explain(failure, before)
            raise LLMUnavailableError(f"vLLM cannot load {self._model}: {root}") from failure
        return self._engine

    def _answer(self, engine: Any, asked: list[tuple[list[dict[str, str]], Any]]) -> list[Completion]:
        """vLLM refuses a whole batch for one prompt that is too long, so a refused batch is tried in halves."""
        before = EngineLog.size()
        try:
            outputs = engine.chat(
                [messages for messages, _ in asked],
                [params for _, params in asked],
                use_tqdm=False,
                chat_template_kwargs=TEMPLATE_OPTIONS,
            )
        except _vllm("v1.engine.exceptions").EngineDeadError as failure:
            self.close()
            root = EngineLog.explain(failure, before)
            raise LLMUnavailableError(f"the engine of {self.name} died: {root}") from failure
        except Exception as failure:
            if len(asked) == 1:
                return [Completion("", "error", error=why(failure))]
            half = len(asked) // 2
            return self._answer(engine, asked[:half]) + self._answer(engine, asked[half:])
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
    """A module of vLLM; imported late, and by name because mypy need not find it."""
    return importlib.import_module(f"vllm.{module}")


def _prepare_environment() -> None:
    """To be called before vLLM is imported."""
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    EngineLog.instead_of_the_terminal()


@contextlib.contextmanager
def _starting(*, local_only: bool) -> Iterator[None]:
    """The environment that the engine's processes inherit; ours is as before afterwards."""
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
