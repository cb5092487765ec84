"""Where an OpenAI-compatible server is: `MODEL@URL`, and nothing that could be meant otherwise."""

import ipaddress
import os
import re
from urllib.parse import urlsplit

from olmv.errors import UsageError, reason

__all__ = ["HOSTED", "is_this_machine", "split"]

HOSTED = "https://api.openai.com/v1"

_PLACE = re.compile(r"://|:\d{2,5}(/|$)|/v1/?$")
"""What an address has, and no model of the hosted service."""
_FIX = "write it as http://127.0.0.1:8000/v1"


def split(model: str) -> tuple[str, str]:
    """Split `MODEL@URL` into both. Without "@", the URL is that in OPENAI_BASE_URL or of the hosted service.

    Raises:
        UsageError: the URL cannot be used or carries a key, or one was meant and none is there: labels and the key
            never go to the hosted service by mistake.
    """
    at = max(model.rfind("@http://"), model.rfind("@https://"))
    if at < 0 and "@" in model:
        raise UsageError(
            f"openai:{model[:200]!a} has an @ and no URL after it; write the whole URL, as in "
            "openai:llama@http://127.0.0.1:8000/v1"
        )
    url = model[at + 1 :] if at >= 0 else os.environ.get("OPENAI_BASE_URL") or HOSTED
    model = model[:at] if at >= 0 else model
    if url == HOSTED and at < 0 and _PLACE.search(model):
        raise UsageError(
            f"openai:{model[:200]!a} names a place and no model; write both, as in openai:llama@http://127.0.0.1:8000/v1"
        )
    if not url.isascii() or not url.isprintable() or any(char in url for char in ' \\"<>'):
        raise UsageError(f"{url!a} is no URL (it has characters that no URL has); {_FIX}")
    try:
        parts = urlsplit(url)
        _ = parts.port  # read here, for it is checked only when it is read
        (parts.hostname or "").encode("idna")
    except ValueError as failure:
        raise UsageError(f"{url!a} is no URL ({reason(failure)}); {_FIX}") from None
    if not model or not parts.hostname or parts.scheme not in ("http", "https"):
        raise UsageError(f"openai:{model}@{url} is not openai:MODEL@URL, as in openai:llama@http://127.0.0.1:8000/v1")
    if "@" in parts.netloc or parts.query or parts.fragment:
        raise UsageError("the URL after openai:MODEL@ carries a key or a query; keys belong in OPENAI_API_KEY")
    return model, url.rstrip("/")


def is_this_machine(host: str) -> bool:
    """Tell whether a host is the one that this runs on: `localhost`, 127.0.0.0/8, ::1."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
