"""Work beside the event loop that is given up where nobody waits for it any more."""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from typing import Any

from olmv.serve.engine import GivenUpError
from olmv.serve.service import Service

__all__ = ["while_wanted"]

_LOOK_S = 0.5  # between two looks at whether the client is there


async def while_wanted(
    service: Service,
    is_gone: Callable[[], Awaitable[bool]],
    function: Callable[[Callable[[int, int], None]], Any],
    *,
    is_long: bool = False,
) -> Any:
    """Run a function in a thread of the service, and return what it gives.

    Args:
        service: whose threads run it.
        is_gone: tells whether the client went away.
        function: is called with a function that it calls with (done, all) on the way; what that raises ends it.
        is_long: it takes many seconds, so that it waits for others of its kind, and nobody else for it.

    Raises:
        GivenUpError: the client has gone.
        RefusedRequestError: the service ends.
    """
    given_up = threading.Event()

    def progress(done: int, total: int) -> None:
        if given_up.is_set():
            raise GivenUpError

    run = service.in_long_thread if is_long else service.in_thread
    running = asyncio.ensure_future(run(function, progress))
    try:
        while not (await asyncio.wait({running}, timeout=_LOOK_S))[0]:
            service.check_open()
            if await is_gone():
                raise GivenUpError
        return running.result()
    finally:
        given_up.set()
        running.cancel()  # where no thread has begun with it
