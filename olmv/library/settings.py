"""What a library says of itself: the format, the model that made its embeddings, and how videos were sampled.

LIBRARY/library.json          {"format": "olmv-library", "version": 1, "model": {...}, "sampling": {...}}
LIBRARY/fragments.json        which fragments count, see `olmv.library.listing`
LIBRARY/fragments/000001/     what some videos gave, see `olmv.library.fragment`
LIBRARY/videos.parquet        a row a video, for other programs; made anew from the fragments
LIBRARY/.lock                 held by the one that writes
"""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from olmv.errors import InputError, ModelError, OutputError, UsageError
from olmv.io.atomic import check_writable, os_reason, write_atomic
from olmv.io.digests import sha256_json
from olmv.library import LIBRARY_FILE, is_library
from olmv.placement import PlacementOptions
from olmv.scoring.windows import TimelineOptions
from olmv.video.options import DecodeOptions, Sampling

if TYPE_CHECKING:
    from olmv.models.base import VideoModel

__all__ = [
    "LIBRARY_FILE",
    "TARGET_BYTES",
    "VERSION",
    "LibrarySettings",
    "check_fillable",
    "digest_model",
    "is_library",
    "stores_frames",
]

FORMAT = "olmv-library"
VERSION = 1
TARGET_BYTES = 256 * 2**20
"""Of a fragment, when a library is compacted."""

# From an earlier version's document to the next one's, by the version that it is of.
MIGRATIONS: dict[int, Callable[[dict[str, Any]], dict[str, Any]]] = {}

_OWN = ("fragments", ".lock")
_HASHED = 16384  # numbers of each weight: training moves all of them


@dataclass(frozen=True, kw_only=True)
class LibrarySettings:
    """Everything that the embeddings of a library depend on.

    Attributes:
        model: name or folder, as the user wrote it.
        digest: of the model's weights.
        dtype: frames were encoded in.
        dimension: D, of the embeddings.
        rows: `frames`: a row for each frame, of which windows of any length can be made; `windows`: the rows of each
            window, of a model whose frames depend on each other.
        frame_pooling: the model's own.
        frames, every_s, max_frames, sampling: as `DecodeOptions`.
        window_s, step_s: of a timeline, else None.
    """

    model: str
    digest: str
    dtype: str
    dimension: int
    rows: str
    frame_pooling: str
    frames: int
    every_s: float | None
    max_frames: int | None
    sampling: Sampling
    window_s: float | None
    step_s: float | None

    @classmethod
    def of(
        cls, model: "VideoModel", decode: DecodeOptions, timeline: TimelineOptions | None, *, name: str | None = None
    ) -> "LibrarySettings":
        """Make the settings of a library that is filled with this model and these options.

        Raises:
            UsageError: a model whose texts depend on the video, so that no embedding of it can be kept.
        """
        if model.prompts_texts:
            raise UsageError(
                f"the texts of {model.name} depend on each video, which a library does not keep; choose a video CLIP",
                option="model",
            )
        return cls(
            model=name or model.name,
            digest=digest_model(model),
            dtype=model.dtype_name,
            dimension=model.embed_dim,
            rows="frames" if stores_frames(model) else "windows",
            frame_pooling=model.frame_pooling,
            frames=decode.frames,
            every_s=decode.every_s,
            max_frames=decode.max_frames,
            sampling=decode.sampling,
            window_s=None if timeline is None else timeline.window_s,
            step_s=None if timeline is None else timeline.step_s,
        )

    @classmethod
    def read(cls, folder: str | Path) -> "LibrarySettings":
        """Read the settings of a library.

        Raises:
            InputError: there is no library, or one of a later version, or its file is damaged.
        """
        path = Path(folder) / LIBRARY_FILE
        try:
            document = _migrated(json.loads(path.read_text(encoding="utf-8")), folder)
            values = {**document["model"], **document["sampling"]}
            return cls(**{field.name: values[field.name] for field in fields(cls)})
        except (FileNotFoundError, NotADirectoryError):
            raise InputError(f"{folder} is no library: it has no {LIBRARY_FILE}; make one with olmv index") from None
        except OSError as failure:
            raise InputError(f"cannot read {path}: {os_reason(failure)}") from failure
        except (ValueError, TypeError, KeyError, RecursionError):
            raise InputError(f"{path} is damaged; index the videos again into another folder") from None

    def write(self, folder: Path) -> None:
        """Write the settings of a new library.

        Raises:
            OutputError: the file cannot be written.
        """
        values = asdict(self)
        names = [field.name for field in fields(self)]
        about, sampling = names[: names.index("frames")], names[names.index("frames") :]
        made = {name: values[name] for name in about}, {name: values[name] for name in sampling}
        document = {
            "format": FORMAT,
            "version": VERSION,
            "model": made[0],
            "sampling": made[1],
            "sha256": sha256_json(made),
        }
        write_atomic(folder / LIBRARY_FILE, json.dumps(document, indent=2, ensure_ascii=False) + "\n")

    @property
    def timeline(self) -> TimelineOptions | None:
        """Return the windows of a timeline, or None."""
        if self.window_s is None or self.step_s is None:
            return None
        return TimelineOptions(window_s=self.window_s, step_s=self.step_s)

    @property
    def decode(self) -> DecodeOptions:
        """Return how its videos were sampled."""
        return DecodeOptions(
            frames=self.frames,
            every_s=self.every_s,
            max_frames=self.max_frames,
            sampling=self.sampling,
            timeline=self.window_s is not None,
        )

    def digest_of_settings(self) -> str:
        """Return a name for all of it: two libraries with the same one can be merged. The model's name is not in it."""
        return sha256_json({name: value for name, value in asdict(self).items() if name != "model"})

    def check_same(self, other: "LibrarySettings", folder: str | Path) -> None:
        """Check that videos can be added to the library in `folder`, whose settings these are, under `other` ones.

        Raises:
            UsageError: another model, or another sampling; the message names the first difference.
        """
        if self.digest != other.digest:
            raise UsageError(
                f"{folder} has {self._others(other.model, other.dtype)}: one library, one model; choose that one, or "
                "another library",
                option=("model", "dtype", "runtime"),
            )
        if self.window_s is None and other.window_s is not None:  # else it would be told by the frames of a window
            raise UsageError(
                f"{folder} was made without a timeline; leave it out, or choose another library", option="timeline"
            )
        for name, mine in asdict(self).items():
            theirs = getattr(other, name)
            if name not in ("model", "digest") and mine != theirs:
                raise UsageError(
                    f"{folder} was made with {name} {mine}, not {theirs}; leave it out, or choose another library",
                    option=name,
                )

    def load_model(
        self, where: str, name: str | None = None, placement: PlacementOptions = PlacementOptions()
    ) -> "VideoModel":
        """Load the model that made the embeddings, in the numbers that it made them in; it is not checked yet.

        Args:
            where: the library, for messages.
            name: where the model is now; None for where it was.
            placement: where it runs; a dtype of `auto` is the library's.

        Raises:
            UsageError: the library's own model is not here.
            ModelError: one that was named cannot be loaded.
        """
        from olmv.models.registry import load_model

        dtype = self.dtype if placement.dtype == "auto" else placement.dtype
        try:
            return load_model(name or self.model, device=placement.device, dtype=dtype, runtime=placement.runtime)
        except ModelError as failure:
            if name not in (None, self.model):
                raise
            raise UsageError(
                f"{where} was made with {self.model}, which cannot be loaded here ({failure}); name where it is",
                option="model",
            ) from None

    def check_model(self, model: "VideoModel", folder: str | Path) -> None:
        """Check that a model is the one whose embeddings the library in `folder` has.

        Raises:
            UsageError: it is another one, or in another number format.
            InputError: the file of the settings is damaged: its vectors have another length.
        """
        if digest_model(model) != self.digest:
            raise UsageError(
                f"{folder} has {self._others(model.name, model.dtype_name)}; choose that model, or leave it out",
                option=("model", "dtype", "runtime"),
            )
        if model.embed_dim != self.dimension:
            raise InputError(f"{Path(folder) / LIBRARY_FILE} is damaged; index the videos again into another folder")

    def _others(self, model: str, dtype: str) -> str:
        """Say whose embeddings these are, as against those of another model."""
        if (self.model, self.dtype) == (model, dtype):
            return f"the embeddings of {model} in {dtype} with other weights, or in another runtime"
        return f"the embeddings of {self.model} in {self.dtype}, not of {model} in {dtype}"


