"""A real model, tiny and without sense: schema, batches, seeds, and what goes wrong."""

import json
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from olmv.errors import LLMUnavailableError, UsageError
from olmv.llm.backends.local import batches
from olmv.llm.backends.transformers import TransformersChat
from olmv.llm.open import open_chat
from olmv.llm.types import ChatModel, Completion, Conversation, Generation, Message
from scripts.research.tiny_llama import build

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "attributes": {"type": "array", "items": {"type": "string", "maxLength": 40}, "minItems": 2, "maxItems": 2}
    },
    "required": ["attributes"],
    "additionalProperties": False,
}
GREEDY = Generation(temperature=0, max_tokens=120)


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    """On a busy machine the threads of so small a model wait for each other: seconds become a minute."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("llama"))


@pytest.fixture(scope="module")
def chat(folder: Path) -> ChatModel:
    """In float32: in bfloat16 two words can tie, and padding then decides."""
    return open_chat(f"transformers:{folder}", concurrency=4, options={"dtype": "float32", "device": "cpu"})


def questions(count: int) -> list[Conversation]:
    """Conversations of different lengths."""
    return [
        [Message("system", "be brief"), Message("user", "what does it look like? " + "penguin " * (3 * k))]
        for k in range(count)
    ]


def answers(chat: ChatModel, asked: Any, **settings: Any) -> list[Completion]:
    """By number."""
    done = dict(chat.complete(asked, **settings))
    return [done[k] for k in range(len(done))]


def test_every_answer_fits_the_schema(chat: ChatModel) -> None:
    done = answers(chat, questions(10), schema=SCHEMA, generation=Generation(max_tokens=120))
    assert len(done) == 10
    for answer in done:
        assert answer.finish_reason == "stop"
        attributes = json.loads(answer.text)["attributes"]
        assert len(attributes) == 2
        assert all(isinstance(text, str) and len(text) <= 40 for text in attributes)
    assert len({answer.text for answer in done}) > 5


def test_prompt_tokens_are_counted_before_the_weights_are_read(folder: Path, chat: ChatModel) -> None:
    fresh = TransformersChat(str(folder), name="tiny", batch_size=4, options={})
    counted = fresh.count_tokens(questions(3))
    assert fresh._model is None
    assert counted == [answer.prompt_tokens for answer in answers(chat, questions(3), generation=GREEDY)]
    assert counted[0] < counted[1] < counted[2]


def test_a_batch_answers_as_each_alone(chat: ChatModel) -> None:
    together = answers(chat, questions(4), schema=SCHEMA, generation=GREEDY)
    alone = [answers(chat, [asked], schema=SCHEMA, generation=GREEDY)[0] for asked in questions(4)]
    assert together == alone


def test_a_seed_gives_the_same_again_and_leaves_torch_alone(chat: ChatModel) -> None:
    torch.manual_seed(1)
    state = torch.random.get_rng_state()
    first = answers(chat, questions(6), schema=SCHEMA, generation=Generation(seed=5, max_tokens=120))
    assert torch.equal(state, torch.random.get_rng_state())
    torch.manual_seed(2)
    assert answers(chat, questions(6), schema=SCHEMA, generation=Generation(seed=5, max_tokens=120)) == first
    assert answers(chat, questions(6), schema=SCHEMA, generation=Generation(seed=6, max_tokens=120)) != first


def test_finish_reasons_and_token_counts(chat: ChatModel) -> None:
    (cut,) = answers(chat, questions(1), schema=SCHEMA, generation=Generation(max_tokens=5))
    assert (cut.finish_reason, cut.completion_tokens) == ("length", 5)
    done = answers(chat, questions(8), generation=Generation(max_tokens=300))
    stopped = [answer for answer in done if answer.finish_reason == "stop"]
    assert stopped
    assert all("</s>" not in answer.text and answer.completion_tokens < 300 for answer in stopped)


def test_conversations_are_read_as_needed(chat: ChatModel) -> None:
    read = 0

    def source() -> Iterator[Conversation]:
        nonlocal read
        for asked in questions(10):
            read += 1
            yield asked

    stream = chat.complete(source(), generation=Generation(max_tokens=2))
    assert read == 0
    assert next(stream)[0] == 0
    assert read == 4
    assert [number for number, _ in stream] == list(range(1, 10))


def test_a_list_may_grow_while_it_is_read() -> None:
    conversations = questions(3)
    seen: list[int] = []
    for batch in batches(conversations, 2):
        seen.extend(number for number, _ in batch)
        if len(conversations) < 5:
            conversations.append(conversations[0])
    assert seen == [0, 1, 2, 3, 4]


def test_a_prompt_that_is_too_long_costs_only_itself(chat: ChatModel) -> None:
    long = [Message("user", "penguin " * 5000)]
    asked = [questions(2)[0], long, questions(2)[1]]
    done = answers(chat, asked, schema=SCHEMA, generation=GREEDY)
    assert [answer.finish_reason for answer in done] == ["stop", "error", "stop"]
    assert "takes 4095; shorten it" in str(done[1].error)
    assert done[1].prompt_tokens > 5000
    assert done[0] == answers(chat, questions(1), schema=SCHEMA, generation=GREEDY)[0]


def test_what_is_too_large_for_the_memory_is_done_in_halves(chat: ChatModel, monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(chat, TransformersChat)
    together = chat._generate_together

    def at_most_one(prompts: list[list[int]], *rest: Any) -> list[Completion]:
        if len(prompts) > 1 or len(prompts[0]) > 60:
            raise torch.OutOfMemoryError
        return together(prompts, *rest)

    expected = answers(chat, questions(4), schema=SCHEMA, generation=GREEDY)
    monkeypatch.setattr(chat, "_generate_together", at_most_one)
    asked = [*questions(4), [Message("user", "penguin " * 100)]]
    done = answers(chat, asked, schema=SCHEMA, generation=GREEDY)
    assert done[:4] == expected
    assert done[4].finish_reason == "error"
    assert "out of memory on cpu; choose a smaller model" in str(done[4].error)


def test_a_template_without_a_system_turn(folder: Path, tmp_path: Path) -> None:
    other = shutil.copytree(folder, tmp_path / "gemma")
    template = (folder / "chat_template.jinja").read_text()
    refuses = "{% if messages[0]['role'] == 'system' %}{{ raise_exception('no system role') }}{% endif %}"
    (other / "chat_template.jinja").write_text(refuses + template)
    chat = TransformersChat(str(other), name="gemma", batch_size=2, options={})
    merged = [Message("user", "be brief\n\nhello")]
    assert chat.count_tokens([[Message("system", "be brief"), Message("user", "hello")]]) == chat.count_tokens([merged])


def test_no_chat_template(folder: Path, tmp_path: Path) -> None:
    other = shutil.copytree(folder, tmp_path / "base")
    (other / "chat_template.jinja").unlink()
    chat = TransformersChat(str(other), name="base", batch_size=2, options={})
    with pytest.raises(UsageError, match="base has no chat template; use an -Instruct model"):
        list(chat.complete(questions(1), generation=GREEDY))


def test_a_model_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun = time.monotonic()
    gone = TransformersChat(str(tmp_path / "gone"), name="gone", batch_size=1, options={})
    with pytest.raises(LLMUnavailableError, match=r"no such folder: .*gone"):
        list(gone.complete(questions(1), generation=GREEDY))
    monkeypatch.setattr("olmv.llm.tokens.is_online", lambda: False)
    remote = TransformersChat("nobody/nothing", name="remote", batch_size=1, options={})
    with pytest.raises(LLMUnavailableError, match="neither a folder nor in the hub's cache, and the hub does not"):
        remote.count_tokens(questions(1))
    assert time.monotonic() - begun < 10


def test_weights_that_are_not_safetensors(folder: Path, tmp_path: Path) -> None:
    other = shutil.copytree(folder, tmp_path / "pickled")
    (other / "model.safetensors").unlink()
    torch.save({}, other / "pytorch_model.bin")
    chat = TransformersChat(str(other), name="pickled", batch_size=2, options={})
    with pytest.raises(LLMUnavailableError, match=r"cannot load .*pickled: .*model\.safetensors"):
        list(chat.complete(questions(1), generation=GREEDY))


def test_a_schema_that_makes_no_sense(chat: ChatModel) -> None:
    with pytest.raises(UsageError, match="the JSON schema cannot be enforced"):
        list(chat.complete(questions(1), schema={"type": "nonsense"}, generation=GREEDY))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dtyp": "float32"}, "transformers: has no option 'dtyp'; did you mean dtype?"),
        ({"zzz": "1"}, "has no option 'zzz'; see its documentation"),
        ({"device": "cpu", "device_map": "auto"}, "contradict each other"),
        ({"trust_remote_code": "true"}, "runs no code from a model's repository"),
        ({"max_memory": "{"}, "option max_memory='{' is not a value"),
    ],
)
def test_options_that_cannot_be_used(options: dict[str, str], message: str) -> None:
    with pytest.raises(UsageError) as failure:
        TransformersChat("x", name="x", batch_size=1, options=options)
    assert message in str(failure.value)


def test_an_unknown_dtype(folder: Path) -> None:
    chat = TransformersChat(str(folder), name="tiny", batch_size=1, options={"dtype": "int7"})
    with pytest.raises(UsageError, match="unknown dtype 'int7'"):
        list(chat.complete(questions(1), generation=GREEDY))


def test_close_gives_the_weights_back_and_it_goes_on(folder: Path) -> None:
    chat = TransformersChat(str(folder), name="tiny", batch_size=2, options={"dtype": "float32"})
    first = answers(chat, questions(1), schema=SCHEMA, generation=GREEDY)
    chat.close()
    chat.close()
    assert chat._model is None
    assert answers(chat, questions(1), schema=SCHEMA, generation=GREEDY) == first


def test_the_tiny_llama_is_the_same_for_the_same_seed(folder: Path, tmp_path: Path) -> None:
    again, other = build(tmp_path / "again"), build(tmp_path / "other", seed=1)
    for name in ("model.safetensors", "tokenizer.json", "config.json"):
        assert (again / name).read_bytes() == (folder / name).read_bytes()
    assert (other / "model.safetensors").read_bytes() != (folder / "model.safetensors").read_bytes()
