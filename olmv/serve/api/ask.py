"""`/v1/labels`, `/v1/embed` and `/v1/search`: what the server knows, and what it makes of words."""

import asyncio
import time
from collections.abc import Callable
from functools import partial
from pathlib import PurePath
from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse, Response
from torch import Tensor

from olmv.errors import InputError
from olmv.labels.label import MAX_LABEL_CHARS
from olmv.library.query.filters import LabelLimit, VideoFilter
from olmv.library.query.find import SearchResult, find_moments
from olmv.library.query.moments import Moment
from olmv.library.query.queries import LibraryWindow, SearchQuery
from olmv.models.default import model_note
from olmv.models.text_cache import encode_texts_cached
from olmv.scoring.thresholds import thresholds_for
from olmv.serve.api.answers import errors
from olmv.serve.api.cancellation import while_wanted
from olmv.serve.api.requests import form_or_json, is_form, read_json, received
from olmv.serve.api.schemas import (
    EmbedAnswer,
    EmbedOptions,
    EmbedRequest,
    LabelAnswer,
    LabelsAnswer,
    MomentAnswer,
    PredictOptions,
    SearchAnswer,
    SearchRequest,
    SuggestAnswer,
)
from olmv.serve.engine import GivenUpError
from olmv.serve.guard.answers import RefusedRequestError
from olmv.serve.media import is_served, media_address, picture_address, pictures_address
from olmv.serve.service import MANY_TEXTS, Service
from olmv.serve.suggestions import Suggestions

__all__ = ["ask_routes"]


def ask_routes(service: Service) -> APIRouter:
    """Return the routes that tell of labels, embed and search."""
    router = APIRouter()
    suggestions = Suggestions(() if service.vocabulary is None else service.vocabulary.names)

    @router.get("/v1/labels", tags=["labels"], summary="Tell the server's labels and model", responses=errors())
    async def labels() -> LabelsAnswer:
        words = service.vocabulary
        limits = (
            [] if words is None else thresholds_for(words, thresholds=service.thresholds, threshold=service.threshold)
        )
        library = None if service.library is None else await service.library.fresh()
        return LabelsAnswer(
            model=service.model.name,
            model_note=model_note(service.model.name),
            labels=[
                LabelAnswer(name=label.name, threshold=limit, aliases=[*label.aliases], attributes=[*label.attributes])
                for label, limit in zip(words or (), limits, strict=True)
            ],
            library=None if library is None else library.folder.name,
            videos=None if library is None else len(library),
            review=service.review is not None,
            allow_urls=service.options.allow_urls,
            root=service.root.path is not None,
            max_upload_mb=service.options.max_upload_mb,
            max_rows_mb=service.limits.rows_bytes >> 20,
            max_label_chars=MAX_LABEL_CHARS,
        )

    @router.get("/v1/labels/suggest", tags=["labels"], summary="Complete a label", responses=errors())
    async def suggest(q: Annotated[str, Query(max_length=300, examples=["gui"])] = "") -> SuggestAnswer:
        return SuggestAnswer(suggestions=await service.in_thread(suggestions.of, q))

    @router.post(
        "/v1/embed",
        tags=["embed"],
        summary="Embed texts or videos",
        response_model=EmbedAnswer,
        responses=errors(408, 413, 415, 503, 507),
        openapi_extra=form_or_json("EmbedRequest", "EmbedOptions"),
    )
    async def embed(request: Request) -> Response:
        if is_form(request):
            return await _embed_videos(request)
        document = await read_json(request, EmbedRequest)
        if service.model.prompts_texts:
            raise RefusedRequestError(
                422, f"the texts of {service.model.name} depend on the whole video; a video CLIP embeds texts"
            )

        def encode(progress: Callable[[int, int], None]) -> Tensor:
            return encode_texts_cached(service.model, document.texts, progress=progress)

        is_long = len(document.texts) > MANY_TEXTS
        try:
            vectors = await while_wanted(service, request.is_disconnected, encode, is_long=is_long)
        except GivenUpError:
            return Response(status_code=499)
        return _embedded(vectors.tolist())

    async def _embed_videos(request: Request) -> Response:
        service.engine.check_room(1)
        async with received(request, service.uploads, service.limits, EmbedOptions) as (uploads, options):
            # the label is not looked at: a video is embedded whatever it is asked
            ask = service.ask(
                PredictOptions(
                    labels=["video"],
                    frames=options.frames,
                    every_s=options.every_s,
                    sampling=options.sampling,
                    embeddings=True,
                )
            )
            videos = [(file.path, file.name, partial(file.path.unlink, missing_ok=True)) for file in uploads.files]
            job = service.start(videos, ask)
        if not await service.wait(job, request.is_disconnected):
            return Response(status_code=499)
        return _embedded([row.get("embedding") for row in job.predictions])

    def _embedded(vectors: list[list[float] | None]) -> JSONResponse:
        return JSONResponse({"model": service.model.name, "dimension": service.model.embed_dim, "embeddings": vectors})

    @router.post(
        "/v1/search",
        tags=["search"],
        summary="Find moments in the library",
        response_model=SearchAnswer,
        responses=errors(404, 409, 413, 503),
    )
    async def search(document: SearchRequest, request: Request) -> SearchAnswer | Response:
        served = service.library
        if served is None:
            raise RefusedRequestError(409, "there is no library to search; start the server with one")
        library = await served.fresh()
        query = SearchQuery(
            texts=tuple(document.query),
            without=tuple(document.without),
            window=None if document.like is None else LibraryWindow(document.like.video, document.like.time_s),
            labels=tuple(map(LabelLimit.parse, document.labels)),
            videos=VideoFilter(
                path=document.path, longer_than_s=document.longer_than_s, shorter_than_s=document.shorter_than_s
            ),
            threshold=document.threshold,
            top=document.top,
            all_moments=document.all_moments,
        )
        query.check()
        notes: list[str] = []
        begun = time.monotonic()

        def find(progress: Callable[[int, int], None]) -> SearchResult:
            with served.lock:
                return find_moments(library, query, service.model, note=notes.append, progress=progress)

        try:
            result = await while_wanted(service, request.is_disconnected, find)
        except GivenUpError:
            return Response(status_code=499)
        except InputError as failure:  # no video has such a path or is the one that others should be like
            raise RefusedRequestError(404, str(failure), kind="InputError") from None
        answers = await asyncio.to_thread(lambda: [_moment(moment) for moment in result.moments])
        return SearchAnswer(
            moments=answers,
            best=None if result.best is None else _moment(result.best),
            videos=result.videos,
            windows=result.windows,
            seconds=round(time.monotonic() - begun, 4),
            notes=notes,
        )

    return router


def _moment(moment: Moment) -> MomentAnswer:
    row = moment.to_row()
    del row["path"]  # where a file lies is the server's business
    return MomentAnswer(
        **row,
        name=PurePath(moment.video).name,
        picture="" if moment.thumbnail is None else picture_address(moment.path, moment.peak_s),
        pictures="" if moment.thumbnail is None else pictures_address(moment.path, moment.start_s, moment.end_s),
        player=media_address(moment.path) if is_served(moment.path) else "",
    )
