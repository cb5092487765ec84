"""What one call looks at: videos, or a library of them, and how their frames are chosen."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Self

from olmv.arguments import check_count, kind_of
from olmv.errors import UsageError
from olmv.library.files import LibraryFiles
from olmv.library.source import StoredVideos
from olmv.models.base import VideoModel
from olmv.scoring.windows import TimelineOptions, sampled
from olmv.video.inputs import PreparedInput, VideoInput, prepared, separate
from olmv.video.options import DecodeOptions, Sampling

__all__ = ["InputPlan"]


@dataclass(frozen=True, eq=False)
class InputPlan:
    """What is looked at, and how.

    Attributes:
        inputs: what a `FrameLoader` takes, or the names of a library's videos.
        decode: complete, with how many frames of a video.
        timeline: its windows; None for none.
        stored: the videos, where they come from a library, else None.
    """

    inputs: Iterable[PreparedInput]
    decode: DecodeOptions
    timeline: TimelineOptions | None
    stored: StoredVideos | None

    @classmethod
    def of(
        cls,
        videos: VideoInput | Iterable[VideoInput] | LibraryFiles,
        model: VideoModel,
        *,
        decode: DecodeOptions,
        sampling: Sampling | None,
        frames: int | None,
        every_s: float | None,
        max_frames: int | None,
        timeline: TimelineOptions | bool,
        fps: float | None,
    ) -> Self:
        """Plan what is looked at; the options are those of `Classifier.predict`, `decode` has the others.

        Raises:
            UsageError: as `Classifier.predict`, for its inputs and how they are sampled.
        """
        if frames is not None:
            check_count("frames", frames)
        times = (TimelineOptions() if timeline else None) if isinstance(timeline, bool) else timeline
        if not isinstance(times, TimelineOptions | None):
            raise UsageError(f"timeline is {kind_of(times)}; give True or TimelineOptions(...)", option="timeline")
        if isinstance(videos, LibraryFiles):
            stored = StoredVideos(videos)
            options = stored.decode_options(
                frames=frames,
                every_s=every_s,
                max_frames=max_frames,
                sampling=sampling,
                thumbnails=decode.thumbnails,
            )
            own = stored.settings.timeline if timeline is True else None
            return cls(stored.names, options, own or times, stored)
        options = sampled(
            replace(decode, max_frames=max_frames, sampling="uniform" if sampling is None else sampling),
            frames=frames,
            every_s=every_s,
            timeline=times,
            model_frames=model.default_frames,
        )
        options.check()
        timed = times is not None or every_s is not None
        return cls(prepared(separate(videos), fps=fps, timed=timed), options, times, None)
