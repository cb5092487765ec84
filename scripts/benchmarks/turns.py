"""Arms of a benchmark that take turns in one run, and what memory tensors take."""

import gc
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from statistics import median

import torch
from torch import Tensor


def time_in_turns(arms: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """Seconds of every arm in every round, without warm-up; every second round runs them backwards."""
    took: dict[str, list[float]] = {name: [] for name in arms}
    for turn in range(rounds):
        for name in list(arms)[:: -1 if turn % 2 else 1]:
            _synchronize()
            started = time.perf_counter()
            arms[name]()
            _synchronize()
            took[name].append(time.perf_counter() - started)
    return took


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
