"""From the model's probability to a calibrated one: the same order, numbers that say how often the label is true.

A scaling rises strictly, so a label is positive for the same videos whichever of the two numbers is compared with its
threshold. Scalings are fitted in `olmv.calibrate.scaling_fit` and live in the thresholds file.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

from olmv.scoring.logits import logit_of, sigmoid

__all__ = ["Isotonic", "Platt", "Scaler", "Scaling"]

Floats = NDArray[np.float64]
Finite = Annotated[float, Field(allow_inf_nan=False)]
Share = Annotated[float, Field(gt=0, lt=1)]


class Platt(BaseModel):
    """sigmoid(slope * logit + offset) (Platt 1999)."""

    model_config = ConfigDict(frozen=True)

    kind: Literal["platt"] = "platt"
    slope: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    offset: Finite

    def __call__(self, logit: Floats) -> Floats:
        """Turn the logit [...] into the calibrated probability [...]."""
        return sigmoid(self.slope * logit + self.offset)


class Isotonic(BaseModel):
    """Lines between knots, both coordinates strictly rising; beyond the outer knots it nears 0 and 1."""

    model_config = ConfigDict(frozen=True)

    kind: Literal["isotonic"] = "isotonic"
    logit: Annotated[tuple[Finite, ...], Field(min_length=1)]
    probability: tuple[Share, ...]

    @model_validator(mode="after")
    def _rises(self) -> "Isotonic":
        if len(self.logit) != len(self.probability):
            raise ValueError("logit and probability of a scaling must be equally many")
        if any(a >= b for knots in (self.logit, self.probability) for a, b in pairwise(knots)):
            raise ValueError("the knots of a scaling must rise")
        return self

    def __call__(self, logit: Floats) -> Floats:
        """Turn the logit [...] into the calibrated probability [...]."""
        between = np.interp(logit, self.logit, self.probability)
        below = np.exp(np.minimum(logit - self.logit[0], 0.0))
        above = np.exp(np.minimum(self.logit[-1] - logit, 0.0))
        return np.asarray(1 - (1 - between * below) * above, dtype=np.float64)


Scaling = Annotated[Platt | Isotonic, Field(discriminator="kind")]


class Scaler:
    """The scalings of C labels; a label without one keeps its probability.

    Args:
        scalings: per label, in the order of the columns.
    """

    def __init__(self, scalings: Sequence[Platt | Isotonic | None]) -> None:
        self._platt = [i for i, scaling in enumerate(scalings) if isinstance(scaling, Platt)]
        chosen = [scaling for scaling in scalings if isinstance(scaling, Platt)]
        # one call for all of them: a vocabulary may have 10,000 labels
        self._slopes = np.array([scaling.slope for scaling in chosen])
        self._offsets = np.array([scaling.offset for scaling in chosen])
        self._isotonic = {i: scaling for i, scaling in enumerate(scalings) if isinstance(scaling, Isotonic)}

    def __call__(self, probability: NDArray[np.floating]) -> Floats:
        """Turn the model's probability [..., C] into the calibrated one [..., C], float64."""
        scaled = np.array(probability, dtype=np.float64)
        logit = logit_of(scaled)
        if self._platt:
            scaled[..., self._platt] = sigmoid(self._slopes * logit[..., self._platt] + self._offsets)
        for column, scaling in self._isotonic.items():
            scaled[..., column] = scaling(logit[..., column])
        return scaled
