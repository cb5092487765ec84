"""What a manifest says of clips: splits, labels, captions."""

from pathlib import Path

import pytest
import torch

from olmv.errors import InputError
from olmv.labels.vocabulary import Vocabulary
from olmv.train.data.manifest_data import ManifestDataset
from tests.train.clip_sets import PREPROCESS, make_clips


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    return make_clips(tmp_path_factory.mktemp("clips"))


def manifest(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "train.csv"
    path.write_text(text)
    return path


def test_splits_share_a_vocabulary(tmp_path: Path) -> None:
    path = manifest(tmp_path, "video,labels,split\na.mp4,dog,train\nb.mp4,cat;dog,val\n")
    for split in ("train", "val"):
        data = ManifestDataset(path, split=split, preprocess=PREPROCESS)
        assert data.labels == ("dog", "cat")
        assert len(data) == 1
    assert len(ManifestDataset(path, preprocess=PREPROCESS)) == 2
    with pytest.raises(InputError, match=r"train\.csv has no rows of the split 'test'; it has train, val"):
        ManifestDataset(path, split="test", preprocess=PREPROCESS)
    with pytest.raises(InputError, match=r"no rows of the split 'val'; it has no 'split' column, so leave"):
        ManifestDataset(manifest(tmp_path, "video,labels\na.mp4,dog\n"), split="val", preprocess=PREPROCESS)
    with pytest.raises(InputError, match=r"the data has no rows; name a source that has some"):
        ManifestDataset([], preprocess=PREPROCESS)


def test_unknown_labels_and_empty_rows(tmp_path: Path) -> None:
    path = manifest(tmp_path, "video,labels\na.mp4,dog\nb.mp4,dog;dgo\n")
    labels = Vocabulary(["dog", "cat"])
    message = r"train\.csv row 3 has the label 'dgo', which is not in the vocabulary; did you mean 'dog'\?"
    with pytest.raises(InputError, match=message):
        ManifestDataset(path, labels, preprocess=PREPROCESS)
    with pytest.raises(InputError, match=r"row 2 has the label 'zebra', .*; add it there, or take it out"):
        ManifestDataset(manifest(tmp_path, "video,labels\na.mp4,zebra\n"), labels, preprocess=PREPROCESS)
    with pytest.raises(InputError, match=r"row 3 has neither labels nor a caption; fill one in, or take the row out"):
        ManifestDataset(manifest(tmp_path, "video,labels\na.mp4,dog\nb.mp4\n"), preprocess=PREPROCESS)


def test_an_empty_cell_says_that_nothing_is_true(tmp_path: Path) -> None:
    path = manifest(tmp_path, "video,labels,caption\na.mp4,dog,\nb.mp4,,\nc.mp4,,a cat\n")
    data = ManifestDataset(path, preprocess=PREPROCESS)
    assert len(data) == 3
    assert data.notes == (f"{path}: 1 videos have an empty list of labels: none is true of them",)
    pixels = torch.zeros(1, 3, 8, 8)
    # beside a caption it says that no label is known
    assert [data._sample(index, pixels).labelled for index in range(3)] == [True, True, False]


def test_rows_of_one_label_each_are_joined_and_spellings_forgiven(tmp_path: Path) -> None:
    path = manifest(tmp_path, "video,labels\na.mp4,dog\nb.mp4,cat\n./a.mp4,CAT\n")
    data = ManifestDataset(path, preprocess=PREPROCESS)
    assert data.labels == ("dog", "cat")
    pixels = torch.zeros(1, 3, 8, 8)
    assert [data._sample(index, pixels).labels for index in range(2)] == [(0, 1), (1,)]
    assert data.notes == (
        f"{path}: 1 rows are for a video met before; their labels were put together",
        f"{path}: 1 label was found though case or white space differ: 'CAT' as 'cat'",
    )


def test_labels_without_a_clip_and_labels_in_two_spellings_are_told(tmp_path: Path) -> None:
    path = manifest(tmp_path, "video,labels,split\na.mp4,dog,train\nb.mp4,Dog;cat,train\nc.mp4,owl;rain;wolf,val\n")
    names = [ManifestDataset(path, split=split, preprocess=PREPROCESS).notes[-1] for split in ("train", "val")]
    assert names == [
        f"{path}: 3 of the 5 labels are true of no video of the split 'train': 'owl', 'rain', 'wolf'",
        f"{path}: 2 of the 5 labels are true of no video of the split 'val': 'dog', 'cat'",
    ]
    words = Vocabulary.from_names(["dog", "cat", "Dog", "CAT", "owl", "rain", "wolf", "x", "y", "z"])
    data = ManifestDataset(path, words, preprocess=PREPROCESS)
    pair = "the labels 'dog' and 'Dog' differ by case or white space alone and count as two"
    assert data.notes == (
        f"{path}: {pair}, so that a clip of one says that the other is false, and 1 more such pairs; write them alike",
        f"{path}: 4 of the 10 labels are true of no video: 'CAT', 'x', 'y' and 1 more",
    )


def test_a_comma_that_may_be_part_of_a_label_is_refused(tmp_path: Path) -> None:
    path = manifest(tmp_path, 'video,labels\na.mp4,"rain, snow"\n')
    with pytest.raises(InputError, match=r"row 2: 'rain, snow' may be one label or several; write 'rain;snow' for"):
        ManifestDataset(path, preprocess=PREPROCESS)
    data = ManifestDataset(path, Vocabulary(["rain", "snow"]), preprocess=PREPROCESS)
    assert data.notes == (f"{path}: labels in train.csv are taken as separated by ',', as in 'rain, snow'",)


def test_captions_alone_are_enough(tmp_path: Path) -> None:
    data = ManifestDataset(manifest(tmp_path, "video,caption\na.mp4,a dog\n"), preprocess=PREPROCESS)
    assert data.labels == ()
    assert len(data) == 1


def test_parquet(videos: list[str], tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.table({"video": videos[:2], "labels": [["dog"], ["cat", "dog"]], "caption": ["a dog", None]})
    pq.write_table(table, tmp_path / "train.parquet")
    data = ManifestDataset(tmp_path / "train.parquet", preprocess=PREPROCESS, frames=2)
    sample = data.load(1, 0)
    assert (sample.video, sample.labels, sample.caption) == (videos[1], (1, 0), None)
