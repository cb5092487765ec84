"""`/v1/rows`: rows over time and their curves, as the files that `olmv predict --timeline` writes."""

import asyncio
import io
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from fastapi import APIRouter, Request
from fastapi.responses import Response

from olmv.io.curves import Curve, curves_path, write_curves
from olmv.io.prediction_fields import Row, check_row
from olmv.io.prediction_rows import write_rows
from olmv.serve.api.answers import errors
from olmv.serve.api.requests import parse_json
from olmv.serve.api.schemas import RowsRequest
from olmv.serve.guard.answers import RefusedRequestError
from olmv.serve.service import Service

__all__ = ["rows_routes"]

_NAME = "predictions.jsonl"
_CELLS = "cells"


def rows_routes(service: Service) -> APIRouter:
    """Return the route that makes files of rows: a browser writes no Parquet."""
    router = APIRouter(tags=["predict"])
    one_at_a_time = asyncio.Lock()  # a body is large, and larger when it is parsed

    @router.post(
        "/v1/rows",
        summary="Make files of rows and their curves",
        response_class=Response,
        responses={
            200: {
                "description": f"A zip of {_NAME} and {curves_path(Path(_NAME)).name}, which the commands read.",
                "content": {"application/zip": {}},
            },
            **errors(408, 413, 415, 507),
        },
        openapi_extra={
            "requestBody": {
                "required": True,
                "content": {"application/json": {"schema": {"$ref": "#/components/schemas/RowsRequest"}}},
            }
        },
    )
    async def rows(request: Request) -> Response:
        body = await request.body()
        async with one_at_a_time:
            content = await service.in_thread(_packed_body, body, service.uploads.path)
        headers = {"Content-Disposition": 'attachment; filename="predictions.zip"'}
        return Response(content, media_type="application/zip", headers=headers)

    return router


def _packed_body(body: bytes, folder: Path) -> bytes:
    return _packed(parse_json(body, RowsRequest).rows, folder)


def _packed(documents: list[dict[str, Any]], folder: Path) -> bytes:
    """Return a zip of the rows and of the curves that stand in them as `cells`.

    Raises:
        RefusedRequestError: one is no row, its cells are no curve, or two are of one video.
        OutputError: they cannot be written there.
    """
    rows = [{name: value for name, value in document.items() if name != _CELLS} for document in documents]
    curves = list(_curves(documents))
    if len({row["video"] for row in rows}) < len(rows):
        raise RefusedRequestError(422, "two rows are of one video; give each a name of its own")
    with tempfile.TemporaryDirectory(dir=folder) as made:
        path = Path(made) / _NAME
        write_rows(path, rows)
        write_curves(curves_path(path), curves)
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
            for file in (path, curves_path(path)):
                archive.write(file, file.name)
        return packed.getvalue()


def _curves(documents: list[Row]) -> Iterator[Curve]:
    for place, document in enumerate(documents):
        try:
            check_row(document)
            if (cells := document.get(_CELLS)) is not None:
                yield _curve(document, cells)
        except ValueError as failure:
            raise RefusedRequestError(
                422, f"rows.{place} is no prediction: {failure}; give one with its cells"
            ) from None


def _curve(row: Row, cells: Mapping[str, Any]) -> Curve:
    """Read the curve of a row; ValueError of one that could not be read back."""
    try:
        curve = Curve.from_document(row["video"], cells)
    except (AttributeError, KeyError, TypeError, ValueError):
        raise ValueError("its 'cells' are odd") from None
    starts, probability = curve.starts_s, curve.probability
    if not probability.size or not (np.diff(starts) > 0).all() or not ((probability >= 0) & (probability <= 1)).all():
        raise ValueError("its 'cells' are no probabilities over time")
    labels = [label["label"] for label in row["labels"]]
    if not labels or not {*labels} <= {*curve.labels}:  # with top_k, a row has fewer
        raise ValueError("its 'cells' are not of its labels")
    return curve
