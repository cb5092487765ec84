"""Any OpenAI-compatible server: vLLM, llama.cpp, a hosted one."""

import asyncio
import json
import os
import threading
import urllib.request
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import openai
import yaml
from openai.types.chat import ChatCompletion

from olmv.errors import LLMUnavailableError, UsageError, reason
from olmv.llm.chat import Completion, Conversation, FinishReason, Sampling, seed_of
from olmv.plain_yaml import load_yaml

__all__ = ["OpenAIChat"]

HOSTED = "https://api.openai.com/v1"
RETRIES = 6
"""Of a request after 408, 409, 429, 5xx or a broken connection, with the client's growing pauses: about 25 s in all."""
PATIENCE_S = 10.0

# From the tightest way of asking for JSON to none: servers and models differ in what they take.
_FORMATS = ("strict", "schema", "object", "none")
_FINISH: Mapping[str | None, FinishReason] = {"stop": "stop", "length": "length", "content_filter": "refusal"}


@dataclass(frozen=True)
class _Dialect:
    """How this server wants to be asked; learnt from its refusals."""

    format: int = 0
    limit_name: str = "max_completion_tokens"
    left_out: frozenset[str] = frozenset()


class OpenAIChat:
    """A model behind an OpenAI-compatible server; see `olmv.llm.chat.ChatModel`.

    Args:
        model: `MODEL` or `MODEL@URL`; the URL usually ends in /v1.
        name: how the user wrote it.
        concurrency: requests under way at once.
        timeout_s: of one request.
        options: added to every request body; values are read as YAML.

    Raises:
        UsageError: the URL cannot be used or carries a key, or the hosted service is meant and there is no key.
    """

    def __init__(
        self, model: str, *, name: str, concurrency: int = 32, timeout_s: float = 120.0, options: Mapping[str, str]
    ) -> None:
        self.name = name
        self.model, self.url = _split(model)
        key = os.environ.get("OPENAI_API_KEY", "")
        if not key and self.url == HOSTED:
            raise UsageError("the hosted service needs a key: set OPENAI_API_KEY, or name a server, openai:MODEL@URL")
        self._concurrency, self._timeout_s = max(1, concurrency), timeout_s
        self._body = {option: _value(option, value) for option, value in options.items()}
        self._dialect = _Dialect()
        self._served: list[str] | None = None
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="olmv-openai", daemon=True)
        self._thread.start()
        self._client = openai.AsyncOpenAI(
            api_key=key or "none",
            base_url=self.url,
            max_retries=RETRIES,
            # the default one looks at every open connection for every request
            http_client=openai.DefaultAioHttpClient(timeout=timeout_s),
            timeout=timeout_s,
        )

    def complete(
        self,
        conversations: Iterable[Conversation],
        *,
        schema: Mapping[str, Any] | None = None,
        sampling: Sampling,
    ) -> Iterator[tuple[int, Completion]]:
        """See `olmv.llm.chat.ChatModel.complete`."""
        self._look()
        numbers: dict[Future[Completion], int] = {}
        source = enumerate(conversations)
        more = True
        try:
            while more or numbers:
                # not a for loop: reading must stop while enough is under way, and go on afterwards
                while more and len(numbers) < self._concurrency:
                    try:
                        number, conversation = next(source)
                    except StopIteration:
                        more = False
                        break
                    answer = self._answer(conversation, schema, sampling)
                    numbers[asyncio.run_coroutine_threadsafe(answer, self._loop)] = number
                for future in wait(numbers, return_when=FIRST_COMPLETED).done:
                    yield numbers.pop(future), future.result()
        finally:
            for future in numbers:
                future.cancel()

    def count_tokens(self, conversations: Sequence[Conversation]) -> list[int] | None:
        """See `olmv.llm.chat.ChatModel.count_tokens`; vLLM's server can tell, others cannot."""
        parts = urlsplit(self.url)
        root = parts.path.rstrip("/").removesuffix("/v1")
        url = urlunsplit((parts.scheme, parts.netloc, f"{root}/tokenize", "", ""))
        counts = []
        for conversation in conversations:
            body = {"model": self.model, "messages": _messages(conversation)}
            key = os.environ.get("OPENAI_API_KEY", "none")
            headers = {"Content-Type": "application/json", "Authorization": f"Bearer {key}"}
            request = urllib.request.Request(url, json.dumps(body).encode(), headers)
            try:
                with urllib.request.urlopen(request, timeout=PATIENCE_S) as response:
                    counts.append(int(json.load(response)["count"]))
            except (OSError, ValueError, KeyError, TypeError):
                return None
        return counts

    def close(self) -> None:
        """Close the connections."""
        if self._loop.is_running():
            asyncio.run_coroutine_threadsafe(self._client.close(), self._loop).result(timeout=PATIENCE_S)
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(timeout=PATIENCE_S)

    def _look(self) -> None:
        """One quick look at the server before the work starts, so that a wrong URL costs a second, not a minute."""
        if self._served is not None:
            return
        client = self._client.with_options(timeout=PATIENCE_S, max_retries=1)

        async def models() -> list[str]:
            return [model.id for model in (await client.models.list()).data]

        try:
            self._served = asyncio.run_coroutine_threadsafe(models(), self._loop).result()
        except openai.APIConnectionError as failure:
            raise self._gone(failure) from None
        except (openai.AuthenticationError, openai.PermissionDeniedError):
            raise self._no_key() from None
        except openai.NotFoundError:
            if urlsplit(self.url).path in ("", "/"):
                raise LLMUnavailableError(
                    f"the server at {self.url} is no OpenAI API there; does the URL lack /v1?"
                ) from None
            self._served = []  # it need not list its models
        except (openai.OpenAIError, TypeError, AttributeError):
            self._served = []

    async def _answer(
        self, conversation: Conversation, schema: Mapping[str, Any] | None, sampling: Sampling
    ) -> Completion:
        while True:
            dialect = self._dialect
            body = self._request(conversation, schema, sampling, dialect)
            try:
                # not chat.completions.create, which walks through every message to check types
                response = await self._client.post("/chat/completions", cast_to=ChatCompletion, body=body)
                return _completion(response)
            except (openai.AuthenticationError, openai.PermissionDeniedError):
                raise self._no_key() from None
            except openai.NotFoundError:
                served = f"; it serves {', '.join(self._served)}" if self._served else ""
                raise LLMUnavailableError(f"the server at {self.url} has no model {self.model!r}{served}") from None
            except (openai.BadRequestError, openai.UnprocessableEntityError) as failure:
                # another request may have learnt it meanwhile
                if dialect == self._dialect and not self._relax(failure, schema is not None):
                    return _failed(failure)
            except openai.APITimeoutError as failure:
                # a connection that breaks comes as a timeout of connecting
                if type(failure.__cause__).__name__ == "ConnectTimeout":
                    raise self._gone(failure) from None
                waited = f"no answer in {self._timeout_s:g} s, tried {RETRIES + 1} times"
                return Completion("", "error", error=waited)
            except openai.APIConnectionError as failure:
                raise self._gone(failure) from None
            except openai.OpenAIError as failure:
                return _failed(failure)
            except (ValueError, TypeError, AttributeError, IndexError) as failure:
                return Completion("", "error", error=f"the server's answer cannot be read ({reason(failure)})")

    def _request(
        self, conversation: Conversation, schema: Mapping[str, Any] | None, sampling: Sampling, dialect: _Dialect
    ) -> dict[str, Any]:
        body: dict[str, Any] = {
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "seed": seed_of(conversation, sampling.seed),
            dialect.limit_name: sampling.max_tokens,
        }
        body = {field: value for field, value in body.items() if field not in dialect.left_out}
        asked = _FORMATS[dialect.format]
        if schema is not None and asked in ("strict", "schema"):
            described = {"name": "answer", "schema": dict(schema), "strict": asked == "strict"}
            body["response_format"] = {"type": "json_schema", "json_schema": described}
        elif schema is not None and asked == "object":
            body["response_format"] = {"type": "json_object"}
        return {**body, "model": self.model, "messages": _messages(conversation), **self._body}

    def _relax(self, failure: openai.APIStatusError, with_schema: bool) -> bool:
        """After a refused request: whether there is another way to ask, and if so take it from now on."""
        said = f"{getattr(failure, 'param', '')} {failure.message}".lower()
        before = self._dialect
        if any(word in said for word in ("max_completion_tokens", "max_tokens")) and "context" not in said:
            other = "max_tokens" if before.limit_name == "max_completion_tokens" else "max_completion_tokens"
            if other not in before.left_out:
                self._dialect = replace(before, limit_name=other, left_out=before.left_out | {before.limit_name})
        for field in ("temperature", "top_p", "seed"):
            if self._dialect == before and field in said and field not in before.left_out:
                self._dialect = replace(before, left_out=before.left_out | {field})
        about_format = any(word in said for word in ("response_format", "schema", "grammar", "json"))
        if self._dialect == before and with_schema and about_format and before.format < len(_FORMATS) - 1:
            self._dialect = replace(before, format=before.format + 1)
        return self._dialect != before

    def _gone(self, failure: BaseException) -> LLMUnavailableError:
        why = reason(failure.__cause__ or failure)
        return LLMUnavailableError(f"no server answers at {self.url} ({why}); start it there, or correct the URL")

    def _no_key(self) -> LLMUnavailableError:
        return LLMUnavailableError(f"the server at {self.url} refuses the key; set OPENAI_API_KEY to one that it takes")


