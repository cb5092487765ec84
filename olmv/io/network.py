"""Fetching weights: quick to give up where there is no network, quiet about it."""

import contextlib
import logging
import os
import socket
import sys
from collections.abc import Iterator
from urllib.parse import urlparse

__all__ = ["fetching", "is_online", "no_remote_code", "quiet"]

PATIENCE_S = 3.0


def is_online() -> bool:
    """Tell whether the model hub answers within 3 s. Behind a proxy only a request can tell, so True is assumed."""
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        return False
    if any(os.environ.get(name) for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy")):
        return True
    address = urlparse(constants.ENDPOINT)
    port = address.port or (80 if address.scheme == "http" else 443)
    try:
        with socket.create_connection((address.hostname or "", port), timeout=PATIENCE_S):
            return True
    except OSError:
        return False


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Hold back the log while a library does what the caller reports itself."""
    disabled = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        yield
    finally:
        logging.disable(disabled)


@contextlib.contextmanager
def fetching() -> Iterator[None]:
    """Ask only the cache, at once, where there is no network while weights are fetched.

    The hub's client retries for 45 s when a name does not resolve, and logs every try; the caller tells the user once.
    Its progress bars are for a terminal only.
    """
    from huggingface_hub import constants

    before = constants.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = not is_online()
    try:
        with quiet(), _bars(), no_remote_code():
            yield
    finally:
        constants.HF_HUB_OFFLINE = before


@contextlib.contextmanager
def no_remote_code() -> Iterator[None]:
    """Refuse code that a tokenizer's files name to be fetched and run, where transformers would ask the user.

    A time-out of 0 for the answer makes it refuse instead.
    """
    from transformers import dynamic_module_utils

    before = dynamic_module_utils.TIME_OUT_REMOTE_CODE
    dynamic_module_utils.TIME_OUT_REMOTE_CODE = 0
    try:
        yield
    finally:
        dynamic_module_utils.TIME_OUT_REMOTE_CODE = before


@contextlib.contextmanager
def _bars() -> Iterator[None]:
    """Hide the hub client's progress bars where standard error is a file or a pipe, unless the user asked for them."""
    from huggingface_hub import constants
    from huggingface_hub.utils import (  # type: ignore[attr-defined]  # public, but not in its __all__
        are_progress_bars_disabled,
        disable_progress_bars,
        enable_progress_bars,
    )

    if sys.stderr.isatty() or are_progress_bars_disabled() or constants.HF_HUB_DISABLE_PROGRESS_BARS is not None:
        yield
        return
    disable_progress_bars()
    try:
        yield
    finally:
        enable_progress_bars()
