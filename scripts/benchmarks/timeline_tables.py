"""The tables of `tables.py` that show how well times are told, and what they cost."""

from collections.abc import Mapping
from typing import Any

from scripts.benchmarks.md_table import markdown

__all__ = ["timeline_costs_table", "timeline_labels_table", "timeline_quality_table", "timeline_watch_table"]

Data = Mapping[str, Any]

KINDS = {"actions": "real actions, olmv-lite", "moji": "drawings, olmv-mini"}
QUALITY = {
    "event_f1": "event F1, begin and end within 1 s, thresholds fitted to other films",
    "event_f1_half": "the same, 0.5 for every label",
    "map50": "mAP at a temporal IoU of 0.5",
    "frame_map": "mAP of pieces of time",
    "shot_f1": "F1 of cuts, within 0.25 s",
    "uniform/event_f1": "a camera that stands still: event F1",
    "adaptive/event_f1": "the same with `--sampling adaptive`",
    "adaptive/saving": "frames sampled over frames encoded",
}
COSTS = {
    "guitar/probability": "24 s of guitar in 10 minutes, plain `olmv predict`: probability",
    "guitar/probability_8": "the same with `--frames 8`",
    "guitar/others": "the most probable of labels that are not true of it",
    "memory/short_mb": "memory of `--timeline`, 5 minutes of film, all processes, MB",
    "memory/long_mb": "3 hours, MB",
    "memory/growth": "growth, share",
    "time/short_s": "5 minutes of film, processor seconds",
    "time/long_s": "3 hours, processor seconds",
    "time/over_linear": "time a minute of film, 3 hours over 5 minutes",
    "overhead/timeline": "`--timeline` over a plain run with as many frames",
}
WATCH = {
    "lag_s": "from a frame to its line at 2 fps, median, s",
    "lag_longest_s": "the longest, s",
    "shown_s": "from a new scene to its line with the default window and hold, median, s",
    "growth": "growth of memory in 10 minutes, share",
    "back_s": "read again after a killed server's return, s",
    "began": "lines `began` of the event that was on meanwhile",
    "ended": "lines `ended` of it",
}
FRAMES = "timed/frame_ap/"


def timeline_quality_table(data: Data) -> str:
    """Show how well times are told of made films, and of real clips."""
    rows = [
        [told, *(_with_interval(data, f"{name}/{kind}") for kind in KINDS)]
        for name, told in QUALITY.items()
        if f"{name}/actions" in data["figures"]
    ]
    if "timed/frame_map" in data["figures"]:
        rows.append(
            ["real clips with times (GMDCSA24): mAP of pieces of time", _with_interval(data, "timed/frame_map"), ""]
        )
    for name in data["figures"]:
        if name.startswith(FRAMES):
            rows.append([f"AP of pieces of time: {name.removeprefix(FRAMES)}", _with_interval(data, name), ""])
    return markdown(["", *KINDS.values()], rows)


def timeline_labels_table(data: Data) -> str:
    """Show for each action how well its moments are told apart, and its events."""
    aps = {
        name.partition("/")[2]: value for name, value in data["figures"].items() if name.startswith("label_frame_ap/")
    }
    rows = [
        [label, _cell(data, f"label_frame_ap/{label}"), _cell(data, name := f"label_event_f1/{label}"), data["n"][name]]
        for label in sorted(aps, key=lambda label: -aps[label])
    ]
    return markdown(["", "AP of pieces of time", "event F1", "events"], rows)


def timeline_costs_table(data: Data) -> str:
    """Show what is seen of long films, and what timelines cost."""
    return markdown(["", ""], [[told, _cell(data, name)] for name, told in COSTS.items() if name in data["figures"]])


def timeline_watch_table(data: Data) -> str:
    """Show what `olmv watch` does with a live stream."""
    names = {f"watch/{name}": told for name, told in WATCH.items()}
    return markdown(["", ""], [[told, _cell(data, name)] for name, told in names.items() if name in data["figures"]])


def _cell(data: Data, name: str) -> str:
    value = data["figures"].get(name)
    return "" if value is None else f"{value:.0f}" if value >= 50 else f"{value:.3g}" if value >= 10 else f"{value:.3f}"


def _with_interval(data: Data, name: str) -> str:
    if name not in data["figures"]:
        return ""
    text = _cell(data, name)
    low, high = data["intervals"].get(name, (None, None))
    return (
        f"{text}, n = {data['n'][name]}" if low is None else f"{text} ({low:.3f} to {high:.3f}), n = {data['n'][name]}"
    )
