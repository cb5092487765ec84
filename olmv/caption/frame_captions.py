"""Caption the frames of files: workers decode while the captioner writes, and a batch spans several videos."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass

import torch
from torch import Tensor

from olmv.caption.captioner import FrameCaption, FrameCaptioner, captions_with_times
from olmv.errors import OlmvError
from olmv.video.options import DecodeOptions
from olmv.video.workers.loader import FrameLoader, VideoFrames

__all__ = ["CaptionedVideo", "caption_frames"]


@dataclass(frozen=True)
class CaptionedVideo:
    """One video's frame captions, or the reason why there are none.

    Args:
        video: the decoded file; its pixels are gone.
        captions: in order of time; frames of which the captioner said nothing are left out.
        embedding: [D] of the video, where one was asked for.
        labels: that a classifier finds in the whole video, the most probable first; None without a classifier.
        error: why a video that was decoded has no captions.
    """

    video: VideoFrames
    captions: list[FrameCaption]
    embedding: Tensor | None = None
    labels: list[str] | None = None
    error: OlmvError | None = None


def caption_frames(
    paths: Iterable[str],
    captioner: FrameCaptioner,
    *,
    batch_size: int,
    decode: DecodeOptions,
    embed: Callable[[Tensor], Tensor] | None = None,
) -> Iterator[CaptionedVideo]:
    """Caption the frames of every file, in order; a bad file is a result without captions.

    Args:
        paths: video files.
        captioner: says what a frame shows.
        batch_size: frames that the captioner gets at once, of one video or of several.
        decode: how files are read, and how many frames of each.
        embed: uint8 [T, 3, S, S] -> [D], for the similarity of video and caption.

    Raises:
        CaptionerUnavailableError: the captioner cannot be loaded.
    """
    loader = FrameLoader(paths, preprocess=captioner.preprocess, options=decode)
    with closing(loader.start()):
        waiting: list[VideoFrames] = []
        for video in loader:
            waiting.append(video)
            if sum(item.decoded for item in waiting) >= batch_size or video.error is not None:
                yield from _captioned(waiting, captioner, batch_size, embed)
                waiting = []
        yield from _captioned(waiting, captioner, batch_size, embed)


def _captioned(
    videos: list[VideoFrames],
    captioner: FrameCaptioner,
    batch_size: int,
    embed: Callable[[Tensor], Tensor] | None,
) -> Iterator[CaptionedVideo]:
    pixels = [video.tensor for video in videos if video.pixels is not None]
    texts: list[str] = []
    if pixels:
        packed = torch.cat(pixels)
        for start in range(0, len(packed), batch_size):
            texts.extend(captioner.caption(packed[start : start + batch_size]))
    begin = 0
    for video in videos:
        if video.pixels is None:
            yield CaptionedVideo(video, [])
            continue
        end = begin + len(video.pixels)
        captions = captions_with_times(texts[begin:end], [float(time) for time in video.times_s])
        yield CaptionedVideo(video, captions, None if embed is None else embed(video.tensor))
        begin = end
