"""Files of the library or of the rows that the page plays, and pictures of them."""

import mimetypes
from pathlib import Path
from typing import Annotated
from urllib.parse import parse_qs, quote

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import FileResponse, Response

from olmv.serve.api.answers import errors
from olmv.serve.guard.answers import RefusedRequestError
from olmv.serve.service import Service
from olmv.video.cloud import is_cloud

__all__ = ["is_served", "media_address", "media_routes", "media_type", "picture_address"]

_PLAYED = ("video/", "image/", "audio/")
Video = Annotated[str, Query(min_length=1, max_length=4096, examples=["clips/a.mp4"])]
_NEVER = ("image/svg+xml",)  # it can carry scripts


def is_served(path: str) -> bool:
    """Tell whether the page can play a video of the library: it is a file of this machine that is there."""
    return not is_cloud(path) and Path(path).is_file()


def media_address(video: str) -> str:
    """Return where the page plays a video."""
    return f"/v1/media?video={quote(video, safe='', errors='surrogateescape')}"


def picture_address(video: str, time_s: float) -> str:
    """Return where the page finds the picture of a library's video nearest to a time."""
    return f"/v1/picture?video={quote(video, safe='', errors='surrogateescape')}&time_s={time_s:.3f}"


def media_type(name: str) -> str:
    """Return the kind of a file by its name; nothing that a browser would run."""
    kind = mimetypes.guess_type(name)[0] or ""
    return kind if kind.startswith(_PLAYED) and kind not in _NEVER else "application/octet-stream"


def _asked(request: Request) -> str:
    """Return the video that is asked for, with the bytes of a name that is not UTF-8, which the framework replaces."""
    query = str(request.scope["query_string"], "latin-1")
    return parse_qs(query, errors="surrogateescape")["video"][-1]


def media_routes(service: Service) -> APIRouter:
    """Return the routes that give files and pictures of the service's library and rows."""
    router = APIRouter(tags=["media"], dependencies=[Depends(service.look_at_library)])

    @router.get(
        "/v1/media",
        summary="Play a video of the library or the rows",
        response_class=FileResponse,
        responses={
            200: {"description": "The file; ranges can be asked for.", "content": {"video/*": {}}},
            206: {"description": "A range of it."},
            416: {"description": "There is no such range."},
            **errors(404),
        },
    )
    def media(video: Video, request: Request) -> FileResponse:
        path = service.file_of(_asked(request))
        if path is None or not path.is_file():
            raise RefusedRequestError(404, "there is no such video here, or its file is gone")
        return FileResponse(
            path, media_type=media_type(path.name), headers={"Content-Security-Policy": "sandbox; default-src 'none'"}
        )

    @router.get(
        "/v1/picture",
        summary="Fetch a picture of a video of the library",
        response_class=Response,
        responses={200: {"description": "A JPEG.", "content": {"image/jpeg": {}}}, **errors(404)},
    )
    def picture(video: Video, request: Request, time_s: Annotated[float, Query(ge=0, le=1e9)] = 0.0) -> Response:
        jpeg = service.library_picture(_asked(request), time_s)
        if jpeg is None:
            raise RefusedRequestError(404, "there is no picture of this video")
        return Response(jpeg, media_type="image/jpeg", headers={"Cache-Control": "private, max-age=3600"})

    return router
