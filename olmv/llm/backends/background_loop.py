"""An event loop in a thread of its own, for code that is not asynchronous."""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, ParamSpec, TypeVar

__all__ = ["BackgroundLoop"]

T = TypeVar("T")
P = ParamSpec("P")

CLOSE_S = 10.0


class BackgroundLoop:
    """Runs coroutines in the background.

    Args:
        name: of the thread.
    """

    def __init__(self, name: str) -> None:
        self._loop = asyncio.new_event_loop()
        self._loop.set_default_executor(_DaemonThreads())
        self._thread = threading.Thread(target=self._loop.run_forever, name=name, daemon=True)
        self._thread.start()

    def start(self, coroutine: Coroutine[Any, Any, T]) -> Future[T]:
        """Start a coroutine; `result()` of what is returned waits for it."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop)

    def close(self, last: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run one last coroutine and end the thread; does nothing the second time."""
        if self._loop.is_running():
            self.start(last()).result(timeout=CLOSE_S)
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(timeout=CLOSE_S)


class _DaemonThreads(ThreadPoolExecutor):
    """A thread for every call, none of which keeps the program from ending.

    Names of hosts are looked up in them. Where no name server answers that takes up to half a minute, and Python waits
    at its end for the threads of an ordinary pool.
    """

    def submit(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Run the function in a new thread."""
        future: Future[T] = Future()

        def run() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                future.set_result(function(*args, **kwargs))
            except BaseException as failure:
                future.set_exception(failure)

        threading.Thread(target=run, name="olmv-lookup", daemon=True).start()
        return future
