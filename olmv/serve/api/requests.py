"""Read what a request sends: JSON, or a form with files and options beside them."""

import json
import math
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from pydantic import BaseModel
from starlette.requests import Request

from olmv.serve.api.schemas import MOST_VIDEOS
from olmv.serve.guard.answers import RefusedRequestError
from olmv.serve.guard.limits import Limits
from olmv.serve.guard.private_folder import PrivateFolder
from olmv.serve.guard.uploads import Uploads, receive_uploads

__all__ = ["form_or_json", "is_form", "parse_json", "read_json", "received"]

_Document = TypeVar("_Document", bound=BaseModel)
_FORM = "multipart/form-data"


def form_or_json(document: str, options: str, fields: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Describe, for OpenAPI, a body that is JSON or a form with files.

    Args:
        document: name of the schema of the JSON.
        options: name of the schema of the form's `options`.
        fields: schemas of further fields of the form, by name.
    """
    files = {
        "type": "array",
        "items": {"type": "string", "format": "binary"},
        "minItems": 1,
        "maxItems": MOST_VIDEOS,
        "description": "Videos or photos.",
    }
    properties = {
        "files": files,
        **(fields or {}),
        "options": {"type": "string", "description": f"{options}, as a JSON object."},
    }
    form = {"type": "object", "required": ["files"], "properties": properties}
    content = {
        "application/json": {"schema": {"$ref": f"#/components/schemas/{document}"}},
        _FORM: {"schema": form},
    }
    return {"requestBody": {"required": True, "content": content}}


def is_form(request: Request) -> bool:
    """Tell whether files come with a request."""
    return request.headers.get("content-type", "").lower().partition(";")[0].strip() == _FORM


async def read_json(request: Request, kind: type[_Document]) -> _Document:
    """Read the JSON body of a request.

    Raises:
        RefusedRequestError: it is no JSON.
        ValidationError: it is none of this kind.
    """
    return parse_json(await request.body(), kind)


def parse_json(body: bytes, kind: type[_Document]) -> _Document:
    """Parse the JSON body of a request.

    Raises:
        RefusedRequestError: it is no JSON.
        ValidationError: it is none of this kind.
    """
    return kind.model_validate(_document(body, "the body"))


def _options_of(uploads: Uploads, kind: type[_Document]) -> _Document:
    """Read the options beside the files of a form: `options`, a JSON object, and `labels`, which win over its own."""
    fields = uploads.fields
    if not uploads.files:
        raise RefusedRequestError(422, "there is no file; send at least one, in the field files")
    for name in fields:
        if name not in ("options", "labels"):
            raise RefusedRequestError(422, f"there is no field {name[:40]!r}; give files, labels and options")
    options = _document(fields.get("options", "{}").encode() or b"{}", "options")
    if not isinstance(options, dict):
        raise RefusedRequestError(422, 'options is no JSON object; write it as {"timeline": true}')
    if (labels := fields.get("labels", "")).strip():
        options["labels"] = labels
    return kind.model_validate(options)


@asynccontextmanager
async def received(
    request: Request, folder: PrivateFolder, limits: Limits, kind: type[_Document]
) -> AsyncIterator[tuple[Uploads, _Document]]:
    """Give the files and options of a form; where that fails, its files are removed.

    Args:
        request: its body must not have been read.
        folder: where its files go.
        limits: of bytes, files and fields.
        kind: of its options.

    Raises:
        RefusedRequestError: it is no such form, has no file, or is too much.
        ValidationError: options that there are not.
    """
    uploads = await receive_uploads(request, folder, limits)
    try:
        yield uploads, _options_of(uploads, kind)
    except BaseException:
        uploads.discard()
        raise


def _document(body: bytes, what: str) -> Any:
    try:
        return json.loads(body, parse_constant=_refuse_constant, parse_float=_finite)
    except _NoNumberError as failure:
        raise RefusedRequestError(
            422, f"{what} has {failure}, which is no number of JSON; send a finite number, or null"
        ) from None
    except (ValueError, RecursionError):
        raise RefusedRequestError(422, f"{what} is no JSON; send an object") from None


class _NoNumberError(Exception):
    """What stands where a number should: NaN, an infinity, or a number that becomes one."""


def _refuse_constant(name: str) -> Any:
    raise _NoNumberError(name)


def _finite(text: str) -> float:
    if math.isinf(number := float(text)):
        raise _NoNumberError(f"{text:.40}")
    return number
