"""Spread the videos of a run over actors of Ray, each of which loads the model once.

    driver ──blocks of paths──> Ray Data ──> actor ──> olmv's own decoding processes
           <──results, as each block is done──

An actor that dies, of memory or with its machine, is started again and gets its block again, now one file at a time.
A file with which it died twice more is an error, and the run goes on.
"""

import logging
import os
import pickle
import secrets
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from olmv.cluster.host import Host, Ledger, Worker
from olmv.errors import OlmvError, UsageError, reason
from olmv.io.packages import require
from olmv.video.options import usable_cores

if TYPE_CHECKING:
    from olmv.devices import Placement
    from olmv.placement import PlacementOptions

__all__ = ["RayEngine", "RayOptions", "blocks_of"]

# what an actor died of, a row or an error says; nothing is sent to Ray's makers
_SURROUNDINGS = {"RAY_BACKEND_LOG_LEVEL": "fatal", "RAY_USAGE_STATS_ENABLED": "0"}


@dataclass(frozen=True, kw_only=True)
class RayOptions:
    """Where actors run and how many.

    Attributes:
        address: of a cluster (`auto`, `ray://HOST:10001`); None for this machine alone.
        actors: how many load the model; None for one a GPU, without any one for 8 cores.
        gpus_per_actor: may be a part of one; None for 1 where there are any, else 0.
    """

    address: str | None = None
    actors: int | None = None
    gpus_per_actor: float | None = None

    def check(self) -> None:
        """Check the numbers.

        Raises:
            UsageError: one is out of range.
        """
        if self.actors is not None and self.actors < 1:
            raise UsageError(f"actors is {self.actors}; use at least 1", option="actors")
        if self.gpus_per_actor is not None and self.gpus_per_actor < 0:
            raise UsageError(f"GPUs of an actor are {self.gpus_per_actor:g}; use 0 or more", option="gpus_per_actor")


