"""From errors to answers, and what every route of the API says of them in its description."""

import asyncio
import json
import logging
from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse, Response

from olmv.errors import MissingDependencyError, OlmvError, OutputError, UsageError
from olmv.serve.api.schemas import ErrorAnswer, TooManyLabelsError
from olmv.serve.engine import BusyError
from olmv.serve.guard.answers import RefusedRequestError, error_answer, error_type

__all__ = ["EscapedJSON", "add_error_answers", "errors", "invalid", "rows_answer"]

log = logging.getLogger(__name__)

_ABOUT = {
    400: "The request is malformed.",
    401: "The token is missing or wrong.",
    403: "It is not allowed here.",
    404: "There is no such thing.",
    408: "The body came too slowly.",
    409: "It is not possible now.",
    413: "It is too large.",
    414: "The address is too long.",
    415: "The body is neither JSON nor a form with files.",
    416: "There is no such range; Content-Range says how many bytes there are.",
    422: "A value cannot be used; the message says which, and what mends it.",
    503: "Too many videos wait; Retry-After says when to come again.",
    507: "It cannot be written: the disk is full, say.",
}
# what Pydantic says then has the names of classes
_NO_OBJECT = ("model_type", "model_attributes_type", "dict_type", "dict_attributes_type")


def errors(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the description of these errors, and of those that every route has."""
    return {
        status: {"model": ErrorAnswer, "description": _ABOUT[status]}
        for status in sorted({400, 401, 403, 414, 422, *statuses})
    }


def invalid(failure: ValidationError | RequestValidationError) -> str:
    """Say in one line what is wrong with a document."""
    first = failure.errors()[0]
    kind = str(first["type"])
    if kind == "json_invalid":
        return "the body is no JSON; send an object"
    # FastAPI says first where a value came from; a field may have the same name, as the query of a search has
    parts = first["loc"][1:] if isinstance(failure, RequestValidationError) else first["loc"]
    place = ".".join(str(part) for part in parts)
    known = {
        "extra_forbidden": "there is no such field; see /openapi.json",
        "missing": "is missing; give it",
        **dict.fromkeys(_NO_OBJECT, "is no object; send an object" if place else "the body is no object; send one"),
    }
    message = known.get(kind, str(first["msg"]).removeprefix("Value error, "))
    more = len(failure.errors()) - 1
    rest = f" (and {more} more)" if more else ""
    return f"{place}: {message}{rest}" if place else f"{message}{rest}"


class EscapedJSON(JSONResponse):
    """JSON in ASCII: a file's name that is not UTF-8 has halves of characters, which can only be escaped."""

    def render(self, content: Any) -> bytes:
        """Return the body."""
        return json.dumps(content, allow_nan=False, separators=(",", ":")).encode("ascii")


async def rows_answer(document: Mapping[str, Any], predictions: Sequence[Mapping[str, Any]]) -> Response:
    """Return a document with predictions as its last member; others are served between two of them.

    Args:
        document: the other members, at least one.
        predictions: rows; of 64 videos and 10,000 labels they take seconds to write.
    """
    rows = []
    for prediction in predictions:
        rows.append(_json(prediction))
        await asyncio.sleep(0)
    body = b'%b,"predictions":[%b]}' % (_json(document)[:-1], b",".join(rows))
    return Response(body, media_type="application/json")


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()


def add_error_answers(app: FastAPI) -> None:
    """Let every error be answered in the one form of the API."""

    async def refused(request: Request, failure: Exception) -> Response:
        assert isinstance(failure, HTTPException)
        if isinstance(failure, RefusedRequestError):
            return failure.answer()
        usual = {
            404: f"there is no {request.url.path[:200]!r}; /openapi.json names what there is",
            405: f"{request.url.path[:200]!r} takes no {request.method}; /openapi.json names what it takes",
        }
        message = usual.get(failure.status_code, str(failure.detail))
        return error_answer(failure.status_code, message, headers=failure.headers)

    async def malformed(request: Request, failure: Exception) -> Response:
        assert isinstance(failure, ValidationError | RequestValidationError)
        return error_answer(422, invalid(failure))

    async def too_many(request: Request, failure: Exception) -> Response:
        return error_answer(413, str(failure))

    async def busy(request: Request, failure: Exception) -> Response:
        assert isinstance(failure, BusyError)
        return error_answer(503, str(failure), headers={"Retry-After": str(failure.retry_after_s)})

    async def unusable(request: Request, failure: Exception) -> Response:
        kinds = ((OutputError, 507), (UsageError, 422), (MissingDependencyError, 409))
        status = next((status for kind, status in kinds if isinstance(failure, kind)), 500)
        return error_answer(status, str(failure), kind=type(failure).__name__)

    async def gone(request: Request, failure: Exception) -> Response:
        return Response(status_code=499)  # nobody reads it; it is no fault that a log should tell of

    async def fault(request: Request, failure: Exception) -> JSONResponse:
        log.error("a request to %s failed", request.url.path, exc_info=failure)
        return error_answer(500, "a fault of olmv; its log has more", kind=error_type(500))

    app.add_exception_handler(HTTPException, refused)
    app.add_exception_handler(RequestValidationError, malformed)
    app.add_exception_handler(ValidationError, malformed)
    app.add_exception_handler(TooManyLabelsError, too_many)
    app.add_exception_handler(BusyError, busy)
    app.add_exception_handler(OlmvError, unusable)
    app.add_exception_handler(ClientDisconnect, gone)
    app.add_exception_handler(Exception, fault)
