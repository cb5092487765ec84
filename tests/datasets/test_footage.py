"""The real clips that ship: files, manifest, labels and sources agree, and olmv-lite sees something in them."""

import csv
from pathlib import Path

import av
import pytest

import olmv

FOOTAGE = Path(olmv.__file__).parent / "data" / "footage"
SECONDS = {
    "astronaut_then_rocket": 4.5,
    "cat_then_coffee": 4.5,
    "city": 4.0,
    "dog_in_the_yard": 5.0,
    "hotel_room": 5.0,
    "raccoon_then_meadow": 4.5,
    "sea_at_sunset": 4.0,
}


@pytest.fixture(scope="module")
def manifest() -> list[dict[str, str]]:
    with (FOOTAGE / "clips.csv").open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def vocabulary() -> olmv.Vocabulary:
    return olmv.Vocabulary.load(FOOTAGE / "labels.txt")


def test_manifest_files_and_sources_name_the_same_clips(manifest: list[dict[str, str]]) -> None:
    clips = sorted(path.name for path in FOOTAGE.glob("*.mp4"))
    assert clips == sorted(row["video"] for row in manifest) == [f"{name}.mp4" for name in SECONDS]
    sources = (FOOTAGE / "SOURCES.md").read_text(encoding="utf-8")
    assert all(f"| `{clip}` |" in sources for clip in clips)
    assert sum(path.stat().st_size for path in FOOTAGE.iterdir()) < 1.5e6


def test_labels_are_all_true_ones_and_some_that_are_true_of_nothing(
    manifest: list[dict[str, str]], vocabulary: olmv.Vocabulary
) -> None:
    true = {label for row in manifest for label in row["labels"].split(";")}
    assert true < set(vocabulary.names)
    assert len(set(vocabulary.names) - true) == 8
    assert all(row["caption"].endswith(".") for row in manifest)


@pytest.mark.parametrize(("name", "seconds"), SECONDS.items())
def test_every_clip_opens_and_is_as_long_as_said(name: str, seconds: float) -> None:
    with av.open(str(FOOTAGE / f"{name}.mp4")) as container:
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
        stream = container.streams.video[0]
        assert float(stream.duration * stream.time_base) == seconds
    assert len(frames) == seconds * 12
    assert {frame.shape for frame in frames} == {(240, 320, 3)}
    assert (frames[0] != frames[-1]).mean() > 0.5


def test_olmv_lite_sees_what_is_in_them(
    manifest: list[dict[str, str]], vocabulary: olmv.Vocabulary, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not how good it is, only that it is no chance: 22 of 203 pairs of clip and label are true."""
    monkeypatch.setenv("OLMV_CACHE", str(tmp_path))
    classifier = olmv.Classifier.from_pretrained("olmv-lite")
    found = {Path(p.video).name: p for p in classifier.predict(sorted(FOOTAGE.glob("*.mp4")), vocabulary)}
    first = 0
    for row in manifest:
        true = set(row["labels"].split(";"))
        ranked = sorted(found[row["video"]].labels, key=lambda label: -label.probability)
        first += len(true & {label.label for label in ranked[: len(true)]})
    assert first >= 10
