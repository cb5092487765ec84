"""Answers that refuse, in the one form that all errors of the service have.

{"error": {"type": "too_large", "message": "one line that ends with what mends it"}}
"""

from collections.abc import Mapping

from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse

__all__ = ["RefusedRequestError", "error_answer", "error_body", "error_type"]

_TYPES = {
    400: "bad_request",
    401: "unauthorized",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    408: "timeout",
    409: "conflict",
    413: "too_large",
    414: "too_large",
    415: "unsupported_media_type",
    416: "range_not_satisfiable",
    422: "invalid",
    429: "too_many_requests",
    431: "too_large",
    500: "internal",
    503: "busy",
    507: "disk_full",
}


class RefusedRequestError(HTTPException):
    """A request that is not served.

    It is an HTTPException, so that a framework that reads a body for its handlers lets it through as it is.

    Args:
        status: of the answer, 400 to 599.
        message: one line that ends with what mends it; it tells nothing that the client may not know.
        kind: the `type` of the error; by default the one of its status.
        headers: of the answer.
    """

    def __init__(
        self, status: int, message: str, *, kind: str | None = None, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(status, message, headers)
        self.message = message
        self.kind = kind or error_type(status)

    def __str__(self) -> str:
        return self.message

    def answer(self) -> JSONResponse:
        """Return what the client is sent."""
        return error_answer(self.status_code, self.message, kind=self.kind, headers=self.headers)


def error_type(status: int) -> str:
    """Return the `type` of an error with this status."""
    return _TYPES.get(status, "internal" if status >= 500 else "bad_request")


def error_body(kind: str, message: str) -> dict[str, dict[str, str]]:
    """Return the document of an error."""
    return {"error": {"type": kind, "message": message}}


def error_answer(
    status: int, message: str, *, kind: str | None = None, headers: Mapping[str, str] | None = None
) -> JSONResponse:
    """Return the answer of an error.

    Args:
        status: 400 to 599.
        message: one line that ends with what mends it.
        kind: its `type`; by default the one of its status.
        headers: of the answer, beside its own.
    """
    return JSONResponse(error_body(kind or error_type(status), message), status, headers=headers)
