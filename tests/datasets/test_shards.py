"""Shards part the inputs: each video is in exactly one, wherever it stands in the list."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from olmv.datasets.shards import Shard
from olmv.errors import UsageError

VIDEOS = [f"clips/{number:04d}.mp4" for number in range(1600)]


@given(
    st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1), unique=True),
    st.integers(1, 20),
)
def test_shards_are_a_partition(videos: list[str], count: int) -> None:
    shards = [Shard(number, count).of(videos) for number in range(1, count + 1)]
    assert sorted(video for shard in shards for video in shard) == sorted(videos)
    for shard in shards:
        assert shard == [video for video in videos if video in set(shard)]  # in their order


def test_shards_are_about_equal() -> None:
    sizes = [len(Shard(number, 16).of(VIDEOS)) for number in range(1, 17)]
    assert sum(sizes) == 1600
    assert min(sizes) > 60
    assert max(sizes) < 140


def test_another_file_moves_none() -> None:
    before = Shard(3, 16).of(VIDEOS)
    after = Shard(3, 16).of(["clips/a.mp4", *VIDEOS[5:], "clips/z.mp4"])
    assert [video for video in after if video in VIDEOS] == [video for video in before if video in VIDEOS[5:]]


def test_the_same_file_by_another_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    names = ["clips/0001.mp4", "./clips/../clips/0001.mp4", str(tmp_path / "clips" / "0001.mp4")]
    assert {len(Shard(2, 3).of([name])) for name in names} in ({0}, {1})
    assert sum(len(Shard(number, 3).of(["s3://bucket/a//b.mp4"])) for number in (1, 2, 3)) == 1


def test_parse() -> None:
    assert str(Shard.parse(" 3/16 ")) == "3/16"
    assert Shard.parse("1/1").of(VIDEOS) == VIDEOS


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0/16", "there is no shard 0/16; count from 1/16 to 16/16"),
        ("17/16", "there is no shard 17/16; count from 1/16 to 16/16"),
        ("1/0", "there is no shard 1/0; count from 1/1 to 1/1"),
        ("a/b", "a shard is two numbers, such as 3/16, not 'a/b'"),
        ("3", "a shard is two numbers, such as 3/16, not '3'"),
        ("-1/4", "a shard is two numbers"),
    ],
)
def test_there_is_no_such_shard(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=re.escape(message)):
        Shard.parse(text)
