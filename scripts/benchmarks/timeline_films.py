"""Films with exact truth for `bench_timeline`: joined from clips whose labels are known.

    python -m scripts.benchmarks.timeline_films FOLDER --actions DIR [--films 30]

FOLDER/clips             every clip once, see timeline_clips.py
FOLDER/films             half of the films of actions (for olmv-lite), half of drawings (for olmv-mini), 3 to 20 minutes
FOLDER/films.csv         video, kind, split, seconds: dev to choose settings on, test to report
FOLDER/truth.csv         video, label, start_s, end_s
FOLDER/cuts.json         video: when each shot but the first begins

Names of videos are relative to FOLDER. The same seed gives the same films. What is there is not made again.
"""

import argparse
import csv
import json
import re
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from olmv.io.atomic import writing_file
from scripts.benchmarks.timeline_clips import RATE, Clip, action_clips, join, moji_clips

__all__ = ["Event", "Film", "make_film", "make_library", "plan", "read_clips", "timed_truth", "write_truth"]

KINDS = ("actions", "moji")
FEW = {"actions": 6, "moji": 12}  # labels that a film comes back to
RUN = 3  # clips of one label in a row, at most
MINUTES = (3.0, 20.0)
FALLS = "falling"

Say = Callable[[str], None]


@dataclass(frozen=True)
class Event:
    """A stretch of a film in which a label is true, in seconds from its first frame."""

    label: str
    start_s: float
    end_s: float


@dataclass(frozen=True)
class Film:
    """A film and the truth about it.

    Attributes:
        path: of the file.
        kind: `actions`, `moji`, or what it was made for.
        split: `dev` or `test`.
        seconds: how long it is.
        events: of all labels, by time; never two of one label that touch.
        cuts_s: when each shot but the first begins.
    """

    path: Path
    kind: str
    split: str
    seconds: float
    events: tuple[Event, ...]
    cuts_s: tuple[float, ...]


def plan(clips: Sequence[Clip], seconds: float, rng: np.random.Generator, *, few: int = 6) -> list[Clip]:
    """Choose the clips of a film: runs of one to three of one label, then another label, until it is long enough.

    Clips of one place never follow each other: one could not see the cut.

    Args:
        clips: to draw from, any of them more than once.
        seconds: the least length.
        rng: decides.
        few: labels that the runs are about; what else a clip shows comes on top.
    """
    labels = sorted({label for clip in clips for label in clip.labels})
    about = [labels[int(i)] for i in rng.permutation(len(labels))[:few]]
    film: list[Clip] = []
    frames, label = 0, ""
    while frames < seconds * RATE:
        label = str(rng.choice([name for name in about if name != label]))
        for _ in range(int(rng.integers(1, RUN + 1))):
            free = [c for c in clips if label in c.labels and not (film and film[-1].place == c.place)]
            if not free:
                break
            film.append(free[int(rng.integers(len(free)))])
            frames += film[-1].frames
    return film


def events_of(clips: Sequence[Clip]) -> tuple[Event, ...]:
    """Return what is true when of a film of these clips; clips of one label in a row are one event."""
    frames: dict[str, list[list[int]]] = {}
    start = 0
    for clip in clips:
        for label in clip.labels:
            stretches = frames.setdefault(label, [])
            if stretches and stretches[-1][1] == start:
                stretches[-1][1] = start + clip.frames
            else:
                stretches.append([start, start + clip.frames])
        start += clip.frames
    events = [Event(name, first / RATE, stop / RATE) for name, parts in frames.items() for first, stop in parts]
    return tuple(sorted(events, key=lambda event: (event.start_s, event.label)))


def cuts_of(clips: Sequence[Clip]) -> tuple[float, ...]:
    """Return when each clip of a film but the first begins, in seconds."""
    return tuple((np.cumsum([clip.frames for clip in clips])[:-1] / RATE).tolist())


