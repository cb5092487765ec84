"""What a library keeps of videos, as if they were decoded and encoded now."""

from collections.abc import Iterable, Iterator
from dataclasses import replace

import numpy as np
import torch
from torch.nn.functional import normalize

from olmv.errors import NotAVideoError, UsageError
from olmv.library.fragment import Halves
from olmv.library.library import Library
from olmv.models.base import VideoEmbedding, VideoModel
from olmv.scorer import EmbeddedPart
from olmv.scoring.windows import TimelineOptions, Windows, whole
from olmv.stream import windows_of
from olmv.video.decode import VideoFrames
from olmv.video.options import DecodeOptions

__all__ = ["check_timeline", "stored_parts"]


def stored_parts(
    library: Library,
    videos: Iterable[str],
    model: VideoModel,
    decode: DecodeOptions,
    *,
    timeline: TimelineOptions | None = None,
) -> Iterator[EmbeddedPart]:
    """Yield every part of videos of a library, as `olmv.stream.embedded_parts` does of decoded ones.

    A video that the library does not have is a part with an error.

    Args:
        library: that has them.
        videos: in this order, see `Library.get`.
        model: that made the embeddings.
        decode: the library's own, see `LibrarySettings.decode`; pictures come where it asks for thumbnails.
        timeline: its windows, see `check_timeline`; None for those of a video that is looked at as a whole.
    """
    by_frames = library.settings.rows == "frames"
    for index, name in enumerate(videos):
        entry = library.get(name)
        if entry is None:
            error = NotAVideoError(f"{name}: is not in {library.folder}; index it")
            yield EmbeddedPart(VideoFrames(index=index, path=name, error=error), whole(0), (), 0)
            continue
        fragment = library.fragments[entry.fragment]
        for part in range(entry.first, entry.stop):
            record = fragment.records[part]
            video = replace(record.frames, index=index, path=name)
            if decode.thumbnails:
                jpegs, times = fragment.thumbnails_of(part)
                video = replace(video, thumbnails=jpegs, thumbnail_times_s=times)
            if video.error is not None:
                yield EmbeddedPart(video, whole(0), (), record.encoded)
                continue
            windows = windows_of(video, model, decode, timeline)
            rows = _read(
                fragment.row_vectors, int(fragment.row_bounds[part]), int(fragment.row_bounds[part + 1]), model
            )
            if by_frames:
                embeddings = _of_frames(rows, video, windows)
            else:
                table = fragment.window_table
                first, stop = fragment.window_bounds[part : part + 2]
                begins = table.first_row[first:stop] - fragment.row_bounds[part]
                bounds = zip(begins.tolist(), table.rows[first:stop].tolist(), strict=True)
                embeddings = [_of_window(rows[begin : begin + count], model) for begin, count in bounds]
            yield EmbeddedPart(video, windows, embeddings, record.encoded)


def check_timeline(library: Library, timeline: TimelineOptions | None) -> None:
    """Check that a library can tell of these windows.

    Raises:
        UsageError: it was made without a timeline, or its windows are fixed and others.
    """
    own = library.settings.timeline
    if timeline is None:
        if own is not None and library.settings.rows == "windows":
            raise UsageError(
                f"{library.folder} has the windows of a timeline only; ask for the timeline", option="timeline"
            )
        return
    if own is None:
        raise UsageError(
            f"{library.folder} was made without a timeline; index the videos with one into another library",
            option="timeline",
        )
    same = (own.window_s, own.step_s) == (timeline.window_s, timeline.step_s)
    if library.settings.rows == "windows" and not same:
        raise UsageError(
            f"the windows of {library.folder} are {own.window_s:g} s long, each {own.step_s:g} s, and fixed by its "
            "model; leave window and step out",
            option=("window_s", "step_s"),
        )


def _read(vectors: Halves, first: int, stop: int, model: VideoModel) -> torch.Tensor:
    rows = torch.from_numpy(np.array(vectors[first:stop])).to(model.device).float()
    return normalize(rows, dim=-1)


def _of_frames(rows: torch.Tensor, video: VideoFrames, windows: Windows) -> list[VideoEmbedding]:
    row_of = np.arange(len(rows)) if video.rows is None else video.rows
    return [VideoEmbedding(rows[torch.from_numpy(row_of[moments])]) for moments in windows.moments]


def _of_window(rows: torch.Tensor, model: VideoModel) -> VideoEmbedding:
    return VideoEmbedding(rows[0] if getattr(model, "yields_video_embedding", False) else rows)
