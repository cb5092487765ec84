"""A captioner to put in place of a real one, and `olmv caption` run with it."""

import json
from pathlib import Path
from typing import Any

from torch import Tensor

from olmv.video.transforms import Preprocess
from tests.support.llm_stub import StubServer

WORDS = ("dog", "cat", "bird", "fish")
COLOURS = ("red", "green", "blue", "white", "black", "yellow", "brown", "grey")


class Captioner:
    """Says something of every frame, or what it is told to."""

    name = "blip2:stub"
    preprocess = Preprocess(size=32, resize_mode="squash")

    def __init__(self, says: Any = None) -> None:
        self.says = says or (lambda number: f"a {WORDS[number % 4]} on a {COLOURS[number // 4 % 8]} lawn")
        self.batches: list[int] = []
        self.closed = 0

    def caption(self, frames: Tensor) -> list[str]:
        assert tuple(frames.shape[1:]) == (3, 32, 32)
        begin = sum(self.batches)
        self.batches.append(len(frames))
        return [self.says(begin + number) for number in range(len(frames))]

    def close(self) -> None:
        self.closed += 1


def caption(olmv: Any, server: StubServer, *more: str, inputs: str = "clips") -> tuple[int, str, str]:
    result: tuple[int, str, str] = olmv(
        "caption", inputs, "-o", "c.jsonl", "--captioner", "blip2:stub", "--llm", server.spec, "--frames", "4", *more
    )
    return result


def rows(path: str = "c.jsonl") -> list[dict[str, Any]]:
    return [json.loads(line) for line in Path(path).read_text("utf-8").splitlines()]
