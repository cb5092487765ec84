"""Films that ask one question each: a short event in a long film, a camera that stands still, length alone.

    guitar_film(folder, clips)              10 minutes of which a guitar plays for 24 seconds
    static_film(folder)                     10 minutes of a still scene with noise; drawings come in and go (olmv-mini)
    static_film(folder, photo, clips)       the same with a photo; clips of actions play in its middle (olmv-lite)
    long_film(folder, clips, minutes=180)   the same five minutes again and again

Clips are those of `timeline_films.read_clips`.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import av
import numpy as np
from PIL import Image

from olmv.moji.render import Renderer
from olmv.moji.world import sample_scene
from olmv.video.frames import Pixels
from scripts.benchmarks.timeline_clips import (
    HEIGHT,
    INSIDE,
    RATE,
    SIDES,
    WIDTH,
    Clip,
    encode,
    frames_of,
    moji_labels,
)
from scripts.benchmarks.timeline_films import Event, Film, make_film, plan

__all__ = ["guitar_film", "long_film", "static_film"]

GUITAR = "playing guitar"
GUITAR_S = 24
SIGMA = 3.0  # of a sensor's noise, in 255ths
CRF = "18"  # noise survives
MOVING_S = 4  # a drawing that came in moves for so long, then rests
PLAYED = (240, 180)  # size at which clips play in a photo
STATIC_SEED = 5303

Picture = Callable[[int], Pixels]  # from frames since an event began to what is seen


def guitar_film(folder: Path, clips: Sequence[Clip]) -> Film:
    """Make 10 minutes of actions in which a guitar plays for 24 seconds, in one place, and nowhere else."""
    rng = np.random.default_rng([20, 101])
    guitar = [clip for clip in clips if clip.split == "test" and GUITAR in clip.labels]
    others = [clip for clip in clips if clip.split == "test" and GUITAR not in clip.labels]
    frames = GUITAR_S * RATE
    path = folder / "clips" / f"guitar_{GUITAR_S}s.mp4"
    if not path.exists():
        encode(path, islice((frame for clip in guitar for frame in frames_of(clip.path)), frames))
    playing = Clip(path, (GUITAR,), "guitar", "test", frames)
    film = plan(others, 600 - GUITAR_S, rng, few=len({label for clip in others for label in clip.labels}))
    where = int(rng.integers(len(film) // 4, 3 * len(film) // 4))
    film.insert(where, playing)
    made = make_film(folder / "guitar.mp4", film, "guitar", "test")
    return replace(made, cuts_s=())  # the guitar's own clips are several shots


def long_film(folder: Path, clips: Sequence[Clip], *, minutes: float) -> Film:
    """Make a film of about so many minutes: five minutes of the clips, again and again."""
    part = plan([clip for clip in clips if clip.split == "test"], 300, np.random.default_rng([20, 102]), few=10)
    length = sum(clip.frames for clip in part) / RATE
    repeats = max(1, round(minutes * 60 / length))
    return make_film(folder / f"long_{minutes:g}min.mp4", part * repeats, "long", "test")


def static_film(folder: Path, photo: Path | None = None, clips: Sequence[Clip] = (), *, seconds: int = 600) -> Film:
    """Make a film of a camera that stands still, with the noise of a sensor; something appears now and then.

    Args:
        folder: where.
        photo: the background, with clips of actions that play in its middle; without it a drawn background, and
            drawings that come in, move for 4 s and rest.
        clips: of actions.
        seconds: how long.
    """
    rng = np.random.default_rng([20, 103, photo is not None])
    kind = "moji" if photo is None else "actions"
    names = moji_labels() if photo is None else sorted({clip.labels[0] for clip in clips if clip.split == "test"})
    often = {"gap_s": (15, 45), "length_s": (10, 30)} if photo is None else {"gap_s": (80, 110), "length_s": (10, 15)}
    events = static_events(rng, names, seconds, **often)
    path = folder / f"static_{kind}.mp4"
    if not path.exists():
        empty, pictures = _drawings(events) if photo is None else _played(photo, clips, events, rng)
        encode(path, _noisy(empty, events, pictures, seconds, rng), crf=CRF)
    return Film(path, f"static {kind}", "test", float(seconds), tuple(events), ())


def static_events(
    rng: np.random.Generator, names: Sequence[str], seconds: int, *, gap_s: tuple[int, int], length_s: tuple[int, int]
) -> list[Event]:
    """Draw what appears when, in whole seconds, with a gap before each and after the last; names in rounds."""
    events: list[Event] = []
    order = rng.permutation(len(names))
    at = int(rng.integers(*gap_s))
    while True:
        end = at + int(rng.integers(length_s[0], length_s[1] + 1))
        if end + gap_s[0] > seconds:
            return events
        events.append(Event(names[int(order[len(events) % len(names)])], float(at), float(end)))
        at = end + int(rng.integers(*gap_s))


def _noisy(
    empty: Pixels, events: Sequence[Event], pictures: Sequence[Picture], seconds: int, rng: np.random.Generator
) -> Iterator[Any]:
    noise = rng.normal(0, SIGMA, (2 * HEIGHT, 2 * WIDTH, 3)).round().astype(np.int16)  # seen through a moving window
    for number in range(seconds * RATE):
        picture = empty
        for event, drawn in zip(events, pictures, strict=True):
            first = round(event.start_s * RATE)
            if first <= number < round(event.end_s * RATE):
                picture = drawn(number - first)
        y, x = rng.integers(HEIGHT), rng.integers(WIDTH)
        seen = np.clip(picture + noise[y : y + HEIGHT, x : x + WIDTH], 0, 255).astype(np.uint8)
        yield av.VideoFrame.from_ndarray(seen, format="rgb24")


def _drawings(events: Sequence[Event]) -> tuple[Pixels, list[Picture]]:
    """Return a drawn scene without objects, and what draws each event's object into it."""
    renderer = Renderer(HEIGHT)
    scene = replace(sample_scene(STATIC_SEED, 0, names=moji_labels()), weather="none", background="gradient")

    def draw(actors: tuple[Any, ...], progress: float) -> Pixels:
        picture = renderer([replace(scene, actors=actors)], [progress])[0].permute(1, 2, 0).numpy()
        return np.pad(picture, SIDES, mode="edge")

    def picture_of(number: int, event: Event) -> Picture:
        actors = sample_scene(STATIC_SEED, number, names=(event.label,), counts=(1,), motions=INSIDE).actors
        steps = MOVING_S * RATE
        drawn: dict[int, Pixels] = {}

        def picture(frame: int) -> Pixels:
            step = min(frame, steps)
            if step not in drawn:
                drawn.clear()
                drawn[step] = draw(actors, step / steps)
            return drawn[step]

        return picture

    return draw((), 0.0), [picture_of(number, event) for number, event in enumerate(events, 1)]


def _played(
    photo: Path, clips: Sequence[Clip], events: Sequence[Event], rng: np.random.Generator
) -> tuple[Pixels, list[Picture]]:
    """Return a photo, and what plays a clip of each event's label in its middle, there and back."""
    empty = np.asarray(Image.open(photo).convert("RGB").resize((WIDTH, HEIGHT)))
    x, y = (WIDTH - PLAYED[0]) // 2, (HEIGHT - PLAYED[1]) // 2

    def picture_of(event: Event) -> Picture:
        fitting = [clip for clip in clips if clip.split == "test" and event.label in clip.labels]
        clip = fitting[int(rng.integers(len(fitting)))]
        shown: list[Pixels] = []

        def picture(frame: int) -> Pixels:
            if not shown:
                shown.extend(f.reformat(*PLAYED, "rgb24").to_ndarray() for f in frames_of(clip.path))
            place = frame % (2 * len(shown))
            result = empty.copy()
            result[y : y + PLAYED[1], x : x + PLAYED[0]] = shown[min(place, 2 * len(shown) - 1 - place)]
            return result

        return picture

    return empty, [picture_of(event) for event in events]
