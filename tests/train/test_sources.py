"""From the data section of a config to data sets and label texts."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter

from olmv.errors import InputError, UsageError, VocabularyError
from olmv.labels.attributes import AttributeBook
from olmv.moji.world import MOTIONS, OPPOSITES, object_names, scene_labels
from olmv.train.config import Data
from olmv.train.data.sources import Labelled, _objects, open_sources
from olmv.video.transforms import Preprocess

PREPROCESS = Preprocess(size=16, mean=(0.5,) * 3, std=(0.5,) * 3, interpolation="bilinear", resize_mode="shortest")


def opened(**data: Any) -> tuple[Labelled, dict[str, Labelled]]:
    config = TypeAdapter(Data).validate_python(data)
    return open_sources(config, preprocess=PREPROCESS, templates="none", seed=0)


def manifest(path: Path, *rows: str) -> str:
    path.write_text("\n".join(["video,labels,split", *rows]) + "\n")
    return str(path)


def test_moji() -> None:
    moji = {"seed": 1, "clips": 3, "objects": "seen[:2]", "counts": [1, 2]}
    training, validation = opened(
        train={"moji": moji},
        validation={
            "seen": {"moji": {**moji, "seed": 2, "fresh": True}},
            "objects": {"moji": {**moji, "labels": ["objects"]}},
        },
    )
    names = object_names("seen")[:2]
    assert training.dataset.labels == (*names, *scene_labels(), *MOTIONS) == training.texts.labels
    assert training.groups["objects"] == (0, 1)
    assert sum(map(len, training.groups.values())) == len(training.dataset.labels)
    assert set(training.groups) == {"objects", "scenes", "motions"}
    assert validation["objects"].dataset.labels == names
    assert validation["objects"].groups == {}
    assert validation["seen"].dataset.video(0) == "moji:2/0"
    # centres and the same clips in every epoch, though fresh was asked for
    assert validation["seen"].dataset.load(0, 3).video == "moji:2/0"


def test_objects() -> None:
    seen, unseen = object_names("seen"), object_names("unseen")
    assert _objects("seen") == seen
    assert _objects("unseen") == unseen
    assert _objects("seen[:3]") == seen[:3]
    assert _objects("unseen[2:4]") == unseen[2:4]
    assert _objects("seen[1::5]") == seen[1::5]
    assert _objects("seen[5:]") == seen[5:]
    for text in ("all", "seen[3]", "seen[3:3]", "seen[a:]", "seen[99999:]"):
        with pytest.raises(UsageError, match=r"moji objects .* are none; write seen, unseen, or a slice such as seen"):
            _objects(text)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"counts": [1, 3]}, r"moji counts has 3, but objects 'seen\[:2\]' are 2; draw fewer at a time, or name more"),
        ({"counts": [1], "motions": ["spining"]}, r"unknown moji motion 'spining'; choose from .*spinning"),
        (
            {"counts": [1], "motions": ["growing", "spinning"], "reversals": True},
            r"moji motion 'spinning' has no opposite; with reversals choose from moving left, .*vanishing",
        ),
    ],
)
def test_worlds_that_cannot_be_drawn(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        opened(train={"moji": {"seed": 1, "clips": 3, "objects": "seen[:2]", **changes}})


def test_manifests_share_the_training_vocabulary(tmp_path: Path) -> None:
    train = manifest(tmp_path / "train.csv", "a.mp4,dog,train", "b.mp4,cat;dog,val")
    other = manifest(tmp_path / "other.csv", "c.mp4,zebra,")
    (tmp_path / "words.txt").write_text("zebra\nhorse\n")
    training, validation = opened(
        train={"manifest": train, "split": "train"},
        validation={
            "seen": {"manifest": train, "split": "val"},
            "unseen": {"manifest": other, "labels": str(tmp_path / "words.txt")},
        },
    )
    assert training.dataset.labels == validation["seen"].dataset.labels == ("dog", "cat")
    assert (len(training.dataset), len(validation["seen"].dataset)) == (1, 1)
    assert validation["unseen"].texts.labels == ("zebra", "horse")
    with pytest.raises(InputError, match=r"other\.csv row 2 has the label 'zebra', which is not in the vocabulary"):
        opened(train={"manifest": train}, validation={"unseen": {"manifest": other}})


def test_labels_and_attributes(tmp_path: Path) -> None:
    train = manifest(tmp_path / "train.csv", "a.mp4,dog,")
    (tmp_path / "words.txt").write_text("cat\ndog\n")
    book = tmp_path / "book.json"
    AttributeBook({"dog": ["a furry animal", "it barks"]}).save(book)
    training, _ = opened(train={"manifest": train}, labels=str(tmp_path / "words.txt"), attributes=str(book))
    assert training.dataset.labels == ("cat", "dog")
    assert {"cat", "dog", "a furry animal", "it barks"} <= set(training.texts.texts)


def test_augmentation_is_for_training_only(tmp_path: Path) -> None:
    train = manifest(tmp_path / "train.csv", "a.mp4,dog,")
    training, validation = opened(
        train={"manifest": train}, validation={"seen": {"manifest": train}}, augmentation={"crop": "random-resized"}
    )
    assert training.dataset._reader.augment.crop == "random-resized"  # type: ignore[attr-defined]
    assert validation["seen"].dataset._reader.augment is None  # type: ignore[attr-defined]


def test_what_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"missing\.csv"):
        opened(train={"manifest": str(tmp_path / "missing.csv")})
    train = manifest(tmp_path / "train.csv", "a.mp4,dog,")
    with pytest.raises(VocabularyError):
        opened(train={"manifest": train}, labels=str(tmp_path / "missing.txt"))


def test_reversals_draw_motions_that_have_an_opposite() -> None:
    training, _ = opened(train={"moji": {"seed": 1, "clips": 4, "labels": ["motions"], "reversals": True}})
    assert set(training.dataset.labels) == set(OPPOSITES)
