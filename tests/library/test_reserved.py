"""Fragments that others write under reserved numbers: none is lost, whenever the run is killed."""

from pathlib import Path

import numpy as np

from olmv.library.encode import join_parts
from olmv.library.fragment import write_fragment
from olmv.library.library import Library
from olmv.library.listing import Listing
from olmv.library.writer import LibraryWriter
from tests.support.libraries import SETTINGS, vector_part


def write(writer: LibraryWriter, number: int) -> None:
    part = vector_part(f"{number}.mp4", np.random.default_rng(number).normal(size=(2, 8)))
    write_fragment(writer.place(number), join_parts([part], dimension=8))


def videos(folder: Path) -> set[str]:
    return {entry.video for entry in Library.open(folder)}


def test_in_any_order(tmp_path: Path) -> None:
    with LibraryWriter(tmp_path, SETTINGS) as writer:
        numbers = writer.reserve(4)
        assert list(numbers) == [1, 2, 3, 4]
        write(writer, 3)
        writer.accept(3)
        assert videos(tmp_path) == {"3.mp4"}
        write(writer, 1)
        writer.accept(1)
        write(writer, 2)  # and here the run is killed
        assert videos(tmp_path) == {"1.mp4", "2.mp4", "3.mp4"}
    with LibraryWriter(tmp_path, SETTINGS) as again:
        assert again.numbers == [1, 2, 3]
        assert list(again.reserve(1)) == [4]
        write(again, 4)
        again.accept(4)
    assert videos(tmp_path) == {"1.mp4", "2.mp4", "3.mp4", "4.mp4"}
    listing = Listing.read(tmp_path)
    assert (listing.numbers, listing.missing, listing.leftover) == ([1, 2, 3, 4], [], [])


def test_what_is_written_meanwhile_comes_behind(tmp_path: Path) -> None:
    with LibraryWriter(tmp_path, SETTINGS) as writer:
        for number in writer.reserve(2):
            write(writer, number)
            writer.accept(number)
        writer.add(vector_part("last.mp4", np.ones((1, 8))))
        writer.flush()
    assert videos(tmp_path) == {"1.mp4", "2.mp4", "last.mp4"}
    assert Listing.read(tmp_path).numbers == [1, 2, 3]
