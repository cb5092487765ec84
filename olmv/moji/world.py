"""The Moji world: short clips drawn by code, with exact truth.

One to three objects (emoji drawings from the shipped atlas) move over a background, sometimes in rain or snow.
A `Scene` is the whole truth of one clip and follows from `(seed, index)` alone; `render` draws any frames of any
scenes as one torch batch. See design section 8.

Splits: `seen` objects; `unseen` objects, never drawn in training; held-out pairings of object and motion, never
drawn in training either; paraphrases, names never used in training.
"""

import json
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Literal

import numpy as np

__all__ = [
    "BACKGROUNDS",
    "COLOURS",
    "MOTIONS",
    "OPPOSITES",
    "WEATHERS",
    "About",
    "Actor",
    "Scene",
    "is_held_out_pairing",
    "object_names",
    "paraphrases",
    "sample_scene",
    "scene_labels",
]

FOLDER = Path(__file__).parent
MOTIONS = (
    "moving left", "moving right", "moving up", "moving down", "spinning", "growing", "shrinking", "bouncing",
    "shaking", "circling", "blinking", "falling", "appearing", "vanishing",
)  # fmt: skip
# what a clip shows when it is played backwards; the other motions have no name then
OPPOSITES = {
    "moving left": "moving right", "moving right": "moving left", "moving up": "moving down",
    "moving down": "moving up", "growing": "shrinking", "shrinking": "growing", "appearing": "vanishing",
    "vanishing": "appearing",
}  # fmt: skip
BRIEF = ("appearing", "vanishing")  # in the picture for a quarter of the clip
BACKGROUNDS = ("plain", "gradient", "striped", "checkered", "noisy")
WEATHERS = ("none", "rain", "snow")
COLOURS: dict[str, tuple[float, float, float]] = {
    "red": (0.82, 0.16, 0.16),
    "orange": (0.95, 0.55, 0.12),
    "yellow": (0.95, 0.87, 0.25),
    "green": (0.20, 0.62, 0.28),
    "blue": (0.18, 0.36, 0.80),
    "purple": (0.50, 0.22, 0.66),
    "pink": (0.96, 0.62, 0.76),
    "brown": (0.45, 0.29, 0.16),
    "gray": (0.52, 0.52, 0.54),
    "black": (0.07, 0.07, 0.08),
    "white": (0.95, 0.95, 0.94),
}
Split = Literal["seen", "unseen"]
About = Literal["scene", "actors", "motions"]  # what a caption tells


@dataclass(frozen=True)
class Actor:
    """One object of a scene. Positions and sizes are in units of the picture's side."""

    name: str
    motion: str
    x: float
    y: float
    size: float
    phase: float  # angle at the start, in turns
    speed: float  # of the motion, about 1


@dataclass(frozen=True)
class Scene:
    """The whole truth of one clip."""

    seed: int
    index: int
    actors: tuple[Actor, ...]
    background: str
    colours: tuple[tuple[float, float, float], tuple[float, float, float]]
    colour_names: tuple[str, str]
    angle: float
    frequency: float
    weather: str

    @property
    def labels(self) -> tuple[str, ...]:
        """Return every label of olmv-mini's world that is true of the clip (motions included)."""
        objects = dict.fromkeys(a.name for a in self.actors)
        motions = dict.fromkeys(a.motion for a in self.actors)
        return (*objects, *self.scene_labels, *motions)

    @property
    def scene_labels(self) -> tuple[str, ...]:
        """Return the background and weather labels that are true of the clip."""
        kind = f"{self.colour_names[0]} background" if self.background == "plain" else f"{self.background} background"
        return (kind, *((self.weather,) if self.weather != "none" else ()))

    @property
    def sentence(self) -> str:
        """Write one sentence that tells the clip."""
        actors = " and ".join(f"{_article(a.name)} {a.name} {a.motion}" for a in self.actors)
        place = f" over a {self.scene_labels[0]}"
        weather = {"none": "", "rain": " in the rain", "snow": " in the snow"}[self.weather]
        return f"{actors}{place}{weather}."

    def caption(self, about: About) -> str:
        """Write what a caption says that is about the whole scene, its actors, or their motions alone.

        `scene` is `sentence`; `actors` leaves out place and weather; `motions` also what it is that moves. The last two
        have no full stop, as labels have none.
        """
        if about == "scene":
            return self.sentence
        who = (f"{_article(a.name)} {a.name}" if about == "actors" else "something" for a in self.actors)
        return " and ".join(f"{name} {actor.motion}" for name, actor in zip(who, self.actors, strict=True))

    def backwards(self) -> "Scene":
        """Return the scene with every motion turned into its opposite (see `OPPOSITES`).

        Raises:
            KeyError: a motion has none.
        """
        return replace(self, actors=tuple(replace(a, motion=OPPOSITES[a.motion]) for a in self.actors))

    def visible(self, progress: float) -> tuple[bool, ...]:
        """Tell, for every actor, whether it is drawn at `progress` (0 at the start of the clip, 1 at its end)."""
        return tuple(_visible(a, progress) for a in self.actors)


def _article(name: str) -> str:
    if name.endswith("s") and not name.endswith("ss"):
        return "some"
    return "an" if name[0] in "aeiou" else "a"


def _visible(actor: Actor, p: float) -> bool:
    if actor.motion == "appearing":
        return p >= 0.75
    if actor.motion == "vanishing":
        return p < 0.25
    if actor.motion == "blinking":
        return int(p * 8 * actor.speed + actor.phase) % 2 == 0
    return True


