"""Thresholds from scores and a stated prevalence."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from olmv.calibrate.unlabelled import prevalence_threshold, read_prevalence
from olmv.errors import InputError, UsageError


@given(st.lists(st.floats(0.001, 0.999), min_size=1, max_size=60, unique=True), st.floats(0.01, 0.99))
def test_as_many_as_stated(scores: list[float], prevalence: float) -> None:
    probability = np.array(scores)
    threshold = prevalence_threshold(probability, prevalence)
    if threshold is None:
        assert prevalence * len(scores) < 1
    else:
        assert abs((probability >= threshold).sum() - prevalence * len(scores)) <= 0.5 + 1e-9


def test_equal_scores_stay_together() -> None:
    probability = np.array([0.9, 0.5, 0.5, 0.5, 0.1])
    assert (probability >= prevalence_threshold(probability, 0.4)).sum() == 1
    assert (probability >= prevalence_threshold(probability, 0.7)).sum() == 4


def test_reading(tmp_path: Path) -> None:
    assert read_prevalence("0.2", ["dog", "cat"]) == {"dog": 0.2, "cat": 0.2}
    file = tmp_path / "p.csv"
    file.write_text("label,prevalence\ncat,0.1\nbird,0.3\n")
    assert read_prevalence(str(file), ["dog", "cat"]) == {"cat": 0.1}


@pytest.mark.parametrize(
    ("content", "error", "message"),
    [
        ("label,share\ndog,0.1\n", InputError, "lacks the columns label and prevalence; put them"),
        ("label,prevalence\ndog,0.1\ndog,0.2\n", InputError, "line 3: the label 'dog' is there twice; remove one"),
        ("label,prevalence\ndog,often\n", UsageError, "line 2: the prevalence is nan; give a number between 0 and 1"),
        ("label,prevalence\ndog,1\n", UsageError, "the prevalence is 1; give a number between 0 and 1"),
        ("label,prevalence\ncat,0.1\n", UsageError, "none of the 1 labels is in .*, 'dog' for one; add them there"),
    ],
)
def test_bad_files(tmp_path: Path, content: str, error: type[Exception], message: str) -> None:
    (tmp_path / "p.csv").write_text(content)
    with pytest.raises(error, match=message):
        read_prevalence(str(tmp_path / "p.csv"), ["dog"])


def test_bad_arguments(tmp_path: Path) -> None:
    (tmp_path / "latin.csv").write_bytes(b"label,prevalence\n\xe9,0.1\n")
    with pytest.raises(InputError, match=r"is not UTF-8 \(byte 17\); save it as UTF-8"):
        read_prevalence(str(tmp_path / "latin.csv"), ["dog"])
    with pytest.raises(InputError, match=r"cannot read .*: Is a directory; check the file"):
        read_prevalence(str(tmp_path), ["dog"])
    with pytest.raises(UsageError, match=r"neither a number nor a file: often; give 0\.05 or a csv file"):
        read_prevalence("often", ["dog"])
    with pytest.raises(UsageError, match=r"^the prevalence is 5; give a number between 0 and 1"):
        read_prevalence("5", ["dog"])
