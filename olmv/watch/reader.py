"""The decoding process: reads one source, samples it by time, and keeps the newest frame only.

    parent --"next"--> sender thread --frame--> parent        one frame under way, one in the slot
                            ^
    demux, decode, sample --+ slot                             a full slot: wait, or leave the older frame out

Bytes of a stranger's stream are decoded here, in a process of `olmv.video.workers.fork_server` with a memory limit,
which the parent can kill.
"""

import io
import os
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from typing import Any

from olmv.video.frames import Pixels
from olmv.video.readers.fields import OneField
from olmv.video.readers.orientation import Orientation
from olmv.video.transforms import ModelPixels, Preprocess
from olmv.video.workers.fork_server import limit_memory, used_memory_kb
from olmv.watch.demuxing import Demuxer, open_source
from olmv.watch.sources import LostSourceError, RefusedSourceError, Source
from olmv.watch.stream_clock import Pace, StreamClock

__all__ = ["Frame", "ReadTask", "prepare", "read_source"]

PICTURE_WIDTH = 640
ALIVE_S = 2.0
PIPE_LEAD_S = 10.0
"""Of a pipe, which mostly comes from a file; what comes through it live is that late at most, if scoring is slow."""
DECODER_DELAY = 25
"""Packets that a decoder may take in before a picture comes out."""
NO_KEY_S = 5.0
"""Seconds of packets without a picture, after which that is told."""
NO_PICTURE_S = 30.0
"""Seconds of packets without a picture, after which the source is opened again."""


@dataclass(frozen=True)
class ReadTask:
    """What is read and how.

    Attributes:
        source: of any kind; a pipe's descriptor follows.
        preprocess: of the model.
        fps: at most so many frames a second of the stream are handed out.
        pictures: a JPEG of each as well.
        memory_limit_mb: that the process may allocate.
    """

    source: Source
    preprocess: Preprocess
    fps: float
    pictures: bool
    memory_limit_mb: int


@dataclass(frozen=True)
class Frame:
    """One sampled frame.

    Attributes:
        time: when its bytes arrived, in seconds since 1970.
        at_s: seconds since the first frame of this connection.
        dropped: frames that were sampled and left out so far, because nobody took them in time.
        pixels: [3, S, S] uint8, the model's input.
        picture: a JPEG at most 640 wide, or None.
    """

    time: float
    at_s: float
    dropped: int
    pixels: ModelPixels
    picture: bytes | None


def prepare() -> None:
    """Import what a reader needs, before processes are forked."""
    import ssl  # noqa: F401


def read_source(connection: Connection) -> None:
    """Live a reader's life: a `ReadTask` in, messages out, until the source ends or the parent hangs up.

    Messages are pairs: ("frame", Frame), ("note", text), ("alive", None), ("opened", None), and last one of
    ("lost", reason), ("refused", reason), ("ended", None).
    """
    task: ReadTask = connection.recv()
    descriptor = _receive_pipe(connection) if task.source.kind == "pipe" else None
    limit_memory(used_memory_kb(), task.memory_limit_mb)
    outbox = _Outbox(connection)
    try:
        _Reader(task, outbox).run(descriptor)
        outbox.finish("ended", None)
    except LostSourceError as failure:
        outbox.finish("lost", str(failure))
    except RefusedSourceError as failure:
        outbox.finish("refused", str(failure))


class _Reader:
    def __init__(self, task: ReadTask, outbox: "_Outbox") -> None:
        self._task, self._outbox = task, outbox
        self._clock = StreamClock()
        self._pace = Pace(PIPE_LEAD_S) if task.source.kind == "pipe" else Pace()
        self._due_s = 0.0
        self._decoded = 0
        self._blocked_s = 0.0
        self._display: Any = None
        self._one_field = OneField()

    def run(self, descriptor: int | None) -> None:
        """Read until the end, which is told by what is raised; see `read_source`."""
        from olmv.video.readers.display import Display

        name = self._task.source.name
        demuxer = open_source(
            self._task.source,
            descriptor=descriptor,
            alive=self._outbox.alive,
            rests=lambda: self._outbox.send("note", f"{name} does not grow any more; waiting for it to go on"),
        )
        self._outbox.send("opened", None)
        try:
            self._display = Display.of_stream(demuxer.stream)
            for frame, arrival in self._decode(demuxer):
                self._take(frame, arrival, waits=demuxer.waits())
        finally:
            demuxer.container.close()
        if demuxer.failures:
            raise demuxer.failures[-1]
        if not demuxer.ended():
            raise LostSourceError("the stream ended")
        if not self._decoded:
            raise RefusedSourceError(
                "no frame of it can be decoded as it comes; send MPEG-TS, Matroska or fragmented MP4 "
                "(the index of another MP4 may stand at its end)"
            )

    def _decode(self, demuxer: Demuxer) -> Iterator[tuple[Any, tuple[float, float]]]:
        """Yield every whole frame in the order of presentation, with when its packet came (epoch, monotonic)."""
        from olmv.video.readers.containers import ffmpeg_errors

        bad_data = ffmpeg_errors()
        context = demuxer.stream.codec_context
        context.thread_count = 1
        context.copy_opaque = True
        patience = _KeyFramePatience(self._outbox)
        packets = _packets(demuxer, bad_data)
        while True:
            begun = time.monotonic()
            packet = next(packets, None)
            self._blocked_s += time.monotonic() - begun
            if packet is None:
                return
            packet.opaque = arrival = (time.time(), time.monotonic())
            try:
                frames = context.decode(packet)
            except MemoryError:
                raise
            except bad_data:
                frames = []
            for frame in frames:
                if not frame.is_corrupt:
                    self._decoded += 1
                    yield frame, frame.opaque or arrival
            self._outbox.alive()
            patience.check(decoded=self._decoded)

    def _take(self, frame: Any, arrival: tuple[float, float], *, waits: bool) -> None:
        stamp = None if frame.pts is None or frame.time_base is None else float(frame.pts * frame.time_base)
        at_s = self._clock.place(stamp, arrival[1])
        ahead = self._pace.is_ahead(at_s, time.monotonic(), self._blocked_s) or waits
        if at_s + 1e-6 < self._due_s:
            return
        self._due_s = max(self._due_s + 1 / self._task.fps, at_s)
        pixels = self._rgb(frame)
        picture = _jpeg(pixels) if self._task.pictures else None
        small = self._task.preprocess.resize(pixels)[0]
        self._outbox.put(Frame(arrival[0], at_s, 0, small, picture), wait=ahead)

    def _rgb(self, frame: Any) -> Pixels:
        """Return [H, W, 3] as a player shows it."""
        pixels: Pixels = self._display.rgb(self._one_field.apply(frame))
        return Orientation.of_frame(frame).apply(pixels)


