"""What the families of `VideoCLIP` have in common: reading one from its folder."""

from abc import abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from olmv.errors import ModelError, UsageError
from olmv.labels.quality import TextLimit
from olmv.models.clip.model import VideoCLIP
from olmv.models.clip.temporal import check_temporal, is_temporal_key
from olmv.models.clip.towers import Towers
from olmv.models.family import ModelInfo, TemporalChoice
from olmv.models.storage.folder import read_preprocess, reading
from olmv.models.storage.label_embeddings import load_label_embeddings, read_tensors
from olmv.models.storage.migrations import check_fields
from olmv.models.storage.weights import check_claims, fill

__all__ = ["VideoClipFamily"]

_FIELDS: Mapping[str, type | tuple[type, ...]] = {
    "temporal": str,
    "temporal_options": (dict, type(None)),
    "templates": str,
    "frame_pooling": str,
}


class VideoClipFamily:
    """A `Family` of `VideoCLIP`s; what differs are the towers."""

    required_files: tuple[str, ...]

    @abstractmethod
    def build_towers(self, config: Mapping[str, Any], folder: Path, saved: Mapping[str, Tensor]) -> Towers:
        """Make the towers, to be filled with the `saved` weights, whose names begin with `towers.`.

        Raises:
            ModelError: the weights are not those of the config, or another file cannot be used.
        """

    @abstractmethod
    def info(self, config: Mapping[str, Any], folder: Path, *, name: str) -> ModelInfo:
        """Tell what is known of the model without loading weights; see `Family`."""

    @abstractmethod
    def text_limit(self, config: Mapping[str, Any], folder: Path, *, name: str) -> TextLimit:
        """Tell how long a text the model reads; see `Family`."""

    def check(self, config: Mapping[str, Any], source: Path) -> None:
        """Raise ModelError where config.json does not say what every video CLIP needs."""
        check_fields(config, _FIELDS, source)
        try:
            check_temporal(config["temporal"], config["temporal_options"])
        except UsageError as error:
            raise ModelError(f"{source}: {error}") from None

    def load(self, config: Mapping[str, Any], folder: Path, *, name: str, temporal: TemporalChoice) -> VideoCLIP:
        """Load the model in float32 on the CPU; see `Family`."""
        preprocess = read_preprocess(folder)
        saved_options = check_temporal(config["temporal"], config["temporal_options"])
        saved, _ = read_tensors(folder / "model.safetensors")
        check_claims(saved_options, {k: v for k, v in saved.items() if is_temporal_key(k)}, folder)
        with reading(folder):
            towers = self.build_towers(config, folder, saved)
        if preprocess.size != towers.image_size:
            raise ModelError(
                f"{folder / 'preprocess.json'} makes frames of {preprocess.size} pixels, and the model is made for "
                f"{towers.image_size}; correct its size"
            )
        saved = {k: v.float() if v.is_floating_point() else v for k, v in saved.items()}
        module, options = temporal.name or config["temporal"], temporal.options
        if options is None and module == config["temporal"]:
            options = saved_options
        fresh = (module, check_temporal(module, options)) != (config["temporal"], saved_options)
        if fresh:  # the towers first: the module's first state may be a copy of their weights
            fill(towers, {k.removeprefix("towers."): v for k, v in saved.items() if not is_temporal_key(k)}, folder)
        with reading(folder):
            model = VideoCLIP(
                towers,
                name=name,
                preprocess=preprocess,
                temporal=module,
                temporal_options=options,
                templates=config["templates"],
                frame_pooling=config["frame_pooling"],
            )
        if not fresh:
            fill(model, saved, folder)
        model.label_embeddings = load_label_embeddings(folder)
        return model
