"""What olmv-mini knows: the only tests of meaning, on the shipped clips and on fresh drawings."""

import csv
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

import olmv
from olmv.data.moji import object_names, sample_scene
from olmv.data.moji_render import Renderer
from olmv.models.hub import load_model
from olmv.models.video_clip import VideoCLIP

CLIPS = Path(olmv.__file__).parent / "data" / "clips"


@pytest.fixture(scope="module")
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    before = os.environ.get("OLMV_CACHE")
    os.environ["OLMV_CACHE"] = str(tmp_path_factory.mktemp("cache"))
    yield
    del os.environ["OLMV_CACHE"]
    if before is not None:
        os.environ["OLMV_CACHE"] = before


@pytest.fixture(scope="module")
def predictions(own_cache: None) -> dict[str, olmv.VideoPrediction]:
    vocabulary = olmv.Vocabulary.load(CLIPS / "labels.txt")
    classifier = olmv.Classifier.from_pretrained("olmv-mini")
    found = classifier.predict(sorted(CLIPS.glob("*.mp4")), vocabulary, frame_pooling="softmax")
    return {Path(p.video).name: p for p in found}


@pytest.fixture(scope="module")
def truth() -> dict[str, set[str]]:
    with (CLIPS / "clips.csv").open(encoding="utf-8") as file:
        return {row["video"]: set(row["labels"].split(";")) for row in csv.DictReader(file)}


def test_true_labels_rank_above_all_others(
    predictions: dict[str, olmv.VideoPrediction], truth: dict[str, set[str]]
) -> None:
    misses = []
    for name, true in truth.items():
        ranked = sorted(predictions[name].labels, key=lambda label: -label.probability)
        top = {label.label for label in ranked[: len(true)]}
        misses += [(name, label) for label in true - top]
    assert len(misses) <= 2, misses


def test_decisions_at_one_half_are_mostly_right(
    predictions: dict[str, olmv.VideoPrediction], truth: dict[str, set[str]]
) -> None:
    decisions = [(lab.positive, lab.label in truth[n]) for n, p in predictions.items() for lab in p.labels]
    right = sum(said == true for said, true in decisions) / len(decisions)
    found = sum(said for said, true in decisions if true) / sum(true for _, true in decisions)
    assert right >= 0.93
    assert found >= 0.7


def embed(model: VideoCLIP, count: int, names: tuple[str, ...]) -> tuple[torch.Tensor, list[int]]:
    """Embeddings [B, D] of single objects in mid-clip, and which object each is."""
    scenes = [
        sample_scene(4242, i, names=names, counts=(1,), motions=("moving left",), pairings="all") for i in range(count)
    ]
    pictures = Renderer(64)(scenes, [0.5] * count)
    pixels = model.preprocess.normalize(pictures, dtype=model.dtype, device=model.device)
    return model.encode_frames(pixels[None])[0].float(), [names.index(s.actors[0].name) for s in scenes]


def test_fresh_drawings_of_seen_objects_are_known_among_all() -> None:
    model, names = load_model("olmv-mini"), object_names("seen")
    frames, which = embed(model, 100, names)
    best = (frames @ model.encode_texts(names).T).argmax(-1)
    assert (best == torch.tensor(which)).float().mean() >= 0.7


def test_objects_never_drawn_are_known_better_than_by_chance() -> None:
    model, names = load_model("olmv-mini"), object_names("unseen")
    frames, which = embed(model, 300, names)
    best = (frames @ model.encode_texts(names).T).argmax(-1)
    assert (best == torch.tensor(which)).float().mean() >= 3 / len(names)


def test_synonyms_are_near_their_words() -> None:
    model = load_model("olmv-mini")
    cosine = model.encode_texts(["automobile", "car", "banana"]) @ model.encode_texts(["automobile"]).T
    assert cosine[1] > cosine[2] + 0.2


def test_the_card_says_what_it_does_not_know() -> None:
    card = (Path(olmv.__file__).parent / "models" / "olmv-mini" / "README.md").read_text(encoding="utf-8")
    assert "not footage" in card
    assert (CLIPS.parent.parent / "models" / "olmv-mini" / "model.safetensors").stat().st_size < 25e6
