"""Copies are found, and what is not copied is not."""

import numpy as np
import pytest

from olmv.metrics.near_duplicates import near_duplicate_note, near_duplicate_share


def scores(videos: int, labels: int, seed: int = 0) -> np.ndarray:
    """Logits that hang together, as those of real labels do."""
    random = np.random.default_rng(seed)
    return random.normal(size=(videos, labels)) @ random.normal(size=(labels, labels)) + random.normal(size=labels)


@pytest.mark.parametrize("labels", [1, 2, 3, 10, 60])
def test_what_was_drawn_one_by_one_is_no_copy(labels: int) -> None:
    for seed in range(3):
        assert near_duplicate_share(scores(300, labels, seed)) < 0.1
        assert near_duplicate_note(scores(300, labels, seed)) == ()


@pytest.mark.parametrize(("labels", "least"), [(5, 0.4), (10, 0.95), (200, 0.95)])
def test_copies_are_found(labels: int, least: float) -> None:
    once = scores(100, labels)
    spread = once.std(axis=0)
    copied = np.repeat(once, 5, axis=0) + 0.02 * spread * np.random.default_rng(1).normal(size=(500, labels))
    assert near_duplicate_share(copied) >= least
    (note,) = near_duplicate_note(copied)
    assert note.endswith(
        "of these 500 videos have scores nearly equal to another's, as copies of one source have: name the source of "
        "each in a 'group' column of the truth, or promises and intervals say too much"
    )
    # a tenth of the videos is no reason to warn, nor are copies of one label's scores
    assert near_duplicate_note(np.concatenate([once, once[:5]])) == ()


def test_few_or_equal_or_very_many_videos() -> None:
    assert near_duplicate_share(np.repeat(scores(20, 10), 2, axis=0)) == 0  # 40 videos tell nothing
    assert near_duplicate_share(np.zeros((60, 4))) == 0
    many = scores(9000, 12)
    assert near_duplicate_share(many) == near_duplicate_share(many)
    assert near_duplicate_share(np.repeat(many[:900], 10, axis=0)) > 0.9
