"""Film the real clips that ship with olmv (quickstart) out of free photos, and write their manifest.

python scripts/research/make_footage.py PHOTOS            # writes olmv/data/footage/*.mp4, clips.csv and labels.txt

PHOTOS is a folder with these files; olmv/data/footage/SOURCES.md has their authors and licences:

chelsea.png coffee.png astronaut.png rocket.jpg   skimage/data in the wheel of scikit-image 0.26.0
face.dat                                          scipy/misc in the wheel of scipy 1.9.3
city.exr courtyard.exr interior.exr sunset.exr    studiolights/world in Debian's blender-data 3.4.1
seeding_by_Clements_Engelhardt.jpg                Debian's lomiri-wallpapers-16.04

The camera glides over a photo, or turns round in a panorama (.exr), the whole sphere seen from one place. The same
photos give the same frames.
"""

import bz2
import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
import torch
import torch.nn.functional as F
import typer
from PIL import Image
from scipy.ndimage import median_filter
from torch import Tensor

FOLDER = Path(__file__).resolve().parents[2] / "olmv" / "data" / "footage"
WIDTH, HEIGHT, RATE = 320, 240, 12
# how bright the middle of a panorama's light becomes, of 1
EXPOSURE = 0.15


@dataclass(frozen=True)
class Shot:
    """Say where the camera looks first and last.

    Args:
        photo: file name.
        seconds: length.
        start, end: over a photo the centre of the view and its width, in parts of the photo's width, the centre's
            height in parts of the photo's height; in a panorama the direction to the right and up from its middle, and
            the angle of view, in degrees.
    """

    photo: str
    seconds: float
    start: tuple[float, float, float]
    end: tuple[float, float, float]


@dataclass(frozen=True)
class Clip:
    """Name what is seen in a film of one shot or several."""

    shots: tuple[Shot, ...]
    labels: tuple[str, ...]
    caption: str


CLIPS = {
    "cat_then_coffee": Clip(
        (
            Shot("chelsea.png", 2.5, (0.58, 0.5, 0.62), (0.46, 0.5, 0.85)),
            Shot("coffee.png", 2.0, (0.5, 0.5, 0.88), (0.45, 0.46, 0.6)),
        ),
        ("cat", "cup of coffee", "spoon"),
        "a tabby cat looks past the camera, then a cup of coffee with a spoon stands on a wooden table.",
    ),
    "raccoon_then_meadow": Clip(
        (
            Shot("face.dat", 2.5, (0.62, 0.42, 0.6), (0.5, 0.5, 0.95)),
            Shot("seeding_by_Clements_Engelhardt.jpg", 2.0, (0.32, 0.45, 0.5), (0.6, 0.5, 0.7)),
        ),
        ("raccoon", "dandelion", "grass", "sunset"),
        "a raccoon lies among green leaves, then dandelions stand in the grass at sunset.",
    ),
    "astronaut_then_rocket": Clip(
        (
            Shot("astronaut.png", 2.5, (0.44, 0.3, 0.6), (0.5, 0.4, 0.95)),
            Shot("rocket.jpg", 2.0, (0.5, 0.55, 0.5), (0.5, 0.5, 0.85)),
        ),
        ("astronaut", "flag", "rocket"),
        "an astronaut in an orange suit smiles before a flag, then a rocket stands on its launch pad at dusk.",
    ),
    "hotel_room": Clip(
        (Shot("interior.exr", 5.0, (-85.0, -8.0, 78.0), (95.0, -8.0, 78.0)),),
        ("television", "desk", "chair", "curtain", "bed"),
        "the camera turns in a hotel room from the desk under a television to the window and the bed.",
    ),
    "city": Clip(
        (Shot("city.exr", 4.0, (-100.0, -8.0, 80.0), (15.0, 18.0, 80.0)),),
        ("office building", "crane", "parking lot"),
        "office buildings and a crane stand around an empty parking lot under a grey sky.",
    ),
    "sea_at_sunset": Clip(
        (Shot("sunset.exr", 4.0, (-55.0, 0.0, 75.0), (50.0, 0.0, 75.0)),),
        ("sea", "sunset"),
        "the sun goes down over the sea beyond a stone quay.",
    ),
    "dog_in_the_yard": Clip(
        (Shot("courtyard.exr", 5.0, (60.0, -5.0, 80.0), (206.0, -25.0, 48.0)),),
        ("house", "dog"),
        "the camera turns past a yellow house in a paved yard to a dog that lies in the shade.",
    ),
}
DISTRACTORS = ("playing guitar", "riding a bicycle", "pizza", "rain", "snow", "horse", "kitchen", "mountain")


def photo(path: Path) -> Image.Image:
    """Read a photo; face.dat is compressed pixels."""
    if path.suffix == ".dat":
        return Image.frombytes("RGB", (1024, 768), bz2.decompress(path.read_bytes()))
    return Image.open(path).convert("RGB")


