"""Files of the library or of the rows that the page plays, and pictures of them."""

import mimetypes
from pathlib import Path
from typing import Annotated
from urllib.parse import parse_qs, quote

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import FileResponse, Response
from starlette.datastructures import Headers
from starlette.types import Message, Receive, Scope, Send

from olmv.serve.api.answers import errors
from olmv.serve.api.schemas import PictureAnswer, PicturesAnswer
from olmv.serve.guard.answers import RefusedRequestError, error_answer
from olmv.serve.service import Service
from olmv.video.cloud import is_cloud

__all__ = ["is_served", "media_address", "media_routes", "media_type", "picture_address", "pictures_address"]

_PLAYED = ("video/", "image/", "audio/")
Video = Annotated[str, Query(min_length=1, max_length=4096, examples=["clips/a.mp4"])]
Seconds = Annotated[float, Query(ge=0, le=1e9)]
End = Annotated[float | None, Query(ge=0, le=1e9, description="By default where it starts.")]
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


def pictures_address(video: str, start_s: float, end_s: float) -> str:
    """Return where the page finds which pictures there are of a library's video around a moment."""
    span = f"start_s={start_s:.3f}&end_s={end_s:.3f}"
    return f"/v1/pictures?video={quote(video, safe='', errors='surrogateescape')}&{span}"


def media_type(name: str) -> str:
    """Return the kind of a file by its name; nothing that a browser would run."""
    kind = mimetypes.guess_type(name)[0] or ""
    return kind if kind.startswith(_PLAYED) and kind not in _NEVER else "application/octet-stream"


class _Media(FileResponse):
    """Sends a file or ranges of it; refuses odd ranges in the form that all errors have, ignores other units."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        unit = Headers(scope=scope).get("range", "bytes").partition("=")[0].strip().lower()
        if unit != "bytes":  # RFC 9110, 14.2: as if it were not asked
            scope = {**scope, "headers": [pair for pair in scope["headers"] if pair[0] != b"range"]}
        refused = False

        async def tell(message: Message) -> None:
            nonlocal refused
            if refused:
                return
            if message["type"] == "http.response.start" and message["status"] in (400, 416):
                refused = True
                size = Headers(raw=message["headers"]).get("content-range")
                await _refused_range(size)(scope, receive, send)
                return
            await send(message)

        await super().__call__(scope, receive, tell)


def _refused_range(size: str | None) -> Response:
    """Return the answer to a range that cannot be read, or, with a `Content-Range`, is beyond the end."""
    if size is None:
        return error_answer(400, "the range cannot be read; ask for one as bytes=0-1023")
    length = size.rpartition("/")[2]
    message = f"there is no such range in {length} bytes; ask for one that begins within them"
    return error_answer(416, message, headers={"Content-Range": size})


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
            **errors(404, 416),
        },
    )
    def media(video: Video, request: Request) -> FileResponse:
        path = service.file_of(_asked(request))
        if path is None or not path.is_file():
            raise RefusedRequestError(404, "there is no such video here, or its file is gone")
        return _Media(
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

    @router.get(
        "/v1/pictures", summary="Tell which pictures a video of the library has near a moment", responses=errors(404)
    )
    def pictures(video: Video, request: Request, start_s: Seconds = 0.0, end_s: End = None) -> PicturesAnswer:
        end_s = start_s if end_s is None else end_s
        if end_s < start_s:
            raise RefusedRequestError(422, "the moment ends before it starts; swap start_s and end_s")
        name = _asked(request)
        times = None if service.library is None else service.library.picture_times(name, start_s, end_s)
        if times is None:
            raise RefusedRequestError(404, "there is no such video in the library")
        near = [PictureAnswer(time_s=round(time, 3), src=picture_address(name, time)) for time in times]
        return PicturesAnswer(pictures=near)

    return router
