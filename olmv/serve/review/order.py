"""In which order videos are reviewed: those near the threshold first, by a lot that can be undone in the figures.

A priority sample (Duffield, Lund & Thorup 2007): video i has a weight w_i and a number u_i in (0, 1] that is drawn
once, and the highest w_i / u_i comes first. After any number n of videos, tau being the priority of the one that comes
next, video i has been among them with probability min(1, w_i / tau), and 1 over that is what its verdict counts.

The weight is a mixture. Most of it goes to videos near the anchor, the threshold that the label had when its review
began, by sigmoid(d)(1 - sigmoid(d)), d being the distance in logits: the variance of the verdict where the threshold
is right and the model calibrated. Some goes by the root of that, which is what counts of true videos are best estimated
by. The rest is the same for every video: whatever the model thinks of it, it may come.

The numbers u are hashes of the video's name, the label and the order, so that reviewers at once and servers started
anew share one order without keeping it anywhere.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from olmv.scoring.logits import sigmoid

__all__ = ["ReviewOrder", "review_weights", "video_keys"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Keys = NDArray[np.uint64]

# what each part of the mixture gets of the whole weight
_NEAR, _MIDDLE, _ANY = 0.7, 0.2, 0.1


def video_keys(videos: Sequence[str]) -> Keys:
    """Hash the names of N videos to [N] numbers of 64 bits, the same on every machine."""
    digests = (hashlib.blake2b(video.encode("utf-8", "surrogateescape"), digest_size=8).digest() for video in videos)
    return np.frombuffer(b"".join(digests), dtype="<u8").astype(np.uint64)


def review_weights(logit: Floats, anchor: float) -> Floats:
    """Return the weights [N] of videos with these logits [N] around an anchor, all above 0, with a sum of 1."""
    chance = sigmoid(logit - anchor)
    variance = np.maximum(chance * (1 - chance), 1e-300)  # far away it is 0 in float64
    weight = np.empty(len(logit))
    sides = [side for side in (logit >= anchor, logit < anchor) if side.any()]
    for side in sides:
        near, middle = variance[side], np.sqrt(variance[side])
        weight[side] = _NEAR * near / near.sum() + _MIDDLE * middle / middle.sum() + _ANY / len(near)
    return weight / len(sides)


@dataclass(frozen=True, eq=False)
class ReviewOrder:
    """The order of one label's videos.

    Attributes:
        number: of the order, in the review; verdicts that were given in it carry it.
        label: whose.
        anchor: the logit around which it is.
        weight: [N], above 0.
        uniform: [N], in (0, 1].
    """

    number: int
    label: str
    anchor: float
    weight: Floats
    uniform: Floats

    @classmethod
    def of(cls, number: int, label: str, anchor: float, logit: Floats, keys: Keys) -> "ReviewOrder":
        """Make the order of a label from its logits [N] and the keys of the videos [N], see `video_keys`."""
        salt = hashlib.blake2b(f"{number}\n{label}".encode("utf-8", "surrogatepass"), digest_size=8).digest()
        return cls(number, label, anchor, review_weights(logit, anchor), _uniform(keys, int.from_bytes(salt, "little")))

    @cached_property
    def priority(self) -> Floats:
        """Return the priorities [N] of the videos."""
        return np.asarray(self.weight / self.uniform)

    @cached_property
    def places(self) -> Ints:
        """Return the videos [N], the first to be reviewed first."""
        return np.asarray(np.argsort(-self.priority, kind="stable"), dtype=np.int64)

    def inclusion(self, following: int | None) -> Floats:
        """Return the probability [N] of being among those before the video `following`; None for the end: all 1."""
        if following is None:
            return np.ones(len(self.weight))
        return np.asarray(np.minimum(1.0, self.weight / self.priority[following]))


def _uniform(keys: Keys, salt: int) -> Floats:
    """Mix keys with a salt to numbers in (0, 1]: the finaliser of splitmix64."""
    with np.errstate(over="ignore"):
        mixed = np.asarray(keys ^ np.uint64(salt))
        for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
            mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(factor)
        mixed = mixed ^ (mixed >> np.uint64(31))
    return np.asarray(((mixed >> np.uint64(11)).astype(np.float64) + 1.0) * 2.0**-53)
