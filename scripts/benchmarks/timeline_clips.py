"""Clips of one shape, and films that are made of them by copying packets.

Every clip is encoded once with the same settings: 320x240, 25 frames a second, H.264 with B-frames, beginning with an
IDR frame. A film then is the clips' packets one after the other with shifted time stamps, so that hours are written in
seconds and every frame of the truth is known.
"""

import csv
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from olmv.io.atomic import writing_file
from olmv.moji.render import Renderer
from olmv.moji.world import object_names, sample_scene

__all__ = [
    "HEIGHT",
    "INSIDE",
    "RATE",
    "SIDES",
    "WIDTH",
    "Clip",
    "action_clips",
    "encode",
    "frames_of",
    "join",
    "moji_clips",
    "moji_labels",
]

WIDTH, HEIGHT, RATE = 320, 240, 25
ENCODER = {"preset": "veryfast", "crf": "23", "g": "250", "bf": "3", "threads": "1"}
SIDES = ((0, 0), ((WIDTH - HEIGHT) // 2,) * 2, (0, 0))  # drawings are square, and models look at the middle
TOGETHER = 25  # moji frames drawn at a time

MOJI_LABELS = 24  # how many of the objects that olmv-mini was trained on
MOJI_SEEDS = {"dev": 5101, "test": 5202}
MOJI_CLIPS = {"dev": 32, "test": 64}
MOJI_SECONDS = (4, 10)
INSIDE = ("spinning", "growing", "shrinking", "bouncing", "shaking", "circling")  # in the picture all the time


@dataclass(frozen=True)
class Clip:
    """One encoded clip.

    Attributes:
        path: of the file.
        labels: what is true of every frame.
        place: clips of one place are not joined to each other: the cut could not be seen.
        split: `dev` or `test`.
        frames: how many.
    """

    path: Path
    labels: tuple[str, ...]
    place: str
    split: str
    frames: int


def action_clips(source: Path, folder: Path) -> Iterator[Clip]:
    """Encode the clips of a folder with `labels.csv` (`video`, `labels`, `group`), those that are not there yet.

    Of every action the first half of its groups is `dev`, the other `test`: no group is in both.
    """
    with (source / "labels.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    groups: dict[str, set[str]] = {}
    for row in rows:
        groups.setdefault(row["labels"], set()).add(row["group"])
    for row in rows:
        names = sorted(groups[row["labels"]])
        split = "dev" if names.index(row["group"]) < len(names) // 2 else "test"
        video = source / row["video"]
        path = folder / f"{video.stem}.mp4"
        if not path.exists():
            encode(path, frames_of(video))
        place = f"{row['labels']} {row['group']}"
        yield Clip(path, tuple(row["labels"].split(";")), place, split, _count(path))


def moji_clips(folder: Path, split: str) -> Iterator[Clip]:
    """Draw and encode the clips of a split, those that are not there yet; objects stay for the whole of a clip."""
    names, seed = moji_labels(), MOJI_SEEDS[split]
    renderer = Renderer(HEIGHT)
    for index in range(MOJI_CLIPS[split]):
        scene = sample_scene(seed, index, names=names, counts=(1, 2), motions=INSIDE)
        path = folder / f"moji_{seed}_{index:03}.mp4"
        if not path.exists():
            seconds = int(np.random.default_rng([seed, index, 3]).integers(MOJI_SECONDS[0], MOJI_SECONDS[1] + 1))
            progress = [(t + 0.5) / (seconds * RATE) for t in range(seconds * RATE)]
            parts = [progress[i : i + TOGETHER] for i in range(0, len(progress), TOGETHER)]
            drawn = (p for part in parts for p in renderer([scene] * len(part), part).permute(0, 2, 3, 1).numpy())
            encode(path, (av.VideoFrame.from_ndarray(np.pad(p, SIDES, mode="edge"), format="rgb24") for p in drawn))
        yield Clip(path, tuple(dict.fromkeys(actor.name for actor in scene.actors)), path.stem, split, _count(path))


def moji_labels() -> tuple[str, ...]:
    """Return the objects of the moji clips: evenly taken from those that olmv-mini was trained on."""
    names = object_names("seen")
    return names[:: max(1, len(names) // MOJI_LABELS)][:MOJI_LABELS]


def encode(path: Path, frames: Iterable[Any], **options: str) -> int:
    """Write frames (`av.VideoFrame`) as a film of this shape, stretched to its size; return how many there were."""
    count = 0
    with writing_file(path) as temporary, av.open(str(temporary), "w", format="mp4") as container:
        stream: Any = container.add_stream("libx264", rate=RATE, options=ENCODER | options)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for frame in frames:
            picture = frame.reformat(WIDTH, HEIGHT, "yuv420p")
            picture.pts, picture.time_base = count, Fraction(1, RATE)
            picture.pict_type = av.video.frame.PictureType.NONE  # the source's choice is not the encoder's
            container.mux(stream.encode(picture))
            count += 1
        container.mux(stream.encode())
    return count


def join(path: Path, clips: Sequence[Clip]) -> list[int]:
    """Write a film of these clips by copying their packets; return the first frame of each clip.

    Frame n is shown at n / 25 s.
    """
    starts, start = [], 0
    with writing_file(path) as temporary, av.open(str(temporary), "w", format="mp4") as film:
        stream: Any = None
        for clip in clips:
            with av.open(str(clip.path)) as source:
                video = source.streams.video[0]
                stream = stream or film.add_stream_from_template(video)
                tick = 1 / (RATE * video.time_base)  # of the clip's clock in a frame
                for packet in source.demux(video):
                    if packet.size == 0:
                        continue
                    packet.pts += int(start * tick)
                    packet.dts += int(start * tick)
                    packet.stream = stream
                    film.mux(packet)
            starts.append(start)
            start += clip.frames
    return starts


def frames_of(path: Path) -> Iterator[Any]:
    """Yield the decoded frames of a clip."""
    with av.open(str(path)) as container:
        yield from container.decode(video=0)


def _count(path: Path) -> int:
    with av.open(str(path)) as container:
        return int(container.streams.video[0].frames)
