"""Libraries for tests: of vectors without any video, or of clips through a tiny model."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from olmv.library.encode import LibraryPart, background_bank, library_parts
from olmv.library.fragment import WindowTable
from olmv.library.library import Library
from olmv.library.records import FileState, PartRecord
from olmv.library.settings import LibrarySettings
from olmv.library.writer import LibraryWriter
from olmv.models.base import VideoModel
from olmv.scoring.windows import TimelineOptions, sampled
from olmv.video.decode import VideoFrames
from olmv.video.frames import VideoInfo
from olmv.video.options import DecodeOptions
from olmv.video.workers.loader import FrameLoader

SETTINGS = LibrarySettings(
    model="olmv-mini",
    digest="0" * 32,
    dtype="float32",
    dimension=8,
    rows="frames",
    frame_pooling="mean",
    frames=8,
    every_s=2.0,
    max_frames=512,
    sampling="uniform",
    window_s=None,
    step_s=None,
)


def vector_part(video: str, vectors: NDArray[np.floating], *, window_s: float = 4.0) -> LibraryPart:
    """Make a video of one part whose N windows, each of one row, have these vectors [N, D]."""
    count = len(vectors)
    unit = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float16)
    starts = np.arange(count, dtype=np.float64) * window_s
    duration = count * window_s
    info = VideoInfo(
        path=video, width=64, height=48, duration_s=duration, num_frames=count, fps=0.25, rotation=0, codec="h264"
    )
    frames = VideoFrames(
        index=0,
        path=video,
        times_s=starts + window_s / 2,
        span_s=(0.0, duration),
        info=info,
        requested=count,
        decoded=count,
    )
    table = WindowTable(
        part=np.zeros(count, np.int32),
        start_s=starts,
        end_s=starts + window_s,
        shot=np.zeros(count, np.int32),
        first_row=np.arange(count),
        rows=np.ones(count, np.int32),
        background_mean=np.zeros(count, np.float32),
        background_deviation=np.full(count, 0.1, np.float32),
    )
    record = PartRecord(video=video, path=f"/films/{video}", file=FileState(1000, 1), frames=frames, encoded=count)
    return LibraryPart(record, unit, unit, table)


def vector_library(
    folder: Path, videos: Mapping[str, NDArray[np.floating]], *, settings: LibrarySettings = SETTINGS
) -> Library:
    """Write a library of one fragment of videos by their windows' vectors."""
    with LibraryWriter(folder, settings) as writer:
        for video, vectors in videos.items():
            writer.add(vector_part(video, vectors))
        writer.flush()
    return Library.open(folder)


def clip_library(
    folder: Path, model: VideoModel, paths: Sequence[str], *, timeline: TimelineOptions | None = None
) -> Library:
    """Write a library of files through a model."""
    decode = sampled(
        DecodeOptions(thumbnails=True, workers=0),
        frames=None,
        every_s=None,
        timeline=timeline,
        model_frames=model.default_frames,
    )
    settings = LibrarySettings.of(model, decode, timeline)
    with (
        LibraryWriter(folder, settings) as writer,
        FrameLoader(paths, preprocess=model.preprocess, options=decode) as loader,
    ):
        for part in library_parts(loader, model, decode, timeline=timeline, background=background_bank(model)):
            writer.add(part)
        writer.flush()
    return Library.open(folder)
