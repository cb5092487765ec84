"""What of the vLLM backend can be tested without vLLM; the engine itself: scripts/test_vllm."""

import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from olmv.errors import LLMUnavailableError, MissingDependencyError, UsageError
from olmv.llm.backends import vllm as vllm_engine
from olmv.llm.backends.vllm import VLLMChat
from olmv.llm.backends.vllm_log import EngineLog
from olmv.llm.open import open_chat
from olmv.llm.types import Completion, Conversation, Generation, Message
from scripts.research.tiny_llama import build

CONTEXT = 40


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("llama"))


@dataclass
class EngineArgs:
    """Of vLLM's, four."""

    model: str = ""
    max_model_len: int | None = None
    tensor_parallel_size: int = 1
    revision: str | None = None
    enforce_eager: bool = False


class EngineDeadError(Exception):
    """vLLM's."""


@dataclass
class FakeLLM:
    """Takes what vLLM's `LLM` takes; a batch with one prompt that is too long fails as a whole."""

    made: list[dict[str, Any]] = field(default_factory=list)
    chats: list[int] = field(default_factory=list)
    params: list[Any] = field(default_factory=list)
    failure: Exception | None = None
    ended: int = 0

    def __call__(self, **settings: Any) -> "FakeLLM":
        if self.failure is not None:
            raise self.failure
        self.made.append(settings | {"offline": os.environ.get("HF_HUB_OFFLINE")})
        self.llm_engine = SimpleNamespace(engine_core=self)
        return self

    def shutdown(self) -> None:
        self.ended += 1

    def chat(self, messages: list[Any], params: list[Any], **_: Any) -> list[Any]:
        self.chats.append(len(messages))
        self.params.extend(params)
        words = [sum(len(turn["content"].split()) for turn in turns) for turns in messages]
        if any("die" in turn["content"] for turns in messages for turn in turns):
            raise EngineDeadError("see stack trace above")
        if max(words) >= CONTEXT:
            raise ValueError("This model's maximum context length is 40 tokens. However, your prompt is longer.")
        return [
            SimpleNamespace(
                prompt_token_ids=[0] * count,
                outputs=[SimpleNamespace(text=f"{count} words", token_ids=[1, 2], finish_reason="stop")],
            )
            for count in words
        ]


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> FakeLLM:
    """vLLM's four modules that are used, in its place."""
    fake = FakeLLM()

    def module(name: str, **content: Any) -> None:
        made = ModuleType(name)
        made.__dict__.update(content)
        monkeypatch.setitem(sys.modules, name, made)

    module("vllm")
    module("vllm.entrypoints")
    module("vllm.entrypoints.llm", LLM=fake)
    module("vllm.engine")
    module("vllm.engine.arg_utils", EngineArgs=EngineArgs)
    module("vllm.sampling_params", SamplingParams=SimpleNamespace, StructuredOutputsParams=SimpleNamespace)
    module("vllm.v1")
    module("vllm.v1.engine")
    module("vllm.v1.engine.exceptions", EngineDeadError=EngineDeadError)
    for name in (*vllm_engine.ENVIRONMENT, "VLLM_LOGGING_CONFIG_PATH", "VLLM_LOGGING_LEVEL"):
        # deleted afterwards too
        monkeypatch.setenv(name, "x")
        monkeypatch.delenv(name)
    monkeypatch.setattr(EngineLog, "path", None)
    monkeypatch.setattr(EngineLog, "_failed", False)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return fake


def ask(text: str) -> Conversation:
    return [Message("system", "be brief"), Message("user", text)]


def done(chat: VLLMChat, asked: Any, **settings: Any) -> dict[int, Completion]:
    return dict(chat.complete(asked, generation=settings.pop("generation", Generation()), **settings))


def test_options_are_read_as_yaml(engine: FakeLLM, folder: Path) -> None:
    given = {"max_model_len": "4096", "tensor_parallel_size": "2", "enforce_eager": "true"}
    chat = VLLMChat(str(folder), name="vllm:x", batch_size=8, options=given)
    assert engine.made == []
    done(chat, [ask("a")])
    (settings,) = engine.made
    assert settings["max_model_len"] == 4096
    assert settings["tensor_parallel_size"] == 2
    assert settings["enforce_eager"] is True
    assert settings["model"] == str(folder)
    assert settings["structured_outputs_config"] == {"backend": "xgrammar", "disable_any_whitespace": True}
    assert settings["load_format"] == "safetensors"


@pytest.mark.usefixtures("engine")
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_modellen": "1"}, "vLLM has no option 'max_modellen'; did you mean max_model_len?"),
        ({"model": "other"}, "vLLM has no option 'model'"),
        ({"trust_remote_code": "true"}, "olmv runs no code from a model's repository"),
    ],
)
def test_options_that_cannot_be_used(options: dict[str, str], message: str) -> None:
    with pytest.raises(UsageError) as failure:
        VLLMChat("x", name="x", batch_size=1, options=options)
    assert message in str(failure.value)