def panorama(path: Path) -> Tensor:
    """Read a panorama's light and expose it as a camera would: float32 [1, 3, H, W] in 0 to 1."""
    with av.open(str(path)) as container:
        frame = next(container.decode(video=0))
    if frame.format.name != "gbrpf32le":
        raise SystemExit(f"{path} is {frame.format.name}, not gbrpf32le")
    green, blue, red = (np.frombuffer(plane, np.float32).reshape(frame.height, -1) for plane in frame.planes)
    stored = np.stack([red, green, blue])[..., : frame.width]
    # compression left black specks beside what is glaring
    around = median_filter(stored, size=(1, 3, 3))
    light = torch.from_numpy(np.where(stored < 0.1 * around, around, stored)[None]).clamp(min=0)
    light *= EXPOSURE / light.mean(1).median()
    return (1.15 * light / (1 + light)).clamp(max=1) ** (1 / 2.2)


def crop(picture: Image.Image, view: tuple[float, float, float]) -> Image.Image:
    """Cut the view out of a photo."""
    x, y, width = view[0] * picture.width, view[1] * picture.height, view[2] * picture.width
    height = width * HEIGHT / WIDTH
    left = min(max(x - width / 2, 0), picture.width - width)
    top = min(max(y - height / 2, 0), picture.height - height)
    return picture.resize((WIDTH, HEIGHT), Image.Resampling.LANCZOS, box=(left, top, left + width, top + height))


def look(sphere: Tensor, view: tuple[float, float, float]) -> Image.Image:
    """Look into a panorama [1, 3, H, W] as a camera without distortion does."""
    yaw, pitch, angle = (torch.tensor(degrees).deg2rad() for degrees in view)
    half = (angle / 2).tan()
    y, x = torch.meshgrid(
        half * HEIGHT / WIDTH * (1 - 2 * (torch.arange(HEIGHT) + 0.5) / HEIGHT),
        half * (2 * (torch.arange(WIDTH) + 0.5) / WIDTH - 1),
        indexing="ij",
    )
    up, ahead = y * pitch.cos() + pitch.sin(), pitch.cos() - y * pitch.sin()
    turns = ((torch.atan2(x, ahead) + yaw) / (2 * torch.pi) + 0.5) % 1
    down = 0.5 - torch.atan2(up, torch.hypot(x, ahead)) / torch.pi
    width, edge = sphere.shape[-1], 2
    around = torch.cat([sphere[..., -edge:], sphere, sphere[..., :edge]], -1)
    grid = torch.stack([(turns * width + edge) / (width + 2 * edge), down], -1) * 2 - 1
    pixels = F.grid_sample(around, grid[None], mode="bicubic", padding_mode="border", align_corners=False)
    return Image.fromarray((pixels[0].clamp(0, 1) * 255).round().to(torch.uint8).permute(1, 2, 0).numpy())


def film(shot: Shot, photos: Path) -> Iterator[Image.Image]:
    """Give the frames of a shot; the camera starts and stops softly."""
    path, count = photos / shot.photo, round(shot.seconds * RATE)
    sphere = panorama(path) if path.suffix == ".exr" else None
    picture = None if sphere is not None else photo(path)
    for number in range(count):
        part = 0.5 - 0.5 * np.cos(np.pi * number / (count - 1))
        x, y, size = (float(a + part * (b - a)) for a, b in zip(shot.start, shot.end, strict=True))
        if sphere is not None:
            yield look(sphere, (x, y, size))
        elif picture is not None:
            yield crop(picture, (x, y, size))


def write_video(path: Path, frames: Iterator[Image.Image]) -> None:
    """Write H.264 in mp4."""
    with av.open(str(path), "w") as container:
        options = {"crf": "24", "preset": "veryslow", "threads": "1"}
        stream = container.add_stream("libx264", rate=RATE, options=options)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_image(frame)))
        container.mux(stream.encode())


def main(photos: Path) -> None:
    """Film all clips."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    labels: dict[str, None] = {}
    with (FOLDER / "clips.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("video", "labels", "caption"))
        for name, clip in CLIPS.items():
            write_video(FOLDER / f"{name}.mp4", (frame for shot in clip.shots for frame in film(shot, photos)))
            labels |= dict.fromkeys(clip.labels)
            writer.writerow((f"{name}.mp4", ";".join(clip.labels), clip.caption))
    lines = ["# what is seen in the shipped footage, and a few things that are in none of it"]
    (FOLDER / "labels.txt").write_text("\n".join([*lines, *labels, *DISTRACTORS]) + "\n", encoding="utf-8")
    print(f"{len(CLIPS)} clips, {sum(f.stat().st_size for f in FOLDER.iterdir()) / 1000:.0f} kB in {FOLDER}")


if __name__ == "__main__":
    typer.run(main)
