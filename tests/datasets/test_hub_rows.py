"""Rows of Hugging Face data sets on disk; no network."""

import os
from pathlib import Path
from typing import Any

import pytest

from olmv.datasets.hub_rows import hf_rows
from olmv.datasets.manifests import ManifestRow
from olmv.errors import InputError

datasets = pytest.importorskip("datasets")


@pytest.fixture(autouse=True)
def _no_network_no_bars(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    monkeypatch.setattr("olmv.io.network.is_online", lambda: False)
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "hf-cache")
    datasets.disable_progress_bars()
    yield
    datasets.enable_progress_bars()


def save(folder: Path, columns: dict[str, list[Any]], features: dict[str, Any] | None = None) -> str:
    data = datasets.Dataset.from_dict(columns, features=datasets.Features(features) if features else None)
    data.save_to_disk(folder)
    return os.fspath(folder)


def test_class_labels_get_their_names(tmp_path: Path) -> None:
    names = datasets.ClassLabel(names=["dog", "cat"])
    text = datasets.Value("string")
    features = {"video": text, "labels": datasets.List(names), "caption": text}
    columns: dict[str, list[Any]] = {"video": ["a.mp4", "/b.mp4"], "labels": [[1, 0], []], "caption": [None, "a bird"]}
    name = save(tmp_path / "d", columns, features)
    rows = hf_rows(name)
    assert rows == [
        ManifestRow(f"{name}/a.mp4", ("cat", "dog"), None, None),
        ManifestRow("/b.mp4", (), "a bird", None),
    ]
    assert [row.number for row in rows] == [1, 2]


def test_one_class_for_each_video_in_a_split(tmp_path: Path) -> None:
    features = {"path": datasets.Value("string"), "label": datasets.ClassLabel(names=["dog", "cat"])}
    part = datasets.Dataset.from_dict({"path": ["a.mp4"], "label": [1]}, features=datasets.Features(features))
    folder = os.fspath(tmp_path / "d")
    datasets.DatasetDict(train=part, test=part).save_to_disk(folder)
    options = {"video_column": "path", "label_column": "label"}
    assert hf_rows(folder, "test", **options) == [ManifestRow(f"{folder}/a.mp4", ("cat",), None, "test")]
    with pytest.raises(InputError, match=r"has several splits; name one of train, test"):
        hf_rows(folder, **options)
    with pytest.raises(InputError, match=r"has no split 'val'; name one of train, test"):
        hf_rows(folder, "val", **options)
    with pytest.raises(InputError, match=r"has no column 'video'; name one of its columns: path, label"):
        hf_rows(folder, "test")


def test_a_folder_of_tables(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "train.csv").write_text("video,labels\nclips/x.mp4,dog\n")
    name = os.fspath(tmp_path / "data")
    assert hf_rows(name, "train") == [ManifestRow(f"{name}/clips/x.mp4", ("dog",), None, "train")]


def test_videos_inside_the_data_set_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"video")
    features = {"video": datasets.Video(), "labels": datasets.Value("string")}
    name = save(tmp_path / "d", {"video": [os.fspath(tmp_path / "a.mp4")], "labels": ["dog"]}, features)
    with pytest.raises(InputError, match=r"row 1 holds the video itself, not its path; write the videos to files"):
        hf_rows(name)


def test_photos_in_a_column_of_images(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"photo")
    features = {"image": datasets.Image(), "labels": datasets.Value("string")}
    data = datasets.Dataset.from_dict(
        {"image": [os.fspath(tmp_path / "a.jpg")], "labels": ["dog"]}, features=datasets.Features(features)
    )
    with pytest.MonkeyPatch.context() as patch:  # saved to disk, the pictures would be inside
        patch.setattr("olmv.datasets.hub_rows._load", lambda name: data)
        assert hf_rows("photos", video_column="image") == [ManifestRow(os.fspath(tmp_path / "a.jpg"), ("dog",))]


def test_rows_that_cannot_be_used(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"row 1 has labels without names \(3\); use a ClassLabel feature, or texts"):
        hf_rows(save(tmp_path / "numbers", {"video": ["a.mp4"], "labels": [3]}))
    with pytest.raises(InputError, match=r"row 2 has no path to a video; take the row out"):
        hf_rows(save(tmp_path / "paths", {"video": ["a.mp4", None], "labels": ["dog", "dog"]}))
    with pytest.raises(InputError, match=r"has no column 'labels'; name one of its columns: video"):
        hf_rows(save(tmp_path / "bare", {"video": ["a.mp4"]}))


def test_an_empty_data_set(monkeypatch: pytest.MonkeyPatch) -> None:
    empty = datasets.Dataset.from_dict({"video": [], "labels": []})
    monkeypatch.setattr("olmv.datasets.hub_rows._load", lambda name: empty)
    with pytest.raises(InputError, match=r"empty has no rows; choose another split"):
        hf_rows("empty")


def test_a_saved_split_has_one_name(tmp_path: Path) -> None:
    data = datasets.Dataset.from_dict({"video": ["a.mp4"], "labels": ["dog"]}, split="train")
    data.save_to_disk(tmp_path / "d")
    assert len(hf_rows(os.fspath(tmp_path / "d"), "train")) == 1
    with pytest.raises(InputError, match=r"has no split 'test'; it is train"):
        hf_rows(os.fspath(tmp_path / "d"), "test")


def test_offline_is_one_line() -> None:
    with pytest.raises(InputError, match=r"cannot be loaded: .*; there is no network; load it once") as raised:
        hf_rows("nobody/nothing-0000", "train")
    assert "\n" not in str(raised.value)


def test_a_folder_without_data(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"cannot be loaded: .*; check the name, or name a folder with a data set"):
        hf_rows(os.fspath(tmp_path))
