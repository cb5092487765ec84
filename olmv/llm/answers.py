"""Reading what a language model answered: text that is to be JSON, from servers that do not all enforce it."""

import json
import re

__all__ = ["first_json"]

MAX_CHARS = 100_000
"""Of an answer no more is read; what olmv asks for takes a hundredth of that."""

_THINKING = re.compile(r"<think>.*?(?:</think>|\Z)", re.DOTALL)


def first_json(text: str) -> object:
    """The first JSON object or list in an answer, past thinking, prose and code fences.

    Raises:
        ValueError: there is none; says in a few words for the model why.
    """
    text = _THINKING.sub("", text[:MAX_CHARS])
    if not text.strip():
        raise ValueError("the answer was empty")
    start = min((at for at in (text.find("{"), text.find("[")) if at >= 0), default=-1)
    if start < 0:
        raise ValueError("the answer was not JSON")
    try:
        tree: object = json.JSONDecoder().raw_decode(text[start:])[0]
    except (ValueError, RecursionError):
        raise ValueError("the answer was not valid JSON") from None
    return tree
