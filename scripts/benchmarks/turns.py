"""Arms of a benchmark that take turns in one run, and what memory tensors take."""

import gc
import os
import resource
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

import torch
from torch import Tensor


@dataclass(frozen=True)
class Costs:
    """What every arm took in every round: seconds of wall, and of processors, child processes included."""

    wall: dict[str, list[float]]
    processor: dict[str, list[float]]


def costs_in_turns(arms: Mapping[str, Callable[[], object]], rounds: int) -> Costs:
    """Run every arm in every round, without warm-up; every second round runs them backwards."""
    costs = Costs({name: [] for name in arms}, {name: [] for name in arms})
    for turn in range(rounds):
        for name in list(arms)[:: -1 if turn % 2 else 1]:
            _synchronize()
            busy, started = processor_seconds(), time.perf_counter()
            arms[name]()
            _synchronize()
            costs.wall[name].append(time.perf_counter() - started)
            costs.processor[name].append(processor_seconds() - busy)
    return costs


def time_in_turns(arms: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """Seconds of every arm in every round, without warm-up; every second round runs them backwards."""
    return costs_in_turns(arms, rounds).wall


def processor_seconds() -> float:
    """Sum up what this process and all below it have used so far, those that ended included.

    A process that ended counts where its parent has waited for it, as its parent's child, and so upwards.
    """
    import psutil

    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    seconds = sum(usage.ru_utime + usage.ru_stime for usage in used)
    for process in psutil.Process(os.getpid()).children(recursive=True):
        try:
            seconds += sum(process.cpu_times()[:4])
        except psutil.NoSuchProcess:
            continue
    return seconds


def _synchronize() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def ratio(took: Mapping[str, Sequence[float]], name: str, base: str) -> float:
    """Median over rounds of one arm's seconds over another's."""
    return median(a / b for a, b in zip(took[name], took[base], strict=True))


def live_bytes(without: Iterable[Tensor] = ()) -> int:
    """Bytes of all tensors that Python can reach, each storage once, scalars (such as losses) left out."""
    gc.collect()
    found = {}
    for thing in gc.get_objects():
        if issubclass(type(thing), Tensor) and thing.ndim and thing.device.type != "meta":
            storage = thing.untyped_storage()
            found[storage.data_ptr()] = storage.nbytes()
    for tensor in without:
        found.pop(tensor.untyped_storage().data_ptr(), None)
    return sum(found.values())
