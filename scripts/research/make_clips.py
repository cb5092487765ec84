"""Draw the clips that ship with olmv (quickstart and tests) and their manifest.

python scripts/research/make_clips.py            # writes olmv/data/clips/*.mp4, clips.csv and labels.txt
"""

import csv
from pathlib import Path

import av
import numpy as np

from olmv.moji.render import Renderer, render_clip
from olmv.moji.world import COLOURS, Actor, Scene

FOLDER = Path(__file__).resolve().parents[2] / "olmv" / "data" / "clips"
SIZE, FRAMES, RATE = 192, 32, 8


def scene(number: int, actors: list[Actor], background: str, colours: tuple[str, str], weather: str = "none") -> Scene:
    """A scene of our own making instead of a drawn lot."""
    rgb = (COLOURS[colours[0]], COLOURS[colours[1]])
    return Scene(77, number, tuple(actors), background, rgb, colours, 0.6, 4.0, weather)


SCENES = {
    "dog_and_apple": scene(
        0,
        [
            Actor("dog", "moving right", 0.5, 0.68, 0.5, 0.5, 1.0),
            Actor("red apple", "falling", 0.28, 0.32, 0.4, 0.5, 1.0),
        ],
        "plain",
        ("green", "white"),
    ),
    "guitar": scene(1, [Actor("guitar", "spinning", 0.5, 0.5, 0.6, 0.0, 1.0)], "striped", ("yellow", "purple")),
    "car_in_the_rain": scene(
        2,
        [
            Actor("automobile", "moving left", 0.5, 0.68, 0.5, 0.5, 1.0),
            Actor("umbrella", "shaking", 0.32, 0.3, 0.42, 0.5, 1.0),
        ],
        "plain",
        ("blue", "gray"),
        "rain",
    ),
    "penguin_in_the_snow": scene(
        3,
        [
            Actor("penguin", "bouncing", 0.35, 0.55, 0.5, 0.2, 1.0),
            Actor("evergreen tree", "growing", 0.72, 0.45, 0.46, 0.5, 1.0),
        ],
        "gradient",
        ("blue", "black"),
        "snow",
    ),
    "brief_rocket": scene(
        4,
        [Actor("rocket", "appearing", 0.68, 0.34, 0.46, 0.5, 1.0), Actor("cat", "circling", 0.38, 0.6, 0.46, 0.5, 1.0)],
        "plain",
        ("black", "white"),
    ),
    "three_things": scene(
        5,
        [
            Actor("pizza", "moving down", 0.3, 0.42, 0.4, 0.5, 1.0),
            Actor("soccer ball", "bouncing", 0.7, 0.68, 0.38, 0.5, 1.0),
            Actor("butterfly", "shaking", 0.72, 0.27, 0.38, 0.5, 1.0),
        ],
        "checkered",
        ("orange", "white"),
    ),
}
DISTRACTORS = ("bicycle", "house", "snake", "banana")


def write_video(path: Path, frames: np.ndarray) -> None:
    """frames [T, S, S, 3] uint8 -> H.264 in mp4."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=RATE, options={"crf": "26", "preset": "veryslow"})
        stream.width, stream.height, stream.pix_fmt = SIZE, SIZE, "yuv420p"
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())


def main() -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    renderer = Renderer(SIZE)
    labels: dict[str, None] = {}
    with (FOLDER / "clips.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("video", "labels", "caption"))
        for name, made in SCENES.items():
            pictures = render_clip(made, frames=FRAMES, size=SIZE, renderer=renderer)
            write_video(FOLDER / f"{name}.mp4", pictures.permute(0, 2, 3, 1).numpy())
            labels |= dict.fromkeys(made.labels)
            writer.writerow((f"{name}.mp4", ";".join(made.labels), made.sentence))
    lines = ["# what olmv-mini may find in the shipped clips, and a few things that are in none of them"]
    (FOLDER / "labels.txt").write_text("\n".join([*lines, *labels, *DISTRACTORS]) + "\n", encoding="utf-8")
    print(f"{len(SCENES)} clips, {sum(f.stat().st_size for f in FOLDER.iterdir()) / 1000:.0f} kB in {FOLDER}")


if __name__ == "__main__":
    main()
