"""`/v1/predict`, `/v1/jobs` and `/v1/clips`: videos in, predictions out, now or later."""

import asyncio
import json
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse

from olmv.serve.api.answers import errors, rows_answer
from olmv.serve.api.requests import form_or_json, is_form, read_json, received
from olmv.serve.api.schemas import JobAnswer, JobStart, PredictAnswer, PredictOptions, PredictRequest
from olmv.serve.asks import Ask
from olmv.serve.clips import StoredClip
from olmv.serve.guard.answers import RefusedRequestError
from olmv.serve.guard.downloads import Downloads
from olmv.serve.jobs import Job
from olmv.serve.service import Service

__all__ = ["predict_routes"]

_LABELS = {"type": "string", "description": "One a line, or with commas between them."}


def predict_routes(service: Service) -> APIRouter:
    """Return the routes that predict."""
    router = APIRouter(tags=["predict"])
    downloads = Downloads(service.uploads, service.limits if service.options.allow_urls else None)

    @router.post(
        "/v1/predict",
        summary="Tell which labels are true of videos",
        response_model=PredictAnswer,
        responses={
            202: {"model": JobStart, "description": "A job has begun (`background`)."},
            **errors(404, 408, 413, 415, 503, 507),
        },
        openapi_extra=form_or_json("PredictRequest", "PredictOptions", {"labels": _LABELS}),
    )
    async def predict(request: Request) -> Response:
        if is_form(request):
            service.engine.check_room(1)  # before a body is read for nothing
            async with received(request, service.uploads, service.limits, PredictOptions) as (uploads, options):
                ask = service.ask(options)
                videos = [(file.path, file.name, partial(file.path.unlink, missing_ok=True)) for file in uploads.files]
                job = service.start(videos, ask)
            return await _answer(request, job, ask, options)
        document = await read_json(request, PredictRequest)
        if document.paths or document.urls:
            service.engine.check_room(1)  # before anything is fetched; what is kept needs no room
        ask = service.ask(document)
        named = await _named(document)
        try:
            job = service.start(named, ask)
        except BaseException:  # what was fetched is nobody's then
            _drop(named)
            raise
        return await _answer(request, job, ask, document)

    async def _named(document: PredictRequest) -> list[Any]:
        videos: list[Any] = []
        for name in document.paths:
            videos.append((await asyncio.to_thread(service.root.resolve, name), name, lambda: None))
        for clip_id in document.clips:
            videos.append(_stored(clip_id))
        try:
            for url in document.urls:
                download = await downloads.fetch(url)
                videos.append((download.path, download.name, partial(download.path.unlink, missing_ok=True)))
        except BaseException:
            _drop(videos)
            raise
        return videos

    async def _answer(request: Request, job: Job, ask: Ask, options: PredictOptions) -> Response:
        if options.background:
            return JSONResponse({"id": job.id, "status": "queued", "url": f"/v1/jobs/{job.id}"}, 202)
        if not await service.wait(job, request.is_disconnected):
            return Response(status_code=499)
        labels = list(ask.request.vocabulary.names)
        return await rows_answer({"model": service.model.name, "labels": labels}, job.predictions)

    async def _told(job: Job) -> Response:
        document = job.to_document()
        predictions = document.pop("predictions")
        return await rows_answer(document, predictions)

    def _stored(clip_id: str) -> StoredClip:
        clip = service.clips.get(clip_id)
        if clip is None:
            raise RefusedRequestError(404, "this clip is not kept any more; send its file again")
        return clip

    def _job(job_id: str) -> Job:
        job = service.jobs.get(job_id)
        if job is None:
            raise RefusedRequestError(404, "there is no such job; those that ended are kept for an hour")
        return job

    @router.get("/v1/jobs/{job_id}", summary="Tell how far a job is", response_model=JobAnswer, responses=errors(404))
    async def job_state(job_id: str) -> Response:
        return await _told(_job(job_id))

    @router.delete("/v1/jobs/{job_id}", summary="Give up a job", response_model=JobAnswer, responses=errors(404))
    async def cancel_job(job_id: str) -> Response:
        job = _job(job_id)
        job.cancel()
        if job.running is not None:
            await asyncio.wait({job.running})
        return await _told(job)

    @router.get(
        "/v1/jobs/{job_id}/events",
        summary="Follow a job",
        response_class=StreamingResponse,
        responses={
            200: {
                "description": "Server-sent events: `progress` of a video, its `prediction`, and `end`.",
                "content": {"text/event-stream": {"schema": {"type": "string"}}},
            },
            **errors(404),
        },
    )
    async def job_events(job_id: str, request: Request) -> StreamingResponse:
        job = _job(job_id)
        last = request.headers.get("last-event-id", "")
        after = int(last) if last.isascii() and last.isdigit() and len(last) < 10 else 0

        async def lines() -> AsyncIterator[str]:
            async for event in job.listen(after):
                if event is None:
                    yield ": still here\n\n"
                else:
                    number, kind, data = event
                    yield f"id: {number}\nevent: {kind}\ndata: {json.dumps(data)}\n\n"

        return StreamingResponse(lines(), media_type="text/event-stream")

    @router.get(
        "/v1/clips/{clip_id}/pictures/{place}",
        summary="Fetch a frame that was looked at",
        response_class=Response,
        responses={200: {"description": "A JPEG.", "content": {"image/jpeg": {}}}, **errors(404)},
    )
    async def clip_picture(clip_id: str, place: int) -> Response:
        jpegs = [jpeg for part in _stored(clip_id).parts for jpeg in part.video.thumbnails]
        if not 0 <= place < len(jpegs):
            raise RefusedRequestError(404, f"this clip has {len(jpegs)} pictures; they are counted from 0")
        return Response(jpegs[place], media_type="image/jpeg", headers={"Cache-Control": "private, max-age=3600"})

    @router.delete("/v1/clips/{clip_id}", status_code=204, summary="Forget a video", responses=errors(404))
    async def forget_clip(clip_id: str) -> Response:
        if not service.clips.remove(clip_id):
            raise RefusedRequestError(404, "this clip is not kept any more")
        return Response(status_code=204)

    return router


def _drop(videos: list[Any]) -> None:
    """Remove the files that were fetched for a request."""
    for video in videos:
        if not isinstance(video, StoredClip):
            video[2]()
