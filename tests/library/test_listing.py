"""Which fragments count."""

import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from olmv.errors import InputError
from olmv.library.listing import Listing, write_listing


def folder_of(root: Path, *numbers: int) -> Path:
    for number in numbers:
        (root / "fragments" / f"{number:06d}").mkdir(parents=True)
    return root


def test_without_a_list_all_count(tmp_path: Path) -> None:
    assert Listing.read(folder_of(tmp_path, 2, 1)) == Listing([1, 2], [], [], 2)
    assert Listing.read(tmp_path / "gone") == Listing([], [], [], 0)


@settings(max_examples=40, deadline=None)
@given(st.sets(st.integers(1, 60)), st.sets(st.integers(1, 60)))
def test_what_is_listed_counts_and_what_came_after(listed: set[int], there: set[int]) -> None:
    with tempfile.TemporaryDirectory() as name:
        root = folder_of(Path(name), *there)
        write_listing(root, sorted(listed))
        last = max(listed, default=0)
        listing = Listing.read(root)
        assert listing.numbers == sorted((listed & there) | {number for number in there if number > last})
        assert listing.missing == sorted(listed - there)
        assert listing.leftover == sorted(number for number in there - listed if number < last)
        assert listing.last == max(listed | there, default=0)


def test_many_missing_ones_are_told_in_short(tmp_path: Path) -> None:
    root = folder_of(tmp_path, 6)
    write_listing(root, range(1, 7))
    with pytest.raises(InputError, match="is damaged: fragments 000001, 000002, 000003 and 2 more are missing; index"):
        Listing.read(root).check(root)


@pytest.mark.parametrize("text", ["", "[]", '{"fragments": 3}', '{"fragments": [["a", "b"]]}'])
def test_a_damaged_list(tmp_path: Path, text: str) -> None:
    (tmp_path / "fragments.json").write_text(text)
    with pytest.raises(InputError, match=r"fragments.json is damaged; delete it, and index the videos again"):
        Listing.read(tmp_path)
