"""What a model sees of a test video, as the published protocols have it.

    uniform     one clip: T frames at the centres of equal segments, the model's own preprocessing; olmv's default
    openvclip   Open-VCLIP (arXiv 2302.00624): 3 clips of 8 frames, 16 apart at 30 fps; short side 224, centre crop; a
                video's logit is the sum over clips of the mean over frames of logits
    xclip       X-CLIP (arXiv 2208.02816), zero-shot and few-shot: the middle frame of T segments, short side 256/224
                of the input, centre crop
    xclip-4x3   X-CLIP, supervised: 4 clips, each of a random frame of T segments, x 3 crops; views are softmaxed, then
                summed

Resizing here is bilinear without antialiasing, as in the published code; `uniform` resizes as the model was trained.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from olmv.errors import UsageError
from olmv.scoring.options import FramePooling
from olmv.video.decode import VideoFrames, decode_video
from olmv.video.frames import Indices, Pixels
from olmv.video.options import DecodeOptions
from olmv.video.readers.video_reader import VideoReader
from olmv.video.sampling import WINDOW_FPS, WINDOW_STRIDE, uniform, window, window_room
from olmv.video.transforms import ModelPixels, Preprocess

__all__ = ["VIEWS", "ViewReader", "Views", "crops", "middle_frames", "random_frames", "views_for", "windows"]

Offsets = Literal["thirds", "halves"]
# draws the frames of X-CLIP's clips: the same ones in every run, so that figures can be repeated
_SEED = 0


@dataclass(frozen=True)
class Views:
    """How test videos are looked at.

    Attributes:
        name: of the preset.
        frames: T, of a clip.
        clips: in time.
        crops: in space, of every clip; V = clips * crops views in all.
        combine: views are added up as `logits`, or as `probabilities` after a softmax over the labels.
        frame_pooling: over the frames of a view; None for the user's choice.
        templates: sentences around a label; None for the model's own.
        label_style: `words` ("Apply Eye Makeup") or `raw` ("ApplyEyeMakeup").
        offsets: where the clips of `openvclip` start: `thirds` (its pyav reader: UCF101, Kinetics) or `halves`
            (its torchvision reader: HMDB51).
    """

    name: str
    frames: int = 8
    clips: int = 1
    crops: int = 1
    combine: Literal["logits", "probabilities"] = "logits"
    frame_pooling: FramePooling | None = None
    templates: str | None = None
    label_style: Literal["words", "raw"] = "words"
    offsets: Offsets = "thirds"

    @property
    def count(self) -> int:
        """Return the number of views, V."""
        return self.clips * self.crops

    def describe(self) -> dict[str, str]:
        """Return every choice, for the result page."""
        sampling = {
            "uniform": f"{self.frames} frames at the centres of equal segments of time",
            "openvclip": f"{self.clips} clips of {self.frames} frames, 16 apart at 30 fps; starts in {self.offsets}",
            "xclip": f"the middle frames of {self.frames} equal segments",
        }.get(
            self.name, f"{self.clips} clips of a random frame of each of {self.frames} segments, the same in every run"
        )
        resizing = {
            "uniform": "the model's own",
            "openvclip": "short side to the input, bilinear without antialiasing, centre crop",
        }.get(
            self.name,
            "short side to the input, bilinear, 3 crops"
            if self.crops == 3
            else "short side to 256/224 of the input, bilinear, centre crop",
        )
        combine = "sum of logits" if self.combine == "logits" else "sum of probabilities"
        return {"views": self.name, "sampling": sampling, "resizing": resizing, "views are combined as": combine}


VIEWS: dict[str, Views] = {
    "uniform": Views("uniform"),
    "openvclip": Views("openvclip", clips=3, frame_pooling="logits", templates="open-vclip"),
    "xclip": Views("xclip", combine="probabilities", templates="none", label_style="raw"),
    "xclip-4x3": Views("xclip-4x3", clips=4, crops=3, combine="probabilities", templates="none", label_style="raw"),
}


def views_for(name: str, benchmark: str, frames: int | None = None) -> Views:
    """Return the preset of this name for a benchmark.

    Raises:
        UsageError: no such preset, or fewer than one frame.
    """
    if name not in VIEWS:
        raise UsageError(f"no views '{name}'; choose from {', '.join(VIEWS)}")
    if frames is not None and frames < 1:
        raise UsageError(f"frames is {frames}; ask for at least 1")
    views = VIEWS[name]
    offsets: Offsets = "halves" if benchmark.startswith("hmdb51") else "thirds"
    return replace(views, frames=frames or views.frames, offsets=offsets)


def windows(count: int, fps: float, *, frames: int = 8, clips: int = 3, offsets: Offsets = "thirds") -> Indices:
    """Return Open-VCLIP's clips: `frames` frames over 128/30 s (for 8 frames), from evenly spaced starts.

    `thirds`, the authors' pyav reader: clip k starts at k/K of the room that `olmv.video.sampling.window` leaves, whose
    offsets for 8 frames at 30 fps are 0, 18, 36, 54, 72, 90, 108, 112.

    `halves`, their torchvision reader: a window has 16 * T / 30 * fps frames, 128 for 8 frames at 30 fps. Clip k starts
    at k * floor((F - 128) / (K - 1)), a single one in the middle, and its T moments lie evenly between the first and
    the last frame of the window, cut to whole frames: 0, 18, 36, 54, 72, 90, 108, 127.

    A video shorter than the window repeats its last frame.

    Args:
        count: F, frames of the video.
        fps: its average frame rate.
        frames, clips: T and K.
        offsets: the rule for starts.

    Returns:
        [K, T] indices; they may repeat.
    """
    if offsets == "thirds":
        room = window_room(count, fps, frames=frames)
        return np.stack([window(count, fps, start=clip * room / clips, frames=frames) for clip in range(clips)])
    length = max(1.0, WINDOW_STRIDE * frames / WINDOW_FPS * fps)
    spare = max(count - length, 0.0)
    starts = [math.floor(spare / 2)] if clips == 1 else [k * math.floor(spare / (clips - 1)) for k in range(clips)]
    # cut to whole frames only after the video's end is minded, as the authors do
    rows = [np.linspace(start, start + length - 1, frames) for start in starts]
    return np.minimum(np.stack(rows), count - 1).astype(np.int64)


def middle_frames(count: int, *, frames: int = 8) -> Indices:
    """Return X-CLIP's single clip: the middle frame of each of T equal segments.

    Returns:
        [1, T] indices; those of a video with fewer than T frames repeat.
    """
    places = np.floor((np.arange(frames) + 0.5) * (count / frames)).astype(np.int64)
    clip: Indices = np.minimum(places, count - 1)
    return clip[None]


def random_frames(count: int, *, frames: int = 8, clips: int = 4) -> Indices:
    """Return X-CLIP's several clips, each drawn as in its training: a random frame of each of T segments.

    The authors' multi-view test draws all clips so, the first too. A segment has floor(F / T) frames; where that is
    none, the k-th frame is the one next to k * F / T, in every clip.

    Returns:
        [clips, T] indices, the same in every run; those of a video with fewer than T frames repeat.
    """
    segment = count // frames
    if segment == 0:
        places = np.around(np.arange(frames) * (count / frames)).astype(np.int64) % count
        return np.tile(places, (clips, 1))
    drawn = [np.random.default_rng([_SEED, clip]).integers(segment, size=frames) for clip in range(clips)]
    return np.arange(frames) * segment + np.stack(drawn)


def crops(frame: Pixels, size: int, views: Views) -> ModelPixels:
    """Cut [H, W, 3] uint8 into [crops, 3, S, S] float32, 0-255, resized as the preset has it."""
    import torch  # here, since plain views do without it, in workers that start sooner for that
    from torch.nn.functional import interpolate

    height, width = frame.shape[:2]
    short = size if views.name == "openvclip" or views.crops > 1 else int(256 / 224 * size)
    long = max(height, width) * short / min(height, width)
    # PySlowFast cuts the long side off, mmcv rounds it
    other = max(int(long) if views.name == "openvclip" else int(long + 0.5), short)
    shape = (other, short) if height > width else (short, other)
    picture = torch.from_numpy(frame).permute(2, 0, 1)[None].float()
    picture = interpolate(picture, size=shape, mode="bilinear", align_corners=False, antialias=False)
    if views.name != "openvclip":
        picture = picture.round()  # it resizes bytes
    spare_y, spare_x = shape[0] - size, shape[1] - size
    if views.crops == 1:
        half = math.ceil if views.name == "openvclip" else math.floor
        places = [(half(spare_y / 2), half(spare_x / 2))]
    else:
        step_y, step_x = spare_y // 2, spare_x // 2
        places = [(0, 0), (2 * step_y, 2 * step_x), (step_y, step_x)]
    cut: ModelPixels = torch.cat([picture[..., y : y + size, x : x + size] for y, x in places]).numpy()
    return cut


@dataclass(frozen=True)
class ViewReader:
    """Reads the views of one file; stands in for `decode_video` in a worker."""

    views: Views

    def prepare(self) -> None:
        """Import what `crops` needs, in the fork server."""
        if self.views.name != "uniform":
            import torch.nn.functional  # noqa: F401

    def __call__(self, path: str, preprocess: Preprocess, options: DecodeOptions) -> VideoFrames:
        """Return pixels [V * T', 3, S, S], view after view; T' < T only for `uniform` and a video of fewer frames.

        Raises:
            VideoError: the file cannot be read.
        """
        views, plan = self.views, np.zeros(0)
        resize: Callable[[Pixels], ModelPixels] | None = None

        def pick(reader: VideoReader) -> Indices:
            nonlocal plan
            indices = _plan(reader, views)
            plan = reader.timestamps_s[indices]  # [clips, T]
            return np.unique(indices)

        if views.name != "uniform":
            size = preprocess.size

            def resize(frame: Pixels) -> ModelPixels:
                return crops(frame, size, views)[None]

        video = decode_video(path, preprocess, options, pick=pick, resize=resize)
        assert video.pixels is not None  # decode_video raises instead
        # a frame that could not be decoded is stood in for by its neighbour in time
        nearest = np.abs(video.times_s[None, None] - plan[..., None]).argmin(-1)
        chosen = video.pixels[nearest]  # [clips, T, (crops,) 3, S, S]
        if views.name != "uniform":
            chosen = chosen.swapaxes(1, 2)
        chosen = chosen.reshape(-1, *chosen.shape[-3:])
        return replace(video, pixels=chosen, decoded=len(video.times_s), requested=views.frames)


def _plan(reader: VideoReader, views: Views) -> Indices:
    """Return [clips, T] indices of frames."""
    if views.name == "uniform":
        return uniform(reader.timestamps_s, end_s=reader.end_s, frames=views.frames)[None]
    count = len(reader.timestamps_s)
    if views.name == "openvclip":
        fps = reader.info.fps
        return windows(count, fps, frames=views.frames, clips=views.clips, offsets=views.offsets)
    if views.clips > 1:
        return random_frames(count, frames=views.frames, clips=views.clips)
    return middle_frames(count, frames=views.frames)