def make_film(path: Path, clips: Sequence[Clip], kind: str, split: str) -> Film:
    """Write a film of these clips, unless it is there, and return it."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        join(path, clips)
    seconds = sum(clip.frames for clip in clips) / RATE
    return Film(path, kind, split, seconds, events_of(clips), cuts_of(clips))


def read_clips(folder: Path, actions: Path, say: Say = print) -> dict[str, list[Clip]]:
    """Return the clips of each kind; encode those that are not in `folder`/clips yet.

    Args:
        folder: of the library.
        actions: a folder of clips with `labels.csv`, one label and one group each.
        say: is told what is going on.
    """
    (folder / "clips").mkdir(parents=True, exist_ok=True)
    clips: dict[str, list[Clip]] = {kind: [] for kind in KINDS}
    makers = [("actions", action_clips(actions, folder / "clips"))]
    makers += [("moji", moji_clips(folder / "clips", split)) for split in ("dev", "test")]
    for kind, maker in makers:
        for clip in maker:
            clips[kind].append(clip)
            if len(clips[kind]) % 20 == 0:
                say(f"{kind}: {len(clips[kind])} clips")
    return clips


def make_library(folder: Path, clips: dict[str, list[Clip]], *, films: int = 30, say: Say = print) -> list[Film]:
    """Make the films and write their truth; one in three is `dev`.

    Args:
        folder: where; what is there is kept.
        clips: of each kind, see `read_clips`.
        films: how many, half of each kind.
        say: is told what is going on.
    """
    library = []
    for number in range(films):
        kind, split = KINDS[number % 2], "dev" if number // 2 % 3 == 0 else "test"
        rng = np.random.default_rng([20, number])
        seconds = 60 * float(np.exp(rng.uniform(*np.log(MINUTES))))
        chosen = plan([clip for clip in clips[kind] if clip.split == split], seconds, rng, few=FEW[kind])
        path = folder / "films" / f"{kind}_{split}_{number:02}.mp4"
        film = make_film(path, chosen, kind, split)
        library.append(film)
        say(f"{path.name}: {film.seconds / 60:.1f} min, {len(film.events)} events, {len(film.cuts_s)} cuts")
    names = [film.path.relative_to(folder).as_posix() for film in library]
    named = list(zip(names, library, strict=True))
    write_truth(folder / "truth.csv", ((name, event) for name, film in named for event in film.events))
    rows = [(name, film.kind, film.split, f"{film.seconds:.2f}") for name, film in named]
    write_rows(folder / "films.csv", ("video", "kind", "split", "seconds"), rows)
    cuts = {name: film.cuts_s for name, film in named}
    with writing_file(folder / "cuts.json") as temporary:
        temporary.write_text(json.dumps(cuts, indent=1), encoding="utf-8")
    return library


def write_truth(path: Path, events: Iterable[tuple[str, Event]]) -> None:
    """Write `video, label, start_s, end_s` of (video, event)."""
    rows = [(video, event.label, f"{event.start_s:.2f}", f"{event.end_s:.2f}") for video, event in events]
    write_rows(path, ("video", "label", "start_s", "end_s"), rows)


def write_rows(path: Path, fields: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Write a csv, whole or not at all."""
    with writing_file(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([fields, *rows])


def timed_truth(labels: Path) -> list[tuple[str, Event]]:
    """Read (video, event) from the `labels.csv` of GMDCSA24: `timed_labels` is as `Walking[0 to 3]; Fall (FW)[2 to 6]`.

    Falls of every direction are `falling`; the other labels are in lower case. `write_truth` takes what comes out.
    """
    events: list[tuple[str, Event]] = []
    with labels.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            for name, start, end in re.findall(r"([^;\[]+)\[\s*([\d.]+)\s*to\s*([\d.]+)\s*\]", row["timed_labels"]):
                label = re.sub(r"\(.*?\)", "", name).strip().lower()
                label = FALLS if label.startswith("fall") else label
                events.append((row["video"], Event(label, float(start), float(end))))
    return events


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--actions", type=Path, required=True, help="clips with labels.csv: video, labels, group")
    parser.add_argument("--films", type=int, default=30)
    args = parser.parse_args()
    began = time.perf_counter()
    clips = read_clips(args.folder, args.actions)
    joined = time.perf_counter()
    library = make_library(args.folder, clips, films=args.films)
    size = sum(film.path.stat().st_size for film in library) / 1e6
    hours = sum(film.seconds for film in library) / 3600
    now = time.perf_counter()
    print(f"{len(library)} films, {hours:.1f} h, {size:.0f} MB")
    print(f"clips {joined - began:.0f} s, joining {now - joined:.0f} s")


if __name__ == "__main__":
    main()
