"""The client: `olmv.Client`."""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from functools import cached_property
from typing import Any, Self, Unpack

import httpx
import numpy as np
from numpy.typing import NDArray

from olmv.arguments import named_options
from olmv.client.answers import (
    JobStart,
    ServerHealth,
    ServerInfo,
    ServerLabel,
    ServerMoment,
    entries_of,
    failed_prediction,
    prediction_of,
    value_of,
)
from olmv.client.asks import AskOptions, document_of, without_none
from olmv.client.job import ClientJob
from olmv.client.transport import Transport
from olmv.client.uploads import SentVideo, check_sent, sent_video, uploads_of
from olmv.errors import NotAVideoError, OlmvError, ServerError, UsageError
from olmv.labels.vocabulary import Vocabulary
from olmv.predictions import VideoPrediction
from olmv.video.inputs import VideoInput, input_name, separate

__all__ = ["Client"]

IN_FLIGHT = 8
"""Requests at a time: enough that the server always has a next video to decode, and several to encode together."""


class Client:
    """Asks a server of `olmv serve`; no model and no torch is loaded here.

    >>> with Client("http://127.0.0.1:8080", token="...") as client:
    ...     for prediction in client.predict(["a.mp4", "b.mp4"], ["dog", "rain"]):
    ...         print(prediction.video, prediction.positives)

    Safe to share between threads.

    Args:
        url: of the server; the address of its page, too, whose token is taken.
        token: that the server asks for; None for none.
        timeout_s: seconds to wait for an answer, the server's work included.
        transport: what sends, in place of the network; for tests.

    Raises:
        UsageError: the address is none, or the token or the time limit cannot be one.
    """

    @named_options
    def __init__(
        self,
        url: str,
        token: str | None = None,
        *,
        timeout_s: float = 600.0,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._transport = Transport(url, token, timeout_s=timeout_s, transport=transport)

    def __repr__(self) -> str:
        return f"Client({self._transport.shown!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections."""
        self._transport.close()

    def predict(
        self,
        videos: VideoInput | Iterable[VideoInput],
        labels: Vocabulary | Sequence[str] | None = None,
        *,
        thumbnails: bool = False,
        **options: Unpack[AskOptions],
    ) -> Iterator[VideoPrediction]:
        """Predict, one result per video, in order; several are on their way at a time, so that the server is busy.

        A busy server is asked again when it says. A file that cannot be read, is too large or is no video is a result
        with `status == "error"`.

        Args:
            videos: paths, `bytes` or open files (`rb`), or one of them, as `Classifier.predict` takes them; no arrays
                nor images, which are no files.
            labels: a list of labels, or a vocabulary with their words and thresholds; None for the server's own.
            thumbnails: also return the sampled frames as small JPEGs.
            options: see `AskOptions`.

        Raises:
            UsageError: a label, an option or an input that cannot be used; known here, it is raised by the call.
            ServerError: the server is not there, refuses, or stays busy.
        """
        document = {**document_of(labels, options, self._own_labels), **({"pictures": True} if thumbnails else {})}
        inputs = separate(videos)
        if isinstance(inputs, list | tuple):
            for place, value in enumerate(inputs):
                check_sent(value, place)
        return self._predict(inputs, document)

    def submit(
        self,
        videos: VideoInput | Iterable[VideoInput],
        labels: Vocabulary | Sequence[str] | None = None,
        **options: Unpack[AskOptions],
    ) -> ClientJob:
        """Send at most 64 videos, and return at once with a job to come back for.

        Args:
            videos, labels, options: as `predict`.

        Raises:
            UsageError: a label, an option or an input that cannot be used, or too many videos.
            NotAVideoError: a file that cannot be read.
            ServerError: the server is not there, or refuses.
        """
        document = {**document_of(labels, options, self._own_labels), "background": True}
        with ExitStack() as stack:
            sent = [sent_video(value, place, stack) for place, value in enumerate(separate(videos))]
            if not sent:
                raise UsageError("there are no videos; give at least one")
            answer = self._transport.upload("/v1/predict", uploads_of(sent), document)
        return ClientJob(self._transport, value_of(JobStart, answer).id, [video.name for video in sent])

    def embed(
        self,
        texts: Sequence[str] = (),
        *,
        videos: VideoInput | Iterable[VideoInput] = (),
        frames: int | None = None,
        every_s: float | None = None,
    ) -> list[NDArray[np.float32] | None]:
        """Return the embedding [D] of each text, or of each video, of length 1; None of a video that cannot be read.

        Args:
            texts: as they are; no template is put around them.
            videos: in place of texts; at most 64, as `predict` takes them.
            frames, every_s: of videos, as `predict`.

        Raises:
            UsageError: neither or both, or one that cannot be used.
            NotAVideoError: a file that cannot be read.
            ServerError: the server is not there, or refuses.
        """
        with ExitStack() as stack:
            sent = [sent_video(value, place, stack) for place, value in enumerate(separate(videos))]
            if isinstance(texts, str) or not isinstance(texts, Sequence) or bool(texts) == bool(sent):
                raise UsageError("embed a list of texts, or videos; give one of the two")
            if sent:
                document = without_none(frames=frames, every_s=every_s)
                answer = self._transport.upload("/v1/embed", uploads_of(sent), document)
            else:
                answer = self._transport.post("/v1/embed", {"texts": list(texts)})
        return [None if vector is None else np.array(vector, np.float32) for vector in entries_of(answer, "embeddings")]

    @named_options
    def search(
        self,
        query: str | Sequence[str] = (),
        *,
        without: str | Sequence[str] = (),
        like: tuple[str, float] | None = None,
        threshold: float = 0.5,
        top: int = 20,
        all_moments: bool = False,
        path: str | None = None,
        longer_than_s: float | None = None,
        shorter_than_s: float | None = None,
        labels: str | Sequence[str] = (),
    ) -> list[ServerMoment]:
        """Find moments in the server's library, the most probable first; see `Library.search`.

        Args:
            query, without, threshold, top, all_moments, path, longer_than_s, shorter_than_s, labels: as there.
            like: a video of the library and a time in it, in seconds.

        Raises:
            UsageError: the query cannot be used.
            ServerError: the server is not there, or has no library.
        """
        document = {
            "query": _texts(query),
            "without": _texts(without),
            "labels": _texts(labels),
            "threshold": threshold,
            "top": top,
            "all_moments": all_moments,
            **without_none(path=path, longer_than_s=longer_than_s, shorter_than_s=shorter_than_s),
            **({} if like is None else {"like": {"video": like[0], "time_s": like[1]}}),
        }
        answer = self._transport.post("/v1/search", document)
        return [value_of(ServerMoment, moment) for moment in entries_of(answer, "moments")]

    def info(self) -> ServerInfo:
        """Tell the server's model, labels, library and limits.

        Raises:
            ServerError: the server is not there, or refuses.
        """
        document = self._transport.get("/v1/labels")
        labels = [value_of(ServerLabel, label) for label in entries_of(document, "labels")]
        return value_of(ServerInfo, {**document, "labels": labels})

    def labels(self) -> list[ServerLabel]:
        """Return the server's own labels, none where it has none; raises as `info`."""
        return list(self.info().labels)

    def suggest(self, text: str) -> list[str]:
        """Return labels that begin with, or have, what was typed; raises as `info`."""
        return [str(label) for label in entries_of(self._transport.get("/v1/labels/suggest", q=text), "suggestions")]

    def health(self) -> ServerHealth:
        """Tell whether the server answers requests; one that is not there is not ready."""
        try:
            document = self._transport.get("/readyz")
        except OlmvError as error:
            return ServerHealth(is_ready=False, message=str(error))
        return ServerHealth(is_ready=True, model=document.get("model"))

    @cached_property
    def _limits(self) -> ServerInfo:
        return self.info()

    def _own_labels(self) -> list[str]:
        return [label.name for label in self.labels()]

    def _predict(self, inputs: Iterable[Any], document: Mapping[str, Any]) -> Iterator[VideoPrediction]:
        waiting: deque[tuple[Future[VideoPrediction], ExitStack]] = deque()
        with ThreadPoolExecutor(IN_FLIGHT, thread_name_prefix="olmv-client") as pool:
            try:
                for place, value in enumerate(inputs):
                    stack = ExitStack()
                    try:
                        video: SentVideo | OlmvError = sent_video(value, place, stack)
                    except NotAVideoError as error:
                        video = error
                    work = pool.submit(self._one, video, input_name(value, place), document, stack)
                    waiting.append((work, stack))
                    if len(waiting) >= IN_FLIGHT:
                        yield waiting[0][0].result()
                        waiting.popleft()
                while waiting:
                    yield waiting[0][0].result()
                    waiting.popleft()
            finally:
                pool.shutdown(wait=True, cancel_futures=True)
                for _, stack in waiting:  # of what was given up before it began
                    stack.close()

    def _one(
        self, video: SentVideo | OlmvError, name: str, document: Mapping[str, Any], stack: ExitStack
    ) -> VideoPrediction:
        with stack:
            limits = self._limits
            if isinstance(video, OlmvError):
                return failed_prediction(name, limits.model, video)
            if video.size > limits.max_upload_mb * 2**20:
                too_large = ServerError(
                    f"{name}: has {video.size / 2**20:.0f} MiB, more than the {limits.max_upload_mb} that the server "
                    "takes; shorten it, or start the server with a higher limit"
                )
                return failed_prediction(name, limits.model, too_large)
            answer = self._transport.upload("/v1/predict", uploads_of([video]), document)
            row = next(iter(answer.get("predictions") or [None]))
            if not document.get("pictures"):
                return prediction_of(row, name)
            prediction = prediction_of(row, name, order=[] if document.get("top_k") else answer.get("labels", []))
            return self._with_pictures(prediction, row.get("pictures") or [])

    def _with_pictures(self, prediction: VideoPrediction, pictures: Sequence[Mapping[str, Any]]) -> VideoPrediction:
        """Fetch the frames that the server looked at, which it keeps for a while."""
        there = []
        for picture in pictures:
            try:
                there.append((float(picture["time_s"]), self._transport.read(str(picture["src"]))))
            except ServerError:  # so many others came meanwhile that they were forgotten
                break
        times, jpegs = tuple(time for time, _ in there), tuple(jpeg for _, jpeg in there)
        return replace(prediction, thumbnails=jpegs, thumbnail_times_s=times)


def _texts(texts: str | Sequence[str]) -> list[str]:
    return [texts] if isinstance(texts, str) else list(texts)
