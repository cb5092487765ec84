"""What `olmv watch` does with a live stream: its lag, its memory, and what becomes of an event when the server dies.

    python scripts/benchmarks/watch_figures.py [--minutes N]

A server on 127.0.0.1 plays shipped footage by the clock (a cat, then a cup of coffee) at 25 frames a second as MPEG-TS;
`olmv watch` runs as a process of its own, with olmv-lite, at its default of 2 frames a second.

    lag       from when a frame is handed to the system by the server until the event that it fires has been read from
              the watching process's standard output; `--hold 0 --window 1s`, so that the event is of that frame
    shown     from the first frame of a new scene to the line that says so, with the defaults (`--hold 1s --window 4s`)
    growth    resident memory of all its processes, the last quarter of the time against the second
    return    the server is killed while an event is open, and comes back 6 s later at the same port: seconds from then
              until it is read again; `began` and `ended` lines of the event
"""

import argparse
import json
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any, Self

import psutil

import olmv
from scripts.benchmarks.live_server import FPS, LiveServer, Schedule, read_scene

__all__ = ["Growth", "Lag", "Return", "measure_growth", "measure_lag", "measure_return", "scenes"]

CLIP = Path(olmv.__file__).parent / "data/footage/cat_then_coffee.mp4"
LABELS = ("cat", "cup of coffee")
PATIENCE_S = 60.0


