"""What one request asks of its videos."""

from dataclasses import dataclass

from olmv.errors import UsageError
from olmv.scoring.windows import TimelineOptions
from olmv.serve.clips import StoredClip
from olmv.serve.scoring import ScoreRequest
from olmv.video.options import DecodeOptions

__all__ = ["Ask"]


@dataclass(frozen=True, eq=False)
class Ask:
    """What the videos of one request are asked.

    Attributes:
        request: the labels, and how they are scored.
        decode, timeline: how the videos are looked at.
        pictures: tell where the frames that were looked at can be fetched.
        curve: also tell the probabilities over time.
        looks: options of the request that say how the videos are looked at.
    """

    request: ScoreRequest
    decode: DecodeOptions
    timeline: TimelineOptions | None
    pictures: bool
    curve: bool
    looks: frozenset[str] = frozenset()

    def check_kept(self, clip: StoredClip) -> None:
        """Check that a video was looked at as is asked: what is kept of it can have other labels, but no other frames.

        Raises:
            UsageError: it was not.
        """
        had = {
            "timeline": clip.timeline is not None,
            "frames": clip.decode.frames == self.decode.frames and clip.decode.every_s is None,
            "every_s": clip.decode.every_s == self.decode.every_s,
            "sampling": clip.decode.sampling == self.decode.sampling,
        }
        for option in sorted(self.looks):
            if not had[option]:
                what = f"what is kept of {clip.name} was looked at with other {option}"
                raise UsageError(f"{what}; leave {option} out, or send the file again", option=option)
