"""olmv: which of these labels are true of a video?

>>> import olmv
>>> classifier = olmv.Classifier.from_pretrained("olmv-mini")
>>> for prediction in classifier.predict(["a.mp4"], olmv.Vocabulary.from_names(["dog", "rain"])):
...     print(prediction.video, prediction.positives)

Public names are imported when they are first used, so `import olmv` itself is quick and imports no torch.
"""

import importlib
from typing import TYPE_CHECKING, Any

from olmv import _torchvision_guard, errors
from olmv.errors import *  # noqa: F403  # every error is a public name

if TYPE_CHECKING:
    from olmv.classifier import Classifier
    from olmv.client.client import Client
    from olmv.labels.attributes import AttributeBook
    from olmv.labels.vocabulary import Vocabulary
    from olmv.library.library import Library
    from olmv.models.hub.upload import push_to_hub
    from olmv.models.registry import load_model
    from olmv.models.storage.saving import save_pretrained
    from olmv.predictions import VideoPrediction
    from olmv.scoring.thresholds import Thresholds
    from olmv.scoring.windows import TimelineOptions
    from olmv.video.readers.open import read_frames

__version__ = "0.1.0"

__all__ = [
    "AttributeBook",
    "Classifier",
    "Client",
    "Library",
    "Thresholds",
    "TimelineOptions",
    "VideoPrediction",
    "Vocabulary",
    "load_model",
    "push_to_hub",
    "read_frames",
    "save_pretrained",
]
__all__ += errors.__all__

_LAZY = {
    "AttributeBook": "olmv.labels.attributes",
    "Classifier": "olmv.classifier",
    "Client": "olmv.client.client",
    "Library": "olmv.library.library",
    "Thresholds": "olmv.scoring.thresholds",
    "TimelineOptions": "olmv.scoring.windows",
    "VideoPrediction": "olmv.predictions",
    "Vocabulary": "olmv.labels.vocabulary",
    "load_model": "olmv.models.registry",
    "push_to_hub": "olmv.models.hub.upload",
    "read_frames": "olmv.video.readers.open",
    "save_pretrained": "olmv.models.storage.saving",
}

_torchvision_guard.install()


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'olmv' has no attribute {name!r}")
    value = getattr(importlib.import_module(_LAZY[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