def _value(name: str, text: str) -> Any:
    try:
        return load_yaml(text)
    except yaml.YAMLError as failure:
        raise UsageError(
            f"option {name}={text[:80]!a} is not a value ({reason(failure)}); quote it as in YAML"
        ) from None


def _split(model: str) -> tuple[str, str]:
    """`MODEL@URL` -> the two."""
    at = max(model.rfind("@http://"), model.rfind("@https://"))
    url = model[at + 1 :] if at >= 0 else os.environ.get("OPENAI_BASE_URL") or HOSTED
    model = model[:at] if at >= 0 else model
    fix = "write it as http://127.0.0.1:8000/v1"
    if not url.isascii() or not url.isprintable() or " " in url:
        raise UsageError(f"{url!a} is no URL (it has characters that no URL has); {fix}")
    try:
        parts = urlsplit(url)
        _ = parts.port  # read here, for it is checked only when it is read
        (parts.hostname or "").encode("idna")
    except ValueError as failure:
        raise UsageError(f"{url!a} is no URL ({reason(failure)}); {fix}") from None
    if not model or not parts.hostname:
        raise UsageError(f"openai:{model}@{url} is not openai:MODEL@URL, as in openai:llama@http://127.0.0.1:8000/v1")
    if parts.username or parts.password or parts.query:
        raise UsageError("the URL after openai:MODEL@ carries a key or a query; keys belong in OPENAI_API_KEY")
    return model, url.rstrip("/")


def _messages(conversation: Conversation) -> list[dict[str, str]]:
    return [{"role": turn.role, "content": turn.content} for turn in conversation]


def _completion(response: Any) -> Completion:
    choice = response.choices[0]
    usage = response.usage
    text = choice.message.content or ""
    refusal = getattr(choice.message, "refusal", None)
    return Completion(
        text=text,
        finish_reason="refusal" if refusal else _FINISH.get(choice.finish_reason, "stop"),
        prompt_tokens=usage.prompt_tokens if usage else 0,
        completion_tokens=usage.completion_tokens if usage else 0,
        error=refusal
        or ("stopped by the server's content filter" if choice.finish_reason == "content_filter" else None),
    )


def _failed(failure: openai.OpenAIError) -> Completion:
    status = getattr(failure, "status_code", None)
    told = f"the server answered {status}: " if status else ""
    return Completion("", "error", error=f"{told}{reason(failure)}")