class RayEngine:
    """A connection to Ray, or a Ray of one's own on this machine for as long as it is open.

    Args:
        options: where, and how many actors.
        workers: decoding processes of each actor; None for its share of the cores.

    Raises:
        MissingDependencyError: Ray is not installed.
        UsageError: an option is out of range; later, there is no cluster at the address, or it has too few GPUs.
    """

    def __init__(self, options: RayOptions = RayOptions(), *, workers: int | None = None) -> None:
        options.check()
        require("ray", extra="ray", need="running on a cluster")
        self._options = options
        self._workers = workers
        self._started = False
        self._own = False
        self._actors = 0
        self._resources: dict[str, float] = {}

    @property
    def actors(self) -> int:
        """Return how many load the model."""
        self._start()
        return self._actors

    @property
    def workers(self) -> int:
        """Return how many decoding processes an actor has."""
        return self._workers or max(self._actor_cores(), 1)

    def _actor_cores(self) -> int:
        self._start()
        return int(self._resources["num_cpus"])

    def _start(self) -> None:
        """Connect, when it is needed first: wrong inputs are told before."""
        if self._started:
            return
        for name, value in _SURROUNDINGS.items():
            os.environ.setdefault(name, value)
        if self._options.address is None:
            guard()
        import ray

        if not ray.is_initialized():
            _connect(self._options.address)
            self._own = True
        total = ray.cluster_resources()
        cores, gpus = float(total.get("CPU", 1)), float(total.get("GPU", 0))
        share = self._options.gpus_per_actor
        share = (1.0 if gpus else 0.0) if share is None else share
        if share > gpus:
            raise UsageError(f"an actor shall have {share:g} GPUs, and there are {gpus:g}", option="gpus_per_actor")
        most = int(gpus // share) if share else max(int(cores) // 8, 1)
        self._actors = self._options.actors or most
        own = min(cores / self._actors, self._workers or cores)
        # Ray takes whole cores, or a part of one where there are more actors than cores
        self._resources = {"num_cpus": float(int(own)) if own >= 1 else round(own * 0.99, 3)}
        if share:
            self._resources["num_gpus"] = share
        self._started = True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        import ray

        if self._own:
            ray.shutdown()
        self._started = self._own = False

    def placement(self, options: "PlacementOptions") -> "Placement":
        """Choose device and dtype as an actor would: this machine may be another one.

        Raises:
            UsageError: as `olmv.models.registry.placement_for`.
        """
        import ray

        from olmv.models.registry import placement_for

        if self._options.address is None:  # this machine
            return placement_for(options.device, options.dtype, options.runtime)
        self._start()
        resources = {name: amount for name, amount in self._resources.items() if name == "num_gpus"}
        task = ray.remote(**resources)(placement_for)
        try:
            placement: Placement = ray.get(task.remote(options.device, options.dtype, options.runtime))
        except ray.exceptions.RayTaskError as failure:
            raise failure.cause if isinstance(failure.cause, OlmvError) else failure from None
        return placement

    def map(
        self, blocks: Mapping[int, Sequence[str]], worker: type[Worker[Any]], arguments: Mapping[str, Any]
    ) -> Iterator[tuple[int, list[Any]]]:
        """Yield the results of blocks as they are done, in any order.

        Args:
            blocks: paths by the number of the block.
            worker: a class, made in each actor with the arguments.
            arguments: of its constructor.

        Raises:
            OlmvError: what a worker raised.
        """
        import ray

        data = self._data()
        ledger = ray.remote(num_cpus=0, max_restarts=-1, max_task_retries=-1)(Ledger).remote()
        rows = [{"block": number, "paths": list(paths)} for number, paths in blocks.items()]
        host = {"worker": worker, "arguments": dict(arguments), "ledger": ledger, "folder": os.getcwd()}  # noqa: PTH109
        results = data.from_items(rows, override_num_blocks=len(rows)).map(
            Host,
            fn_constructor_kwargs=host,
            compute=data.ActorPoolStrategy(size=min(self._actors, len(rows))),
            **self._resources,
        )
        try:
            for row in results.iter_rows():
                outcome = pickle.loads(row["outcome"])
                if isinstance(outcome, OlmvError):
                    raise outcome
                yield int(row["block"]), outcome
        finally:
            ray.kill(ledger)

    def map_batches(
        self,
        rows: Sequence[Mapping[str, Any]],
        function: Callable[..., Mapping[str, Any]],
        arguments: Mapping[str, Any],
    ) -> Iterator[Any]:
        """Yield what a function makes of rows, in any order, one row at a time in each task.

        Args:
            rows: of the same fields, of plain data.
            function: gets a batch by its columns, and the arguments; returns pickled results as column `result`.
            arguments: of the function.

        Raises:
            OlmvError: what the function raised.
        """
        if not rows:
            return
        data = self._data()
        tasks = data.from_items([dict(row) for row in rows], override_num_blocks=len(rows)).map_batches(
            _Caught(function), batch_size=None, fn_kwargs=dict(arguments)
        )
        for row in tasks.iter_rows():
            result = pickle.loads(row["result"])
            if isinstance(result, OlmvError):
                raise result
            yield result

    def _data(self) -> Any:
        """Return `ray.data`, connected and silent."""
        self._start()
        import ray.data

        context = ray.data.DataContext.get_current()
        context.enable_progress_bars = False
        context.print_on_execution_start = False
        for name in ("ray", "ray.data"):
            logging.getLogger(name).setLevel(logging.CRITICAL)
        return ray.data


@dataclass(frozen=True)
class _Caught:
    """A function whose errors of olmv come back as results: Ray would wrap them."""

    function: Callable[..., Mapping[str, Any]]

    def __call__(self, batch: Mapping[str, Any], **arguments: Any) -> Mapping[str, Any]:
        try:
            return self.function(batch, **arguments)
        except OlmvError as error:
            return {"result": [pickle.dumps(error)]}


def blocks_of(paths: Sequence[str], *, actors: int, most: int, first: int = 0) -> dict[int, Sequence[str]]:
    """Part paths into blocks: some for each actor, so that they end together, and not too many in one.

    Args:
        paths: of the run.
        actors: that share them.
        most: in a block: so much is lost when a run is killed.
        first: number of the first block.
    """
    size = max(min(len(paths) // (actors * 4), most), 1)
    return {first + place // size: paths[place : place + size] for place in range(0, len(paths), size)}


@contextmanager
def _silent_stderr() -> Iterator[None]:
    """Drop what is written to the descriptor of standard error: Ray's C++ says there that it was told to be silent."""
    sys.stderr.flush()
    saved = os.dup(2)
    try:
        with open(os.devnull, "wb") as nowhere:  # noqa: PTH123
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)


def guard() -> None:
    """Let nobody else run code on a Ray of this process's own, which other machines can reach: it takes a secret.

    Ray reads it as it is imported.
    """
    if "RAY_AUTH_MODE" not in os.environ and "ray" not in sys.modules:
        os.environ["RAY_AUTH_MODE"], os.environ["RAY_AUTH_TOKEN"] = "token", secrets.token_hex(32)


def _connect(address: str | None) -> None:
    import ray

    quiet = {"log_to_driver": False, "logging_level": "error"}
    try:
        with _silent_stderr():
            if address is not None:
                ray.init(address=address, **quiet)
            else:
                ray.init(address="local", num_cpus=usable_cores(), include_dashboard=False, **quiet)
    except (ConnectionError, ValueError, RuntimeError, OSError) as failure:
        where = "on this machine" if address is None else f"at {address}"
        raise UsageError(f"cannot reach Ray {where}: {reason(failure)}", option="address") from None
