"""Where vLLM's log goes, and what it says about a failure."""

import atexit
import json
import os
import re
import shutil
import tempfile
from pathlib import Path

from pydantic import ValidationError

from olmv.errors import reason

__all__ = ["EngineLog", "why"]

ERROR_LINE = re.compile(r"^(?:[\w.]+\.)?([A-Z]\w*(?:Error|Exception): .+)$", re.MULTILINE)


class EngineLog:
    """vLLM's log in a file of its own, shared by this process and the engine's; kept only where something failed.

    vLLM writes a page for every load, and pages with every prompt in them when its engine dies, to standard output.
    The reason for a failure stands only there: what is raised says "see the log".
    """

    path: Path | None = None
    _failed = False

    @classmethod
    def instead_of_the_terminal(cls) -> None:
        """Set it up once per process, unless the user has said how vLLM is to log."""
        variables = ("VLLM_LOGGING_LEVEL", "VLLM_LOGGING_CONFIG_PATH", "VLLM_CONFIGURE_LOGGING")
        if cls.path is not None or any(name in os.environ for name in variables):
            return
        folder = Path(tempfile.mkdtemp(prefix="olmv-vllm-"))
        cls.path = folder / "vllm.log"
        described = {
            "version": 1,
            "disable_existing_loggers": False,
            "formatters": {"plain": {"format": "%(asctime)s %(levelname)s %(processName)s %(message)s"}},
            "handlers": {"file": {"class": "logging.FileHandler", "filename": str(cls.path), "formatter": "plain"}},
            "loggers": {"vllm": {"handlers": ["file"], "level": "INFO", "propagate": False}},
        }
        config = folder / "logging.json"
        config.write_text(json.dumps(described), encoding="utf-8")
        os.environ["VLLM_LOGGING_CONFIG_PATH"] = str(config)
        atexit.register(cls._remove)

    @classmethod
    def size(cls) -> int:
        """Return the bytes so far."""
        return cls.path.stat().st_size if cls.path is not None and cls.path.exists() else 0

    @classmethod
    def explain(cls, failure: BaseException, since: int) -> str:
        """Say why it failed: the log's first error after `since` bytes is the root of what is raised here."""
        if cls.path is None or not cls.path.exists():
            return why(failure)
        with cls.path.open("rb") as file:
            file.seek(since)
            root = ERROR_LINE.search(file.read().decode("utf-8", "replace"))
        if root is None:
            return why(failure)
        cls._failed = True
        return f"{reason(RuntimeError(root[1]))} (log: {cls.path})"

    @classmethod
    def _remove(cls) -> None:
        if cls.path is not None and not cls._failed:
            shutil.rmtree(cls.path.parent, ignore_errors=True)


def why(failure: BaseException) -> str:
    """Return the reason for a failure of vLLM, in one line."""
    if isinstance(failure, ValidationError):
        # the text of it begins with a count of the errors
        first = failure.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        said = first["msg"].removeprefix("Value error, ")
        return reason(ValueError(f"{where}: {said}" if where else said))
    return reason(failure)
