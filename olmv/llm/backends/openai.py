"""Any OpenAI-compatible server: vLLM, llama.cpp, a hosted one."""

import asyncio
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import openai
import yaml

from olmv.errors import LLMUnavailableError, UsageError, reason
from olmv.io.plain_yaml import load_yaml
from olmv.llm.answers import completion_of, strict_json
from olmv.llm.backends.address import HOSTED, split
from olmv.llm.backends.background_loop import BackgroundLoop
from olmv.llm.backends.bounded_http import BoundedHttpClient, BrokenAnswerError, RedirectedError
from olmv.llm.types import Completion, Conversation, Generation, JsonSchema, seed_of

__all__ = ["OpenAIChat"]

RETRIES = 6
"""Of a request after 408, 409, 429, 5xx or a broken connection, with the client's growing pauses: about 25 s in all."""
CONNECT_S = 2.5
"""For the first connection: that nothing is there is told within 3 s."""
PATIENCE_S = 10.0
"""For the first answer: a server that is there may be busy."""

# From the tightest way of asking for JSON to none: servers and models differ in what they take.
_FORMATS = ("strict", "schema", "object", "none")
UNREADABLE = (ValueError, TypeError, AttributeError, LookupError, ArithmeticError, RecursionError)
"""What reading an answer of any shape can raise."""
_SECRET_CHARS = 8  # a shorter "key" ("none", "EMPTY") is none, and would blot out common words


@dataclass(frozen=True)
class _Dialect:
    """How this server wants to be asked; learnt from its refusals."""

    format: int = 0
    limit_name: str = "max_completion_tokens"
    left_out: frozenset[str] = frozenset()


