"""Lets a CPU-only torch live with a CUDA build of torchvision.

PyPI's torchvision is a CUDA build. Beside a CPU-only torch its compiled operators do not load, and then
`import torchvision` itself fails with `operator torchvision::nms does not exist`, because torchvision
describes two operators (`nms`, `qnms`) that were never declared. open_clip, timm and transformers import
torchvision and fall with it, although none of them needs these operators to classify.

The cure is to declare the two missing names, and nothing else, just before torchvision describes them. The
transforms then work; box operators still raise torchvision's own error, which explains the mismatch.

A finder on `sys.meta_path` waits for that one module, so installing it imports nothing.
"""

import importlib.abc
import importlib.machinery
import sys
from collections.abc import Sequence
from types import ModuleType
from typing import Any

_TARGET = "torchvision._meta_registrations"
_SCHEMA = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"

# A Library takes its declarations away with it when it is collected, so it is held here for good.
_declared: list[Any] = []


class _DeclareMissingOperators(importlib.abc.MetaPathFinder):
    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname == _TARGET and not _declared:
            _declare()
        return None  # always: the ordinary finders load the module


def _declare() -> None:
    extension = sys.modules.get("torchvision.extension")
    if extension is None or extension._has_ops():
        return
    import torch

    new_library: Any = torch.library.Library  # untyped in torch
    library = new_library("torchvision", "DEF")
    for name in ("nms", "qnms"):
        library.define(name + _SCHEMA)
    _declared.append(library)


def install() -> None:
    """Put the finder first on `sys.meta_path`, once."""
    if not any(isinstance(finder, _DeclareMissingOperators) for finder in sys.meta_path):
        sys.meta_path.insert(0, _DeclareMissingOperators())
