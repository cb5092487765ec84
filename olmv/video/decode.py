"""Decode one file into model input: what a worker does, and what the calling process does with `workers=0`."""

import io
import os
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from operator import itemgetter
from typing import TYPE_CHECKING, Any

import numpy as np

from olmv.errors import DecodeError, VideoError
from olmv.video.cloud import is_cloud
from olmv.video.cloud_file import fetched
from olmv.video.frame_plan import FramePlan
from olmv.video.frames import Floats, Indices, Pixels, VideoInfo
from olmv.video.options import DecodeOptions
from olmv.video.part_shots import PartShots, ShotWatch
from olmv.video.readers.memory import MemoryVideo
from olmv.video.readers.open import open_reader
from olmv.video.readers.video_reader import VideoReader
from olmv.video.sampling import small_luma
from olmv.video.shots import changed
from olmv.video.transforms import ModelPixels, Preprocess

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["VideoFrames", "decode_video"]

THUMBNAIL_WIDTH = 160
THUMBNAIL_QUALITY = 80
MOST_THUMBNAILS = 240  # of a file, evenly: a page shows a strip, not thousands of pictures


@dataclass(frozen=True, kw_only=True, eq=False)
class VideoFrames:
    """One file's frames, or those of a part of it, ready for a model, or the reason why there are none.

    Attributes:
        index: place among the paths given to the loader.
        path: as given.
        part, parts: which part of how many the file is decoded in, see `olmv.video.frame_plan`.
        pixels: [U, 3, S, S] uint8, or float32 from 0 to 255; None on failure.
        rows: [T] which of `pixels` each time has; None where each has its own, T = U.
        times_s: [T] presentation times; of a timeline, its moments; of frames without a rate, their numbers.
        span_s: when the part begins and ends.
        info: facts about the file; None on failure, and of frames in memory whose rate nobody knows.
        requested, decoded, corrupt: frames asked for; T; how many picked frames were damaged or unreadable.
        widest_gap_s: of the whole file, the longest time in which no sampled frame is shown.
        capped: the limit on frames made it wider than was asked for.
        shots: of a timeline, what tells where shots end; else None.
        error: what went wrong, or None.
        thumbnails: JPEGs at most 160 pixels wide, if asked for, and their times.
    """

    index: int
    path: str
    part: int = 0
    parts: int = 1
    pixels: ModelPixels | None = None
    rows: Indices | None = None
    times_s: Floats = field(default_factory=lambda: np.zeros(0))
    span_s: tuple[float, float] = (0.0, 0.0)
    info: VideoInfo | None = None
    requested: int = 0
    decoded: int = 0
    corrupt: int = 0
    widest_gap_s: float | None = None
    capped: bool = False
    shots: PartShots | None = None
    error: VideoError | None = None
    thumbnails: list[bytes] = field(default_factory=list)
    thumbnail_times_s: list[float] = field(default_factory=list)

    @property
    def pixel_rows(self) -> Indices:
        """Return [T] which of the pixels each time has."""
        return np.arange(len(self.times_s)) if self.rows is None else self.rows

    @property
    def tensor(self) -> "Tensor":
        """Return the pixels as a torch tensor, which shares their memory.

        Raises:
            DecodeError: there are none.
        """
        from torch import from_numpy

        if self.pixels is None:
            raise self.error or DecodeError(f"{self.path}: has no frames; look at its error")
        return from_numpy(self.pixels)


