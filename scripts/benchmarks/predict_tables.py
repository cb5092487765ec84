"""The tables of `tables.py` that show how fast `olmv predict` is."""

from collections.abc import Mapping
from typing import Any

from scripts.benchmarks.md_table import markdown

__all__ = ["parts_table", "processes_table", "runs_table"]

Data = Mapping[str, Any]

PARTS = {
    "small": "clips 320x240, 10 s",
    "720p": "clips 1280x720, 20 s, a keyframe a second",
    "longgop": "clips 1280x720, 60 s, a keyframe every 250 frames",
}
ARMS = {
    "naive": "OpenCV + PIL + open_clip",
    "transformers": "transformers' CLIP",
    "decord": "decord + open_clip, batches",
    "torchcodec": "torchcodec + open_clip, batches",
    "olmv": "olmv",
    "olmv-int8": "olmv, int8",
    "olmv-keyframes": "olmv, keyframes",
    "floor": "olmv's floor",
}
SHARES = {
    "over_floor": "over the floor, wall",
    "over_floor_processor": "processor",
    "encoder_idle": "encoder idle",
    "decoders_idle": "decoders idle",
}
COMMANDS = {
    "1": "one clip",
    "10": "10 clips",
    "60": "60 clips",
}
OTHERS = {
    "import_torch": '`python -c "import torch"`',
    "mini": "`olmv predict` of one clip, olmv-mini",
    "lite": "the same, olmv-lite",
    "describe_dry_run": "`olmv describe-labels --dry-run`",
}
RUNS = {
    "calls/ViT-B-32/seconds_a_call": "a call of `Classifier.predict` with one clip, ViT-B-32, s",
    "calls/ViT-B-32/with/seconds_a_call": "the same inside `with`, s",
    "calls/olmv-mini/seconds_a_call": "olmv-mini, s",
    "calls/olmv-mini/with/seconds_a_call": "the same inside `with`, s",
    "calls/worker_start_s": "start of a worker, s",
    "memory/olmv/pss_mb": "memory of `olmv predict` with two workers, all processes, MB",
    "memory/naive/pss_mb": "of the naive script, MB",
    "memory/worker/pss_mb": "of a worker, shared pages in parts, MB",
    "memory/worker/rss_mb": "shared pages in full, MB",
    "memory/growth": "what four times as many clips add, share",
}


def parts_table(data: Data) -> str:
    """Show seconds a video of every arm, by kind of clip; what the figures do not hold stays empty."""
    rows = []
    for part, told in PARTS.items():
        cells = [_cell(data, f"parts/{part}/{arm}/seconds_a_video") for arm in ARMS]
        shares = [_cell(data, f"parts/{part}/{share}") for share in SHARES]
        rows.append([f"{data['n'][f'parts/{part}/olmv/seconds_a_video']} {told}", *cells, *shares])
    return markdown(["", *ARMS.values(), *SHARES.values()], rows)


def processes_table(data: Data) -> str:
    """Show seconds of whole processes."""
    rows = []
    for count, told in COMMANDS.items():
        names = [f"processes/{count}/{end}" for end in ("olmv/wall_s", "naive/wall_s", "over_naive")]
        names += [f"processes/{count}/{end}" for end in ("olmv/processor_s", "naive/processor_s")]
        rows.append([f"`olmv predict`, {told}, ViT-B-32", *(_cell(data, name) for name in names)])
    for name, told in OTHERS.items():
        wall, processor = (_cell(data, f"processes/{name}/{end}") for end in ("wall_s", "processor_s"))
        rows.append([told, wall, "", "", processor, ""])
    head = ["", "s", "naive script, s", "over it", "processor, s", "naive script, processor, s"]
    return markdown(head, rows)


def runs_table(data: Data) -> str:
    """Show what calls take, and the memory of runs."""
    return markdown(["", ""], [[told, _cell(data, name)] for name, told in RUNS.items() if name in data["figures"]])


def _cell(data: Data, name: str) -> str:
    value = data["figures"].get(name)
    return "" if value is None else f"{value:.0f}" if value >= 50 else f"{value:.2f}"
