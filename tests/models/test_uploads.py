"""Two buffers in turn, each written again only when the device has read it; on the CPU, with events that tell."""

from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from olmv.models.uploads import Uploads, upload

CPU = torch.device("cpu")


class Told:
    """An event that writes down what is asked of it."""

    log: list[str]
    made = 0

    def __init__(self) -> None:
        self.name = str(Told.made)
        Told.made += 1

    def record(self) -> None:
        Told.log.append(f"record {self.name}")

    def synchronize(self) -> None:
        Told.log.append(f"wait {self.name}")


@pytest.fixture
def uploads() -> Uploads:
    Told.log, Told.made = [], 0
    return Uploads(CPU, Told, pinned=False)


def test_a_buffer_is_waited_for_before_it_is_written_again(uploads: Uploads) -> None:
    for _ in range(3):
        uploads(torch.zeros(2, 3, 4, 4, dtype=torch.uint8))
    assert Told.log == ["wait 0", "record 0", "wait 1", "record 1", "wait 0", "record 0"]


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_every_batch_arrives_as_it_is(uploads: Uploads, dtype: torch.dtype) -> None:
    batches = [(torch.rand(n, 3, 5, 7) * 255).to(dtype) for n in (4, 1, 6, 2, 6)]
    moved = [uploads(batch) for batch in batches]
    for batch, there in zip(batches, moved, strict=True):
        assert torch.equal(batch, there)
        assert there.dtype == dtype


def test_what_is_sent_may_be_changed_at_once(uploads: Uploads) -> None:
    pixels = torch.ones(1, 3, 2, 2)
    there = uploads(pixels)
    pixels.zero_()
    assert there.min() == 1
    assert uploads(torch.zeros(0, 3, 2, 2)).shape == (0, 3, 2, 2)


def test_threads_take_turns(uploads: Uploads) -> None:
    def send(n: int) -> bool:
        uploads(torch.full((n % 7 + 1, 3, 8, 8), float(n)))
        return True

    with ThreadPoolExecutor(4) as threads:
        assert all(threads.map(send, range(200)))
    pairs = list(zip(Told.log[::2], Told.log[1::2], strict=True))
    assert pairs == [(f"wait {n % 2}", f"record {n % 2}") for n in range(200)]


def test_on_a_cpu_nothing_is_copied() -> None:
    pixels = torch.ones(1, 3, 2, 2)
    assert upload(pixels, CPU) is pixels


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU: run on one")
def test_on_a_gpu() -> None:
    for n in (4, 8, 2):
        pixels = torch.randint(0, 256, (n, 3, 9, 9), dtype=torch.uint8)
        assert torch.equal(upload(pixels, torch.device("cuda")).cpu(), pixels)
