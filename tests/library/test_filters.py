"""Which videos are searched."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from olmv.errors import InputError, UsageError
from olmv.library.library import Library
from olmv.library.query.filters import LabelLimit, VideoFilter
from tests.support.libraries import vector_library

LENGTHS = {"a.mp4": 4, "rain/b.mp4": 8, "rain/c.mov": 12}  # seconds


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Library:
    videos = {video: np.ones((length // 4, 8)) for video, length in LENGTHS.items()}
    return vector_library(tmp_path_factory.mktemp("library"), videos)


def chosen(library: Library, videos: VideoFilter) -> list[str]:
    masks = videos.masks(library)
    assert masks is not None
    return [library.spans[0].entries[place].video for place in np.flatnonzero(masks[0])]


def test_no_filter(library: Library) -> None:
    assert VideoFilter().masks(library) is None
    assert VideoFilter().shown == []


@pytest.mark.parametrize(
    ("glob", "videos"),
    [
        ("*.mp4", ["a.mp4", "rain/b.mp4"]),
        ("rain/*", ["rain/b.mp4", "rain/c.mov"]),
        ("/films/*", [*LENGTHS]),
        ("b.mp4", ["rain/b.mp4"]),
        ("*/c.???", ["rain/c.mov"]),
    ],
)
def test_paths(library: Library, glob: str, videos: list[str]) -> None:
    assert chosen(library, VideoFilter(path=glob)) == videos


def test_a_glob_that_matches_nothing(library: Library) -> None:
    with pytest.raises(InputError, match=r"no video of .* matches '\*.avi'; its paths look like a.mp4"):
        VideoFilter(path="*.avi").masks(library)


def test_lengths(library: Library) -> None:
    assert chosen(library, VideoFilter(longer_than_s=4)) == ["rain/b.mp4", "rain/c.mov"]
    assert chosen(library, VideoFilter(longer_than_s=4, shorter_than_s=12)) == ["rain/b.mp4"]
    assert chosen(library, VideoFilter(path="*.mov", shorter_than_s=12)) == []
    assert VideoFilter(path="*.mov", shorter_than_s=12).shown == ["path *.mov", "shorter than 12 s"]


def test_lengths_that_no_video_has() -> None:
    with pytest.raises(UsageError, match="longer_than_s is -1; give a number of seconds, 0 or more"):
        VideoFilter(longer_than_s=-1).check()
    with pytest.raises(UsageError, match="shorter_than_s is nan"):
        VideoFilter(shorter_than_s=float("nan")).check()
    with pytest.raises(UsageError, match="no video is longer than 9 s and shorter than 9 s; swap the two"):
        VideoFilter(longer_than_s=9, shorter_than_s=9).check()


@pytest.mark.parametrize(
    ("text", "limit"),
    [
        ("dog>0.5", LabelLimit("dog", True, 0.5)),
        (" a dog >= .25", LabelLimit("a dog", True, 0.25)),
        ("rain<1", LabelLimit("rain", False, 1.0)),
        ("rain & snow <= 2e-1", LabelLimit("rain & snow", False, 0.2)),
    ],
)
def test_label_grammar(text: str, limit: LabelLimit) -> None:
    assert LabelLimit.parse(text) == limit


@settings(deadline=None, max_examples=50)
@given(st.from_regex(r"[a-z]{1,8}( [a-z]{1,8})?", fullmatch=True), st.booleans(), st.integers(0, 1000))
def test_label_grammar_reads_what_it_shows(label: str, above: bool, thousandths: int) -> None:
    limit = LabelLimit(label, above, thousandths / 1000)
    assert LabelLimit.parse(f"{label} {'>' if above else '<'} {limit.probability}") == limit


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("dog", "label 'dog' has no probability; write it as \"dog>0.5\""),
        ("", "label '' has no probability"),
        ("dog>", "label 'dog>' has no number after >"),
        ("dog>high", "label 'dog>high' has no number after >"),
        ("dog>=2", "label 'dog>=2' has the probability 2; give one from 0 to 1"),
        ("dog<nan", "label 'dog<nan' has the probability nan"),
        (">0.5", "label '>0.5' has no name"),
        ("dog=0.5", "label 'dog=0.5' has no probability"),
    ],
)
def test_labels_that_are_none(text: str, message: str) -> None:
    with pytest.raises(UsageError) as failure:
        LabelLimit.parse(text)
    assert message in str(failure.value)
    assert failure.value.options == ("labels",)
