"""The application: all routes, the page's files, and what every answer has in common."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import APIRouter, Depends, FastAPI, Response
from starlette.responses import JSONResponse
from starlette.types import ASGIApp

import olmv
from olmv.serve.api.answers import EscapedJSON, add_error_answers, errors
from olmv.serve.api.ask import ask_routes
from olmv.serve.api.predict import predict_routes
from olmv.serve.api.review import review_router
from olmv.serve.api.rows import rows_routes
from olmv.serve.api.schemas import EmbedOptions, EmbedRequest, PredictOptions, PredictRequest, RowsRequest
from olmv.serve.figures import AnswerCounter
from olmv.serve.guard.answers import error_answer
from olmv.serve.guard.layers import guarded
from olmv.serve.guard.session import allowed_hosts
from olmv.serve.guard.uploads import check_room
from olmv.serve.media import media_routes
from olmv.serve.page_files import page_routes
from olmv.serve.service import Service

__all__ = ["make_app"]

_ABOUT = """Which of these labels are true of a video? Send videos and any labels; get, for each, a probability and a
decision. Errors are `{"error": {"type", "message"}}`, the message one line that ends with what mends it."""


def make_app(service: Service, *, host: str = "127.0.0.1", token: str | None = None) -> ASGIApp:
    """Return the service as an ASGI application, with its guards.

    Args:
        service: open; the application closes it at its end.
        host: the name or address that it is bound to.
        token: that clients must show; None for none.
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        yield
        await service.close()

    app = FastAPI(
        title="olmv",
        version=olmv.__version__,
        description=_ABOUT,
        lifespan=lifespan,
        docs_url=None,  # these pages load scripts from other hosts
        redoc_url=None,
        separate_input_output_schemas=False,
        default_response_class=EscapedJSON,
    )
    app.include_router(_state_routes(service))
    app.include_router(predict_routes(service))
    app.include_router(rows_routes(service))
    app.include_router(ask_routes(service))
    app.include_router(media_routes(service))
    if service.review is not None:
        app.include_router(review_router(service.review), dependencies=[Depends(service.look_at_library)])
    app.include_router(page_routes())
    add_error_answers(app)
    app.add_middleware(AnswerCounter, figures=service.figures)
    _complete_description(app)
    return guarded(app, token=token, hosts=allowed_hosts(host, token), limits=service.limits)


def _state_routes(service: Service) -> APIRouter:
    router = APIRouter(tags=["state"])

    @router.get("/healthz", summary="Tell that the process is alive")
    async def healthz() -> dict[str, str]:
        return {"status": "alive"}

    @router.get(
        "/readyz",
        summary="Tell whether requests are served",
        response_model=dict[str, str],
        responses={503: {"description": "Not now: the disk does not take files.", **_error_model()}},
    )
    async def readyz() -> Response:
        def store() -> None:
            check_room(service.uploads, 1)  # a disk takes empty files when it takes nothing else
            service.uploads.new_file().remove()

        try:
            await asyncio.to_thread(store)
        except OSError:
            return error_answer(503, "the folder for uploads cannot be written; make room on its disk")
        return JSONResponse({"status": "ready", "model": service.model.name})

    @router.get(
        "/metrics",
        summary="Figures for Prometheus",
        response_class=Response,
        responses={200: {"description": "Text.", "content": {"text/plain": {}}}, **errors()},
    )
    async def metrics() -> Response:
        return Response(service.figures.text(), media_type="text/plain; version=0.0.4; charset=utf-8")

    return router


def _error_model() -> dict[str, Any]:
    from olmv.serve.api.schemas import ErrorAnswer

    return {"model": ErrorAnswer}


def _complete_description(app: FastAPI) -> None:
    """Name what bodies have that FastAPI does not read itself, because they are JSON or a form."""
    from fastapi.openapi.utils import get_openapi

    def describe() -> dict[str, Any]:
        if app.openapi_schema is None:
            document = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
            schemas = document.setdefault("components", {}).setdefault("schemas", {})
            for model in (PredictRequest, PredictOptions, RowsRequest, EmbedRequest, EmbedOptions):
                schema = model.model_json_schema(ref_template="#/components/schemas/{model}")
                schemas.update(schema.pop("$defs", {}))
                schemas[model.__name__] = schema
            document["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
            document["security"] = [{}, {"token": []}]
            app.openapi_schema = document
        return app.openapi_schema

    app.openapi = describe  # type: ignore[method-assign]
