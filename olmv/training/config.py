"""A training run as data: a YAML file, read into frozen dataclasses.

    config = load_config("configs/moji_motions.yaml", overrides=["optimizer.epochs=3"])

Every key has its meaning and unit beside it here; an unknown one is refused with the nearest known one.
"""

import dataclasses
import difflib
from collections.abc import Iterable, Mapping
from dataclasses import field
from pathlib import Path
from typing import Any, Literal, Self

import yaml
from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from olmv.errors import InputError, UsageError
from olmv.files import read_text, share_dir

__all__ = [
    "Augmentation",
    "Data",
    "Model",
    "MojiSource",
    "Objective",
    "Optimizer",
    "Regularization",
    "Run",
    "SoftAttributesConfig",
    "Source",
    "Sweep",
    "TrainConfig",
    "find_config",
    "load_config",
    "parse_config",
]

_STRICT = ConfigDict(extra="forbid")


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class SoftAttributesConfig:
    """A frozen language model that is prompted to describe labels (see `olmv.models.soft_attributes`)."""

    llm: str  # folder or Hugging Face id
    prefixes: int = 16
    queries: int = 8
    labels_per_step: int = 64  # all true ones and others at random: each costs a pass of the language model


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class Model:
    """What is trained."""

    name: str = "olmv-mini"
    # a new module in its first state; None: the model's own
    temporal: Literal["mean", "attention", "transformer", "cross-frame", "divided"] | None = None
    temporal_options: dict[str, Any] = field(default_factory=dict)
    # `visual`: image tower, temporal module, scale and bias; `new`: only weights that the original did not have,
    # the frozen-tower baseline
    train: Literal["visual", "new"] = "visual"
    templates: str | None = None  # None: the model's own
    random_weights: bool = False  # an architecture of open_clip without its weights: for speed and smoke runs only
    gradient_checkpointing: bool = False
    soft_attributes: SoftAttributesConfig | None = None


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class MojiSource:
    """Clips of the Moji world, drawn as they are needed."""

    seed: int
    clips: int  # an epoch
    objects: str = "seen"  # `seen`, `unseen`, or a slice of either: `seen[:200]`
    labels: tuple[Literal["objects", "scenes", "motions"], ...] = ("objects", "scenes", "motions")
    counts: tuple[int, ...] = (1, 2, 3)
    motions: tuple[str, ...] | None = None  # None: all
    pairings: Literal["training", "held-out", "all"] = "training"
    fresh: bool = False  # other clips in every epoch


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class Source:
    """Where videos and their labels come from: exactly one of `manifest`, `dataset` and `moji`."""

    manifest: Path | None = None  # csv, jsonl or parquet
    dataset: str | None = None  # a Hugging Face data set: folder or hub id
    moji: MojiSource | None = None
    split: str | None = None
    labels: Path | None = None  # of this source, where it differs from the training vocabulary
    video_column: str = "video"
    label_column: str = "labels"

    def __post_init__(self) -> None:
        if sum(x is not None for x in (self.manifest, self.dataset, self.moji)) != 1:
            raise ValueError("name exactly one of manifest, dataset and moji")


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class Augmentation:
    """What happens to training clips; every frame of a clip is treated alike."""

    crop: Literal["random", "random-resized", "centre"] = "random"
    flip: float = 0.5  # probability; off where labels speak of left and right
    colour_jitter: float = 0.0  # strength


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class Data:
    """Videos and vocabulary."""

    train: Source
    validation: dict[str, Source] = field(default_factory=dict)  # by name; `guard` is special, see Sweep
    labels: Path | None = None  # label file; None: all labels of the training source
    attributes: Path | None = None  # attribute book
    frames: int = 8
    sampling: Literal["uniform", "window"] = "uniform"
    augmentation: Augmentation = field(default_factory=Augmentation)
    cache: Path | None = None  # folder for decoded frames
    # folder for what a frozen image tower gives, encoded once instead of in every epoch (model.train: new)
    feature_cache: Path | None = None
    workers: int | None = None  # decoding processes; None: one per core


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class Objective:
    """The loss."""

    label: Literal["bce", "asymmetric", "cross-entropy"] = "bce"
    label_weight: float = 1.0
    caption_weight: float = 0.0  # Open-VCLIP++ uses 4.0
    frame_pooling: Literal["mean", "max", "softmax"] = "mean"


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class Regularization:
    """What keeps the model near the original."""

    iwr: float = 0.0  # strength C of interpolated weight regularisation; Open-VCLIP: 0.5
    iwr_max_ratio: float = 0.6  # R: the original's weight is drawn from U(0, R)
    l2: float = 0.0  # weight of the squared distance to the original
    swa_start: int | None = None  # average the checkpoints of the epochs after this one; None: the last weights

    def __post_init__(self) -> None:
        if not 0 <= self.iwr_max_ratio < 1:
            raise ValueError(f"iwr_max_ratio is {self.iwr_max_ratio}; it must be at least 0 and below 1")


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class Optimizer:
    """AdamW with a linear warm-up and a cosine decay."""

    lr: float = 3.33e-6
    new_lr: float | None = None  # of weights that the original did not have; None: lr
    weight_decay: float = 0.01  # not on biases, norms and other vectors
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    epochs: int = 22
    warmup_epochs: float = 2.0
    warmup_start: float = 0.01  # fraction of lr
    end: float = 0.01  # fraction of lr
    batch_size: int = 8  # clips per process and forward pass
    accumulate: int = 1  # forward passes per step
    clip_norm: float = 1.0  # of the gradient, global L2

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "accumulate"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be at least 1")


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class Sweep:
    """Test-time patching: ratio * original + (1 - ratio) * tuned, measured on the validation sources.

    The ratio is chosen without the unseen test set. With a validation source named `guard` (labels that are
    neither trained nor tested): the best training-label score among the ratios that keep the guard's score
    within `tolerance` of the original's. Without one: the largest ratio whose score is within `tolerance` of
    the best.
    """

    ratios: tuple[float, ...] = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
    tolerance: float = 0.01
    ratio: float | None = None  # None: by the rule; a number: as published, the curve is still drawn


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class Run:
    """How the run behaves."""

    seed: int = 0
    device: str = "auto"
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    steps: int | None = None  # stop after so many optimizer steps, whatever the epochs say
    checkpoint_minutes: float = 10.0  # also at the end of every epoch
    keep_checkpoints: int = 2
    log_every: int = 10  # steps
    validate_every: int = 1  # epochs; 0: only at the end
    max_failed: float = 0.05  # of an epoch's videos; more stop the run


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class TrainConfig:
    """A whole training run."""

    data: Data
    model: Model = field(default_factory=Model)
    objective: Objective = field(default_factory=Objective)
    regularization: Regularization = field(default_factory=Regularization)
    optimizer: Optimizer = field(default_factory=Optimizer)
    sweep: Sweep | None = None
    run: Run = field(default_factory=Run)
    description: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Plain data, as `config.yaml` of a run folder holds it."""
        plain: dict[str, Any] = TypeAdapter(type(self)).dump_python(self, mode="json")
        return plain

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], *, source: str = "the config") -> Self:
        """Checked config from plain data.

        Raises:
            UsageError: an unknown key (the nearest known one is named), a missing one, or a bad value.
        """
        try:
            return TypeAdapter(cls).validate_python(dict(values))
        except ValidationError as error:
            raise UsageError(f"{source}: {_explain(error)}") from None


def find_config(name: str) -> Path:
    """A path as it is; otherwise the config of this name that ships with olmv.

    Raises:
        InputError: neither; close matches are named.
    """
    path = Path(name)
    if path.is_file() or path.suffix in (".yaml", ".yml"):
        return path
    shipped = {p.stem: p for p in sorted(share_dir("configs").glob("*.yaml"))}
    if name not in shipped:
        close = difflib.get_close_matches(name, shipped, n=3) or list(shipped)
        raise InputError(f"no config file or shipped config is called '{name}'; there are {', '.join(close)}")
    return shipped[name]


def load_config(path: str | Path, overrides: Iterable[str] = (), *, smoke: bool = False) -> TrainConfig:
    """Read a config file.

    Args:
        path: YAML. Relative paths in it are relative to the working directory.
        overrides: `key.sub=value`, the value as YAML; later ones win.
        smoke: apply the file's own `smoke` overrides: a run of a minute that shows that everything fits.

    Raises:
        InputError: no such file, or not YAML.
        UsageError: unknown keys, bad values, bad overrides, or no smoke mode.
    """
    try:
        values = yaml.safe_load(read_text(path, error=InputError))
    except yaml.YAMLError as error:
        told = " ".join(str(error).split())
        raise InputError(f"{path} is not YAML: {told}") from None
    if not isinstance(values, dict):
        raise InputError(f"{path} holds no keys; a config starts with `data:`")
    quick = values.pop("smoke", None)
    if smoke:
        if not isinstance(quick, dict):
            raise UsageError(f"{path} has no `smoke` section; run it without --smoke")
        for key, value in quick.items():
            _put(values, str(key).split("."), value)
    return parse_config(values, overrides, source=str(path))


def parse_config(
    values: Mapping[str, Any], overrides: Iterable[str] = (), *, source: str = "the config"
) -> TrainConfig:
    """A config from plain data and `key=value` overrides.

    Raises:
        UsageError: unknown keys, bad values or bad overrides.
    """
    merged = _copy(values)
    for item in overrides:
        key, sign, text = item.partition("=")
        if not sign or not key.strip():
            raise UsageError(f"--set {item!r} is not key=value; write for example --set optimizer.epochs=3")
        try:
            value = yaml.safe_load(text)
        except yaml.YAMLError:
            raise UsageError(f"--set {item!r}: the value is not YAML; put it in quotes") from None
        _put(merged, key.strip().split("."), _number(value))
    return TrainConfig.from_dict(merged, source=source)


def _number(value: Any) -> Any:
    """YAML 1.1 reads 1e-4 as text; people mean a number."""
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            return value
    return value


def _copy(values: Any) -> Any:
    if isinstance(values, Mapping):
        return {key: _copy(value) for key, value in values.items()}
    if isinstance(values, list):
        return [_copy(value) for value in values]
    return _number(values) if isinstance(values, str) and values[:1] in "0123456789.-+" else values


def _put(values: dict[str, Any], keys: list[str], value: Any) -> None:
    for key in keys[:-1]:
        inner = values.get(key)
        if not isinstance(inner, dict):
            inner = values[key] = {}
        values = inner
    values[keys[-1]] = value


def _explain(error: ValidationError) -> str:
    """The first problem, as one line with its key."""
    first = error.errors()[0]
    place = [str(part) for part in first["loc"]]
    key = ".".join(place)
    if first["type"] == "unexpected_keyword_argument":
        known = _keys_at(TrainConfig, place[:-1])
        close = difflib.get_close_matches(place[-1], known, n=1, cutoff=0.5)
        hint = f"did you mean '{close[0]}'?" if close else f"known here: {', '.join(known)}"
        return f"unknown key '{key}'; {hint}"
    if first["type"] == "missing":
        return f"'{key}' is missing; add it"
    message = first["msg"].removeprefix("Value error, ")
    return f"'{key}': {message[:1].lower()}{message[1:]}" if key else message


def _keys_at(cls: Any, place: list[str]) -> list[str]:
    """The field names of the dataclass that stands at this place of the config."""
    for part in place:
        hints = {f.name: f.type for f in dataclasses.fields(cls)}
        if part in hints:
            found = _dataclass_in(hints[part])
            cls = found if found is not None else cls
    return [f.name for f in dataclasses.fields(cls)]


def _dataclass_in(hint: Any) -> Any:
    if dataclasses.is_dataclass(hint):
        return hint
    for inner in getattr(hint, "__args__", ()):
        if (found := _dataclass_in(inner)) is not None:
            return found
    return None
