"""The page's own files, from the package."""

from importlib import resources
from typing import Any

from fastapi import APIRouter
from fastapi.responses import HTMLResponse, Response

from olmv.serve.guard.answers import RefusedRequestError

__all__ = ["page_routes"]

_KINDS = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
_FOLDERS = (("olmv.serve", "page"), ("olmv.pages", "web"))


def page_routes() -> APIRouter:
    """Return the routes of the page; they are no part of the API's description."""
    router = APIRouter(include_in_schema=False)
    files = dict(_files())

    @router.get("/", response_class=HTMLResponse)
    async def page() -> HTMLResponse:
        return HTMLResponse(files["index.html"])

    @router.get("/favicon.svg")
    async def icon() -> Response:
        return asset("favicon.svg")

    @router.get("/assets/{name}")
    async def asset_route(name: str) -> Response:
        return asset(name)

    def asset(name: str) -> Response:
        kind = _KINDS.get(name[name.rfind(".") :])
        if kind is None or name not in files:
            raise RefusedRequestError(404, "there is no such file of the page")
        return Response(files[name], media_type=f"{kind}; charset=utf-8")

    return router


def _files() -> Any:
    for package, folder in _FOLDERS:
        for file in resources.files(package).joinpath(folder).iterdir():
            if file.name.endswith((".html", *_KINDS)):
                yield file.name, file.read_text(encoding="utf-8")