class OpenAIChat:
    """A model behind an OpenAI-compatible server; see `olmv.llm.types.ChatModel`.

    Args:
        model: `MODEL` or `MODEL@URL`; the URL usually ends in /v1.
        name: how the user wrote it.
        concurrency: requests under way at once.
        timeout_s: of one answer, from the request to its last byte, with all retries.
        options: added to every request body; values are read as YAML.

    Raises:
        UsageError: the URL cannot be used or carries a key, the hosted service is meant and there is no key, or
            the key is not one line of printable ASCII.
    """

    def __init__(
        self, model: str, *, name: str, concurrency: int = 32, timeout_s: float = 120.0, options: Mapping[str, str]
    ) -> None:
        self.name = name
        self.model, self.url = split(model)
        key = self._key = os.environ.get("OPENAI_API_KEY", "").strip()
        if not (key.isascii() and key.isprintable()):
            raise UsageError("OPENAI_API_KEY holds characters that no key has; set it anew")
        if not key and self.url == HOSTED:
            raise UsageError("the hosted service needs a key: set OPENAI_API_KEY, or name a server, openai:MODEL@URL")
        self._concurrency, self._timeout_s = max(1, concurrency), timeout_s
        self._body = {option: _value(option, value) for option, value in options.items()}
        self._dialect = _Dialect()
        self._served: list[str] | None = None
        self._loop = BackgroundLoop("olmv-openai")
        # the client's own looks at every open connection for every request
        self._http = BoundedHttpClient(self.url, timeout_s=timeout_s)
        self._client = openai.AsyncOpenAI(
            api_key=key or "none",
            base_url=self.url,
            max_retries=RETRIES,
            http_client=self._http,
            timeout=openai.Timeout(timeout_s, connect=PATIENCE_S),
        )

    def complete(
        self,
        conversations: Iterable[Conversation],
        *,
        schema: JsonSchema | None = None,
        generation: Generation,
    ) -> Iterator[tuple[int, Completion]]:
        """Complete conversations; see `olmv.llm.types.ChatModel.complete`."""
        self.check()
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
                    answer = self._answer(conversation, schema, generation)
                    numbers[self._loop.start(answer)] = number
                for future in wait(numbers, return_when=FIRST_COMPLETED).done:
                    yield numbers.pop(future), future.result()
        finally:
            for future in numbers:
                future.cancel()

    def count_tokens(self, conversations: Sequence[Conversation]) -> list[int] | None:
        """Count tokens, see `olmv.llm.types.ChatModel.count_tokens`; vLLM's server can tell, others cannot."""
        parts = urlsplit(self.url)
        root = parts.path.rstrip("/").removesuffix("/v1")
        url = urlunsplit((parts.scheme, parts.netloc, f"{root}/tokenize", "", ""))
        client = self._impatient_client()

        async def count(conversation: Conversation) -> int:
            body = {"model": self.model, "messages": _messages(conversation)}
            answer = await asyncio.wait_for(client.post(url, cast_to=str, body=body), PATIENCE_S)
            return int(strict_json(answer)["count"])

        counts = []
        for conversation in conversations:
            try:
                counts.append(self._loop.start(count(conversation)).result())
            except (TimeoutError, openai.OpenAIError, OSError, *UNREADABLE):
                return None
        return counts

    def close(self) -> None:
        """Close the connections."""
        self._loop.close(self._client.close)

    def check(self) -> None:
        """Check the server, see `olmv.llm.types.ChatModel.check`: one look at its models, without retries."""
        if self._served is not None:
            return
        client = self._impatient_client()

        async def models() -> list[str]:
            answer = await asyncio.wait_for(client.get("/models", cast_to=str), PATIENCE_S)
            return [str(model["id"]) for model in strict_json(answer)["data"]]

        try:
            self._served = self._loop.start(models()).result()
        except (TimeoutError, openai.APIConnectionError):
            raise self._gone(f"it takes connections, and sends no whole answer in {PATIENCE_S:g} s") from None
        except RedirectedError as failure:
            raise self._sent_on(failure) from None
        except BrokenAnswerError as failure:
            raise self._gone(failure) from None
        except (openai.AuthenticationError, openai.PermissionDeniedError):
            raise self._no_key() from None
        except openai.NotFoundError:
            if urlsplit(self.url).path in ("", "/"):
                raise LLMUnavailableError(
                    f"the server at {self.url} is no OpenAI API there; does the URL lack /v1?"
                ) from None
            self._served = []  # it need not list its models
        except (openai.OpenAIError, *UNREADABLE):
            self._served = []

    def _impatient_client(self) -> openai.AsyncOpenAI:
        """Return the client that finds out whether a server is there."""
        # `pool` bounds all that a connection takes: looking up the name, connecting, TLS, the way through a proxy
        timeout = openai.Timeout(PATIENCE_S, connect=CONNECT_S, pool=CONNECT_S)
        return self._client.with_options(timeout=timeout, max_retries=0)

    async def _answer(
        self, conversation: Conversation, schema: JsonSchema | None, generation: Generation
    ) -> Completion:
        try:
            async with asyncio.timeout(self._timeout_s):
                return await self._ask(conversation, schema, generation)
        except (TimeoutError, openai.APIConnectionError) as failure:
            late = isinstance(failure, TimeoutError | openai.APITimeoutError)
            if self._http.not_reached is not None or not late:
                raise self._gone(failure) from None
            status = self._http.last_refusal
            refusal = f"; the server answered {status}" if status else ""
            return Completion("", "error", error=f"no whole answer in {self._timeout_s:g} s{refusal}")

    async def _ask(self, conversation: Conversation, schema: JsonSchema | None, generation: Generation) -> Completion:
        broken = 0
        while True:
            dialect = self._dialect
            body = self._request(conversation, schema, generation, dialect)
            try:
                # not chat.completions.create, which walks through every message to check types
                answer = await self._client.post("/chat/completions", cast_to=str, body=body)
                completion = completion_of(strict_json(answer))
                return replace(
                    completion,
                    text=self._hide(completion.text),
                    error=None if completion.error is None else self._hide(completion.error),
                )
            except RedirectedError as failure:
                raise self._sent_on(failure) from None
            except BrokenAnswerError as failure:
                # a connection that was kept open may be closed just now: once more
                broken += 1
                if broken > 1:
                    await self._still_there(failure)
                    return Completion("", "error", error=self._why(failure))
            except (openai.AuthenticationError, openai.PermissionDeniedError):
                raise self._no_key() from None
            except openai.NotFoundError:
                served = self._hide(f"; it serves {', '.join(self._served[:10])[:200]}") if self._served else ""
                raise LLMUnavailableError(f"the server at {self.url} has no model {self.model!r}{served}") from None
            except (openai.BadRequestError, openai.UnprocessableEntityError) as failure:
                # another request may have learnt it meanwhile
                if dialect == self._dialect and not self._relax(failure, schema is not None):
                    return self._failed(failure)
            except openai.APIConnectionError:
                raise
            except openai.OpenAIError as failure:
                return self._failed(failure)
            except UNREADABLE as failure:
                return Completion("", "error", error=f"the server's answer cannot be read ({self._why(failure)})")

    async def _still_there(self, failure: BrokenAnswerError) -> None:
        """Tell, after a connection that broke, whether it is the server that is gone, as it may be for some seconds.

        Raises:
            LLMUnavailableError: it breaks this connection too.
            openai.APIConnectionError: it is not reached any more.
        """
        try:
            await self._client.get("/models", cast_to=str)
        except openai.APIConnectionError:
            raise
        except BrokenAnswerError:
            raise self._gone(failure) from None
        except openai.OpenAIError:
            return  # it answers, if only with a refusal

    def _request(
        self, conversation: Conversation, schema: JsonSchema | None, generation: Generation, dialect: _Dialect
    ) -> dict[str, Any]:
        body: dict[str, Any] = {
            "temperature": generation.temperature,
            "top_p": generation.top_p,
            "seed": seed_of(conversation, generation.seed),
            dialect.limit_name: generation.max_tokens,
        }
        body = {field: value for field, value in body.items() if field not in dialect.left_out}
        form = _FORMATS[dialect.format]
        if schema is not None and form in ("strict", "schema"):
            described = {"name": "answer", "schema": dict(schema), "strict": form == "strict"}
            body["response_format"] = {"type": "json_schema", "json_schema": described}
        elif schema is not None and form == "object":
            body["response_format"] = {"type": "json_object"}
        return {**body, "model": self.model, "messages": _messages(conversation), **self._body}

    def _relax(self, failure: openai.APIStatusError, with_schema: bool) -> bool:
        """Tell, after a refused request, whether there is another way to ask, and if so take it from now on."""
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

    def _gone(self, failure: BaseException | str) -> LLMUnavailableError:
        why = self._http.not_reached or self._why(failure)
        return LLMUnavailableError(f"no server answers at {self.url} ({why}); start it there, or correct the URL")

    def _sent_on(self, failure: RedirectedError) -> LLMUnavailableError:
        place = self._hide(str(failure))[:200]
        return LLMUnavailableError(
            f"the server at {self.url} redirects to {place!a}; neither key nor labels are sent there: if that is the "
            "right place, name its URL"
        )

    def _hide(self, text: str) -> str:
        """Return text of the server without the key: it goes into files and onto screens."""
        return text.replace(self._key, "[key]") if len(self._key) >= _SECRET_CHARS else text

    def _why(self, failure: BaseException | str) -> str:
        return reason(ValueError(self._hide(str(failure)) or type(failure).__name__))

    def _failed(self, failure: openai.OpenAIError) -> Completion:
        status = getattr(failure, "status_code", None)
        lead = f"the server answered {status}: " if status else ""
        return Completion("", "error", error=f"{lead}{self._why(failure)}")

    def _no_key(self) -> LLMUnavailableError:
        if not self._key:
            return LLMUnavailableError(f"the server at {self.url} wants a key; set OPENAI_API_KEY")
        return LLMUnavailableError(f"the server at {self.url} refuses the key; set OPENAI_API_KEY to one that it takes")


def _value(name: str, text: str) -> Any:
    try:
        return load_yaml(text)
    except yaml.YAMLError as failure:
        raise UsageError(
            f"option {name}={text[:80]!a} is not a value ({reason(failure)}); quote it as in YAML"
        ) from None


def _messages(conversation: Conversation) -> list[dict[str, str]]:
    return [{"role": turn.role, "content": turn.content} for turn in conversation]
