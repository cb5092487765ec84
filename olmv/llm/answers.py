"""Reading what a language model or its server answered; neither can be trusted to keep to a form."""

import json
import re
from collections.abc import Mapping
from typing import Any, NoReturn

from olmv.llm.types import Completion, FinishReason

__all__ = ["completion_of", "first_json", "strict_json"]

MAX_CHARS = 100_000
"""Of an answer no more is read; what olmv asks for takes a hundredth of that."""
MAX_TOKENS = 10**9
"""Of one answer; a server that counts more does not count."""

_THINKING = re.compile(r"<think>.*\Z", re.DOTALL)
_END_OF_THINKING = "</think>"
_FINISH: Mapping[str, FinishReason] = {"stop": "stop", "length": "length", "content_filter": "refusal"}


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


_DECODER = json.JSONDecoder(parse_constant=_no_constant)


def first_json(text: str) -> object:
    """Find the first JSON object or list in an answer, past thinking, prose and code fences.

    Raises:
        ValueError: there is none; says in a few words for the model why.
    """
    # a chat template may have written <think> itself: then only its end is in the answer, and a draft stands before it
    text = text.rpartition(_END_OF_THINKING)[2]
    text = _THINKING.sub("", text)[:MAX_CHARS]
    if not text.strip():
        raise ValueError("the answer was empty")
    start = min((at for at in (text.find("{"), text.find("[")) if at >= 0), default=-1)
    if start < 0:
        raise ValueError("the answer was not JSON")
    try:
        tree: object = _DECODER.raw_decode(text[start:])[0]
    except (ValueError, RecursionError):
        raise ValueError("the answer was not valid JSON") from None
    return tree


def strict_json(text: str) -> Any:
    """Read JSON without Python's additions (`Infinity`, `NaN`).

    Raises:
        ValueError: it is none, or nested too deeply.
    """
    try:
        return _DECODER.decode(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def completion_of(body: Any) -> Completion:
    """Read the body of an OpenAI-compatible chat completion.

    Raises:
        ValueError, TypeError, LookupError: it is none.
    """
    choice = body["choices"][0]
    message, finish = choice["message"], choice.get("finish_reason")
    refusal = message.get("refusal")
    filtered = finish == "content_filter"
    usage = body.get("usage")
    usage = usage if isinstance(usage, dict) else {}
    return Completion(
        text=_text(message.get("content")),
        finish_reason="refusal" if refusal else _FINISH.get(finish, "stop") if isinstance(finish, str) else "stop",
        prompt_tokens=_tokens(usage.get("prompt_tokens")),
        completion_tokens=_tokens(usage.get("completion_tokens")),
        error=str(refusal)[:MAX_CHARS] if refusal else "stopped by the server's content filter" if filtered else None,
    )


def _text(content: Any) -> str:
    """Return the text of a message: a string, nothing, or a list of parts of which only texts are read."""
    if content is None:
        return ""
    if isinstance(content, list):
        content = "".join(part["text"] for part in content if part.get("type") == "text")
    if not isinstance(content, str):
        raise TypeError("its content is no text")
    # a lone surrogate (\ud800) is no text that a file can hold
    return content.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _tokens(count: Any) -> int:
    return count if type(count) is int and 0 <= count <= MAX_TOKENS else 0
