"""Addresses that are fetched while others are served."""

import asyncio
import threading
from collections.abc import Iterator

import pytest

from olmv.serve.guard import downloads as module
from olmv.serve.guard.answers import RefusedRequestError
from olmv.serve.guard.downloads import Downloads
from olmv.serve.guard.limits import Limits
from olmv.serve.guard.multipart import Upload
from olmv.serve.guard.private_folder import PrivateFolder
from tests.serve.guard.conftest import left


class Slow:
    """Fetches in the place of the internet: an address begins, and ends when it is let go."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.begins, self.go = threading.Semaphore(0), threading.Event()

    def fetch(self, url: str, folder: PrivateFolder, limits: Limits | None) -> Upload:
        assert threading.current_thread().daemon
        self.begun.append(url)
        self.begins.release()
        self.go.wait(10)
        if url == "bad":
            raise RefusedRequestError(403, "no")
        file = folder.new_file()
        file.write(url.encode())
        file.close()
        return Upload(url, file.path, file.size)


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> Iterator[Slow]:
    slow = Slow()
    monkeypatch.setattr(module, "fetch", slow.fetch)
    yield slow
    slow.go.set()


def join_threads() -> None:
    for thread in threading.enumerate():
        if thread.name == "olmv-download":
            thread.join(10)


def test_files_arrive_and_refusals_too(slow: Slow, folder: PrivateFolder) -> None:
    slow.go.set()

    async def run() -> None:
        downloads = Downloads(folder, Limits())
        upload = await downloads.fetch("a")
        assert (upload.name, upload.path.read_bytes()) == ("a", b"a")
        with pytest.raises(RefusedRequestError, match="no"):
            await downloads.fetch("bad")

    asyncio.run(run())


def test_only_a_few_are_fetched_at_once(slow: Slow, folder: PrivateFolder) -> None:
    async def run() -> None:
        downloads = Downloads(folder, Limits(), at_once=2)
        tasks = [asyncio.ensure_future(downloads.fetch(name)) for name in "abcd"]
        for _ in range(2):
            await asyncio.to_thread(slow.begins.acquire)
        await asyncio.sleep(0)
        assert slow.begun == ["a", "b"]
        slow.go.set()
        assert [upload.name for upload in await asyncio.gather(*tasks)] == ["a", "b", "c", "d"]

    asyncio.run(run())


def test_a_file_that_nobody_waits_for_is_removed(slow: Slow, folder: PrivateFolder) -> None:
    async def run() -> None:
        downloads = Downloads(folder, Limits(), at_once=1)
        task = asyncio.ensure_future(downloads.fetch("a"))
        await asyncio.to_thread(slow.begins.acquire)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        slow.go.set()
        await asyncio.to_thread(join_threads)
        await asyncio.sleep(0)  # the file is handed over, to nobody
        assert left(folder) == []
        assert (await downloads.fetch("b")).name == "b"  # the turn came back

    asyncio.run(run())


def test_the_end_of_the_service_does_not_wait(slow: Slow, folder: PrivateFolder) -> None:
    async def run() -> None:
        task = asyncio.ensure_future(Downloads(folder, Limits()).fetch("a"))
        await asyncio.to_thread(slow.begins.acquire)
        task.cancel()

    asyncio.run(run())
    assert not slow.go.is_set()
    slow.go.set()
    join_threads()
    assert left(folder) == []
