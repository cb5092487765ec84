"""Addresses that are fetched while others are served: a few at a time, and none holds up the end of the service."""

import asyncio
import contextlib
import threading

from olmv.serve.guard.download import fetch
from olmv.serve.guard.limits import Limits
from olmv.serve.guard.multipart import Upload
from olmv.serve.guard.private_folder import PrivateFolder

__all__ = ["Downloads"]

_AT_ONCE = 4


class Downloads:
    """Fetches addresses in threads of their own: slow servers would else take those that all requests share.

    They are daemons, for the service ends without waiting for them.

    Args:
        folder: where the files go.
        limits: of bytes and seconds; None where no addresses are fetched.
        at_once: how many are fetched at the same time; others wait for their turn.
    """

    def __init__(self, folder: PrivateFolder, limits: Limits | None, *, at_once: int = _AT_ONCE) -> None:
        self._folder, self._limits = folder, limits
        self._turns = asyncio.Semaphore(at_once)

    async def fetch(self, url: str) -> Upload:
        """Fetch a file; where whoever waits for it is cancelled, it is removed. Raises as `download.fetch`."""
        async with self._turns:
            loop = asyncio.get_running_loop()
            future: asyncio.Future[Upload] = loop.create_future()

            def work() -> None:
                try:
                    upload = fetch(url, self._folder, self._limits)
                except BaseException as failure:  # whatever it is, somebody waits for it
                    _settle(loop, future, failure)
                else:
                    _settle(loop, future, upload)

            threading.Thread(target=work, name="olmv-download", daemon=True).start()
            return await future


def _settle(loop: asyncio.AbstractEventLoop, future: "asyncio.Future[Upload]", result: Upload | BaseException) -> None:
    """Hand a result over from another thread; a file that nobody waits for any more is removed."""

    def hand_over() -> None:
        if future.done():
            drop()
        elif isinstance(result, BaseException):
            future.set_exception(result)
        else:
            future.set_result(result)

    def drop() -> None:
        if isinstance(result, Upload):
            with contextlib.suppress(OSError):
                result.path.unlink()

    try:
        loop.call_soon_threadsafe(hand_over)
    except RuntimeError:  # the loop has ended
        drop()
