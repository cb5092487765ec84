"""What a family of models is: the few questions that loading, describing and publishing ask of it.

How a family is added:
  1. A folder in `olmv/models/` with its `VideoModel`; for a CLIP that sees frames, only its `Towers` (see `mini/`).
  2. `family.py` in it: `FAMILY`, which has the methods of `Family`; `VideoClipFamily` and `OwnFamily` bring most.
  3. One line in `olmv/models/families.py`: what config.json calls the family, and where it is.
  4. Saving is the model's own: `save_parts` gives what config.json says, and writes the files of this family.
  5. A tiny one in `make` of tests/models/kinds.py: the shared tests then ask the same of it as of every other kind.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from olmv.labels.quality import TextLimit
from olmv.models.base import VideoModel

__all__ = ["Family", "ModelInfo", "TemporalChoice"]


@dataclass(frozen=True)
class ModelInfo:
    """What is known of a model before its weights are loaded."""

    name: str
    family: str  # "olmv", "open_clip" or "xclip"
    architecture: str
    image_size: int | None
    embed_dim: int | None
    context_length: int | None
    ships_with_olmv: bool
    description: str
    temporal: str = "mean"  # as saved
    frames: int | None = None  # that it is made for; None where any number will do


@dataclass(frozen=True)
class TemporalChoice:
    """The temporal module to load a model with: `temporal` and `temporal_options` of `olmv.load_model`."""

    name: str | None = None
    options: Mapping[str, Any] | None = None

    @property
    def empty(self) -> bool:
        """Tell whether neither a module nor an option is named."""
        return self.name is None and not self.options


class Family(Protocol):
    """How models of one kind are read from a folder. `config` is always what `read_config` gave for that folder."""

    @property
    def required_files(self) -> tuple[str, ...] | None:
        """Name the files of a folder beside config, weights and preprocessing; None where olmv does not write such."""

    def check(self, config: Mapping[str, Any], source: Path) -> None:
        """Raise ModelError where a field that this family needs is missing or of the wrong type.

        `source` is the file, for messages.
        """

    def info(self, config: Mapping[str, Any], folder: Path, *, name: str) -> ModelInfo:
        """Tell what is known of the model without loading weights; raises ModelError where it cannot be used."""

    def load(self, config: Mapping[str, Any], folder: Path, *, name: str, temporal: TemporalChoice) -> VideoModel:
        """Load the model in float32 on the CPU, with the saved temporal module or that of `temporal`.

        Raises:
            ModelError: it cannot be used, or takes no temporal module.
            UsageError: unknown temporal module or option.
        """

    def text_limit(self, config: Mapping[str, Any], folder: Path, *, name: str) -> TextLimit:
        """Tell how long a text the model reads, without loading its weights; raises ModelError as `info`."""