class _KeyFramePatience:
    """Tells of a stream that sends and sends, and never a frame that can be decoded by itself."""

    def __init__(self, outbox: "_Outbox") -> None:
        self._outbox, self._told, self._decoded, self._packets = outbox, False, 0, 0
        self._since = time.monotonic()

    def check(self, *, decoded: int) -> None:
        now = time.monotonic()
        self._packets += 1
        if decoded != self._decoded:
            self._decoded, self._packets, self._since, self._told = decoded, 0, now, False
        elif decoded and self._packets < DECODER_DELAY:
            return  # a slow stream, whose frames wait in the decoder for the next
        elif now - self._since > NO_PICTURE_S:
            raise LostSourceError(f"no key frame in {NO_PICTURE_S:.0f} s")
        elif now - self._since > NO_KEY_S and not self._told:
            self._told = True
            self._outbox.send(
                "note", f"the stream has sent no key frame for {NO_KEY_S:.0f} s, so there is no picture yet; waiting"
            )


class _Outbox:
    """What goes to the parent: messages at once, frames one at a time as it asks for them."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._lock = threading.Lock()  # of the connection's sending end
        self._slot: Frame | None = None
        self._dropped = 0
        self._changed = threading.Condition()
        self._alive_s = 0.0
        threading.Thread(target=self._hand_out, name="olmv-watch-sender", daemon=True).start()

    def send(self, kind: str, value: object) -> None:
        with self._lock:
            self._connection.send((kind, value))

    def alive(self) -> None:
        """Say so, not too often."""
        now = time.monotonic()
        if now - self._alive_s > ALIVE_S:
            self._alive_s = now
            self.send("alive", None)

    def put(self, frame: Frame, *, wait: bool) -> None:
        """Offer a frame; one that was not taken is waited for, or left out."""
        with self._changed:
            while wait and self._slot is not None:
                if not self._changed.wait(ALIVE_S):
                    self.alive()
            if self._slot is not None:
                self._dropped += 1
            self._slot = replace(frame, dropped=self._dropped)
            self._changed.notify_all()

    def finish(self, kind: str, value: object) -> None:
        """Send the last message, once the last frame is taken."""
        with self._changed:
            while self._slot is not None:
                self._changed.wait(ALIVE_S)
        self.send(kind, value)
        self._connection.poll(None)  # until the parent hangs up: what it has not read must not be lost

    def _hand_out(self) -> None:
        try:
            while True:
                self._connection.recv()
                with self._changed:
                    while self._slot is None:
                        self._changed.wait()
                    frame, self._slot = self._slot, None
                    self._changed.notify_all()
                self.send("frame", frame)
        except (EOFError, OSError):
            os._exit(0)  # the parent is gone, and the other thread may be waiting for bytes


def _packets(demuxer: Demuxer, bad_data: tuple[type[Exception], ...]) -> Iterator[Any]:
    """Yield packets until the end; a connection that breaks is told as such."""
    try:
        yield from demuxer.container.demux(demuxer.stream)
    except MemoryError:
        raise
    except bad_data as error:
        if demuxer.failures or demuxer.ended():
            return  # `run` tells
        raise LostSourceError(str(getattr(error, "strerror", None) or type(error).__name__).lower()[:200]) from None


def _jpeg(pixels: Pixels) -> bytes:
    from PIL import Image

    image = Image.fromarray(pixels)
    image.thumbnail((PICTURE_WIDTH, PICTURE_WIDTH * 4), reducing_gap=2.0)
    out = io.BytesIO()
    image.save(out, "JPEG", quality=85)
    return out.getvalue()


def _receive_pipe(connection: Connection) -> int:
    channel = socket.socket(fileno=os.dup(connection.fileno()))
    try:
        _, descriptors, _, _ = socket.recv_fds(channel, 1, 1)
    finally:
        channel.close()
    return descriptors[0]