def pose(actor: Actor, p: float) -> tuple[float, float, float, float]:
    """Return centre x, centre y, size (units of the picture's side) and angle (turns) of an actor at progress `p`."""
    x, y, size, angle = actor.x, actor.y, actor.size, actor.phase * 0.1 - 0.05
    travel = 0.5 * actor.speed * (p - 0.5)
    wave = 2 * np.pi * (p * 1.5 * actor.speed + actor.phase)
    match actor.motion:
        case "moving left":
            x -= travel
        case "moving right":
            x += travel
        case "moving up":
            y -= travel
        case "moving down":
            y += travel
        case "spinning":
            angle = actor.phase + p * actor.speed
        case "growing":
            size *= 0.7 + 0.6 * p
        case "shrinking":
            size *= 1.3 - 0.6 * p
        case "bouncing":
            y += 0.12 - 0.24 * abs(np.sin(wave))
        case "shaking":
            x += 0.05 * np.sin(wave * 3)
        case "circling":
            x += 0.15 * np.cos(wave)
            y += 0.15 * np.sin(wave)
        case "falling":
            y += 0.7 * actor.speed * (p * p - 0.4)
        case _:
            pass
    return x, y, size, angle


@lru_cache(maxsize=1)
def _objects() -> list[dict[str, str]]:
    data = json.loads((FOLDER / "moji_objects.json").read_text(encoding="utf-8"))
    objects: list[dict[str, str]] = data["objects"]
    return objects


@lru_cache(maxsize=2)
def object_names(split: Split) -> tuple[str, ...]:
    """Return the names of the objects of a split, in the atlas's order."""
    return tuple(o["name"] for o in _objects() if o["split"] == split)


@lru_cache(maxsize=1)
def atlas_cells() -> dict[str, int]:
    """Return name -> cell of the atlas."""
    return {o["name"]: i for i, o in enumerate(_objects())}


@lru_cache(maxsize=1)
def paraphrases() -> dict[str, str]:
    """Return object name -> another way to say it, never used in training."""
    paraphrases: dict[str, str] = json.loads((FOLDER / "moji_paraphrases.json").read_text(encoding="utf-8"))
    return paraphrases


def scene_labels() -> tuple[str, ...]:
    """List every background and weather label."""
    return (
        *(f"{c} background" for c in COLOURS),
        *(f"{b} background" for b in BACKGROUNDS[1:]),
        *WEATHERS[1:],
    )


def is_held_out_pairing(name: str, motion: str) -> bool:
    """Tell whether this object never does this motion in training (about one pairing in ten)."""
    return zlib.crc32(f"{name}|{motion}".encode()) % 10 == 0


def sample_scene(
    seed: int,
    index: int,
    *,
    names: Sequence[str],
    counts: Sequence[int] = (1, 2, 3),
    motions: Sequence[str] = MOTIONS,
    pairings: Literal["training", "held-out", "all"] = "training",
) -> Scene:
    """Draw the scene of `(seed, index)`: the same on every machine, whatever was sampled before it.

    Args:
        seed: names the collection; training and evaluation use different ones.
        index: of the clip in the collection.
        names: objects to draw from, without replacement within a clip.
        counts: numbers of objects, each as likely.
        motions: motions to draw from.
        pairings: `training` leaves out the held-out pairings of object and motion, `held-out` has no others.
    """
    rng = np.random.default_rng([seed, index])
    count = counts[int(rng.integers(len(counts)))]
    chosen = [names[int(i)] for i in rng.choice(len(names), size=count, replace=False)]
    # each object has a quarter of the picture of its own at mid-clip; motions and sizes make them meet
    corners = rng.permutation(4)[:count]
    actors = []
    for name, corner in zip(chosen, corners, strict=True):
        held_out = [is_held_out_pairing(name, m) for m in motions]
        choice = {"training": False, "held-out": True}.get(pairings)
        allowed = [m for m, h in zip(motions, held_out, strict=True) if choice is None or h == choice] or list(motions)
        motion = allowed[int(rng.integers(len(allowed)))]
        spread = 0.06 if count > 1 else 0.14
        centre = (0.5, 0.5) if count == 1 else (0.29 + 0.42 * (corner % 2), 0.29 + 0.42 * (corner // 2))
        x, y = (c + rng.uniform(-spread, spread) for c in centre)
        size = float(rng.uniform(0.36, 0.56))
        actors.append(Actor(name, motion, float(x), float(y), size, float(rng.random()), float(rng.uniform(0.8, 1.2))))
    background = str(rng.choice(BACKGROUNDS, p=(0.4, 0.15, 0.15, 0.15, 0.15)))
    palette = list(COLOURS)
    first, second = (palette[int(i)] for i in rng.choice(len(palette), size=2, replace=False))
    jitter = rng.uniform(-0.05, 0.05, size=(2, 3))
    rgb = [
        tuple(float(v) for v in np.clip(np.array(COLOURS[c]) + j, 0, 1))
        for c, j in zip((first, second), jitter, strict=True)
    ]
    return Scene(
        seed=seed,
        index=index,
        actors=tuple(actors),
        background=background,
        colours=(rgb[0], rgb[1]),  # type: ignore[arg-type]
        colour_names=(first, second),
        angle=float(rng.uniform(0, np.pi)),
        frequency=float(rng.uniform(3.0, 6.0)),
        weather=str(rng.choice(WEATHERS, p=(0.6, 0.2, 0.2))),
    )
