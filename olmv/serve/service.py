"""What the requests of the service share: the model, what was made of videos, the library, and what is counted."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import CancelledError as FutureCancelled
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from olmv.errors import OlmvError
from olmv.labels.templates import resolve
from olmv.labels.vocabulary import Vocabulary
from olmv.models.base import VideoModel
from olmv.pages.cards import card_of
from olmv.predictions import Failure, FrameCounts, VideoPrediction
from olmv.scoring.thresholds import Thresholds
from olmv.scoring.windows import TimelineOptions, sampled
from olmv.serve.asks import Ask
from olmv.serve.clips import ClipStore, StoredClip
from olmv.serve.engine import BusyError, EmbedEngine, EmbedTask, GivenUpError
from olmv.serve.figures import ServeFigures
from olmv.serve.guard.answers import RefusedRequestError
from olmv.serve.guard.limits import DEFAULT_LIMITS
from olmv.serve.guard.private_folder import PrivateFolder
from olmv.serve.guard.root import Root
from olmv.serve.jobs import Job, JobTable
from olmv.serve.options import ServeOptions
from olmv.serve.scoring import ClipScorer, ScoreRequest
from olmv.stream import make_scorer
from olmv.video.options import DecodeOptions

if TYPE_CHECKING:
    from olmv.serve.api.schemas import PredictOptions
    from olmv.serve.review.session import ReviewSession
    from olmv.serve.served_library import ServedLibrary

__all__ = ["MANY_TEXTS", "Service"]

log = logging.getLogger(__name__)

_SCORERS = 2  # threads that score; each call is short, or encodes many new texts
MANY_TEXTS = 256  # that take seconds to encode
_JOBS = 2  # that are not done, for each video that may wait: those of other labels are not counted there
_CELLS = 1_000_000  # videos times labels of these jobs: about 400 MB of answers
_MB = 2**20
_GONE_S = 0.5  # between two looks at whether a client is there


class Service:
    """One model and all that is asked of it. Its methods are called on the event loop.

    Args:
        model: loaded.
        options: checked.
        uploads: a private folder for files that clients send.
        vocabulary: the server's own labels, or None.
        thresholds: of these labels, or None.
        threshold: one for all labels, or None.
        library: that can be searched and reviewed, or None.
        review: of the library or of rows, or None; its owner closes it.
    """

    def __init__(
        self,
        model: VideoModel,
        options: ServeOptions,
        *,
        uploads: PrivateFolder,
        vocabulary: Vocabulary | None = None,
        thresholds: Thresholds | None = None,
        threshold: float | None = None,
        library: "ServedLibrary | None" = None,
        review: "ReviewSession | None" = None,
    ) -> None:
        self.model = model
        self.options = options
        self.limits = replace(DEFAULT_LIMITS, upload_bytes=options.max_upload_mb * _MB)
        self.root = Root(options.root)
        self.uploads = uploads
        self.vocabulary = vocabulary
        self.thresholds = thresholds
        self.threshold = threshold
        self.library = library
        self.review = review
        self.engine = EmbedEngine(model, workers=options.workers, most=options.queue)
        self.clips = ClipStore(options.clips_mb * _MB)
        self.scorer = ClipScorer(model)
        self.jobs = JobTable()
        self.figures = ServeFigures(self.engine, self.clips, library)
        self._pool = ThreadPoolExecutor(_SCORERS, thread_name_prefix="olmv-score")
        # lists of thousands of labels wait for each other, and nobody else for them
        self._long_pool = ThreadPoolExecutor(1, thread_name_prefix="olmv-texts")
        self._ends = False

    async def end(self) -> None:
        """Give up all jobs, and take no others."""
        self._ends = True
        await self.jobs.close()

    def check_open(self) -> None:
        """Raise RefusedRequestError where the service ends."""
        if self._ends:
            raise _ending()

    async def close(self) -> None:
        """Give up all work, and end threads and processes."""
        await self.end()
        await asyncio.to_thread(self.engine.close)
        for pool in (self._pool, self._long_pool):
            pool.shutdown(wait=True, cancel_futures=True)
        if self.library is not None:
            await asyncio.to_thread(self.library.close)

    async def in_long_thread(self, function: Any, *arguments: Any) -> Any:
        """Run what takes many seconds, one after the other."""
        return await asyncio.get_running_loop().run_in_executor(self._long_pool, function, *arguments)

    async def in_thread(self, function: Any, *arguments: Any, **keywords: Any) -> Any:
        """Run what takes a while beside the event loop; few at a time."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, partial(function, *arguments, **keywords))

    def ask(self, options: "PredictOptions") -> Ask:
        """Make of the options of a request what its videos are asked.

        Raises:
            UsageError: labels or options that cannot be used.
            TooManyLabelsError: more labels than one request may have.
        """
        timeline = TimelineOptions() if options.timeline else None
        vocabulary = options.vocabulary(self.vocabulary)
        own = options.labels is None
        score = options.score
        if own and score.threshold is None and not options.thresholds:
            score = replace(score, threshold=self.threshold)
        request = ScoreRequest(
            vocabulary=vocabulary,
            score=score,
            thresholds=self.thresholds,
            by_label=options.thresholds,
            embeddings=options.embeddings,
        )
        decode = sampled(
            DecodeOptions(sampling=options.sampling, timeout_s=self.options.timeout_s, thumbnails=True),
            frames=options.frames,
            every_s=options.every_s,
            timeline=timeline,
            model_frames=self.model.default_frames,
        )
        make_scorer(self.model, vocabulary, decode, score, thresholds=request.limits, timeline=timeline)  # checks
        resolve(score.templates or self.model.templates)  # checks them, too
        looks = frozenset(
            name
            for name, given in (
                ("frames", options.frames is not None),
                ("every_s", options.every_s is not None),
                ("sampling", options.sampling != "uniform"),
                ("timeline", options.timeline),
            )
            if given
        )
        return Ask(request, decode, timeline, options.pictures, options.curve, looks)

    def start(self, videos: "Sequence[tuple[Path, str, Any] | StoredClip]", ask: Ask) -> Job:
        """Begin with the videos of a request.

        Args:
            videos: files as (path, name, what is called when the file is not needed any more), or stored ones.
            ask: what they are asked.

        Raises:
            BusyError: too many videos wait.
            RefusedRequestError: the service ends, or there are more videos than may ever wait.
            UsageError: what is kept of a video was not looked at as is asked.
        """
        self.check_open()
        running = self.jobs.unfinished
        job = Job(len(videos), cells=len(videos) * len(ask.request.vocabulary))
        if len(running) >= _JOBS * self.options.queue or (
            running and job.cells + sum(other.cells for other in running) > _CELLS
        ):
            raise BusyError(1)
        loop = asyncio.get_running_loop()
        sources: list[EmbedTask | StoredClip] = []
        for place, video in enumerate(videos):
            if isinstance(video, StoredClip):
                ask.check_kept(video)
                sources.append(video)
                continue
            path, name, finished = video

            def advanced(done: int, total: int, place: int = place, name: str = name) -> None:
                data = {"place": place, "video": name, "done": done, "total": total}
                loop.call_soon_threadsafe(job.tell, "progress", data)

            task = EmbedTask(path, name, ask.decode, ask.timeline, advanced=advanced, finished=finished)
            sources.append(task)
            job.tasks.append(task)
        if len(job.tasks) > self.engine.most:
            most = f"{len(job.tasks)} videos in one request are more than the {self.engine.most} that may wait here"
            raise RefusedRequestError(413, f"{most}; send fewer at once")
        if job.tasks:
            self.engine.submit(job.id, job.tasks)
        self.jobs.add(job, partial(self._work, sources=sources, ask=ask))
        return job

    async def _work(self, job: Job, *, sources: "list[EmbedTask | StoredClip]", ask: Ask) -> None:
        try:
            # once, before so many videos want it at the same time
            run = self.in_long_thread if ask.request.texts > MANY_TEXTS else self.in_thread
            bank = asyncio.ensure_future(run(self._encode_texts, job, ask))
            turn = asyncio.Lock()
            try:
                await asyncio.gather(
                    *(self._one(job, place, source, ask, bank, turn) for place, source in enumerate(sources))
                )
            finally:
                bank.cancel()
        except (asyncio.CancelledError, GivenUpError, FutureCancelled):
            job.cancel_tasks()
            job.finish("cancelled")
        except Exception as failure:
            log.exception("a job failed")
            job.cancel_tasks()
            job.failure = failure
            job.finish("failed")
        else:
            job.finish("done")

    def _encode_texts(self, job: Job, ask: Ask) -> None:
        def progress(done: int, total: int) -> None:
            if job.is_given_up:
                raise GivenUpError

        self.scorer.bank(ask.request.vocabulary, ask.request.score, progress=progress)

    async def _one(
        self,
        job: Job,
        place: int,
        source: "EmbedTask | StoredClip",
        ask: Ask,
        bank: "asyncio.Future[None]",
        turn: asyncio.Lock,
    ) -> None:
        name = source.name
        try:
            clip = source if isinstance(source, StoredClip) else await asyncio.wrap_future(source.future)
            await asyncio.shield(bank)
            async with turn:  # one of each job, so that a job of many does not hold up one of few
                prediction = (await self.in_thread(self.scorer.predict, [clip], ask.request))[0]
        except OlmvError as failure:  # of the model, its memory, its numbers: the other videos go on
            clip, prediction = None, _failed(name, self.model.name, failure)
        if clip is not None and not clip.has_error and clip is not source:
            self.clips.add(clip)
        self.figures.count(prediction)
        job.add(place, self.document(prediction, clip, ask))

    def document(self, prediction: VideoPrediction, clip: StoredClip | None, ask: Ask) -> dict[str, Any]:
        """Return a prediction as it is told: its row, and what a client can do with the video afterwards."""
        row = prediction.to_row()
        known = clip is not None and not clip.has_error
        if ask.pictures:
            pictures = [
                (time, f"/v1/clips/{clip.id}/pictures/{place}")
                for place, time in enumerate(prediction.thumbnail_times_s)
                if clip is not None
            ]
            row = card_of(row, pictures=pictures, curve=prediction.curve)
        if ask.curve and prediction.curve is not None:
            row["cells"] = prediction.curve.to_document()
        if prediction.embedding is not None:
            row["embedding"] = [float(number) for number in prediction.embedding]
        row["clip"] = clip.id if known and clip is not None else None
        return row

    async def wait(self, job: Job, is_gone: Callable[[], Awaitable[bool]]) -> bool:
        """Wait for a job whose client waits, too.

        Args:
            job: nobody comes back for it.
            is_gone: tells whether the client went away; its videos are given up then.

        Returns:
            Whether it is done; False where the client has gone.

        Raises:
            Exception: of olmv, where the job failed as a whole.
            RefusedRequestError: the service ends.
        """
        assert job.running is not None
        try:
            while not (await asyncio.wait({job.running}, timeout=_GONE_S))[0]:
                if await is_gone():
                    job.cancel()
                    return False
        except asyncio.CancelledError:
            job.cancel()
            raise
        finally:
            self.jobs.remove(job)
        if job.failure is not None:
            raise job.failure
        if job.status != "done":
            raise _ending()
        return True

    async def look_at_library(self) -> None:
        """See to it that a library that was changed on the disk is seen."""
        if self.library is not None:
            await self.library.fresh()

    def library_picture(self, video: str, time_s: float) -> bytes | None:
        """Return the picture of a library's video nearest to a time, as JPEG; None where there is none."""
        return None if self.library is None else self.library.picture(video, time_s)

    def file_of(self, video: str) -> Path | None:
        """Return the file of a video of the library or of the rows; None where it is none of them."""
        if self.library is not None and (entry := self.library.now.get(video)) is not None:
            return Path(entry.path)
        return None if self.review is None else self.review.source.file_of(video)


def _ending() -> RefusedRequestError:
    return RefusedRequestError(503, "this service is about to end; try again in 10 s", headers={"Retry-After": "10"})


def _failed(name: str, model: str, failure: OlmvError) -> VideoPrediction:
    return VideoPrediction(
        video=name,
        status="error",
        error=Failure(type(failure).__name__, str(failure)),
        duration_s=None,
        frames=FrameCounts(0),
        model=model,
    )
