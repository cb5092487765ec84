"""The folder of a run: what was asked for, with what, and what came of it.

RUN/config.yaml      every setting, defaults included
RUN/history.json     labels of this run and of those before it (`olmv.train.continual.history`)
RUN/versions.json    packages, Python, device, git revision
RUN/metrics.jsonl    one row per logged step, validation and epoch
RUN/tensorboard/     the same, for `tensorboard --logdir RUN`
RUN/original.safetensors, RUN/checkpoints/    what a resumed run needs
RUN/diverged.json    where the loss stopped being a number, and at which learning rate
RUN/curve.json, RUN/curve.png                 the ratio sweep
RUN/model/           the result, for `--model RUN/model`
"""

import importlib.metadata
import json
import platform
import shutil
import subprocess
import time
from collections.abc import Mapping, Set
from pathlib import Path
from typing import Any

import yaml

from olmv.errors import OutputError, UsageError, reason
from olmv.io.atomic import write_atomic
from olmv.io.journal import JsonlJournal
from olmv.io.packages import installed
from olmv.io.paths import read_text
from olmv.io.plain_yaml import load_yaml
from olmv.train.config import TrainConfig

__all__ = ["MetricsLog", "RunFolder"]

# changing these does not change what is computed
_FREE = {("run", "checkpoint_minutes"), ("run", "keep_checkpoints"), ("run", "log_every"), ("data", "workers")}
# nor do these change the steps before the checkpoint that a diverged run goes on from
_FREE_ONCE_DIVERGED = {("optimizer", "lr"), ("optimizer", "new_lr"), ("optimizer", "clip_norm")}
_PACKAGES = ("olmv", "torch", "open_clip_torch", "timm", "transformers", "accelerate", "datasets", "numpy", "av")