def decode_video(
    path: str | MemoryVideo,
    preprocess: Preprocess,
    options: DecodeOptions = DecodeOptions(),
    *,
    index: int = 0,
    part: int = 0,
    pick: Callable[[VideoReader], Indices] | None = None,
    resize: Callable[[Pixels], ModelPixels] | None = None,
) -> VideoFrames:
    """Open, sample, decode and resize one file, or a part of it; only one full-size frame is held at a time.

    Args:
        path: the file, or frames in memory.
        preprocess: the model's input.
        options: what to do with the file; its workers and limits are the loader's business.
        index: goes into the result.
        part: which of the parts that the result tells.
        pick: chooses the frames in place of `options.sampling`; may name one twice.
        resize: [H, W, 3] uint8 -> [n, 3, h, w] (uint8, or float32 on the same 0-255 scale), in place of
            `preprocess.resize`; every frame of a file must come out in the same shape.

    Raises:
        VideoError: the file cannot be read, none of its picked frames can be decoded, or it has no such part. Of a
            file in several parts, one that cannot be decoded is returned with its error: the others may be sound.
    """
    if isinstance(path, str) and is_cloud(path):
        with fetched(path) as local:
            return _decode_copy(path, local, preprocess, options, index=index, part=part, pick=pick, resize=resize)
    with open_reader(path, decoder=options.decoder) as reader:
        if pick is None:
            plan = FramePlan.of_video(reader, options)
        else:
            plan = FramePlan.of_indices(reader, np.sort(pick(reader)), requested=options.frames)
        if part >= plan.parts:
            raise DecodeError(f"{path}: has become shorter since it was begun; start over")
        indices = plan.indices[plan.bounds[part] : plan.bounds[part + 1]]
        shown = _shown(plan.indices, options.thumbnail_step) if options.thumbnails else set()
        resize = resize or preprocess.resize
        if options.timeline:
            clip = _decode_moments(reader, plan, part, shown, resize, skip_unchanged=options.sampling == "adaptive")
        else:
            clip = _decode_picks(reader, indices, shown, resize)
        error = None
        if not clip.pixels:
            error = DecodeError(f"{path}: none of {len(indices)} frames could be decoded; copy or download it again")
            if plan.parts == 1:
                raise error
        return VideoFrames(
            index=index,
            path=str(path),
            part=part,
            parts=plan.parts,
            pixels=np.concatenate(clip.pixels) if clip.pixels else None,
            rows=np.array(clip.rows, np.int64) if options.timeline else None,
            times_s=np.array(clip.times_s),
            span_s=(plan.edges_s[part], plan.edges_s[part + 1]),
            info=reader.info if reader.is_timed else None,
            requested=plan.requested_of(part),
            decoded=len(clip.times_s),
            corrupt=clip.corrupt,
            widest_gap_s=plan.widest_gap_s if reader.is_timed else None,
            capped=plan.capped,
            shots=clip.shots,
            error=error,
            thumbnails=[jpeg for _, jpeg in clip.thumbnails],
            thumbnail_times_s=[time for time, _ in clip.thumbnails],
        )


def _decode_copy(address: str, local: str, preprocess: Preprocess, options: DecodeOptions, **rest: Any) -> VideoFrames:
    """Decode the local copy of an object, which is told of by its address."""
    try:
        video = decode_video(local, preprocess, options, **rest)
    except VideoError as error:
        raise type(error)(str(error).replace(local, address)) from None
    return renamed(video, local, address)


def renamed(video: VideoFrames, local: str, name: str) -> VideoFrames:
    """Tell of a copy at `local` by the name of what it is a copy of."""
    problem = None if video.error is None else type(video.error)(str(video.error).replace(local, name))
    info = None if video.info is None else replace(video.info, path=name)
    return replace(video, path=name, info=info, error=problem)


