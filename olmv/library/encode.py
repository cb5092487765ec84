"""From decoded videos to what a library keeps of them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import normalize

from olmv.labels.background import background_texts
from olmv.library.content import FragmentContent, Halves, WindowTable, parts_table, thumbnail_table
from olmv.library.records import FileState, PartRecord, absolute
from olmv.library.settings import stores_frames
from olmv.models.base import VideoEmbedding, VideoModel
from olmv.models.embed import default_batch_size, embed_windows, video_vector
from olmv.models.text_cache import encode_texts_cached
from olmv.scoring.bank import TextBank
from olmv.scoring.windows import TimelineOptions, Windows, whole
from olmv.stream import windows_of
from olmv.video.decode import VideoFrames
from olmv.video.frames import Floats
from olmv.video.options import DecodeOptions
from olmv.video.workers.loader import FrameLoader

__all__ = ["LibraryPart", "absolute", "background_bank", "join_parts", "library_parts"]


@dataclass(frozen=True, eq=False)
class LibraryPart:
    """What a library keeps of one part of a video.

    Attributes:
        record: what was decoded, or why it was not.
        rows: [R, D] float16.
        vectors: [N, D] float16, of its windows.
        windows: [N]; rows are counted from 0.
        thumbnails: (JPEG, time in seconds), in the order of time.
    """

    record: PartRecord
    rows: Halves
    vectors: Halves
    windows: WindowTable
    thumbnails: Sequence[tuple[bytes, float]] = ()

    @property
    def size(self) -> int:
        """Return about how many bytes it has."""
        return self.rows.nbytes + self.vectors.nbytes + sum(len(jpeg) for jpeg, _ in self.thumbnails) + 1024


def library_parts(
    loader: FrameLoader,
    model: VideoModel,
    decode: DecodeOptions,
    *,
    timeline: TimelineOptions | None = None,
    background: TextBank | None = None,
    batch_size: int | None = None,
) -> Iterator[LibraryPart]:
    """Yield what a library keeps of every part of the videos of a loader, in order.

    Args:
        loader: gives the videos, in parts.
        model: that encodes; not one that prompts its texts.
        decode: how the loader decodes.
        timeline: its windows; None for those of a video that is looked at as a whole.
        background: of `background_bank`.
        batch_size: frames per forward pass; None for the model's default.
    """
    batch_size = batch_size or default_batch_size(model)
    by_frames = stores_frames(model)
    for batch in loader.batches(batch_size):
        good = [video for video in batch if video.pixels is not None]
        layouts = [windows_of(video, model, decode, timeline) for video in good]
        embedded = iter(
            embed_windows(
                model,
                [video.tensor for video in good],
                [
                    [np.arange(len(video.tensor))]
                    if by_frames
                    else [video.pixel_rows[moments] for moments in layout.moments]
                    for video, layout in zip(good, layouts, strict=True)
                ],
                batch_size=batch_size,
            )
        )
        windows = iter(layouts)
        for video in batch:
            record = PartRecord.of(video, absolute(video.path), FileState.of(video.path))
            if video.pixels is None:
                none = np.zeros((0, model.embed_dim), np.float16)
                yield LibraryPart(record, none, none, _table(video, whole(0), np.zeros((0, 2)), none, None))
                continue
            yield _part(record, video, next(windows), next(embedded), by_frames, background)


def _part(
    record: PartRecord,
    video: VideoFrames,
    windows: Windows,
    embeddings: Sequence[VideoEmbedding],
    by_frames: bool,
    background: TextBank | None,
) -> LibraryPart:
    if by_frames:
        [embedding] = embeddings
        rows = embedding.rows.cpu()
        row_of = video.pixel_rows
        vectors = torch.stack([normalize(rows[row_of[moments]].mean(0), dim=0) for moments in windows.moments])
        firsts = [(int(row_of[moments[0]]), int(row_of[moments[-1]]) + 1) for moments in windows.moments]
        bounds = np.array([(first, stop - first) for first, stop in firsts], np.int64).reshape(-1, 2)
    else:
        each = [embedding.rows.reshape(-1, embedding.rows.shape[-1]).cpu() for embedding in embeddings]
        rows = torch.cat(each)
        vectors = torch.stack([video_vector(embedding) for embedding in embeddings])
        counts = np.array([len(part) for part in each], np.int64)
        bounds = np.stack([np.cumsum(counts) - counts, counts], axis=1)
    halves = vectors.half().numpy()
    return LibraryPart(
        record,
        rows.half().numpy(),
        halves,
        _table(video, windows, bounds, halves, background),
        tuple(zip(video.thumbnails, video.thumbnail_times_s, strict=True)),
    )


def _table(
    video: VideoFrames, windows: Windows, rows: NDArray[np.int64] | Floats, vectors: Halves, background: TextBank | None
) -> WindowTable:
    count = len(vectors)
    firsts, lasts = (np.array([moments[place] for moments in windows.moments[:count]], np.int64) for place in (0, -1))
    borders = _borders(video)
    cuts = np.zeros(0) if video.shots is None else np.asarray(video.shots.cuts_s, np.float64)
    mean, deviation = _background(vectors, background)
    return WindowTable(
        part=np.zeros(count, np.int32),
        start_s=borders[firsts] if count else np.zeros(0),
        end_s=borders[lasts + 1] if count else np.zeros(0),
        shot=np.searchsorted(cuts, video.times_s[firsts], side="right").astype(np.int32)
        if count
        else np.zeros(0, np.int32),
        first_row=rows[:, 0].astype(np.int64),
        rows=rows[:, 1].astype(np.int32),
        background_mean=mean,
        background_deviation=deviation,
    )


def _borders(video: VideoFrames) -> Floats:
    """Return [M + 1] where the time of each moment begins and ends: half-way to its neighbours."""
    times = np.asarray(video.times_s, np.float64)
    begin, end = video.span_s
    if len(times) == 0:
        return np.array([begin, end])
    last = max(end, float(times[-1]))
    return np.concatenate([[min(begin, float(times[0]))], (times[:-1] + times[1:]) / 2, [last]])


def _background(vectors: Halves, background: TextBank | None) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    if background is None:
        nothing = np.full(len(vectors), np.nan, np.float32)
        return nothing, nothing
    means = background.means.cpu().float()
    similarity = torch.from_numpy(vectors).float() @ means.T
    deviation, mean = torch.std_mean(similarity, dim=1, correction=0)
    return mean.numpy(), deviation.numpy()


def background_bank(model: VideoModel) -> TextBank | None:
    """Embed the everyday words that windows are measured against, in the model's own templates.

    Returns:
        None of a model with logits of its own.
    """
    if model.logit_bias is not None:
        return None
    words = background_texts(model.templates)
    embeddings: Tensor = encode_texts_cached(model, words.texts)
    return TextBank.from_texts(words, embeddings)


def join_parts(parts: Sequence[LibraryPart], *, dimension: int, removed: Sequence[str] = ()) -> FragmentContent:
    """Put parts of whole videos together, for `olmv.library.fragment.write_fragment`.

    Args:
        parts: those of a video in a row, all of them.
        dimension: D.
        removed: paths that are in the library no more.
    """
    offsets = np.cumsum([0, *(len(part.rows) for part in parts)])
    tables = [
        {**vars(part.windows), "part": part.windows.part + place, "first_row": part.windows.first_row + offset}
        for place, (part, offset) in enumerate(zip(parts, offsets[:-1], strict=True))
    ]
    columns: dict[str, Any] = {
        name: np.concatenate([np.zeros(0, kind), *(table[name] for table in tables)]).astype(kind)
        for name, kind in _KINDS.items()
    }
    none = np.zeros((0, dimension), np.float16)
    return FragmentContent(
        parts=parts_table(
            [part.record for part in parts], [len(part.rows) for part in parts], [len(part.vectors) for part in parts]
        ),
        rows=np.concatenate([none, *(part.rows for part in parts)]),
        vectors=np.concatenate([none, *(part.vectors for part in parts)]),
        windows=WindowTable(**columns),
        thumbnails=thumbnail_table(
            [(place, time, jpeg) for place, part in enumerate(parts) for jpeg, time in part.thumbnails]
        ),
        removed=removed,
    )


_KINDS: dict[str, type] = {
    "part": np.int32,
    "start_s": np.float64,
    "end_s": np.float64,
    "shot": np.int32,
    "first_row": np.int64,
    "rows": np.int32,
    "background_mean": np.float32,
    "background_deviation": np.float32,
}
