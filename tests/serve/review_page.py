"""A served page with nothing but the review, in front of a real session."""

import base64
import io
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI
from fastapi.responses import FileResponse, HTMLResponse, Response
from PIL import Image

from olmv.serve.api.answers import add_error_answers
from olmv.serve.api.review import review_router
from olmv.serve.guard.headers import HeadersGuard
from olmv.serve.page_files import page_routes
from olmv.serve.review.session import ReviewSession

FOOTAGE = Path(__file__).parents[2] / "olmv" / "data" / "footage"

# `olmv.api` of the page, in short
API = """
"use strict";
const ask = async (method, path, body) => {
  const headers = { "Content-Type": "application/json" };
  const answer = await fetch(path, body === undefined ? { method } : { method, headers, body: JSON.stringify(body) });
  const told = await answer.json();
  if (!answer.ok) throw new Error(told.error.message);
  return told;
};
const api = {
  get: (path) => ask("GET", path),
  post: (path, body) => ask("POST", path, body),
  put: (path, body) => ask("PUT", path, body),
};
olmv.reviewPage(document.querySelector("main"), api);
"""
SCRIPTS = ("core", "bars", "film", "grid", "review_side", "review")
PAGE = (
    '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>review</title>'
    '<meta name="viewport" content="width=device-width, initial-scale=1"><link rel="icon" href="data:,">'
    + "".join(f'<link rel="stylesheet" href="/assets/{name}.css">' for name in ("tokens", "parts", "review"))
    + "".join(f'<script defer src="/assets/{name}.js"></script>' for name in SCRIPTS)
    + '<script defer src="/boot.js"></script></head><body><h1>olmv</h1><main></main></body></html>'
)


def picture_of(video: str) -> Mapping[str, Any]:
    """Show a grey picture of every video."""
    file = io.BytesIO()
    Image.new("RGB", (64, 48), (sum(map(ord, video)) % 256,) * 3).save(file, "JPEG")
    address = f"data:image/jpeg;base64,{base64.b64encode(file.getvalue()).decode()}"
    return {"pictures": [{"time_s": time_s, "src": address} for time_s in (0.5, 1.5)], "end_s": 2.0}


def clip_of(video: str) -> Mapping[str, Any]:
    """Let every video be one of the clips that ship."""
    clips = sorted(path.name for path in FOOTAGE.glob("*.mp4"))
    return {"player": f"/clip/{clips[sum(map(ord, video)) % len(clips)]}"} if clips else {}


@contextmanager
def served(session: ReviewSession) -> Iterator[str]:
    """Serve the page and the API of a review; yields its address."""
    app = FastAPI()

    @app.get("/")
    def page() -> HTMLResponse:
        return HTMLResponse(PAGE)

    @app.get("/boot.js")
    def boot() -> Response:
        return Response(API, media_type="text/javascript")

    @app.get("/clip/{name}")
    def clip(name: str) -> FileResponse:
        return FileResponse(FOOTAGE / Path(name).name)

    app.include_router(review_router(session))
    app.include_router(page_routes())
    add_error_answers(app)
    server = uvicorn.Server(uvicorn.Config(HeadersGuard(app), host="127.0.0.1", port=0, log_level="error"))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            if not thread.is_alive():
                raise RuntimeError("the server did not start")
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}/"
    finally:
        server.should_exit = True
        thread.join()
