"""A training run as data: frozen dataclasses, which `olmv.train.config_file` reads from YAML.

Every key has its meaning and unit beside it here; an unknown one is refused with the nearest known one.
"""

from collections.abc import Mapping
from dataclasses import field
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from olmv.errors import UsageError
from olmv.train.config_errors import explain

__all__ = [
    "Augmentation",
    "Continual",
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
]

_STRICT = ConfigDict(extra="forbid", allow_inf_nan=False)

Count = Annotated[int, Field(ge=1)]
Natural = Annotated[int, Field(ge=0)]
Positive = Annotated[float, Field(gt=0)]
NonNegative = Annotated[float, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]
Momentum = Annotated[float, Field(ge=0, lt=1)]

GUARD = "guard"  # the validation source that limits the ratio, see `Sweep`


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class SoftAttributesConfig:
    """A frozen language model that is prompted to describe labels (see `olmv.models.soft_attributes.module`)."""

    llm: str  # folder or Hugging Face id
    prefixes: Count = 16
    queries: Count = 8
    labels_per_step: Count = 64  # all true ones and others at random: each costs a pass of the language model


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class Model:
    """What is trained."""

    name: str = "olmv-mini"
    # a new module in its first state; None: the model's own
    temporal: Literal["mean", "attention", "transformer", "cross-frame", "divided", "st-adapter"] | None = None
    temporal_options: dict[str, Any] = field(default_factory=dict)
    # `visual`: image tower, temporal module, scale and bias; `new`: only weights that the original did not have,
    # the frozen-tower baseline
    train: Literal["visual", "new"] = "visual"
    templates: str | None = None  # None: the model's own
    # the filter that frames are resized with, in training and by the trained model; None: the model's own
    interpolation: Literal["bicubic", "bilinear"] | None = None
    antialias: bool | None = None
    random_weights: bool = False  # an architecture of open_clip without its weights: for speed and smoke runs only
    gradient_checkpointing: bool = False
    soft_attributes: SoftAttributesConfig | None = None


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class MojiSource:
    """Clips of the Moji world, drawn as they are needed."""

    seed: Natural
    clips: Count  # an epoch
    objects: str | tuple[str, ...] = (
        "seen"  # names, or `seen`, `unseen`, or a slice of either: `seen[:200]`, `seen[::5]`
    )
    labels: Annotated[tuple[Literal["objects", "scenes", "motions"], ...], Field(min_length=1)] = (
        "objects",
        "scenes",
        "motions",
    )
    counts: Annotated[tuple[Annotated[int, Field(ge=1, le=4)], ...], Field(min_length=1)] = (1, 2, 3)
    motions: tuple[str, ...] | None = None  # None: all
    pairings: Literal["training", "held-out", "all"] = "training"
    fresh: bool = False  # other clips in every epoch
    # every second clip is the one before it played backwards, with the opposite motions: moving left or right, up or
    # down, growing or shrinking, appearing or vanishing; other motions are not drawn
    reversals: bool = False
    # what captions tell: everything, what the objects do, or the motions alone (nothing else then decides a contrast)
    captions: Literal["scene", "actors", "motions"] = "scene"


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
    flip: Share = 0.5  # probability; off where labels speak of left and right
    colour_jitter: NonNegative = 0.0  # strength


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class Data:
    """Videos and vocabulary."""

    train: Source
    validation: dict[str, Source] = field(default_factory=dict)  # by name; `guard` is special, see Sweep
    labels: Path | None = None  # label file; None: all labels of the training source
    attributes: Path | None = None  # attribute book
    frames: Count = 8
    vary_frames: bool = False  # now and then a half, a quarter or one of them: for use with any number of frames
    # `uniform`: a frame of each of equal segments; `window`: of a few seconds, as Open-VCLIP's reader takes them
    sampling: Literal["uniform", "window"] = "uniform"
    augmentation: Augmentation = field(default_factory=Augmentation)
    cache: Path | None = None  # folder for decoded frames
    # folder for what a frozen image tower gives, encoded once instead of in every epoch (model.train: new)
    feature_cache: Path | None = None
    workers: Natural | None = None  # decoding processes; None: one per core


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class Objective:
    """The loss."""

    label: Literal["bce", "asymmetric", "cross-entropy"] = "bce"
    label_weight: NonNegative = 1.0
    caption_weight: NonNegative = 0.0  # Open-VCLIP++ uses 4.0
    # as in predict; `logits` is Open-VCLIP's: the mean of the frames' logits, so that frames that disagree count less
    frame_pooling: Literal["mean", "max", "softmax", "logits"] = "mean"


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class Regularization:
    """What keeps the model near the original."""

    iwr: NonNegative = 0.0  # strength C of interpolated weight regularisation; Open-VCLIP: 0.5
    iwr_max_ratio: Momentum = 0.6  # R: the original's weight is drawn from U(0, R)
    l2: NonNegative = 0.0  # weight of the squared distance to the original
    # weight of the distillation from the original, of what clips are like among everyday words
    distillation: NonNegative = 0.0
    swa_start: Natural | None = None  # average the checkpoints of the epochs after this one; None: the last weights


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class Optimizer:
    """AdamW with a linear warm-up and a cosine decay."""

    lr: Positive = 3.33e-6
    new_lr: Positive | None = None  # of weights that the original did not have; None: lr
    gate_lr: Positive | None = None  # of gates, scalars of new weights that start at zero; None: new_lr
    weight_decay: NonNegative = 0.01  # not on biases, norms and other vectors
    betas: tuple[Momentum, Momentum] = (0.9, 0.999)
    eps: Positive = 1e-8
    epochs: Count = 22
    warmup_epochs: NonNegative = 2.0
    warmup_start: Share = 0.01  # fraction of lr
    end: Share = 0.01  # fraction of lr
    batch_size: Count = 8  # clips per process and forward pass
    accumulate: Count = 1  # forward passes per step
    clip_norm: Positive = 1.0  # of the gradient, global L2


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class Sweep:
    """Test-time patching: ratio * original + (1 - ratio) * tuned, measured on the validation sources.

    Weights that the original did not have stay as they were tuned, here and in IWR.

    The ratio is chosen without the unseen test set. With a validation source named `guard` (labels that are
    neither trained nor tested): the best training-label score among the ratios that keep the guard's score
    within `tolerance` of the original's; where none does, the one with the guard's best score. Without a guard:
    the largest ratio whose score is within `tolerance` of the best.
    """

    ratios: Annotated[tuple[Share, ...], Field(min_length=1)] = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
    tolerance: NonNegative = 0.01
    ratio: Share | None = None  # None: by the rule; a number: as published, the curve is still drawn


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class Run:
    """How the run behaves."""

    seed: Natural = 0
    device: str = "auto"
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    steps: Count | None = None  # stop after so many optimizer steps, whatever the epochs say
    checkpoint_minutes: NonNegative = 10.0  # also at the end of every epoch
    keep_checkpoints: Count = 2
    log_every: Count = 10  # steps
    validate_every: Natural = 1  # epochs; 0: only at the end
    max_failed: Share = 0.05  # of an epoch's videos; more stop the run


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class Continual:
    """New labels for a model that an earlier run has tuned: training starts from that run's model.

    "The original" of IWR, L2 and the ratio sweep is then the model of the earlier run.
    """

    run: Path  # the earlier run's folder
    # replay buffer: training clips of all earlier runs that every epoch sees again, as many of each run; 0: none
    replay: Natural = 0


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class TrainConfig:
    """A whole training run."""

    data: Data
    model: Model = field(default_factory=Model)
    objective: Objective = field(default_factory=Objective)
    regularization: Regularization = field(default_factory=Regularization)
    continual: Continual | None = None
    optimizer: Optimizer = field(default_factory=Optimizer)
    sweep: Sweep | None = None
    run: Run = field(default_factory=Run)
    description: str = ""

    def __post_init__(self) -> None:  # what would otherwise be told after hours of training
        if self.model.train == "new" and self.model.temporal is not None:
            for key, mixes in (("regularization.iwr", self.regularization.iwr > 0), ("sweep", self.sweep is not None)):
                if mixes:
                    raise ValueError(
                        f"{key} mixes trained weights with the original's, but model.train=new trains only weights "
                        "that the original did not have; leave it out, or set model.train=visual"
                    )
        if self.sweep is None or self.sweep.ratio is not None:
            return
        if not set(self.data.validation) - {GUARD}:
            raise ValueError(
                "sweep has nothing to choose its ratio by; add a data.validation source, or set sweep.ratio"
            )

    def to_dict(self) -> dict[str, Any]:
        """Return plain data, as `config.yaml` of a run folder holds it."""
        plain: dict[str, Any] = TypeAdapter(type(self)).dump_python(self, mode="json")
        return plain

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], *, source: str = "the config") -> Self:
        """Check plain data and make a config of it.

        Raises:
            UsageError: an unknown key (the nearest known one is named), a missing one, or a bad value.
        """
        try:
            return TypeAdapter(cls).validate_python(dict(values))
        except ValidationError as error:
            raise UsageError(f"{source}: {explain(error, cls)}") from None
