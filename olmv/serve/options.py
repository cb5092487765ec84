"""Say how the service is run, and within which limits."""

from dataclasses import dataclass, field
from pathlib import Path

from olmv.errors import UsageError
from olmv.placement import PlacementOptions
from olmv.progress import JobListener

__all__ = ["ServeJob", "ServeListener", "ServeOptions"]


class ServeListener(JobListener):
    """Watches a service."""

    def ready(self, address: str) -> None:
        """Take the address at which the page can be opened, with its token where there is one."""


@dataclass(frozen=True, kw_only=True)
class ServeOptions:
    """Where the service listens, who may ask, and how much.

    Attributes:
        host, port: where it listens; port 0 for any that is free.
        root: paths under this folder can be predicted; None for none.
        token: that a client must show; None for none on this machine alone, and a random one beyond it.
        allow_urls: public addresses can be predicted.
        max_upload_mb: the most that one request may send, in MiB.
        queue: the most videos that wait or are at work; beyond it a request is told to come back later.
        timeout_s: seconds that one file may take to decode.
        workers: decoding processes; None for one per core.
        clips_mb: memory for what was made of videos before, so that their labels can be changed, in MiB.
    """

    host: str = "127.0.0.1"
    port: int = 8080
    root: Path | None = None
    token: str | None = field(default=None, repr=False)
    allow_urls: bool = False
    max_upload_mb: int = 2048
    queue: int = 64
    timeout_s: float = 60.0
    workers: int | None = None
    clips_mb: int = 256

    def check(self) -> None:
        """Check every number.

        Raises:
            UsageError: one is out of range, or the token is empty, or the root is no folder.
        """
        if not 0 <= self.port <= 65535:
            raise UsageError(f"port is {self.port}; give one from 0 to 65535", option="port")
        for name in ("max_upload_mb", "queue", "clips_mb"):
            if (value := getattr(self, name)) < 1:
                raise UsageError(f"{name} is {value}; it must be at least 1", option=name)
        if self.timeout_s <= 0:
            raise UsageError(f"the time limit is {self.timeout_s:g} s; give seconds above 0", option="timeout")
        if self.workers is not None and self.workers < 1:
            raise UsageError(f"workers is {self.workers}; files of others are decoded in at least 1", option="workers")
        if self.token is not None and not self.token.strip():
            raise UsageError("the token is empty; give a long random one, or none", option="token")
        if self.root is not None and not self.root.is_dir():
            raise UsageError(f"no such folder: {self.root}; name one whose files may be predicted", option="root")


@dataclass(frozen=True, kw_only=True)
class ServeJob:
    """What is served.

    Attributes:
        source: a library, which can be searched and reviewed, or a file of rows, which can be reviewed; None for none.
        labels: a label file, or labels with commas between them; None for those of the rows, or none.
        attributes: an attribute book.
        model: name or folder; None for the default, of a library for its own.
        thresholds: a thresholds file.
        threshold: one for all labels; wins over all others.
        placement: of the model.
        options: of the service.
    """

    source: Path | None = None
    labels: str | None = None
    attributes: Path | None = None
    model: str | None = None
    thresholds: Path | None = None
    threshold: float | None = None
    placement: PlacementOptions = PlacementOptions()
    options: ServeOptions = ServeOptions()
