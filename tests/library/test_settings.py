"""What a library says of itself, what it refuses, and how an older one is read."""

import json
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from olmv.errors import InputError, UsageError
from olmv.library import settings as module
from olmv.library.settings import LibrarySettings, is_library
from olmv.scoring.windows import TimelineOptions
from olmv.video.options import DecodeOptions
from tests.support.libraries import SETTINGS
from tests.support.tiny import tiny_model

REALS = st.floats(0.001, 1000)


@given(
    st.builds(
        replace,
        st.just(SETTINGS),
        model=st.text(),
        frames=st.integers(1, 64),
        every_s=st.none() | REALS,
        max_frames=st.none() | st.integers(1, 999),
        window_s=st.none() | REALS,
        step_s=st.none() | REALS,
    )
)
def test_round_trip(settings: LibrarySettings) -> None:
    with tempfile.TemporaryDirectory() as folder:
        assert not is_library(folder)
        settings.write(Path(folder))
        assert is_library(folder)
        assert LibrarySettings.read(folder) == settings


def test_an_older_version_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A made-up history: version 1 called `every_s` otherwise, and version 2 had no `max_frames`."""

    def rename(document: dict[str, Any]) -> dict[str, Any]:
        sampling = dict(document["sampling"])
        return {**document, "sampling": {**sampling, "every_s": sampling.pop("seconds")}}

    def add(document: dict[str, Any]) -> dict[str, Any]:
        return {**document, "sampling": {**document["sampling"], "max_frames": 512}}

    SETTINGS.write(tmp_path)
    file = tmp_path / "library.json"
    document = json.loads(file.read_text())
    document["sampling"]["seconds"] = document["sampling"].pop("every_s")
    del document["sampling"]["max_frames"], document["sha256"]
    file.write_text(json.dumps(document))
    with pytest.raises(InputError, match=r"library.json is damaged; index the videos again into another folder"):
        LibrarySettings.read(tmp_path)
    monkeypatch.setattr(module, "VERSION", 3)
    monkeypatch.setattr(module, "MIGRATIONS", {1: rename, 2: add})
    assert LibrarySettings.read(tmp_path) == SETTINGS
    LibrarySettings.read(tmp_path).write(tmp_path)
    assert json.loads(file.read_text())["version"] == 3
    monkeypatch.undo()
    with pytest.raises(InputError, match="is a library of version 3, made by a later olmv; upgrade olmv"):
        LibrarySettings.read(tmp_path)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": "other", "version": 1}', "[" * 100_000])
def test_a_damaged_description(tmp_path: Path, text: str) -> None:
    (tmp_path / "library.json").write_text(text)
    with pytest.raises(InputError, match=r"library.json is damaged; index the videos again into another folder"):
        LibrarySettings.read(tmp_path)


def test_a_changed_description(tmp_path: Path) -> None:
    SETTINGS.write(tmp_path)
    file = tmp_path / "library.json"
    file.write_text(file.read_text().replace('"frames": 8', '"frames": 9'))
    with pytest.raises(InputError, match=r"library.json is damaged; index the videos again into another folder"):
        LibrarySettings.read(tmp_path)


def test_no_library(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"is no library: it has no library.json; make one with olmv index"):
        LibrarySettings.read(tmp_path / "gone")
    (tmp_path / "rows.jsonl").touch()
    with pytest.raises(InputError, match=r"rows.jsonl is no library: it has no library.json"):
        LibrarySettings.read(tmp_path / "rows.jsonl")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"digest": "1" * 32, "model": "other"}, "has the embeddings of olmv-mini in float32, not of other in float32"),
        (
            {"digest": "1" * 32},
            "has the embeddings of olmv-mini in float32 with other weights, or in another runtime: one",
        ),
        ({"every_s": 1.0}, "was made with every_s 2.0, not 1.0; leave it out, or choose another library"),
        ({"sampling": "adaptive"}, "was made with sampling uniform, not adaptive"),
        ({"frames": 1, "window_s": 4.0, "step_s": 1.0}, "was made without a timeline; leave it out, or choose another"),
    ],
)
def test_others_are_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        SETTINGS.check_same(replace(SETTINGS, **change), "films")
    assert SETTINGS.digest_of_settings() != replace(SETTINGS, **change).digest_of_settings()


def test_the_name_of_a_model_does_not_matter() -> None:
    renamed = replace(SETTINGS, model="hf:me/mini")
    SETTINGS.check_same(renamed, "films")
    assert SETTINGS.digest_of_settings() == renamed.digest_of_settings()


def test_another_model_is_refused() -> None:
    settings = LibrarySettings.of(tiny_model(), DecodeOptions(), TimelineOptions())
    settings.check_model(tiny_model(), "films")
    with pytest.raises(UsageError, match=r"the embeddings of tiny in .*, not of other in .*; choose that model"):
        settings.check_model(tiny_model(seed=1, name="other"), "films")
    with pytest.raises(InputError, match=r"films/library.json is damaged; index the videos again"):
        replace(settings, dimension=3).check_model(tiny_model(), "films")


def test_a_library_is_looked_at_without_torch() -> None:
    code = "import sys; import olmv.library.files, olmv.index.info, olmv.index.job; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert {"torch", "pyarrow", "av", "pandas"} & set(done.stdout.split()) == set()
