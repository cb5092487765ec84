"""A server of `olmv serve` in this process, on a free port of this machine."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from olmv.labels.vocabulary import Vocabulary
from olmv.library.library import Library
from olmv.models.base import VideoModel
from olmv.serve.app import make_app
from olmv.serve.guard.private_folder import PrivateFolder
from olmv.serve.guard.protocol import GuardedServer, guarded_config
from olmv.serve.options import ServeOptions
from olmv.serve.served_library import ServedLibrary
from olmv.serve.service import Service

__all__ = ["RunningServer", "running_server"]


class RunningServer:
    """A server that answers.

    Attributes:
        url: without a slash at its end.
        service: behind it.
    """

    def __init__(self, url: str, service: Service) -> None:
        self.url = url
        self.service = service


@contextmanager
def running_server(
    model: VideoModel,
    uploads: Path,
    *,
    options: ServeOptions = ServeOptions(workers=1),
    labels: str | None = "dog, guitar, rain",
    token: str | None = None,
    limits: dict[str, Any] | None = None,
    **served: Any,
) -> Iterator[RunningServer]:
    """Run a server.

    Args:
        model: that answers.
        uploads: a folder for files that clients send.
        options: of the service.
        labels: its own, with commas between them; None for none.
        token: that clients must show.
        limits: some of `Limits`, which the service's own give way to.
        served: a library, which may be a `Library`, a review, thresholds; see `Service`.
    """
    with PrivateFolder(uploads) as folder, socket.socket() as listening:
        vocabulary = None if labels is None else Vocabulary.parse(labels)
        if isinstance(served.get("library"), Library):
            served["library"] = ServedLibrary(served["library"], model)
        service = Service(model, options, uploads=folder, vocabulary=vocabulary, **served)
        if limits is not None:
            service.limits = replace(service.limits, **limits)
        listening.bind(("127.0.0.1", 0))
        listening.listen(128)
        config = guarded_config(make_app(service, token=token), host="127.0.0.1", port=0, limits=service.limits)
        server = GuardedServer(config, service.end)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        while not server.started:
            if not thread.is_alive():
                raise RuntimeError("the server did not start")
            time.sleep(0.01)
        try:
            yield RunningServer(f"http://127.0.0.1:{listening.getsockname()[1]}", service)
        finally:
            server.should_exit = True
            thread.join(timeout=20)
