"""Files that a client sends: on disk as they come, private, and gone with the request that they belong to."""

import errno
from dataclasses import dataclass, field
from types import TracebackType

from anyio import to_thread
from python_multipart.multipart import parse_options_header
from starlette.requests import Request

from olmv.serve.guard.answers import RefusedRequestError
from olmv.serve.guard.limits import DEFAULT_LIMITS, Limits
from olmv.serve.guard.multipart import FormReader, Upload
from olmv.serve.guard.private_folder import PrivateFolder

__all__ = ["Uploads", "check_room", "disk_refusal", "receive_uploads"]

_AT_ONCE = 2**20
"""Bytes that are gathered before a thread writes them."""
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@dataclass(frozen=True)
class Uploads:
    """What came with one request; as a context manager it removes its files at the end.

    Attributes:
        files: in their order.
        fields: the fields beside them, by name.
    """

    files: tuple[Upload, ...] = ()
    fields: dict[str, str] = field(default_factory=dict)

    def discard(self) -> None:
        """Remove its files; those that are gone already are no matter."""
        for file in self.files:
            file.path.unlink(missing_ok=True)

    def __enter__(self) -> "Uploads":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.discard()


async def receive_uploads(request: Request, folder: PrivateFolder, limits: Limits = DEFAULT_LIMITS) -> Uploads:
    """Read the form of a request; where that fails, nothing of it stays on disk.

    Args:
        request: its body must not have been read.
        folder: where its files go.
        limits: of bytes, files and fields.

    Raises:
        RefusedRequestError: 400 for what is no form, 413 for too much, 415 for what is encoded, 507 for a full disk.
        ClientDisconnect: the client went away.
    """
    kind, options = parse_options_header(request.headers.get("content-type", ""))
    if kind != b"multipart/form-data":
        raise RefusedRequestError(415, "a form with files is asked for; send it as multipart/form-data")
    reader = FormReader(options.get(b"boundary", b""), folder, limits)
    length = request.headers.get("content-length", "")
    try:
        check_room(folder, int(length[:20]) if length.isascii() and length.isdigit() else 0)
        await _read(request, reader, folder, limits)
        reader.finish()
    except OSError as failure:
        reader.discard()
        raise disk_refusal(failure) from None
    except BaseException:
        reader.discard()
        raise
    return Uploads(tuple(reader.uploads), reader.fields)


async def _read(request: Request, reader: FormReader, folder: PrivateFolder, limits: Limits) -> None:
    def store() -> None:
        check_room(folder, len(waiting))
        reader.write(bytes(waiting))

    waiting, size = bytearray(), 0
    async for piece in request.stream():
        size += len(piece)
        if size > limits.upload_bytes:  # in case that no BodyGuard is there
            raise RefusedRequestError(413, "the body is too large; send less at once", headers={"Connection": "close"})
        waiting += piece
        if len(waiting) >= _AT_ONCE:
            await to_thread.run_sync(store)
            waiting.clear()
    if waiting:
        await to_thread.run_sync(store)


def check_room(folder: PrivateFolder, size: int) -> None:
    """Raise OSError where the disk has no room for this many bytes more."""
    if size > folder.room_bytes():
        raise OSError(errno.ENOSPC, "no room")


def disk_refusal(failure: OSError) -> RefusedRequestError:
    """Return what a client is told where the disk did not take its file; the reason is for it, the path is not."""
    if failure.errno not in _FULL:
        return RefusedRequestError(500, "the file cannot be stored here; tell who runs this service")
    message = "the disk of this service is full; send less, or tell who runs it to make room"
    return RefusedRequestError(507, message, headers={"Connection": "close"})
