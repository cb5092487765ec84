"""What tests of what clients send and name share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from olmv.serve.guard import download
from olmv.serve.guard.private_folder import PrivateFolder
from tests.serve.guard.internet import Internet


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[PrivateFolder]:
    with PrivateFolder(tmp_path) as folder:
        yield folder


def left(folder: PrivateFolder) -> list[str]:
    """Return the names of the files in it."""
    return sorted(path.name for path in folder.path.iterdir() if path.name != ".lock")


@pytest.fixture
def internet(folder: PrivateFolder, monkeypatch: pytest.MonkeyPatch) -> Iterator[Internet]:
    """An internet from which, in the end, no file is left in the folder."""
    internet = Internet()
    monkeypatch.setattr(download, "_resolve", internet.resolve)
    monkeypatch.setattr(download, "_open", internet.open)
    monkeypatch.setattr(download, "_same_address", lambda reached: False)
    yield internet
    assert left(folder) == []
