"""What a review tells of a video that waits, and of a label."""

from dataclasses import dataclass

from olmv.serve.review.estimates import Quality

__all__ = ["QueueItem", "Summary"]


@dataclass(frozen=True)
class QueueItem:
    """A video that waits for a verdict on a label.

    Attributes:
        place: of the video in the source, as long as that is not another one.
        video: its key.
        path: as it is opened.
        order: the number that a verdict on it in this order carries.
        verdict: the one it has by now, if it was judged.
    """

    place: int
    video: str
    path: str
    label: str
    probability: float
    threshold: float
    order: int | None
    verdict: bool | None = None


@dataclass(frozen=True)
class Summary:
    """What a page shows of a label.

    Attributes:
        threshold, anchor: probabilities; anchor is None before the label's review began.
        right, wrong, skipped: videos judged true, judged false, and passed over.
        conflicts: videos on which reviewers disagree; the last verdict counts.
        quality: positives of `total` videos, and precision and recall, at the threshold.
    """

    label: str
    threshold: float
    anchor: float | None
    total: int
    right: int
    wrong: int
    skipped: int
    conflicts: int
    quality: Quality
