"""Pictures of events."""

from pathlib import Path

import pytest

from olmv.errors import OutputError
from olmv.watch.picture_folder import PictureFolder


def test_names_are_safe_and_tell_when_and_what(tmp_path: Path) -> None:
    folder = PictureFolder(tmp_path / "a/b")
    path = folder.add(b"x", label="../Café & Hund", event="0123456789abcdef", time=1700000000.5, what="began")
    assert path == str(tmp_path / "a/b/20231114T221320.500Z-cafe-hund-01234567-began.jpg")
    assert Path(path).read_bytes() == b"x"
    other = folder.add(b"y", label="犬" * 500, event="fedcba9876543210", time=1700000000.5, what="peak")
    assert Path(other).name == "20231114T221320.500Z-label-fedcba98-peak.jpg"


def test_the_newest_stay_and_strangers_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "holiday.jpg").touch()
    for number in range(5):
        PictureFolder(tmp_path, most=3).add(b"x", label="dog", event=f"{number:032x}", time=1e9 + number, what="began")
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names[-1] == "holiday.jpg"
    assert [name[15:19] for name in names[:-1]] == [".000"] * 3
    assert [name[13:15] for name in names[:-1]] == ["42", "43", "44"]


def test_a_file_in_its_place_is_told(tmp_path: Path) -> None:
    (tmp_path / "x").touch()
    with pytest.raises(OutputError, match="it is a file; name a folder"):
        PictureFolder(tmp_path / "x")
    with pytest.raises(OutputError, match="part of its path is a file"):
        PictureFolder(tmp_path / "x/y")