@dataclass
class Watching:
    """A running `olmv watch`, its lines with the time at which each was read."""

    process: "subprocess.Popen[str]"
    events: list[tuple[float, dict[str, Any]]] = field(default_factory=list)
    remarks: list[tuple[float, str]] = field(default_factory=list)

    @classmethod
    def start(cls, url: str, *options: str) -> "Watching":
        """Run `olmv watch URL OPTIONS`, and read what it says."""
        command = [sys.executable, "-m", "olmv", "watch", url, "-l", ", ".join(LABELS), "-m", "olmv-lite", *options]
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        watching = cls(process)
        for target in (watching._read_events, watching._read_remarks):
            threading.Thread(target=target, daemon=True).start()
        return watching

    def _read_events(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.events.append((time.time(), json.loads(line)))

    def _read_remarks(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.remarks.append((time.time(), line.strip()))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        self.process.wait(30)

    def wait_for(self, label: str, state: str, *, after: float = 0.0) -> tuple[float, dict[str, Any]]:
        """Return the first event of this kind that was read after a moment."""
        deadline = time.time() + PATIENCE_S
        while time.time() < deadline:
            for read, event in list(self.events):
                if read >= after and (event["label"], event["state"]) == (label, state):
                    return read, event
            if self.process.poll() is not None:
                raise RuntimeError(f"olmv watch ended: {self.remarks[-3:]}")
            time.sleep(0.01)
        raise RuntimeError(f"no {state} of {label} within {PATIENCE_S:.0f} s: {self.events} {self.remarks}")

    def wait_for_remark(self, part: str, *, after: float) -> float:
        """Return when a line with this in it was read."""
        deadline = time.time() + PATIENCE_S
        while time.time() < deadline:
            for read, line in list(self.remarks):
                if read >= after and part in line:
                    return read
            time.sleep(0.01)
        raise RuntimeError(f"nothing of {part!r} within {PATIENCE_S:.0f} s: {self.remarks}")

    def memory_mb(self) -> float:
        """Return the resident memory of all its processes, in MiB."""
        root = psutil.Process(self.process.pid)
        return float(sum(process.memory_info().rss for process in [root, *root.children(recursive=True)])) / 2**20


@dataclass(frozen=True)
class Lag:
    """Seconds, of several events; `lag_s` from a frame to its line, `shown_s` from a new scene to its line."""

    lag_s: list[float]
    shown_s: list[float]


@dataclass(frozen=True)
class Growth:
    """Resident memory over time: MiB of the second and of the last quarter, their ratio, and the samples."""

    early_mb: float
    late_mb: float
    minutes: float
    samples_mb: list[float]

    @property
    def ratio(self) -> float:
        """Return how many times as much the last quarter took."""
        return self.late_mb / self.early_mb


@dataclass(frozen=True)
class Return:
    """What became of an event while the server was away: seconds until it was read again, and its lines."""

    back_s: float
    began: int
    ended: int
    ids: int

    @property
    def intact(self) -> bool:
        """Tell whether the event was neither lost nor doubled."""
        return (self.began, self.ended, self.ids) == (1, 1, 1)


def scenes() -> list[list[Any]]:
    """Return the frames of the two scenes: a cat, a cup of coffee."""
    return [read_scene(CLIP, 0.0, 2.4), read_scene(CLIP, 2.6, 4.5)]


def measure_lag(events: int = 4, *, length_s: float = 6.0) -> Lag:
    """Watch a stream whose scene changes every `length_s`, until so many events have begun, twice."""
    lags: list[float] = []
    shown: list[float] = []
    quick = ("--hold", "0", "--window", "1s", "--cooldown", "0")
    arms: list[tuple[tuple[str, ...], list[float]]] = [(quick, lags), ((), shown)]
    for options, target in arms:
        schedule = Schedule(scenes(), [length_s, length_s] if options else [2 * length_s, 2 * length_s])
        with LiveServer(schedule.picture_at) as server, Watching.start(server.url, *options) as watching:
            read, event = watching.wait_for(LABELS[schedule.scene_at(time.time())], "began")
            while len(target) < events:
                following = LABELS[1 - LABELS.index(event["label"])]
                read, event = watching.wait_for(following, "began", after=read)
                if target is lags:
                    target.append(read - server.sent[-1][round(event["at_s"] * FPS)])
                else:
                    target.append((read - schedule.begun) % schedule.lengths_s[0])
    return Lag(lags, shown)


def measure_growth(minutes: float = 10.0, *, every_s: float = 2.0) -> Growth:
    """Watch a stream for so long, and look at the memory of all processes every while."""
    schedule = Schedule(scenes(), [12.0, 12.0])
    samples = []
    with LiveServer(schedule.picture_at) as server, Watching.start(server.url) as watching:
        watching.wait_for(LABELS[0], "began")
        until = time.time() + 60 * minutes
        while time.time() < until:
            samples.append(watching.memory_mb())
            time.sleep(every_s)
    quarter = max(len(samples) // 4, 1)
    return Growth(median(samples[quarter : 2 * quarter] or samples), median(samples[-quarter:]), minutes, samples)


def measure_return(*, away_s: float = 6.0) -> Return:
    """Kill the server while the cat is seen, bring it back later with the cat still there, then end the event."""
    cat, coffee = scenes()
    shown = [cat]

    def picture_at(moment: float) -> Any:
        frames = shown[0]
        return frames[int(moment * 12) % len(frames)]

    with LiveServer(picture_at) as server, Watching.start(server.url) as watching:
        watching.wait_for("cat", "began")
        time.sleep(3.0)
        server.kill()
        time.sleep(away_s)
        returned = time.time()
        server.begin()
        back = watching.wait_for_remark("is there again", after=returned) - returned
        time.sleep(3.0)
        shown[0] = coffee
        watching.wait_for("cat", "ended")
        time.sleep(2.0)
    lines = [event for _, event in watching.events if event["label"] == "cat"]
    states = [event["state"] for event in lines]
    return Return(back, states.count("began"), states.count("ended"), len({event["event"] for event in lines}))


def _span(values: Sequence[float]) -> str:
    return f"{median(values):.2f} s (largest {max(values):.2f} s, {len(values)} events)"


def main() -> None:
    """Measure all, and print it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10.0, help="of watching, for the growth of memory")
    minutes = parser.parse_args().minutes
    lag = measure_lag()
    print(f"lag      {_span(lag.lag_s)}")
    print(f"shown    {_span(lag.shown_s)}")
    away = measure_return()
    print(f"return   {away.back_s:.1f} s; began {away.began}, ended {away.ended}, ids {away.ids}")
    growth = measure_growth(minutes)
    print(
        f"growth   {growth.early_mb:.0f} MiB -> {growth.late_mb:.0f} MiB in {growth.minutes:g} min "
        f"({growth.ratio:.3f}, {len(growth.samples_mb)} samples)"
    )


if __name__ == "__main__":
    main()
