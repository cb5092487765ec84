#!/usr/bin/env python3
"""Print the modules that one `olmv predict` call enters, by room, and those on its main path.

    scripts/tools/trace_predict.py                 a shipped clip, olmv-mini
    scripts/tools/trace_predict.py --json          the same as JSON

The main path is what a newcomer opens to follow one video from the command to its row: every module that stands on the
call stack when something happens to it: see DEEDS.
Decoding happens in this process (`--workers 0`), or it could not be seen. A step is an upward one if it leads to a room
that an earlier step of the same stack has left already.
"""

import argparse
import itertools
import json
import os
import sys
import tempfile
from pathlib import Path
from types import FrameType
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
# what happens, and the function in which it does, under its names of all times, whatever module it lives in
DEEDS = {
    "the inputs are listed": ("expand_inputs",),
    "the labels are read": ("_inline_names",),
    "the model is loaded": ("fill", "_fill"),
    "the texts are encoded": ("encode_texts",),
    "frames are chosen": ("uniform",),
    "a frame is decoded": ("_decode_packet",),
    "a frame is resized": ("resize",),
    "frames are encoded": ("encode_stills",),
    "labels are scored": ("score",),
    "probabilities are made": ("to_probabilities",),
    "the row is made": ("to_row",),
    "the row is written": ("encode_row",),
}


def module_of(frame: FrameType) -> str | None:
    """The module below `olmv` in which a frame runs, or None."""
    name = str(frame.f_globals.get("__name__", ""))
    return name.removeprefix("olmv.") if name.startswith("olmv.") else None


def trace(arguments: list[str]) -> tuple[list[str], dict[str, list[str]]]:
    """The modules entered, in order, and for each deed the modules on its stack, outermost first."""
    from olmv.cli import main

    entered: dict[str, None] = {}
    stacks: dict[str, list[str]] = {}

    def watch(frame: FrameType, event: str, _: Any) -> None:
        if event != "call" or frame.f_code.co_name == "<module>" or (module := module_of(frame)) is None:
            return
        entered.setdefault(module)
        for deed, functions in DEEDS.items():
            if frame.f_code.co_name in functions and deed not in stacks:
                stacks[deed] = stack_of(frame)

    sys.setprofile(watch)
    try:
        main(arguments)
    except SystemExit:
        pass
    finally:
        sys.setprofile(None)
    return list(entered), stacks


def stack_of(frame: FrameType | None) -> list[str]:
    """The modules from the command down to this frame, each step once."""
    modules: list[str] = []
    while frame is not None:
        module = module_of(frame)
        if module is not None and module.startswith("cli") and modules and modules[-1].startswith("cli"):
            module = None if module == modules[-1] else module
        if module is not None and (not modules or modules[-1] != module):
            modules.append(module)
        frame = frame.f_back
    return [module for module in reversed(modules) if module not in ("cli", "cli.app")]


def room_of(module: str) -> str:
    """The room of a module: its first folder, or itself on the ground floor."""
    return module.partition(".")[0]


def doors(stack: list[str]) -> list[str]:
    """The modules through which a stack comes into a room."""
    before = ["", *stack]
    return [now for left, now in itertools.pairwise(before) if room_of(left) != room_of(now)]


def returns(stack: list[str]) -> list[str]:
    """The steps of a stack that lead to a room which the stack had left before."""
    steps: list[str] = []
    left: set[str] = set()
    for before, now in itertools.pairwise(stack):
        if room_of(before) != room_of(now):
            left.add(room_of(before))
            if room_of(now) in left:
                steps.append(f"{before} -> {now}")
    return steps


def main() -> int:
    """Run the call and print what it entered."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--clips", type=Path, help="a folder of clips, in place of the shipped ones")
    options = parser.parse_args()
    clip = sorted(options.clips.glob("*.mp4") if options.clips else (ROOT / "olmv").glob("*/clips/*.mp4"))[0]
    with tempfile.TemporaryDirectory() as folder:
        os.environ["OLMV_CACHE"] = folder  # or the texts would be encoded already
        rows = Path(folder) / "rows.jsonl"
        command = ["predict", str(clip), "-l", "dog, guitar, car", "-m", "olmv-mini", "--workers", "0", "-o", str(rows)]
        entered, stacks = trace([*command, "--quiet"])
        if not rows.exists() or (missing := [deed for deed in DEEDS if deed not in stacks]):
            print(f"the call did not get to its end: {missing}", file=sys.stderr)
            return 1
    path = list(dict.fromkeys(module for stack in stacks.values() for module in stack))
    rooms = list(dict.fromkeys(room_of(module) for module in path))
    upward = {step for stack in stacks.values() for step in returns(stack)}
    if options.json:
        print(json.dumps({"entered": entered, "path": path, "rooms": rooms, "upward": sorted(upward)}))
        return 0
    for deed, stack in stacks.items():
        print(f"{deed}:\n    {' > '.join(stack)}")
    print(f"\nmain path: {len(path)} modules in {len(rooms)} rooms ({', '.join(rooms)})")
    entries = list(dict.fromkeys(door for stack in stacks.values() for door in doors(stack)))
    print(f"entered through {len(entries)} doors: {', '.join(entries)}")
    print(f"rooms entered twice on one stack: {', '.join(sorted(upward)) or 'none'}")
    print(f"entered at all: {len(entered)} modules")
    for room in dict.fromkeys(map(room_of, entered)):
        print(f"    {room}: {', '.join(module for module in entered if room_of(module) == room)}")
    return 0


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    raise SystemExit(main())