def test_a_revision_stays_a_text(engine: FakeLLM) -> None:
    chat = VLLMChat("x", name="x", batch_size=1, options={"revision": "12345678"})
    assert chat._options == {"revision": "12345678"}
    assert engine.made == []


def test_counting_needs_no_engine(engine: FakeLLM, folder: Path) -> None:
    chat = VLLMChat(str(folder), name="x", batch_size=8, options={})
    few, many = chat.count_tokens([ask("a"), ask("a red penguin in the snow")])
    assert 5 < few < many < 40
    assert engine.made == []


def test_batches_are_read_as_needed(engine: FakeLLM, folder: Path) -> None:
    chat = VLLMChat(str(folder), name="x", batch_size=3, options={})
    read: list[int] = []

    def conversations() -> Iterator[Conversation]:
        for k in range(7):
            read.append(k)
            yield ask("a " * k)

    stream = chat.complete(conversations(), generation=Generation())
    assert next(stream)[0] == 0
    assert read == [0, 1, 2]
    assert [number for number, _ in stream] == [1, 2, 3, 4, 5, 6]
    assert engine.chats == [3, 3, 1]


def test_one_prompt_that_is_too_long_costs_only_itself(engine: FakeLLM, folder: Path) -> None:
    chat = VLLMChat(str(folder), name="x", batch_size=8, options={})
    answers = done(chat, [ask("a " * (100 if k == 5 else k)) for k in range(8)])
    assert [number for number, answer in answers.items() if answer.finish_reason == "error"] == [5]
    assert answers[5].error == "This model's maximum context length is 40 tokens"
    assert answers[6] == Completion("8 words", "stop", 8, 2)
    assert engine.chats == [8, 4, 4, 2, 1, 1, 2]


def test_every_prompt_has_its_own_luck_and_keeps_it(engine: FakeLLM, folder: Path) -> None:
    chat = VLLMChat(str(folder), name="x", batch_size=8, options={})
    done(
        chat, [ask("a"), ask("b"), ask("a")], schema={"type": "object"}, generation=Generation(seed=3, temperature=0.5)
    )
    done(chat, [ask("a")], generation=Generation(seed=4))
    a, b, again, other = (params.seed for params in engine.params)
    assert a == again
    assert len({a, b, other}) == 3
    first, *_, last = engine.params
    assert (first.temperature, first.top_p, first.max_tokens) == (0.5, 0.95, 512)
    assert first.structured_outputs.json == {"type": "object"}
    assert last.structured_outputs is None


def test_an_engine_that_dies(engine: FakeLLM, folder: Path) -> None:
    chat = VLLMChat(str(folder), name="vllm:tiny", batch_size=2, options={})
    stream = chat.complete([ask("a"), ask("b"), ask("die")], generation=Generation())
    assert [next(stream)[0], next(stream)[0]] == [0, 1]
    log = EngineLog.path
    assert log is not None
    log.write_text("ERROR EngineCore died\n  File x\ntorch.OutOfMemoryError: no room\nRuntimeError: see above\n")
    # what stood there before is not the reason
    with pytest.raises(LLMUnavailableError, match=r"the engine of vllm:tiny died: see stack trace above$"):
        next(stream)
    assert engine.ended == 1
    assert EngineLog.explain(EngineDeadError(), 0) == f"OutOfMemoryError: no room (log: {log})"


def test_a_model_that_cannot_be_loaded(engine: FakeLLM, folder: Path) -> None:
    class Config(BaseModel):
        max_model_len: int

    try:
        Config(max_model_len="many")
    except ValidationError as failure:
        engine.failure = failure
    chat = VLLMChat(str(folder), name="x", batch_size=2, options={})
    with pytest.raises(LLMUnavailableError, match=r"vLLM cannot load .*: max_model_len: Input should be a valid int"):
        done(chat, [ask("a")])


def test_what_the_engine_inherits_is_taken_back(engine: FakeLLM, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.setenv("VLLM_WORKER_MULTIPROC_METHOD", "fork")
    chat = VLLMChat(str(folder), name="x", batch_size=2, options={})
    done(chat, [ask("a")])
    assert engine.made[0]["offline"] == "1"
    assert "HF_HUB_OFFLINE" not in os.environ
    assert os.environ["VLLM_WORKER_MULTIPROC_METHOD"] == "fork"
    assert os.environ["VLLM_LOGGING_CONFIG_PATH"].endswith("logging.json")


def test_the_users_own_logging_is_left_alone(engine: FakeLLM, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VLLM_LOGGING_LEVEL", "DEBUG")
    done(VLLMChat(str(folder), name="x", batch_size=2, options={}), [ask("a")])
    assert "VLLM_LOGGING_CONFIG_PATH" not in os.environ
    assert len(engine.made) == 1


def test_close_may_be_called_twice(engine: FakeLLM, folder: Path) -> None:
    chat = VLLMChat(str(folder), name="x", batch_size=2, options={})
    chat.close()
    done(chat, [ask("a")])
    chat.close()
    chat.close()
    assert engine.ended == 1
    done(chat, [ask("a")])
    assert len(engine.made) == 2


def test_without_vllm_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'olmv\[vllm\]'"):
        open_chat("vllm:x")
