"""How much one client may ask of the service, and how slowly."""

from dataclasses import dataclass

__all__ = ["DEFAULT_LIMITS", "Limits"]


@dataclass(frozen=True)
class Limits:
    """What one request, one connection and one download may take.

    Attributes:
        json_bytes: of a JSON body.
        rows_bytes: of the JSON of `/v1/rows`, to which curves come. What is made to be hard to hold takes many times
            as much when it is parsed, so one body is parsed at a time.
        upload_bytes: of a multipart body, all files and fields together; also of one download.
        files: in one request.
        field_bytes: of the fields beside the files, names and values together.
        fields: in one request.
        head_bytes: of the headers of a request, and of its address.
        head_s: seconds until the head of a request must be there, and the rest of a body that nobody reads.
        idle_s: seconds without a byte of a body that is read.
        bytes_s: bytes a second that a body or download must come with, from its `idle_s`-th second on.
        write_s: seconds in which a client must read some of the answer.
        connections: open at the same time; beyond it, the one that asks for nothing is closed.
        download_s: seconds that one download may take.
    """

    json_bytes: int = 8 * 2**20
    rows_bytes: int = 32 * 2**20
    upload_bytes: int = 2048 * 2**20
    files: int = 64
    field_bytes: int = 2**20
    fields: int = 100
    head_bytes: int = 16 * 2**10
    head_s: float = 10.0
    idle_s: float = 20.0
    bytes_s: float = 4096.0
    write_s: float = 120.0
    connections: int = 256
    download_s: float = 600.0


DEFAULT_LIMITS = Limits()