def _shown(indices: Indices, step: int) -> set[int]:
    """Return which frames of a file get a thumbnail: one in `step`, the middle one, and not too many of all."""
    first = min(step // 2, max(len(indices) - 1, 0))
    return set(indices[first :: max(step, -(-len(indices) // MOST_THUMBNAILS))].tolist())


class _Clip:
    """Collects what is decoded of a part.

    Attributes:
        pixels: [n, 3, S, S] each.
        rows: [T] of a timeline, which of `pixels` each moment has.
        times_s: [T].
        corrupt: how many picked frames were damaged or unreadable.
        thumbnails: times and JPEGs.
        shots: of a timeline.
    """

    def __init__(self) -> None:
        self.pixels: list[ModelPixels] = []
        self.rows: list[int] = []
        self.times_s: list[float] = []
        self.corrupt = 0
        self.thumbnails: list[tuple[float, bytes]] = []
        self.shots: PartShots | None = None


def _decode_picks(
    reader: VideoReader, indices: Indices, shown: set[int], resize: Callable[[Pixels], ModelPixels]
) -> _Clip:
    """Decode frames [T], each as often as it is named; `shown` are those that get a thumbnail."""
    clip, repeats = _Clip(), Counter(indices.tolist())
    pictures: list[tuple[int, float, ModelPixels, bytes]] = []
    for frame in reader.frames(indices):
        clip.corrupt += frame.corrupt
        if frame.pixels is None:
            continue
        jpeg = thumbnail(frame.pixels) if frame.wanted in shown else b""
        pictures += [(frame.index, frame.time_s, resize(frame.pixels), jpeg)] * repeats[frame.wanted]
        del frame
    pictures.sort(key=itemgetter(0))
    clip.pixels = [small for _, _, small, _ in pictures]
    clip.times_s = [time for _, time, _, _ in pictures]
    clip.thumbnails = [(time, jpeg) for _, time, _, jpeg in pictures if jpeg]
    return clip


def _decode_moments(
    reader: VideoReader,
    plan: FramePlan,
    part: int,
    shown: set[int],
    resize: Callable[[Pixels], ModelPixels],
    *,
    skip_unchanged: bool,
) -> _Clip:
    """Decode the frames at the moments of a part of a timeline, each once, and see where shots end.

    `skip_unchanged`: a frame that looks like the last one that was taken is not taken.
    """
    clip, watch = _Clip(), ShotWatch(plan.edges_s[part], plan.edges_s[part + 1])
    moments = range(plan.bounds[part], plan.bounds[part + 1])
    row_of: dict[int, int] = {}
    luma: Pixels | None = None
    latest = -1
    reader.tap = watch.take_frame
    for frame in reader.frames(plan.indices[moments.start : moments.stop]):
        clip.corrupt += frame.corrupt
        if frame.pixels is None:
            continue
        watch.take_pixels(frame.time_s, frame.pixels)
        if skip_unchanged and frame.index > latest:  # one that comes late has other neighbours
            now, latest = small_luma(frame.pixels), frame.index
            if luma is not None and not changed(luma, now):
                row_of[frame.wanted] = len(clip.pixels) - 1
                continue
            luma = now
        row_of[frame.wanted] = len(clip.pixels)
        clip.pixels.append(resize(frame.pixels))
        if frame.wanted in shown:
            clip.thumbnails.append((frame.time_s, thumbnail(frame.pixels)))
        del frame
    reader.tap = None
    clip.shots = watch.shots()
    for moment in moments:
        if (row := row_of.get(int(plan.indices[moment]))) is not None:
            clip.rows.append(row)
            clip.times_s.append(float(plan.times_s[moment]))
    return clip


def failed(index: int, path: str | os.PathLike[str], error: VideoError, *, requested: int) -> VideoFrames:
    """Make the row of a file that could not be read."""
    return VideoFrames(index=index, path=os.fspath(path), error=error, requested=requested)


def thumbnail(pixels: Pixels) -> bytes:
    """Make a JPEG of one [H, W, 3] frame, at most `THUMBNAIL_WIDTH` pixels wide and twice as high."""
    from PIL import Image

    image: Any = Image.fromarray(pixels)
    image.thumbnail((THUMBNAIL_WIDTH, 2 * THUMBNAIL_WIDTH), Image.Resampling.BILINEAR, reducing_gap=2.0)
    out = io.BytesIO()
    image.save(out, "JPEG", quality=THUMBNAIL_QUALITY)
    return out.getvalue()
