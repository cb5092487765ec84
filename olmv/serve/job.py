"""Run `olmv serve`: load the model, open what is served, and answer until it is told to stop."""

import asyncio
import errno
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from olmv.errors import InputError, OutputError, UsageError, reason
from olmv.io.packages import require
from olmv.io.paths import cache_dir
from olmv.labels.attributes import AttributeBook
from olmv.labels.vocabulary import Vocabulary
from olmv.library import is_library
from olmv.models.default import chosen_model, drawings_note
from olmv.serve.memory import few_arenas
from olmv.serve.options import ServeJob, ServeListener, ServeOptions

if TYPE_CHECKING:
    from olmv.library.library import Library
    from olmv.scoring.thresholds import Thresholds
    from olmv.serve.service import Service

__all__ = ["ServeJob", "ServeListener", "ServeOptions", "open_service", "run"]

_GRACE_S = 10


def run(job: ServeJob, listener: ServeListener) -> None:
    """Serve until Ctrl-C or SIGTERM; what can be checked is checked before the model is loaded.

    Raises:
        MissingDependencyError: a package of the service is not installed.
        UsageError: options, labels or a source that cannot be used.
        ModelError: the model cannot be loaded.
        OutputError: the port is taken.
    """
    for package in ("fastapi", "uvicorn", "python_multipart", "prometheus_client"):
        require(package, extra="serve", need="serving")
    job.options.check()
    from olmv.serve.guard.session import choose_token, page_address

    options = job.options
    token = choose_token(options.host, options.token)
    with _bound(options.host, options.port) as listening, open_service(job, listener) as service:
        port = int(listening.getsockname()[1])
        listener.ready(page_address(options.host, port, token))
        with _cleaned_up():
            asyncio.run(_serve(service, listening, host=options.host, token=token))


@contextmanager
def open_service(job: ServeJob, listener: ServeListener) -> "Iterator[Service]":
    """Load what is served; the application that is made of the service closes it.

    Raises:
        UsageError: labels or a source that cannot be used.
        ModelError: the model cannot be loaded.
    """
    few_arenas()
    _many_files()
    vocabulary, thresholds = _words(job, listener)
    library, rows = _source(job)
    from olmv.models.registry import load_model
    from olmv.serve.guard.private_folder import PrivateFolder
    from olmv.serve.reviewing import library_source, review_library, review_rows
    from olmv.serve.served_library import Advanced, ServedLibrary
    from olmv.serve.service import Service

    place = job.placement
    if library is not None:
        model = library.model(job.model, device=place.device)
    else:
        name, note = chosen_model(job.model)
        if note is not None:
            listener.note(note)
        model = load_model(name, device=place.device, dtype=place.dtype, runtime=place.runtime)
    if (warning := drawings_note(model.name)) is not None:
        listener.note(warning)
    if thresholds is not None and vocabulary is not None:
        for note in thresholds.notes_for(vocabulary, model=model.name):
            listener.note(note)
    with ExitStack() as stack:
        uploads = stack.enter_context(PrivateFolder(cache_dir() / "uploads"))
        review, follow = None, None
        if rows is not None:
            review = stack.enter_context(review_rows(rows))
        elif library is not None and vocabulary is not None and len(library):
            source_of = partial(
                library_source, model=model, vocabulary=vocabulary, thresholds=thresholds, threshold=job.threshold
            )
            source = source_of(library, advanced=partial(listener.advanced, stage="videos of the library"))
            session = stack.enter_context(review_library(library, source))

            def follow(library: "Library", advanced: Advanced) -> None:
                session.follow(source_of(library, advanced=advanced))

            review = session
        yield Service(
            model,
            job.options,
            uploads=uploads,
            vocabulary=vocabulary,
            thresholds=thresholds,
            threshold=job.threshold,
            library=None if library is None else ServedLibrary(library, model, review=follow),
            review=review,
        )


def _words(job: ServeJob, listener: ServeListener) -> "tuple[Vocabulary | None, Thresholds | None]":
    from olmv.scoring.thresholds import Thresholds

    vocabulary = None if job.labels is None else Vocabulary.load(job.labels)
    if job.attributes is not None:
        if vocabulary is None:
            raise UsageError("attributes are of labels; name the labels, too", option=("labels", "attributes"))
        vocabulary = vocabulary.with_attributes(AttributeBook.load(job.attributes))
    for note in () if vocabulary is None else vocabulary.notes:
        listener.note(note)
    return vocabulary, None if job.thresholds is None else Thresholds.load(job.thresholds)


def _source(job: ServeJob) -> "tuple[Library | None, Path | None]":
    if job.source is None:
        return None, None
    if is_library(job.source):
        from olmv.library.library import Library

        return Library.open_held(job.source), None
    if not job.source.is_file():
        raise InputError(f"{job.source} is no library and no file of predictions; index some videos, or predict them")
    return None, job.source


def _many_files() -> None:
    """Let this process open as many files as the system lets it: each fragment of a library that is held takes two."""
    import resource

    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(OSError, ValueError):  # macOS has a limit of its own below it
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


@contextmanager
def _bound(host: str, port: int) -> Iterator[socket.socket]:
    """Take the port before the model is loaded, so that one that is taken is told at once."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listening = socket.socket(family, kind, protocol)
    except OSError as failure:
        raise UsageError(
            f"cannot listen on {host}: {reason(failure)}; name an address of this machine", option="host"
        ) from None
    with listening:
        try:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind(address)
            listening.listen(128)
        except OSError as failure:
            why = f"cannot listen on {host}:{port}: {failure.strerror or failure}"
            if failure.errno == errno.EADDRNOTAVAIL:
                raise UsageError(f"{why}; name an address of this machine", option="host") from None
            raise OutputError(f"{why}; choose another port", option="port") from None
        yield listening


@contextmanager
def _cleaned_up() -> Iterator[None]:
    """Let what is behind the server be closed after SIGTERM, which uvicorn sends itself again at its end."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


async def _serve(service: "Service", listening: socket.socket, *, host: str, token: str | None) -> None:
    from olmv.serve.app import make_app
    from olmv.serve.guard.protocol import GuardedServer, guarded_config

    app = make_app(service, host=host, token=token)
    config = guarded_config(app, host=host, port=0, limits=service.limits)
    config.timeout_graceful_shutdown = _GRACE_S
    await GuardedServer(config, service.end).serve(sockets=[listening])