def _migrated(document: dict[str, Any], folder: str | Path) -> dict[str, Any]:
    if document["format"] != FORMAT:
        raise ValueError("it is something else")
    version = int(document["version"])
    if version > VERSION:
        raise InputError(f"{folder} is a library of version {version}, made by a later olmv; upgrade olmv")
    if "sha256" in document and document["sha256"] != sha256_json([document["model"], document["sampling"]]):
        raise ValueError("it was changed by hand, or by the disk")
    while version < VERSION:
        document = MIGRATIONS[version](document)
        version += 1
    return document


def check_fillable(folder: str | Path) -> None:
    """Check that a folder is a library, or can become one: there is nothing, or it is empty. Changes nothing.

    Raises:
        OutputError: there is a file, or a folder with something else in it, or nothing can be written there.
    """
    path = Path(folder)
    if path.exists() and not path.is_dir():
        raise OutputError(f"{folder} is a file; name a folder for the library", option="output")
    try:
        # `fragments` and the lock stand first where a run was killed at its very beginning
        names = [] if not path.is_dir() or is_library(path) else [place.name for place in path.iterdir()]
    except OSError as failure:
        raise OutputError(f"cannot read {folder}: {os_reason(failure)}", option="output") from failure
    if any(name not in _OWN and not name.startswith(".olmv-") for name in names):
        raise OutputError(
            f"{folder} is no library and has other things in it; name a folder that is empty or new", option="output"
        )
    check_writable(next(place for place in (path, *path.parents) if place.exists()) / LIBRARY_FILE)


def stores_frames(model: "VideoModel") -> bool:
    """Tell whether rows of single frames are all that windows of this model are made of."""
    from olmv.models.clip.model import VideoCLIP

    return isinstance(model, VideoCLIP) and model.temporal == "mean"


def digest_model(model: "VideoModel") -> str:
    """Return a name for the weights of a model, towers and all: by some numbers of each weight, so that it is quick."""
    import torch

    from olmv.models.fingerprint import digest_weights

    weights = (
        (name, weight.detach().flatten()[:: max(weight.numel() // _HASHED, 1)].contiguous())
        for name, weight in model.named_parameters()
    )
    facts = (model.temporal, model.embed_dim, *model.text_facts())
    with torch.inference_mode():
        return digest_weights(weights, *facts)[:32]