class RunFolder:
    """Paths of a run, and the check that a resumed run is the same run.

    Args:
        path: made if need be.

    Raises:
        OutputError: the folder cannot be made.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(
                f"cannot make the folder '{path}': {error.strerror}; choose another", option="output"
            ) from None

    @property
    def checkpoints(self) -> Path:
        return self.path / "checkpoints"

    @property
    def original(self) -> Path:
        """Return the file of the trainable weights before the first step."""
        return self.path / "original.safetensors"

    @property
    def metrics(self) -> Path:
        return self.path / "metrics.jsonl"

    @property
    def diverged(self) -> Path:
        """Return the file that tells where the loss stopped being a number; such a run may go on more slowly."""
        return self.path / "diverged.json"

    @property
    def history(self) -> Path:
        """Return the file of the labels that this and earlier runs trained."""
        return self.path / "history.json"

    @property
    def model(self) -> Path:
        return self.path / "model"

    @property
    def finished(self) -> bool:
        """Tell whether the run came to its end."""
        return (self.model / "config.json").is_file()

    def clear(self) -> None:
        """Delete what an earlier run wrote, and nothing else; a folder without a run is left as it is."""
        if not (self.path / "config.yaml").is_file():
            return
        self._drop_leftovers()
        for name in ("checkpoints", "tensorboard", "model"):
            shutil.rmtree(self.path / name, ignore_errors=True)
        for name in (
            "versions.json",
            "metrics.jsonl",
            "history.json",
            "original.safetensors",
            "tuned.safetensors",
            "curve.json",
            "curve.png",
            "diverged.json",
            "config.yaml",  # last: it is what makes the folder a run
        ):
            (self.path / name).unlink(missing_ok=True)

    def begin(self, config: TrainConfig, *, device: str) -> None:
        """Write config and versions; a folder of another run is refused.

        Raises:
            UsageError: the folder holds a run with other settings; the first difference is named. Or it holds things
                that are not of a run and would be overwritten. A run that diverged may have another learning rate.
        """
        path = self.path / "config.yaml"
        if path.is_file():
            try:
                before = load_yaml(read_text(path))
            except yaml.YAMLError as failure:
                raise UsageError(
                    f"{path} is not YAML ({reason(failure)}); choose another folder, or start over",
                    option=("output", "resume"),
                ) from None
            free = _FREE | _FREE_ONCE_DIVERGED if self.diverged.is_file() else _FREE
            if different := _difference(before, config.to_dict(), free):
                raise UsageError(
                    f"'{self.path}' holds a run with another {different}; choose another folder, or start over",
                    option=("output", "resume"),
                )
        elif self.checkpoints.exists() or self.model.exists():
            raise UsageError(
                f"'{self.path}' holds checkpoints or a model but no config.yaml of a run; choose another",
                option="output",
            )
        self._drop_leftovers()
        write_atomic(path, yaml.safe_dump(config.to_dict(), sort_keys=False))
        write_atomic(self.path / "versions.json", json.dumps(versions(device), indent=1) + "\n")

    def add_divergence(self, *, step: int, lr: float, what: str) -> None:
        """Write down a step whose loss or gradient was not a number, and the learning rate of the config.

        Raises:
            OutputError: it cannot be written.
        """
        rows = json.loads(self.diverged.read_text(encoding="utf-8")) if self.diverged.is_file() else []
        write_atomic(self.diverged, json.dumps([*rows, {"step": step, "lr": lr, "what": what}], indent=1) + "\n")

    def _drop_leftovers(self) -> None:
        """Delete what a killed run had begun to write: of this olmv, and of earlier ones (the fixed names)."""
        for path in (*self.path.glob(".olmv-*.tmp"), self.path / ".model.tmp", self.path / "original.tmp"):
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)


def _difference(before: Any, now: Any, free: Set[tuple[str, ...]], place: tuple[str, ...] = ()) -> str | None:
    """Find the first setting that matters and differs, as `key.sub (old, now new)`."""
    if isinstance(before, Mapping) and isinstance(now, Mapping):
        for key in dict.fromkeys([*before, *now]):
            where = (*place, key)
            if where not in free and (differs := _difference(before.get(key), now.get(key), free, where)):
                return differs
        return None
    return None if before == now else f"{'.'.join(place)} ({before}, now {now})"


def versions(device: str) -> dict[str, Any]:
    """Return the versions of everything that may move a figure."""
    packages: dict[str, Any] = {"python": platform.python_version(), "machine": platform.machine(), "device": device}
    for name in _PACKAGES:
        try:
            packages[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            packages[name] = None
    return packages | {"git": _git_revision()}


def _git_revision() -> str | None:
    """Return the git revision of the olmv that runs, with `+` where files were changed; None outside a checkout."""
    folder = Path(__file__).parent
    try:
        tracked = subprocess.run(
            ["git", "ls-files", "--error-unmatch", Path(__file__).name],
            cwd=folder,
            capture_output=True,
            timeout=10,
            check=False,
        )  # an installed olmv may lie in somebody else's repository
        if tracked.returncode:
            return None
        revision, changes = [
            subprocess.run(
                ["git", *a], cwd=folder, capture_output=True, text=True, timeout=10, check=True
            ).stdout.strip()
            for a in (("rev-parse", "HEAD"), ("status", "--porcelain", "--untracked-files=no"))
        ]
    except (OSError, subprocess.SubprocessError):
        return None
    return revision + ("+" if changes else "")


class MetricsLog:
    """Writes rows into metrics.jsonl and scalars into TensorBoard's folder, the latter where it is installed.

    A resumed run first drops the rows after its checkpoint, so that no step is told twice.
    """

    def __init__(self, folder: RunFolder, *, step: int) -> None:
        if folder.metrics.is_file():
            with JsonlJournal(folder.metrics) as journal:
                rows = [row for row in journal.read() if row.get("step", 0) <= step]
            write_atomic(folder.metrics, "".join(json.dumps(row) + "\n" for row in rows))
        self._journal = JsonlJournal(folder.metrics)
        self._journal.open()
        self._board: Any = None
        if installed("tensorboard"):
            from torch.utils.tensorboard import SummaryWriter

            self._board = SummaryWriter(str(folder.path / "tensorboard"), purge_step=step + 1)

    def write(self, kind: str, step: int, values: Mapping[str, Any]) -> None:
        """Write one row; `kind` is `train`, `validation` or `epoch`."""
        self._journal.append({"kind": kind, "step": step, "time": round(time.time(), 1), **values})
        for name, value in values.items():
            if self._board is not None and isinstance(value, int | float):
                self._board.add_scalar(f"{kind}/{name}", value, step)

    def close(self) -> None:
        self._journal.close()
        if self._board is not None:
            self._board.close()
