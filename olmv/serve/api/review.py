"""The review over HTTP: the queue, verdicts, figures, thresholds and the files to download."""

import base64
from pathlib import PurePath
from typing import Annotated

from fastapi import APIRouter, Query, Response

from olmv.errors import VideoError
from olmv.serve.api.answers import errors
from olmv.serve.api.review_schemas import (
    ConflictOut,
    EstimatesOut,
    Figure,
    FrameOut,
    FramesOut,
    ItemOut,
    KeptOut,
    LabelIn,
    LabelOut,
    Probability,
    QueueOut,
    ReviewerIn,
    ReviewOut,
    ScoresOut,
    Suggestion,
    ThresholdIn,
    UndoneOut,
    VerdictIn,
    WordOut,
)
from olmv.serve.guard.answers import RefusedRequestError
from olmv.serve.review.estimates import Estimate
from olmv.serve.review.export import THRESHOLDS, TRUTH
from olmv.serve.review.session import ReviewSession
from olmv.serve.review.summary import QueueItem, Summary

__all__ = ["review_router"]


def review_router(session: ReviewSession) -> APIRouter:
    """Make the routes of a review, all below /v1/review; errors are those of `olmv.errors`, for the app to answer.

    Args:
        session: the review; its owner closes it.
    """
    router = APIRouter(prefix="/v1/review", tags=["review"], responses=errors(507))

    @router.get("")
    def review() -> ReviewOut:
        """Tell of all labels."""
        return ReviewOut(
            source=session.source.name,
            model=session.source.loaded.scored.model,
            folder=str(session.folder),
            reviewer_count=len(session.reviewers()),
            export_error=session.files.error,
            labels=[_label(session, label) for label in session.source.labels],
        )

    @router.get("/queue")
    def queue(
        label: Annotated[str, Query()],
        count: Annotated[int, Query(ge=1, le=200)] = 20,
        reviewer: Annotated[str, Query(max_length=100)] = "",
        skip: Annotated[list[str] | None, Query(description="videos that the page has already")] = None,
    ) -> QueueOut:
        """Give the next videos to judge, those near the threshold first; they are held for the reviewer for a while."""
        items = session.queue(label, reviewer=reviewer, count=count, without=skip or ())
        return QueueOut(items=[_item(session, item) for item in items], left=session.left(label))

    @router.post("/verdicts")
    def judge(body: VerdictIn) -> KeptOut:
        """Keep a verdict: when this is answered, it is on the disk."""
        kept = session.judge(body.video, body.label, body.verdict, reviewer=body.reviewer, order=body.order)
        return KeptOut(id=kept.id, **_label(session, body.label).model_dump())

    @router.post("/undo")
    def undo(body: ReviewerIn) -> UndoneOut:
        """Take back the reviewer's last verdict."""
        item = session.undo(body.reviewer)
        if item is None:
            return UndoneOut(item=None, label=None)
        return UndoneOut(item=_item(session, item), label=_label(session, item.label))

    @router.get("/estimates")
    def estimates(
        label: Annotated[str, Query()],
        threshold: Annotated[Probability | None, Query()] = None,
        objective: Annotated[str, Query(max_length=40)] = "f1",
    ) -> EstimatesOut:
        """Estimate precision and recall at a threshold, by default the label's present one."""
        summary = session.summary(label)
        at = summary.threshold if threshold is None else threshold
        quality = session.quality(label, at)
        return EstimatesOut(
            label=label,
            threshold=at,
            positives=quality.positives,
            reviewed=summary.right + summary.wrong,
            precision=_figure(quality.precision),
            recall=_figure(quality.recall),
            suggestion=Suggestion(objective=objective, threshold=session.suggestion(label, objective)),
        )

    @router.get("/scores")
    def scores(label: Annotated[str, Query()]) -> ScoresOut:
        """Count the positives at every threshold of a slider, once for all."""
        return ScoresOut(label=label, positives=session.source.positives(label))

    @router.get("/frames", responses=errors(503))
    def frames(video: Annotated[str, Query(max_length=8192)]) -> FramesOut:
        """Decode frames of a video that a browser cannot play."""
        source = session.source  # it may become another one meanwhile
        try:
            decoded = session.frames.of(source.videos[source.place(video)])
        except VideoError as failure:
            raise RefusedRequestError(422, str(failure)) from None
        pictures = [
            FrameOut(time_s=round(time_s, 3), src=f"data:image/jpeg;base64,{base64.b64encode(jpeg).decode('ascii')}")
            for time_s, jpeg in decoded
        ]
        return FramesOut(video=video, pictures=pictures)

    @router.get("/conflicts")
    def conflicts(label: Annotated[str, Query()]) -> list[ConflictOut]:
        """List the videos on which reviewers disagree."""
        return [
            ConflictOut(
                item=_item(session, item),
                verdicts=[WordOut(reviewer=w.reviewer, verdict=bool(w.verdict), at=w.at) for w in words],
            )
            for item, words in session.conflicts(label)
        ]

    @router.put("/thresholds")
    def set_threshold(body: ThresholdIn) -> LabelOut:
        """Keep another threshold of a label."""
        session.set_threshold(body.label, body.threshold, reviewer=body.reviewer)
        return _label(session, body.label)

    @router.post("/order")
    def order_anew(body: LabelIn) -> LabelOut:
        """Order a label's videos around its present threshold."""
        session.order_anew(body.label, reviewer=body.reviewer)
        return _label(session, body.label)

    @router.get(f"/{TRUTH}", response_class=Response, responses={200: {"content": {"text/csv": {}}}})
    def truth() -> Response:
        """Download the verdicts as a manifest; its paths are absolute, for it may be saved anywhere."""
        return _download(session.truth(beside=False), TRUTH, "text/csv; charset=utf-8")

    @router.get(f"/{THRESHOLDS}", response_class=Response, responses={200: {"content": {"application/json": {}}}})
    def thresholds() -> Response:
        """Download the thresholds file."""
        return _download(session.thresholds().to_json(), THRESHOLDS, "application/json")

    return router


def _download(text: str, name: str, kind: str) -> Response:
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return Response(text.encode("utf-8"), media_type=kind, headers=headers)


def _label(session: ReviewSession, label: str) -> LabelOut:
    summary: Summary = session.summary(label)
    return LabelOut(
        label=label,
        threshold=summary.threshold,
        anchor=summary.anchor,
        total=summary.total,
        positives=summary.quality.positives,
        reviewed=summary.right + summary.wrong,
        right=summary.right,
        wrong=summary.wrong,
        skipped=summary.skipped,
        conflicts=summary.conflicts,
        histogram=session.source.histogram(label),
        precision=_figure(summary.quality.precision),
        recall=_figure(summary.quality.recall),
    )


def _item(session: ReviewSession, item: QueueItem) -> ItemOut:
    key, path = item.video, PurePath(item.video)
    shown = {
        "video": key,
        "name": path.name or key,
        "folder": "" if str(path.parent) == "." else str(path.parent),
        "label": item.label,
        "probability": item.probability,
        "threshold": item.threshold,
        "order": item.order,
        "verdict": item.verdict,
    }
    return ItemOut.model_validate({**session.source.media(item.path), **shown})


def _figure(estimate: Estimate | None) -> Figure | None:
    return None if estimate is None else Figure(value=estimate.value, low=estimate.low, high=estimate.high)
