"""A form with files, taken apart as it comes: files go to disk at once, and nothing of them stays in memory."""

import unicodedata
from dataclasses import dataclass
from pathlib import Path

from python_multipart import MultipartParser
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import parse_options_header

from olmv.serve.guard.answers import RefusedRequestError
from olmv.serve.guard.limits import Limits
from olmv.serve.guard.private_folder import PrivateFile, PrivateFolder

__all__ = ["FormReader", "Upload", "display_name"]

_NAME_LENGTH = 200
_MALFORMED = "the form is malformed; send it as multipart/form-data"


@dataclass(frozen=True)
class Upload:
    """A file that was sent or fetched.

    Attributes:
        name: what its sender calls it, for people: one line without folders, never part of a path.
        path: where it is on disk.
        size: in bytes.
    """

    name: str
    path: Path
    size: int


def display_name(name: str) -> str:
    """Return the last part of what a client calls a file, as one harmless line of 1 to 200 characters."""
    last = name.replace("\\", "/").rstrip("/").rpartition("/")[2]
    # no line breaks, nothing that turns the direction of what follows, no halves of characters
    kept = "".join(char for char in last if unicodedata.category(char) not in ("Cc", "Cf", "Cs", "Co", "Zl", "Zp"))
    shown = " ".join(unicodedata.normalize("NFC", kept).split())
    if len(shown) > _NAME_LENGTH:
        stem, dot, ending = shown.rpartition(".")
        ending = dot + ending if stem and len(ending) <= 8 else ""
        shown = shown[: _NAME_LENGTH - len(ending) - 1] + "…" + ending
    return shown or "upload"


class FormReader:
    """Reads a form piece by piece.

    Args:
        boundary: of its content type.
        folder: where its files go.
        limits: of files and fields.

    Raises:
        RefusedRequestError: the boundary is none.
    """

    def __init__(self, boundary: bytes, folder: PrivateFolder, limits: Limits) -> None:
        self._folder, self._limits = folder, limits
        self.uploads: list[Upload] = []
        self.fields: dict[str, str] = {}
        self._files: list[PrivateFile] = []
        self._file: PrivateFile | None = None
        self._headers: dict[bytes, bytes] = {}
        self._header_name, self._header_value = b"", b""
        self._name, self._file_name = "", ""
        self._value = bytearray()
        self._field_bytes = 0
        self._is_whole = False
        if not 1 <= len(boundary) <= 70:
            raise RefusedRequestError(400, "the boundary of the form is missing; name it in the content type")
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._begin_part,
                "on_header_field": self._add_header_name,
                "on_header_value": self._add_header_value,
                "on_header_end": self._end_header,
                "on_headers_finished": self._open_part,
                "on_part_data": self._add_data,
                "on_part_end": self._end_part,
                "on_end": self._end,
            },
        )

    def write(self, data: bytes) -> None:
        """Read what came next.

        Raises:
            RefusedRequestError: it is no form, or too much of one.
            OSError: the disk does not take it.
        """
        try:
            self._parser.write(data)
        except FormParserError:
            raise RefusedRequestError(400, _MALFORMED) from None

    def finish(self) -> None:
        """Check that the form came to its end; raises RefusedRequestError where it broke off."""
        if not self._is_whole:
            raise RefusedRequestError(400, "the form breaks off before its end; send it again")

    def discard(self) -> None:
        """Remove its files."""
        for file in self._files:
            file.remove()

    def _begin_part(self) -> None:
        self._headers = {}
        self._value = bytearray()
        self._file = None

    def _add_header_name(self, data: bytes, start: int, end: int) -> None:
        self._header_name += data[start:end]

    def _add_header_value(self, data: bytes, start: int, end: int) -> None:
        self._header_value += data[start:end]

    def _end_header(self) -> None:
        self._headers[self._header_name.strip().lower()] = self._header_value
        self._header_name, self._header_value = b"", b""

    def _open_part(self) -> None:
        disposition, options = parse_options_header(self._headers.get(b"content-disposition"))
        encoding = self._headers.get(b"content-transfer-encoding", b"binary").strip().lower()
        if encoding not in (b"binary", b"8bit", b"7bit"):
            raise RefusedRequestError(415, "a part of the form is encoded; send it as it is")
        if disposition != b"form-data" or b"name" not in options:
            raise RefusedRequestError(400, _MALFORMED)
        self._name = _text(options[b"name"])
        self._count(options[b"name"])
        if b"filename" not in options:
            if self._name in self.fields:
                raise RefusedRequestError(400, f"the field {self._name[:50]!r} is there twice; send it once")
            if len(self.fields) >= self._limits.fields:
                raise RefusedRequestError(
                    413, f"the form has more than {self._limits.fields} fields; send fewer", headers=_CLOSE
                )
            return
        if len(self._files) >= self._limits.files:
            raise RefusedRequestError(
                413, f"the form has more than {self._limits.files} files; send fewer at once", headers=_CLOSE
            )
        self._file_name = options[b"filename"].decode("utf-8", "replace")
        self._file = self._folder.new_file()
        self._files.append(self._file)

    def _add_data(self, data: bytes, start: int, end: int) -> None:
        if self._file is not None:
            self._file.write(memoryview(data)[start:end])
            return
        self._count(memoryview(data)[start:end])
        self._value += data[start:end]

    def _end_part(self) -> None:
        if self._file is None:
            self.fields[self._name] = _text(bytes(self._value))
            return
        self._file.close()
        if not self._file.size and not self._file_name:  # a browser's file field in which nothing was chosen
            self._file.remove()
            return
        self.uploads.append(Upload(display_name(self._file_name), self._file.path, self._file.size))

    def _end(self) -> None:
        self._is_whole = True

    def _count(self, data: bytes | memoryview) -> None:
        self._field_bytes += len(data)
        if self._field_bytes > self._limits.field_bytes:
            raise RefusedRequestError(
                413, f"the fields have more than {self._limits.field_bytes} bytes; send less", headers=_CLOSE
            )


_CLOSE = {"Connection": "close"}


def _text(data: bytes) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        raise RefusedRequestError(400, "a field of the form is not UTF-8; send it as UTF-8") from None
