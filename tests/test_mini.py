"""What olmv-mini knows: the only tests of meaning, on the shipped clips and on fresh drawings."""

import csv
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

import olmv
from olmv.models.clip.model import VideoCLIP
from olmv.models.registry import load_video_clip
from olmv.moji.render import Renderer
from olmv.moji.world import MOTIONS, object_names, sample_scene

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
    predictions = classifier.predict(sorted(CLIPS.glob("*.mp4")), vocabulary, frame_pooling="softmax")
    return {Path(prediction.video).name: prediction for prediction in predictions}


@pytest.fixture(scope="module")
def truth() -> dict[str, set[str]]:
    with (CLIPS / "clips.csv").open(encoding="utf-8") as file:
        return {row["video"]: set(row["labels"].split(";")) for row in csv.DictReader(file)}


@pytest.mark.parametrize(("motions", "most"), [(False, 2), (True, 4)])
def test_true_labels_rank_above_all_others(
    predictions: dict[str, olmv.VideoPrediction], truth: dict[str, set[str]], motions: bool, most: int
) -> None:
    """Things among things, and motions among motions: 20 and 12 true labels in six clips."""
    misses = []
    for name, labels in truth.items():
        true = {label for label in labels if (label in MOTIONS) == motions}
        labels_of_kind = [label for label in predictions[name].labels if (label.label in MOTIONS) == motions]
        ranked = sorted(labels_of_kind, key=lambda label: -label.probability)
        misses += [(name, label) for label in true - {label.label for label in ranked[: len(true)]}]
    assert len(misses) <= most, misses


def test_decisions_at_one_half_are_mostly_right(
    predictions: dict[str, olmv.VideoPrediction], truth: dict[str, set[str]]
) -> None:
    decisions = [
        (lab.positive, lab.label in truth[n], lab.label in MOTIONS) for n, p in predictions.items() for lab in p.labels
    ]
    right = sum(said == true for said, true, _ in decisions) / len(decisions)
    things, motions = ([said for said, true, m in decisions if true and m == kind] for kind in (False, True))
    assert right >= 0.92
    assert sum(things) / len(things) >= 0.7
    assert sum(motions) / len(motions) >= 0.3


def embed(model: VideoCLIP, count: int, names: tuple[str, ...]) -> tuple[torch.Tensor, list[int]]:
    """Return embeddings [B, D] of single objects in mid-clip, and which object each is."""
    scenes = [
        sample_scene(4242, i, names=names, counts=(1,), motions=("moving left",), pairings="all") for i in range(count)
    ]
    pictures = Renderer(64)(scenes, [0.5] * count)
    pixels = model.preprocess.normalize(pictures, dtype=model.dtype, device=model.device)
    return model.encode_frames(pixels[:, None])[:, 0].float(), [names.index(s.actors[0].name) for s in scenes]


def test_fresh_drawings_of_seen_objects_are_known_among_all() -> None:
    model, names = load_video_clip("olmv-mini"), object_names("seen")
    frames, which = embed(model, 100, names)
    best = (frames @ model.encode_texts(names).T).argmax(-1)
    assert (best == torch.tensor(which)).float().mean() >= 0.7


def test_objects_never_drawn_are_known_better_than_by_chance() -> None:
    model, names = load_video_clip("olmv-mini"), object_names("unseen")
    frames, which = embed(model, 300, names)
    best = (frames @ model.encode_texts(names).T).argmax(-1)
    assert (best == torch.tensor(which)).float().mean() >= 3 / len(names)


def test_motions_are_told_apart_and_backwards_is_the_other_way() -> None:
    model, ways = load_video_clip("olmv-mini"), ("moving left", "moving right", "moving up", "moving down")
    scenes = [
        sample_scene(4243, i, names=object_names("seen"), counts=(1,), motions=ways, pairings="all") for i in range(60)
    ]
    moments = [(t + 0.5) / 8 for t in range(8)]
    pictures = Renderer(64)([s for s in scenes for _ in moments], moments * len(scenes))
    clips = model.preprocess.normalize(pictures, dtype=model.dtype).view(len(scenes), 8, *pictures.shape[1:])
    true = torch.tensor([ways.index(s.actors[0].motion) for s in scenes])
    texts = model.encode_texts(ways).T
    for frames, way in ((clips, true), (clips.flip(1), true ^ 1)):
        best = (model.encode_video(frames).float() @ texts).argmax(-1)
        assert (best == way).float().mean() >= 0.8
    stills = clips[:, 4:5].expand_as(clips)
    assert ((model.encode_video(stills).float() @ texts).argmax(-1) == true).float().mean() < 0.6


def test_synonyms_are_near_their_words() -> None:
    model = load_video_clip("olmv-mini")
    cosine = model.encode_texts(["automobile", "car", "banana"]) @ model.encode_texts(["automobile"]).T
    assert cosine[1] > cosine[2] + 0.2


def test_the_card_says_what_it_does_not_know() -> None:
    card = (Path(olmv.__file__).parent / "models" / "olmv-mini" / "README.md").read_text(encoding="utf-8")
    assert "not footage" in card
    assert (CLIPS.parent.parent / "models" / "olmv-mini" / "model.safetensors").stat().st_size < 25e6
